//! The two calls that every step makes: logprobs, and samples; and the histories that steps of samples share.

use std::sync::Arc;

use super::asked::{Asked, most_of};
use super::buffers::{GpuInput, GpuLogits, Mask, SampleBuffers, TokensOut, buffer};
use super::checks::{check_logits, check_offsets, check_tokens, check_words};
use super::guard::made;
use super::histories::Histories;
use super::job::{Job, Kind};
use super::readback::Pending;
use super::room::most_bytes;
use super::sampler::Sampler;
use crate::answer::{Logprobs, Sample};
use crate::arithmetic::lane::PassScale;
use crate::error::{Error, Result};
use crate::params::LogprobsParams;
use crate::plan::{Demand, Plan, spans};
use crate::request::ahead::slot_words;
use crate::request::{Inputs, RequestWords, Row, validate_targets, validate_token_ids};

impl Sampler {
    /// Records the passes for one batch at the end of `encoder` and schedules the copy of the records: one per row.
    /// `targets` is empty, or names for each row the token whose logprob and rank are wanted. The logits are read
    /// when the encoder is submitted. Two dispatches; more than 1024 entries per row take further ones, as for
    /// [`Sampler::top_k`].
    ///
    /// # Errors
    /// [`Error::Params`](crate::Error::Params) and [`Error::Logits`](crate::Error::Logits) for what cannot be asked,
    /// [`Error::Limit`](crate::Error::Limit) where the device is too small,
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) and [`Error::Validation`](crate::Error::Validation) for what
    /// the device rejects; in the first call for a type of logits, unless [`Sampler::prepare`] was called, what
    /// [`Sampler::uses_integers`] says. Nothing is recorded then.
    pub fn logprobs(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
    ) -> Result<Pending<Logprobs>> {
        self.logprobs_of(encoder, logits, params, targets, &[])
    }

    /// The same, and what each row says of given tokens: `token_ids` is empty, or a list per row of at most
    /// [`SamplingParams::MAX_LOGPROB_TOKEN_IDS`](crate::SamplingParams::MAX_LOGPROB_TOKEN_IDS) tokens. They come back as
    /// [`Distribution::token_logprobs`](crate::Distribution::token_logprobs). One dispatch more, in which one workgroup
    /// walks over each row that has given tokens.
    ///
    /// # Errors
    /// As for [`Sampler::logprobs`].
    pub fn logprobs_of(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        params: &LogprobsParams,
        targets: &[Option<u32>],
        token_ids: &[&[u32]],
    ) -> Result<Pending<Logprobs>> {
        params.validate()?;
        validate_targets(targets, logits.rows, logits.vocab)?;
        validate_token_ids(token_ids, logits.rows, logits.vocab)?;
        let demand = Demand::logprobs(params.top_logprobs, most_of(token_ids), logits.rows, logits.vocab);
        let plan = self.plan(logits, demand)?;
        let LogprobsParams { temperature, entropy, .. } = *params;
        let request = RequestWords::observing(PassScale::new(temperature), entropy);
        let token_ids = if plan.demand.token_ids > 0 { token_ids } else { &[] };
        let job = Job::new(Kind::Logprobs, logits, Asked::Observe(&request, targets, token_ids));
        self.schedule(encoder, &job, &plan, |decoding| {
            (decoding.temperature, decoding.entropy) = (temperature, entropy);
            decoding.parts = plan.demand.parts();
            decoding.targets.clear();
            decoding.targets.extend_from_slice(targets);
            decoding.ask(token_ids.iter().copied());
        })
    }

    /// Records the passes that draw tokens from each row of logits, as the row's request asks, at the end of `encoder`,
    /// and schedules the copy of the samples: one per row. Two dispatches for each chunk of the batch, whatever the requests
    /// ask for; one more with [`logprob_token_ids`](crate::SamplingParams::logprob_token_ids), two more with
    /// [blocks](crate::Verification::Block) of draft tokens, 14 more for each list of more than
    /// [`LogprobsParams::MAX_SHORT_LIST`] entries (the record of every row then has room for the longest); and one for the whole
    /// call where rows use [`Histories`](crate::Histories). The logits are read, never written, when the encoder is submitted.
    ///
    /// # Errors
    /// As for [`Sampler::logprobs`]; what is wrong with one row is [`Error::Row`](crate::Error::Row), so that the others can be
    /// drawn without it. [`Error::Limit`](crate::Error::Limit) too where a block of draft tokens is longer than a chunk. Nothing is
    /// recorded then.
    ///
    /// # Example
    /// ```
    /// use sortilege::{Dtype, GpuLogits, GpuOutput, Request, SampleBuffers, SamplingParams, wgpu};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let gpu = sortilege::device::Gpu::any()?;
    /// # let (device, queue) = (gpu.device(), gpu.queue());
    /// # let make = |size, usage| device.create_buffer(&wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false });
    /// # let logits = make(32, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    /// # queue.write_buffer(&logits, 0, bytemuck::cast_slice(&[1.0f32, 2.0, 3.0, 0.5, 9.0, 0.0, 9.0, 1.0]));
    /// # let tokens = make(8, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST);
    /// let greedy = Request::new(SamplingParams { temperature: 0.0, raw_logprobs: Some(2), ..SamplingParams::default() })?;
    /// let warm = Request::new(SamplingParams { top_p: 0.9, seed: Some(1), ..SamplingParams::default() })?;
    ///
    /// let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
    /// // ... the engine records its forward pass here, which writes `logits` ...
    /// let batch = GpuLogits::packed(&logits, Dtype::F32, 2, 4);
    /// let buffers = SampleBuffers { tokens: Some(GpuOutput::new(&tokens)), ..SampleBuffers::default() };
    /// let pending = gpu.sampler().sample(&mut encoder, &batch, &[greedy.row(0), warm.row(0)], &buffers)?;
    /// // ... and here the next one, which reads `tokens` ...
    /// queue.submit([encoder.finish()]);
    ///
    /// let samples = pending.wait()?;
    /// assert_eq!(samples[0].draws[0].token, 2);
    /// assert_eq!(samples[0].raw.as_ref().unwrap().top_logprobs[1].token, 1);
    /// # Ok(())
    /// # }
    /// ```
    pub fn sample(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        rows: &[Row<'_>],
        buffers: &SampleBuffers<'_>,
    ) -> Result<Pending<Sample>> {
        self.with_inputs(logits, rows, buffers, |inputs| self.sample_inputs(encoder, logits, inputs, buffers))
    }

    /// The same, of which only the first drawn token of each row is wanted, in [`SampleBuffers::tokens`]: nothing comes back to
    /// the host, neither lists nor ranks nor what the raw logits say are computed, and there is nothing to wait for. A host that
    /// reads the tokens itself tells a request by [`Request::accept_token`](crate::Request::accept_token), when none of its rows
    /// is in flight. A row that the driver cannot be trusted with, of which
    /// [`Pending::wait`] tells, gets [`NO_TOKEN`](crate::NO_TOKEN) here.
    ///
    /// # Errors
    /// As for [`Sampler::sample`], and [`Error::Params`](crate::Error::Params) without a buffer for the tokens.
    pub fn sample_tokens(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        rows: &[Row<'_>],
        buffers: &SampleBuffers<'_>,
    ) -> Result<()> {
        if buffers.tokens.is_none() {
            return Err(Error::Params(
                "the tokens have nowhere to go: name a buffer in `SampleBuffers::tokens`, or call `sample`"
                    .to_owned(),
            ));
        }
        self.with_inputs(logits, rows, buffers, |inputs| {
            let (plan, job) = self.sample_job(Kind::Tokens, logits, inputs, buffers)?;
            if logits.rows > 0 {
                let call = self.record(encoder, &job, &plan)?;
                self.pool.give_back_when_done(encoder, call);
            }
            Ok(())
        })
    }

    /// Room for so many requests of at most so many tokens, of prompt and output: 8 bytes a token, and 144 a request.
    ///
    /// # Errors
    /// [`Error::Limit`](crate::Error::Limit) if the device cannot bind that much, and what it says if the buffer cannot be made.
    pub fn histories(&self, requests: usize, tokens: usize) -> Result<Histories> {
        let most = most_bytes(&self.device);
        let words = tokens.checked_mul(2).and_then(|words| words.checked_add(slot_words(0)));
        let bytes =
            words.and_then(|words| words.checked_mul(requests)).and_then(|words| words.checked_mul(4));
        let bytes = bytes.map(|bytes| bytes as u64).filter(|&bytes| bytes <= most);
        let (Some(bytes), true) = (bytes, requests > 0 && tokens > 0) else {
            return Err(Error::Limit(format!(
                "histories of {requests} requests with {tokens} tokens: at least one of each, and at most the {most} bytes that \
                 the device binds, 8 a token and 144 a request"
            )));
        };
        let buffer = made(&self.device, "making the histories", || {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            buffer(&self.device, "sortilege histories", bytes, usage)
        })?;
        Ok(Histories::new(buffer, self.waiter.clone(), requests, tokens))
    }

    /// Checks and compiles rows, for what is done with them.
    fn with_inputs<T>(
        &self,
        logits: &GpuLogits<'_>,
        rows: &[Row<'_>],
        buffers: &SampleBuffers<'_>,
        call: impl FnOnce(&Inputs<'_>) -> Result<T>,
    ) -> Result<T> {
        let host_mask = match buffers.mask {
            Some(Mask::Host(words)) => Some(words),
            Some(Mask::Gpu(_)) | None => None,
        };
        if let Some(histories) = buffers.histories {
            histories.check_owner(&self.waiter)?;
        }
        let mut steps = self.pool.take_steps();
        steps.runs.clear();
        let entered = buffers.histories.map(|histories| histories.enter(rows, &mut steps.runs)).transpose();
        let result = entered.and_then(|entered| {
            let checked = steps.check(rows, logits.rows, logits.vocab, host_mask);
            let result = checked.and_then(|inputs| call(&inputs));
            if let (Some(histories), Some(entered)) = (buffers.histories, entered) {
                histories.end(entered, result.is_ok());
            }
            result
        });
        self.pool.give_back_steps(steps);
        result
    }

    /// Nothing, if one dispatch has so many rows, and none of them takes more rounds of loops than the device carries out.
    fn check_runs(&self, inputs: &Inputs<'_>) -> Result<()> {
        let most = self.limits.max_workgroups;
        if inputs.len() > most as usize {
            return Err(Error::Limit(format!(
                "{} rows with histories are over the {most} workgroups of a dispatch: lower `rows`",
                inputs.len()
            )));
        }
        if cfg!(target_family = "wasm") {
            return Ok(()); // what browsers run on cuts no loops
        }
        let most = self.most_rounds()?;
        if most == u32::MAX {
            return Ok(()); // as many as it likes
        }
        for (number, row) in inputs.rows().iter().enumerate() {
            let rounds = inputs.run(number).map_or(0, |run| run.rounds(row));
            if rounds > u64::from(most) {
                return Err(Error::Limit(format!(
                    "what looks at the tokens before row {number} may take {rounds} rounds of loops in the histories, and this \
                     device carries out {most} without a fault: accept its tokens before each step, and draw without \
                     `SampleBuffers::histories`"
                ))
                .of_row(number));
            }
        }
        Ok(())
    }

    /// The plan of a call over logits that lie in their buffer.
    pub(super) fn plan(&self, logits: &GpuLogits<'_>, demand: Demand) -> Result<Arc<Plan>> {
        self.plan_around(logits, demand, |_| true)
    }

    /// The same, of chunks that begin at rows that may begin one.
    fn plan_around(
        &self,
        logits: &GpuLogits<'_>,
        demand: Demand,
        may_begin: impl Fn(usize) -> bool + Copy,
    ) -> Result<Arc<Plan>> {
        #[cfg(target_family = "wasm")]
        self.let_go_of_doubtful();
        check_offsets(logits)?;
        let (shape, bytes) = (logits.shape(), logits.buffer.size());
        let spans = spans(&shape, logits.row_offsets, bytes, may_begin, &self.limits);
        let demand = Demand { has_offsets: !logits.row_offsets.is_empty(), ..demand };
        let plan = self.pool.plan(&shape, spans, demand, may_begin, &self.limits)?;
        plan.check_lists(demand.lists, &self.limits)?;
        check_logits(logits, &plan)?;
        Ok(plan)
    }

    /// Records a `sample` call for rows that are checked and compiled; a mask in host memory is among them.
    pub(crate) fn sample_inputs(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        logits: &GpuLogits<'_>,
        inputs: &Inputs<'_>,
        buffers: &SampleBuffers<'_>,
    ) -> Result<Pending<Sample>> {
        let (plan, job) = self.sample_job(Kind::Sample, logits, inputs, buffers)?;
        self.schedule(encoder, &job, &plan, |decoding| {
            decoding.parts = plan.demand.parts();
            decoding.info.clear();
            decoding.info.extend(inputs.decode_info());
            decoding.stops.clear();
            decoding.stops.extend(inputs.stops());
            decoding.ask((0..inputs.len()).map(|row| inputs.token_ids(row)));
        })
    }

    /// What draws for rows that are checked, from and into buffers that are checked here.
    fn sample_job<'a>(
        &self,
        kind: Kind,
        logits: &'a GpuLogits<'a>,
        inputs: &'a Inputs<'a>,
        buffers: &SampleBuffers<'a>,
    ) -> Result<(Arc<Plan>, Job<'a>)> {
        use wgpu::BufferUsages as Usage;
        let SampleBuffers { mask, draft, tokens, token_offsets: offsets, histories } = *buffers;
        let mask = match mask {
            Some(Mask::Gpu(input)) => Some(input),
            Some(Mask::Host(_)) | None => None,
        };
        inputs.check_draft(draft.is_some())?;
        let mask_row_bytes = if mask.is_some() { logits.vocab.div_ceil(32) as u64 * 4 } else { 0 };
        let demand = Demand::sample(inputs, mask_row_bytes);
        let demand = if kind == Kind::Tokens { demand.of_token_alone() } else { demand };
        let plan = self.plan_around(logits, demand, |row| !inputs.is_within_block(row))?;
        let rows = logits.rows as u64;
        let draft = draft.filter(|_| inputs.wants_draft());
        let vocab = logits.vocab as u64;
        if let Some(GpuInput { buffer, byte_offset }) = mask {
            check_words(buffer, byte_offset, rows * mask_row_bytes, Usage::STORAGE, "the grammar mask")?;
        }
        if let Some(GpuInput { buffer, byte_offset }) = draft {
            check_words(buffer, byte_offset, rows * vocab * 4, Usage::STORAGE, "the draft")?;
        }
        if tokens.is_none() && !offsets.is_empty() {
            return Err(Error::Params(format!(
                "{} token offsets, and no buffer for the tokens: name it in `SampleBuffers::tokens`",
                offsets.len()
            )));
        }
        let tokens = tokens.map(|out| TokensOut { out, offsets });
        if let Some(tokens) = &tokens {
            check_tokens(tokens, logits.rows)?;
        }
        let histories = histories.filter(|_| plan.demand.runs_ahead);
        if histories.is_some() {
            self.check_runs(inputs)?;
        }
        let asked = if kind == Kind::Tokens { Asked::Tokens(inputs) } else { Asked::Sample(inputs) };
        Ok((plan, Job { mask, draft, tokens, histories, ..Job::new(kind, logits, asked) }))
    }
}
