//! The staging ring: records are copied to a mappable buffer at the end of the engine's encoder, mapped when it is
//! submitted, decoded when somebody asks.

use std::future::Future;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use super::guard::poll;
use super::mapping::{is_settled, map_on_submit, mapped_range, outcome, wake_when_settled, words_of};
use super::ring::{Call, Ring, forget};
use super::sampler::Sampler;
#[cfg(not(target_family = "wasm"))]
use super::wait::drive;
use super::waiter::{Alone, Waiter};
use crate::answer::Answer;
use crate::answer::words::{record, sample};
use crate::error::{Error, Result};
use crate::plan::Plan;

/// Logprobs or samples on their way to the host. Submit the encoder, then [`wait`](Self::wait) or `.await`; any number may
/// be in flight, and they may be read in any order. Dropping one forgets its rows and disturbs nothing.
///
/// Natively a map is there only once somebody polls the device. `wait` does so itself, and blocks: before the submit for all
/// of [`SamplerOptions::deadline`](crate::SamplerOptions::deadline), unless another thread submits. While something is awaited
/// one thread of ours polls, which all samplers share that came of one by [`Sampler::with`]; an engine that polls anyway may
/// ask [`is_ready`](Self::is_ready).
///
/// In a browser nothing can block, so that there is no `wait`: `.await` is what there is. It knows no deadline; race it
/// against a timer of the page.
#[must_use = "the rows are lost if nobody waits for them"]
pub struct Pending<R> {
    /// `None` for an empty batch, or once the rows are read.
    call: Option<Call>,
    ring: Ring,
    device: wgpu::Device,
    waiter: Arc<Waiter>,
    plan: Arc<Plan>,
    /// Quads of lists that the plan does not know of.
    lists: usize,
    deadline: Duration,
    is_awaited: bool,
    /// Polls for it where there is no thread to be had.
    alone: Option<Alone>,
    /// What a browser has yet to say of the call.
    #[cfg(target_family = "wasm")]
    unheard: Pin<Box<dyn Future<Output = Result<()>>>>,
    rows: PhantomData<fn() -> R>,
}

impl<R> std::fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("plan", &self.plan).finish_non_exhaustive()
    }
}

/// What nobody waited for goes back to the ring once the device is done with it.
impl<R> Drop for Pending<R> {
    fn drop(&mut self) {
        if let Some(call) = self.call.take() {
            forget(call, &self.ring);
        }
    }
}

impl<R> Pending<R> {
    /// The answer for no rows.
    pub(super) fn empty(sampler: &Sampler, plan: &Arc<Plan>, lists: usize) -> Self {
        Self {
            call: None,
            ring: sampler.pool.ring(),
            device: sampler.device.clone(),
            waiter: sampler.waiter.clone(),
            plan: plan.clone(),
            lists,
            deadline: sampler.options.deadline,
            is_awaited: false,
            alone: None,
            #[cfg(target_family = "wasm")]
            unheard: Box::pin(super::late::heard(&sampler.device)),
            rows: PhantomData,
        }
    }

    /// Schedules the map of the call's staging buffer for the submit of `encoder`.
    pub(super) fn schedule(
        sampler: &Sampler,
        encoder: &wgpu::CommandEncoder,
        mut call: Call,
        lists: usize,
    ) -> Self {
        let plan = call.plan.clone();
        if let Some(staging) = &call.staging {
            map_on_submit(encoder, staging, plan.records_bytes, &mut call.mapping);
        }
        let mut pending = Self::empty(sampler, &plan, lists);
        pending.call = Some(call);
        pending
    }

    /// What the call does on the device.
    #[must_use]
    pub fn plan(&self) -> Plan {
        self.plan.with_lists(self.lists)
    }

    fn is_settled(&self) -> bool {
        self.call.as_ref().is_none_or(|call| is_settled(&call.mapping))
    }

    /// Whether [`wait`](Self::wait) would return at once. Polls the device without blocking.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.is_settled() || poll(&self.device).is_err() || self.is_settled()
    }
}

impl<R: Answer> Pending<R> {
    /// Blocks until they are here: one per row.
    ///
    /// # Errors
    /// [`Error::NotSubmitted`] once the encoder, or what it was finished to, is dropped without a submit, or if it still is
    /// with somebody past the deadline of the sampler's options: another thread may submit it until then.
    /// [`Error::Timeout`] past that deadline if it was submitted; [`Error::Validation`] if the device rejected it, the
    /// commands did not run to their end; [`Error::Limit`] for a row that takes more rounds of
    /// a loop than the driver runs; [`Error::Mismatch`] if a record says what cannot be; [`Error::DeviceLost`]. The rows are
    /// lost then.
    #[cfg(not(target_family = "wasm"))]
    pub fn wait(self) -> Result<Vec<R>> {
        let mut rows = Vec::new();
        self.wait_into(&mut rows)?;
        Ok(rows)
    }

    /// Blocks until they are here, and puts them in place of what `rows` holds, whose memory is used again: step after step
    /// with one vector allocates nothing.
    ///
    /// # Errors
    /// As for [`Pending::wait`]; what `rows` holds is then of no use.
    #[cfg(not(target_family = "wasm"))]
    pub fn wait_into(mut self, rows: &mut Vec<R>) -> Result<()> {
        drive(|| self.is_settled(), &self.device, self.deadline)?;
        self.read(rows)
    }

    /// [`Self::wait`] where there is one, otherwise `.await`.
    pub(crate) async fn rows(self) -> Result<Vec<R>> {
        #[cfg(not(target_family = "wasm"))]
        return self.wait();
        #[cfg(target_family = "wasm")]
        self.await
    }

    /// The same with another deadline.
    pub(super) async fn rows_within(mut self, deadline: Duration) -> Result<Vec<R>> {
        self.deadline = deadline;
        self.rows().await
    }

    /// Decodes the mapped records and returns the buffers to the ring.
    fn read(&mut self, answers: &mut Vec<R>) -> Result<()> {
        let Some(call) = &mut self.call else {
            answers.clear();
            return Ok(());
        };
        outcome(&call.mapping, self.deadline)?;
        let decoded = decode(call, answers);
        if decoded.is_err() {
            answers.clear(); // none that looks like an answer
        }
        // Mapped, so that it goes back at once.
        if let Some(call) = self.call.take() {
            forget(call, &self.ring);
        }
        decoded
    }
}

/// What the mapped records say.
fn decode<R: Answer>(call: &mut Call, answers: &mut Vec<R>) -> Result<()> {
    let (plan, Some(staging)) = (&call.plan, &call.staging) else { return Ok(()) };
    let view = mapped_range(staging, ..plan.records_bytes, "reading the records")?;
    let words = words_of(&view);
    answers.truncate(plan.shape.rows);
    answers.resize_with(plan.shape.rows, R::empty);
    #[expect(
        clippy::cast_possible_truncation,
        reason = "offsets into a buffer that is mapped here, at most 2^20 tokens, and one bit of a word"
    )]
    for chunk in &plan.chunks {
        let first = chunk.records_offset as usize / 4 + chunk.rows * plan.demand.token_words();
        let rows = words[first..].chunks_exact(plan.demand.record_words()).take(chunk.rows);
        for (row, words) in (chunk.first_row..).zip(rows) {
            let number = words[record::CALL];
            if number == call.number ^ sample::LOST as u32
                && let Some(lost) = R::lost(row, &call.decoding)
            {
                answers[row] = lost;
                continue;
            }
            if number != call.number {
                return Err(not_done(row, number, call));
            }
            answers[row].read(row, words, plan.shape.vocab as u32, &mut call.decoding).map_err(|what| {
                Error::Mismatch(format!("the device, which says what cannot be ({what}, in row {row}),"))
            })?;
        }
    }
    Ok(())
}

/// Why a row's record is not that of this call.
fn not_done(row: usize, number: u32, call: &Call) -> Error {
    let says_so = number == !call.number;
    let most_rounds = call.bindings.as_ref().and_then(|bindings| bindings.uniforms.first()?.most_rounds());
    match most_rounds.filter(|_| says_so) {
        Some(most) => Error::Limit(format!(
            "row {row} takes more than the {most} rounds of loops that this device's driver can be trusted with: use the \
             CPU engine, ask for fewer draws, filters or entries, or update the driver (Mesa from version 25 on)"
        )),
        // A submit that the device rejects maps the buffer all the same, with what an earlier call left in it.
        None => Error::Validation {
            doing: "the submitted commands",
            message: "they did not run to their end; the device's error handler may have the reason"
                .to_owned(),
        },
    }
}

impl<R: Answer> Future for Pending<R> {
    type Output = Result<Vec<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        #[cfg(target_family = "wasm")]
        if !std::mem::replace(&mut self.is_awaited, true) {
            // What was said of the submit came after.
            let recorded = std::mem::replace(&mut self.unheard, Box::pin(std::future::ready(Ok(()))));
            let submitted = super::late::heard(&self.device);
            self.unheard = Box::pin(async move { recorded.await.and(submitted.await) });
        }
        #[cfg(target_family = "wasm")]
        match self.unheard.as_mut().poll(context) {
            Poll::Ready(Ok(())) => self.unheard = Box::pin(std::future::ready(Ok(()))),
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        }
        let shared = self.call.as_ref().map(|call| call.mapping.clone());
        let Some(shared) = shared.filter(|shared| wake_when_settled(shared, context.waker())) else {
            let mut rows = Vec::new();
            return Poll::Ready(self.read(&mut rows).map(|()| rows));
        };
        // Natively a map completes only inside somebody's poll. A thread does it, so that the executor stays free.
        if !self.is_awaited && cfg!(not(target_family = "wasm")) {
            self.is_awaited = self.waiter.poll_for(&shared, self.deadline);
            if !self.is_awaited {
                let (device, deadline) = (self.device.clone(), self.deadline);
                self.alone.get_or_insert_with(|| Alone::new(&shared, deadline)).poll(&device);
                context.waker().wake_by_ref();
            }
        }
        Poll::Pending
    }
}

#[cfg(all(test, feature = "device"))]
mod tests {
    use crate::engine::Engine;
    use crate::error::Error;
    use crate::gpu::{Gpu, SamplerOptions};
    use crate::kernels::row_logprobs;
    use crate::kernels::row_sample;
    use crate::kernels::token_ranks;
    use crate::logits::Logits;
    use crate::params::LogprobsParams;
    use crate::request::{Request, SampleInputs};

    /// A row whose work is cut short, as by a driver that miscompiles the loop, is no sample.
    #[test]
    fn a_row_that_does_not_come_to_its_end_is_refused() {
        let gpu = Gpu::any().expect("an adapter");
        let request =
            Request::new(crate::SamplingParams { top_p: 0.9, ..Default::default() }).expect("sound");
        let logits = Logits::f32(&[1.0, 2.0, 3.0], 1, 3).expect("a row");
        let sample = |gpu: &Gpu| gpu.sample(&logits, &[request.row(0)], &SampleInputs::default());
        sample(&gpu).expect("a sample");
        for moves in 1..5 {
            let text = format!("const MOST_MOVES: u32 = {moves}u;");
            let short = row_sample::KERNEL.replaced("const MOST_MOVES: u32 = 4096u;", &text);
            let short = gpu.beside(SamplerOptions::default(), Some(short)).expect("compiles");
            let outcome = sample(&short);
            // A driver that cuts loops short is taken to have done so.
            let is_refused = matches!(outcome, Err(Error::Validation { .. } | Error::Limit(_)));
            assert!(is_refused, "{moves} moves: {outcome:?}");
        }
    }

    /// A kernel that says what cannot be gives an error, and no rows that look like answers.
    #[test]
    fn what_cannot_be_is_no_answer() {
        let gpu = Gpu::any().expect("an adapter");
        let logits = Logits::f32(&[1.0, 2.0, 3.0, 1.0, 2.0, 3.0], 2, 3).expect("two rows");
        let request = Request::new(crate::SamplingParams::default()).expect("sound");
        let faulty = |kernel| gpu.beside(SamplerOptions::default(), Some(kernel)).expect("compiles");
        let says = |outcome: crate::Result<usize>, words: &str| {
            let message = outcome.expect_err(words).to_string();
            assert!(message.contains(words), "{message}");
        };
        let wrong = faulty(row_logprobs::KERNEL.replaced(
            "records[record + RECORD_N_GREATER] = stats.n_greater;",
            "records[record + RECORD_N_GREATER] = stats.n_greater + 1098645504u * row;",
        ));
        let outcome = wrong.logprobs(&logits, &LogprobsParams::default(), &[Some(1), Some(1)]);
        says(
            outcome.map(|rows| rows.len()),
            "(1098645505 logits greater and 1 equal in 3, of token 1, in row 1)",
        );
        let wrong = faulty(row_sample::KERNEL.replaced(
            "records[out + DRAW_TOKEN] = now.token;",
            "records[out + DRAW_TOKEN] = now.token + 3u;",
        ));
        let outcome = wrong.sample(&logits, &[request.row(0), request.row(1)], &SampleInputs::default());
        says(outcome.map(|rows| rows.len()), "of 3, in row 0)");
        // Ranks of a token that nobody asked about are no answer either, however sound.
        let (from, to) =
            ("[given + GIVEN_TOKEN] = tokens[i]", "[given + GIVEN_TOKEN] = tokens[i] ^ (group.y & 1u)");
        let wrong = faulty(token_ranks::KERNEL.replaced(from, to));
        let outcome = wrong.logprobs_of(&logits, &LogprobsParams::default(), &[], &[&[0], &[1, 0]]);
        says(outcome.map(|rows| rows.len()), "(given token 0 in place 0, where 1 was asked for, in row 1)");
        let params = crate::SamplingParams { logprob_token_ids: vec![0, 1], ..Default::default() };
        let request = Request::new(params).expect("sound");
        let outcome = wrong.sample(&logits, &[request.row(0), request.row(1)], &SampleInputs::default());
        says(outcome.map(|rows| rows.len()), "where 0 was asked for, in row 1)");
    }
}
