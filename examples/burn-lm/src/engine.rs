//! The engine: the model on Burn's wgpu backend, sampled where its logits lie. Tokens never leave the device between two
//! steps.

use std::path::Path;

use anyhow::{Result, anyhow, ensure};
use burn::prelude::*;
use burn::tensor::wgpu::WgpuSetup;
use burn::tensor::{DType, DeviceKind, TensorData};
use sortilege::{Dtype, Kernels, Pending, Request, Row, Sample, SampleBuffers, Sampler, wgpu};

use crate::model::{LanguageModel, LanguageModelConfig};
use crate::place::Place;

/// Whose wgpu device the model runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Owner {
    /// The engine's: Burn is told to use it.
    Engine,
    /// Burn's: the sampler is given it.
    Burn,
}

/// A model and a sampler on one device.
pub struct Engine {
    pub device: Device,
    pub setup: WgpuSetup,
    pub sampler: Sampler,
    model: LanguageModel,
    pub vocab: usize,
    /// Tokens that the model sees of each sequence, the last ones.
    window: usize,
    /// The type that logits are cast to: F32 or F16.
    pub dtype: DType,
}

impl Engine {
    /// The model of these weights, which looks at so many tokens, on a device of its own: Burn opens one only once.
    pub fn new(weights: &Path, owner: Owner, window: usize) -> Result<Self> {
        let config = LanguageModelConfig::new();
        ensure!(
            (1..=config.context).contains(&window),
            "a window of {window} tokens: the model has 1 to {}",
            config.context
        );
        let (device, setup) = match owner {
            Owner::Engine => own_device()?,
            Owner::Burn => Device::wgpu_options().device_kind(DeviceKind::DefaultDevice).init_with_setup()?,
        };
        let model = config.load(weights, &device)?;
        let sampler = Sampler::new(&setup.device, &setup.queue)?;
        sampler.prepare(Kernels::Sample, Dtype::F32)?;
        Ok(Self { device, setup, sampler, model, vocab: config.vocabulary, window, dtype: DType::F32 })
    }

    /// Logits `[rows][window][vocab]` of the tokens from this one on.
    pub fn logits(&self, tokens: &Tensor<2, Int>, first: usize) -> Tensor<3> {
        self.model.forward(tokens.clone().narrow(1, first, self.window)).cast(self.dtype)
    }

    /// One step: the next token of each sequence, which stays on the device; the samples follow when they are waited for. Any
    /// number of steps may be under way.
    pub fn step(&self, batch: &mut Batch) -> Result<Pending<Sample>> {
        let (first, positions) = batch.window(self.window)?;
        let logits = Place::of_floats(self.logits(&batch.tokens, first))?;
        let tokens = Place::of_integers(batch.tokens.clone())?;

        let offsets = logits.offsets(self.vocab, &positions)?;
        let rows: Vec<Row<'_>> =
            batch.requests.iter().map(|request| request.row(batch.steps as u64)).collect();
        let places = batch.next_places();
        let buffers = SampleBuffers {
            tokens: Some(tokens.tokens()?),
            token_offsets: &places,
            ..SampleBuffers::default()
        };
        let mut encoder =
            self.setup.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let pending =
            self.sampler.sample(&mut encoder, &logits.logits(self.vocab, &offsets)?, &rows, &buffers)?;
        self.setup.queue.submit([encoder.finish()]);
        batch.steps += 1;
        drop((logits, tokens)); // not before the submit: cubecl may use their memory again
        Ok(pending)
    }
}

/// A device as an engine of its own opens it. Burn's kernels need the adapter's limits.
fn own_device() -> Result<(Device, WgpuSetup)> {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = pollster::block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default()))?;
    let left_out = wgpu::Features::MAPPABLE_PRIMARY_BUFFERS | wgpu::Features::all_experimental_mask();
    let (device, queue) = pollster::block_on(adapter.request_device(&wgpu::DeviceDescriptor {
        required_features: adapter.features() - left_out,
        required_limits: adapter.limits(),
        ..Default::default()
    }))?;
    let backend = adapter.get_info().backend;
    let setup = WgpuSetup { instance, adapter, device, queue, backend };
    Ok((Device::wgpu_options().setup(setup.clone()).init()?, setup))
}

/// Sequences that grow by a token a step.
pub struct Batch {
    /// `[rows][capacity]`: prompts, then what was drawn.
    pub tokens: Tensor<2, Int>,
    pub requests: Vec<Request>,
    /// Tokens of each prompt.
    pub prompts: Vec<usize>,
    capacity: usize,
    steps: usize,
}

impl Batch {
    /// Sequences that begin with these prompts, with room for so many steps.
    pub fn new(engine: &Engine, prompts: &[Vec<u32>], requests: Vec<Request>, steps: usize) -> Result<Self> {
        ensure!(prompts.len() == requests.len(), "{} prompts and {} requests", prompts.len(), requests.len());
        ensure!(prompts.iter().all(|prompt| !prompt.is_empty()), "a prompt has no tokens");
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let capacity = (longest + steps).max(engine.window);
        let mut all = vec![0i32; prompts.len() * capacity];
        for (row, prompt) in all.chunks_mut(capacity).zip(prompts) {
            for (place, &token) in row.iter_mut().zip(prompt) {
                *place = i32::try_from(token)?;
            }
        }
        let tokens = Tensor::from_data(TensorData::new(all, [prompts.len(), capacity]), &engine.device);
        let batch =
            Self { tokens, requests, prompts: prompts.iter().map(Vec::len).collect(), capacity, steps: 0 };
        batch.window(engine.window)?;
        Ok(batch)
    }

    /// The first token of the window that ends with the longest sequence, and in it the last token of each.
    pub fn window(&self, window: usize) -> Result<(usize, Vec<usize>)> {
        let ends = || self.prompts.iter().map(|prompt| prompt + self.steps);
        let longest = ends().max().unwrap_or(0);
        ensure!(longest < self.capacity || self.steps == 0, "no room for a further step");
        let first = longest.saturating_sub(window);
        let positions = ends().map(|end| end.checked_sub(first + 1)).collect::<Option<Vec<_>>>();
        let positions = positions.ok_or_else(|| {
            anyhow!(
                "prompts of {:?} tokens: they may differ by less than the window of {window}",
                self.prompts
            )
        })?;
        Ok((first, positions))
    }

    /// Where the next token of each goes, in words from the start of `tokens`.
    fn next_places(&self) -> Vec<u64> {
        let place = |(row, prompt): (usize, &usize)| (row * self.capacity + prompt + self.steps) as u64;
        self.prompts.iter().enumerate().map(place).collect()
    }
}
