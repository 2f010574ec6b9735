//! The engine of a page: its device, or without one the CPU engine.

use std::cell::RefCell;
use std::collections::HashSet;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use js_sys::Promise;
use sortilege::device::Gpu;
use sortilege::log::{Record, Texts};
use sortilege::{
    Cpu, Dtype, Engine as _, GpuInput, Kernels, Logprobs, Mask, Row, Sample, SampleBuffers, SampleInputs,
    wgpu,
};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::future_to_promise;

use crate::error::{Result, error, js, refused};
use crate::inputs::{Inputs, Output};
use crate::log::lines;
use crate::logits::{Buffer, Logits, dtype, whole};
use crate::params::LogprobsRequest;
use crate::request::{Asked, Rows, Samples, verdicts};

/// What computes, and what of it is prepared.
#[wasm_bindgen]
#[derive(Clone)]
pub struct Engine(pub(crate) Option<Rc<Gpu>>, Rc<RefCell<HashSet<(Kernels, Dtype)>>>);

/// The promise of a call, which begins before it is returned: what it reads is as it is now, and what it submits comes before
/// what the page submits next, unless kernels are to be prepared first.
pub(crate) fn promised<T: Into<JsValue>>(call: impl Future<Output = Result<T>> + 'static) -> Promise {
    let mut call = Box::pin(async move { call.await.map(Into::into) });
    match call.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(value)) => Promise::resolve(&value),
        Poll::Ready(Err(error)) => Promise::reject(&error),
        Poll::Pending => future_to_promise(call),
    }
}

pub(crate) const NO_DEVICE: &str = "the CPU engine has no buffers: give logits in memory";

#[wasm_bindgen]
impl Engine {
    /// The CPU engine.
    pub fn cpu() -> Engine {
        Self(None, Rc::default())
    }

    /// The device of `navigator.gpu` as it is in this call; the rest is awaited.
    pub fn open() -> Promise {
        let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle();
        descriptor.backends = wgpu::Backends::BROWSER_WEBGPU;
        let instance = wgpu::Instance::new(descriptor);
        future_to_promise(async move { Self::open_on(instance).await.map(JsValue::from) })
    }

    /// A buffer of the device. `js/door.js` has it be one of the page's.
    pub fn buffer(&self, bytes: f64, usage: u32) -> Result<Buffer> {
        let usage = wgpu::BufferUsages::from_bits_truncate(usage);
        let gpu = self.gpu()?;
        Ok(Buffer(gpu.buffer(whole(bytes, "bytes")?, usage).map_err(js)?))
    }

    /// Compiles the kernels for a type of logits, and checks the device's arithmetic.
    pub async fn prepare(&self, kernels: &str, dtype: &str) -> Result<()> {
        let (kernels, dtype) = (self::kernels(kernels)?, self::dtype(dtype)?);
        self.ready(kernels, dtype).await
    }

    /// Compares the device with the CPU engine, bit for bit.
    pub async fn self_check(&self, kernels: &str, dtype: &str) -> Result<()> {
        let (kernels, dtype) = (self::kernels(kernels)?, self::dtype(dtype)?);
        match &self.0 {
            Some(gpu) => gpu.clone().sampler().self_check_async(kernels, dtype).await.map_err(js),
            None => Ok(()),
        }
    }

    /// Whether weights of this type of logits are computed by integers alone.
    pub fn uses_integers(&self, dtype: &str) -> Result<bool> {
        self.gpu()?.sampler().uses_integers(self::dtype(dtype)?).map_err(js)
    }

    /// The records of a batch as lines of JSON: what each row says of its target and of its most probable tokens.
    pub fn logprobs(&self, logits: &mut Logits, request: &str) -> Result<Promise> {
        let request = LogprobsRequest::read(request)?;
        let (engine, logits) = (self.clone(), logits.take());
        Ok(promised(async move {
            let answers = engine.answers(&logits, &request).await?;
            lines((request.first_position..).zip(&answers).enumerate().map(|(row, (position, answer))| {
                let target = request.targets.get(row).copied().flatten();
                Record::logprobs(request.request, position, target, answer, Texts::NONE)
            }))
        }))
    }

    /// What is drawn from a batch.
    pub fn sample(&self, logits: &mut Logits, rows: &mut Rows, inputs: &mut Inputs) -> Promise {
        let (engine, logits) = (self.clone(), logits.take());
        let (rows, inputs) = (std::mem::take(rows), std::mem::take(inputs));
        promised(async move { engine.drawn(&logits, &rows, &inputs).await })
    }
}

impl Engine {
    /// What is drawn from a batch. Meanwhile its requests are kept from changes.
    async fn drawn(&self, logits: &Logits, rows: &Rows, inputs: &Inputs) -> Result<Samples> {
        let requests = rows.requests();
        let asked = rows.asked(&requests)?;
        let drawn: Vec<Row<'_>> = asked.iter().flat_map(Asked::rows).collect();
        let samples = self.samples(logits, &drawn, inputs).await?;
        // All rows of a draft are of its request.
        let numbers =
            (0..).zip(&asked).flat_map(|(number, asked)| asked.rows().into_iter().map(move |_| number));
        let records = lines(
            numbers
                .zip(drawn.iter().zip(&samples))
                .map(|(number, (row, sample))| Record::sample(number, row.position, sample, Texts::NONE)),
        )?;
        let verdicts = verdicts(&asked, &samples);
        Ok(Samples::new(samples, records, verdicts))
    }

    async fn open_on(instance: wgpu::Instance) -> Result<Engine> {
        let none = |cause: &dyn std::fmt::Display| error("NoAdapter", &cause.to_string());
        let adapter = instance.request_adapter(&wgpu::RequestAdapterOptions::default());
        let adapter = adapter.await.map_err(|cause| none(&cause))?;
        let limits = adapter.limits();
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits, ..Default::default() };
        let (device, queue) = adapter.request_device(&descriptor).await.map_err(|cause| none(&cause))?;
        let gpu = Gpu::from_device(device, queue, adapter.get_info()).map_err(js)?;
        Ok(Self(Some(Rc::new(gpu)), Rc::default()))
    }

    pub(crate) fn gpu(&self) -> Result<&Rc<Gpu>> {
        self.0.as_ref().ok_or_else(|| refused(NO_DEVICE))
    }

    /// Lets no call be made before the device's arithmetic is known.
    pub(crate) async fn prepared(&self, kernels: Kernels, logits: &Logits) -> Result<()> {
        self.ready(kernels, logits.dtype()).await
    }

    async fn ready(&self, kernels: Kernels, dtype: Dtype) -> Result<()> {
        let Some(gpu) = &self.0 else { return Ok(()) };
        let is_done = self.1.borrow().contains(&(kernels, dtype));
        if !is_done {
            gpu.sampler().prepare_async(kernels, dtype).await.map_err(js)?;
            self.1.borrow_mut().insert((kernels, dtype));
        }
        Ok(())
    }

    async fn answers(&self, logits: &Logits, request: &LogprobsRequest) -> Result<Vec<Logprobs>> {
        let (params, targets, token_ids) = (request.params(), &request.targets, request.token_ids());
        self.prepared(Kernels::Logprobs, logits).await?;
        match (logits.on_host()?, logits.on_device(), &self.0) {
            (Some(host), _, None) => Cpu.logprobs_of(&host, &params, targets, &token_ids),
            (Some(host), _, Some(gpu)) => gpu.logprobs_async(&host, &params, targets, &token_ids).await,
            (None, Some(batch), Some(gpu)) => {
                let sampler = gpu.sampler();
                let submitted =
                    gpu.submit(|encoder| sampler.logprobs_of(encoder, &batch, &params, targets, &token_ids));
                match submitted {
                    Ok(pending) => pending.await,
                    Err(error) => Err(error),
                }
            }
            _ => return Err(refused(NO_DEVICE)),
        }
        .map_err(js)
    }

    async fn samples(&self, logits: &Logits, rows: &[Row<'_>], inputs: &Inputs) -> Result<Vec<Sample>> {
        let Inputs { mask, draft, tokens } = inputs;
        let on_host = SampleInputs { mask: mask.as_deref(), draft: draft.as_deref() };
        self.prepared(Kernels::Sample, logits).await?;
        match (logits.on_host()?, logits.on_device(), &self.0) {
            (Some(_), _, _) if tokens.is_some() => {
                return Err(refused("tokens go to a buffer where the logits lie in one: give a GPUBuffer"));
            }
            (Some(host), _, None) => Cpu.sample(&host, rows, &on_host),
            (Some(host), _, Some(gpu)) => gpu.sample_async(&host, rows, &on_host).await,
            (None, Some(batch), Some(gpu)) => {
                let bytes =
                    |list: &Vec<f32>| list.iter().flat_map(|value| value.to_le_bytes()).collect::<Vec<u8>>();
                let draft = draft.as_ref().map(|draft| gpu.upload(&bytes(draft))).transpose().map_err(js)?;
                let buffers = SampleBuffers {
                    mask: on_host.mask.map(Mask::Host),
                    draft: draft.as_ref().map(GpuInput::new),
                    tokens: tokens.as_ref().map(Output::place),
                    ..SampleBuffers::default()
                };
                match gpu.submit(|encoder| gpu.sampler().sample(encoder, &batch, rows, &buffers)) {
                    Ok(pending) => pending.await,
                    Err(error) => Err(error),
                }
            }
            _ => return Err(refused(NO_DEVICE)),
        }
        .map_err(js)
    }
}

/// Kernels by their name.
fn kernels(name: &str) -> Result<Kernels> {
    Ok(match name {
        "logprobs" => Kernels::Logprobs,
        "long_lists" => Kernels::LongLists,
        "long_sample_lists" => Kernels::LongSampleLists,
        "sample" => Kernels::Sample,
        "token_ranks" => Kernels::TokenRanks,
        "divergence" => Kernels::Divergence,
        _ => {
            return Err(refused(format!(
                "kernels {name:?}: use logprobs, long_lists, sample, long_sample_lists, token_ranks or divergence"
            )));
        }
    })
}
