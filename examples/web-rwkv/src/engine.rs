//! The engine: web-rwkv's jobs without their way back, and a sampler on its device.

use std::sync::mpsc::{Receiver, channel};

use anyhow::{Context as _, Result, bail, ensure};
use half::f16;
use safetensors::SafeTensors;
use sortilege::{Dtype, GpuLogits, Kernels, Pending, Request, Row, Sample, SampleBuffers, Sampler, wgpu};
use web_rwkv::context::{Context, ContextBuilder, InstanceExt};
use web_rwkv::runtime::infer::{RnnInput, RnnInputBatch, RnnOption};
use web_rwkv::runtime::loader::{Loader, PAD_MAT};
use web_rwkv::runtime::model::{ContextAutoLimits, ModelBuilder};
use web_rwkv::runtime::v7::{Bundle, Frame, Hook, HookFn, HookMap, Model, RnnJob};
use web_rwkv::runtime::{Dispatcher, Job, JobInput};
use web_rwkv::tensor::kind::{Kind, ReadWrite};
use web_rwkv::tensor::ops::TensorOp;
use web_rwkv::tensor::{TensorGpu, TensorShape};

/// Tokens that web-rwkv reads at once.
pub const CHUNK: usize = 32;

/// A model and a sampler on one device.
pub struct Engine {
    pub context: Context,
    pub model: Model,
    pub sampler: Sampler,
    pub vocab: usize,
    sequences: usize,
    bundle: Bundle<f16>,
    /// Where jobs leave their logits, told when they are built.
    heads: Receiver<Tensor>,
}

type Tensor = TensorGpu<f32, ReadWrite>;

impl Engine {
    /// The model of a file of safetensors, for so many sequences, on a device that web-rwkv opens.
    pub fn new(file: &[u8], sequences: usize) -> Result<Self> {
        let file = SafeTensors::deserialize(file).context("the model")?;
        let info = Loader::info(&file).context("the model")?;
        let adapter =
            pollster::block_on(wgpu::Instance::default().adapter(wgpu::PowerPreference::HighPerformance))?;
        let context = pollster::block_on(ContextBuilder::new(adapter).auto_limits(&info).build())?;
        let model = pollster::block_on(ModelBuilder::new(&context, file).build_v7())?;

        let (sender, heads) = channel();
        let hook: HookFn<f16> = Box::new(move |frame: Frame<f16>| {
            // Of an engine that is gone nobody asks.
            _ = sender.send(frame.header.head_o.clone());
            Ok(TensorOp::empty())
        });
        let hooks = HookMap::from([(Hook::PostHead, hook)]);
        let bundle = Bundle::new_with_hooks(model.clone(), sequences, hooks);

        let sampler = Sampler::new(&context.device, &context.queue)?;
        sampler.prepare(Kernels::Sample, Dtype::F32)?;
        Ok(Self { context, model, sampler, vocab: info.num_vocab, sequences, bundle, heads })
    }

    /// Reads a chunk of tokens: the logits of the sequences whose last token is in it, if there are any.
    pub fn forward(&self, batch: &mut Batch) -> Result<Option<Head>> {
        let input = &mut batch.input;
        ensure!(input.num_token() > 0, "no sequence has a token to read");
        let info = input.iter().next().context("web-rwkv makes no chunk of the tokens")?;
        let outputs = info.redirect().outputs.into_iter().enumerate();
        let sequences =
            outputs.filter(|(_, (first, end))| first < end).map(|(sequence, _)| sequence).collect();
        let mut job = self.bundle.dispatch(info)?;
        job.load(&input.chunk())?;
        job.submit();
        input.step();
        Ok(self.heads.try_iter().last().map(|logits| Head { logits, sequences, job }))
    }

    /// Draws a token for each row of these logits, in a submit of its own. To be called before the next `forward`, which
    /// writes its logits to the same buffer.
    pub fn draw(&self, head: &Head, batch: &Batch) -> Result<Pending<Sample>> {
        let requests = head.sequences.iter().map(|&sequence| &batch.requests[sequence]);
        let rows: Vec<Row<'_>> = requests.map(|request| request.row(request.output().len() as u64)).collect();
        let mut encoder = self.context.device.create_command_encoder(&Default::default());
        let logits = place(&head.logits, self.vocab)?;
        let pending = self.sampler.sample(&mut encoder, &logits, &rows, &SampleBuffers::default())?;
        self.context.queue.submit([encoder.finish()]);
        Ok(pending)
    }
}

/// Logits of a job that is submitted.
pub struct Head {
    /// `[rows][padded vocabulary]`.
    pub logits: Tensor,
    /// The sequence of each row.
    pub sequences: Vec<usize>,
    /// To download the logits as web-rwkv does, with `Job::back`. Not needed to draw.
    pub job: RnnJob,
}

/// Logits of a vocabulary where web-rwkv's tensor has them.
pub fn place<K: Kind>(logits: &TensorGpu<f32, K>, vocab: usize) -> Result<GpuLogits<'_>> {
    let [row_stride, rows, ..] = <[usize; 4]>::from(logits.shape());
    let padded = vocab.next_multiple_of(PAD_MAT[1]);
    ensure!(row_stride == padded, "rows of {row_stride} logits, where {vocab} tokens are padded to {padded}");
    Ok(GpuLogits { row_stride, ..GpuLogits::packed(&logits.buffer, Dtype::F32, rows, vocab) })
}

/// Sequences that grow by a token a step, until their requests finish.
pub struct Batch {
    input: RnnInput,
    pub requests: Vec<Request>,
}

impl Batch {
    /// Sequences that begin with these prompts.
    pub fn new(engine: &Engine, prompts: &[Vec<u32>], requests: Vec<Request>) -> Result<Self> {
        let (sequences, vocab) = (prompts.len(), engine.vocab);
        ensure!(sequences == requests.len(), "{sequences} prompts and {} requests", requests.len());
        let states = engine.sequences;
        ensure!(sequences <= states, "{sequences} sequences, where the engine has states for {states}");
        if let Some(past) = prompts.iter().flatten().find(|&&token| token as usize >= vocab) {
            bail!("token {past} in a prompt, where the vocabulary has {vocab}");
        }
        let input = |prompt: &Vec<u32>| RnnInputBatch::new(prompt.clone(), RnnOption::Last);
        Ok(Self { input: RnnInput::new(prompts.iter().map(input).collect(), CHUNK), requests })
    }

    /// Takes the samples of a step, of these sequences. The next `forward` reads their tokens, but for those of requests that
    /// are finished.
    pub fn accept(&mut self, sequences: &[usize], samples: &[Sample]) -> Result<()> {
        for (&sequence, sample) in sequences.iter().zip(samples) {
            let drawn = sample.draws.first();
            let drawn = drawn.with_context(|| format!("nothing to draw from: {:?}", sample.status))?;
            self.requests[sequence].accept(sample)?;
            if self.requests[sequence].finish_reason().is_none() {
                self.input.batches[sequence].push(drawn.token);
            }
        }
        Ok(())
    }

    /// Whether all requests are finished.
    pub fn is_finished(&self) -> bool {
        self.requests.iter().all(|request| request.finish_reason().is_some())
    }
}
