//! Numbers of whole rows: maximum, log-sum-exp, log-softmax, the largest logits, and how far two batches are from each
//! other.

use js_sys::Promise;
use sortilege::device::Gpu;
use sortilege::{Cpu, Divergence, Engine as _, GpuLogits, GpuOutput, Kernels, wgpu};
use wasm_bindgen::prelude::*;

use crate::engine::{Engine, NO_DEVICE, promised};
use crate::error::{Result, js, refused};
use crate::logits::Logits;

/// A number of each row, or of each logit.
#[derive(Clone, Copy)]
enum Operation {
    RowMax,
    LogSumExp,
    LogSoftmax,
}

/// The largest logits of each row, and their tokens.
#[wasm_bindgen]
pub struct Top(Vec<f32>, Vec<u32>);

#[wasm_bindgen]
impl Top {
    /// The logits.
    #[wasm_bindgen(getter)]
    pub fn values(&self) -> Vec<f32> {
        self.0.clone()
    }

    /// Their tokens.
    #[wasm_bindgen(getter)]
    pub fn tokens(&self) -> Vec<u32> {
        self.1.clone()
    }
}

/// How far the rows of two batches are from each other.
#[wasm_bindgen]
pub struct Divergences(Vec<Divergence>);

#[wasm_bindgen]
impl Divergences {
    /// `KL(P‖Q)`, `KL(Q‖P)` and Jensen-Shannon's of each row.
    #[wasm_bindgen(getter)]
    pub fn numbers(&self) -> Vec<f64> {
        self.0.iter().flat_map(|row| [row.kl, row.reverse_kl, row.jensen_shannon]).collect()
    }

    /// The statuses of both rows of each pair.
    #[wasm_bindgen(getter)]
    pub fn statuses(&self) -> Vec<String> {
        self.0.iter().flat_map(|row| row.statuses.map(|status| status.name().to_owned())).collect()
    }
}

#[wasm_bindgen]
impl Engine {
    /// Maximum of each row.
    pub fn row_max(&self, logits: &mut Logits) -> Promise {
        self.operation(logits, Operation::RowMax)
    }

    /// Log-sum-exp of each row.
    pub fn log_sum_exp(&self, logits: &mut Logits) -> Promise {
        self.operation(logits, Operation::LogSumExp)
    }

    /// Log-softmax of each row.
    pub fn log_softmax(&self, logits: &mut Logits) -> Promise {
        self.operation(logits, Operation::LogSoftmax)
    }

    /// The `k` largest logits of each row.
    pub fn top_k(&self, logits: &mut Logits, k: u32) -> Promise {
        let (engine, logits) = (self.clone(), logits.take());
        promised(async move { engine.top_of(&logits, k).await })
    }

    /// Of each row of `first` from the same row of `second`.
    pub fn divergence(&self, first: &mut Logits, second: &mut Logits) -> Promise {
        let (engine, first, second) = (self.clone(), first.take(), second.take());
        promised(async move { engine.divergence_of(&first, &second).await })
    }
}

impl Engine {
    fn operation(&self, logits: &mut Logits, operation: Operation) -> Promise {
        let (engine, logits) = (self.clone(), logits.take());
        promised(async move {
            let values = engine.operate(&logits, operation).await?;
            Ok(js_sys::Float32Array::from(&values[..]))
        })
    }

    async fn top_of(&self, logits: &Logits, k: u32) -> Result<Top> {
        self.prepared(Kernels::Logprobs, logits).await?;
        let top = match (logits.on_host()?, logits.on_device(), &self.0) {
            (Some(host), _, None) => Cpu.top_k(&host, k),
            (Some(host), _, Some(gpu)) => gpu.top_k_async(&host, k).await,
            (None, Some(batch), Some(gpu)) => top_k_in_place(gpu, &batch, k).await,
            _ => return Err(refused(NO_DEVICE)),
        };
        top.map(|(values, tokens)| Top(values, tokens)).map_err(js)
    }

    async fn divergence_of(&self, first: &Logits, second: &Logits) -> Result<Divergences> {
        self.prepared(Kernels::Divergence, first).await?;
        self.prepared(Kernels::Divergence, second).await?;
        let on_host = first.on_host()?.zip(second.on_host()?);
        let on_device = first.on_device().zip(second.on_device());
        match (on_host, on_device, &self.0) {
            (Some((first, second)), _, None) => Cpu.divergence(&first, &second),
            (Some((first, second)), _, Some(gpu)) => gpu.divergence_async(&first, &second).await,
            (None, Some((first, second)), Some(gpu)) => {
                match gpu.submit(|encoder| gpu.sampler().divergence(encoder, &first, &second)) {
                    Ok(pending) => pending.await,
                    Err(error) => Err(error),
                }
            }
            (None, None, Some(_)) => {
                return Err(refused("one batch lies in memory and one in a buffer: give both in one place"));
            }
            _ => return Err(refused(NO_DEVICE)),
        }
        .map(Divergences)
        .map_err(js)
    }

    async fn operate(&self, logits: &Logits, operation: Operation) -> Result<Vec<f32>> {
        self.prepared(Kernels::Logprobs, logits).await?;
        match (logits.on_host()?, logits.on_device(), &self.0) {
            (Some(host), _, None) => match operation {
                Operation::RowMax => Cpu.row_max(&host),
                Operation::LogSumExp => Cpu.log_sum_exp(&host),
                Operation::LogSoftmax => Cpu.log_softmax(&host),
            },
            (Some(host), _, Some(gpu)) => match operation {
                Operation::RowMax => gpu.row_max_async(&host).await,
                Operation::LogSumExp => gpu.log_sum_exp_async(&host).await,
                Operation::LogSoftmax => gpu.log_softmax_async(&host).await,
            },
            (None, Some(batch), Some(gpu)) => operate_in_place(gpu, &batch, operation).await,
            _ => return Err(refused(NO_DEVICE)),
        }
        .map_err(js)
    }
}

/// Of logits that lie on the device.
async fn operate_in_place(
    gpu: &Gpu,
    logits: &GpuLogits<'_>,
    operation: Operation,
) -> sortilege::Result<Vec<f32>> {
    let is_whole = matches!(operation, Operation::LogSoftmax);
    let count = logits.rows * if is_whole { logits.vocab } else { 1 };
    let values = words(gpu, count)?;
    let (sampler, out) = (gpu.sampler(), GpuOutput::new(&values));
    gpu.submit(|encoder| match operation {
        Operation::RowMax => sampler.row_max(encoder, logits, out),
        Operation::LogSumExp => sampler.log_sum_exp(encoder, logits, out),
        Operation::LogSoftmax => sampler.log_softmax(encoder, logits, out),
    })?;
    Ok(floats(read(gpu, &values, count).await?))
}

/// The same of the largest.
async fn top_k_in_place(
    gpu: &Gpu,
    logits: &GpuLogits<'_>,
    k: u32,
) -> sortilege::Result<(Vec<f32>, Vec<u32>)> {
    let count = logits.rows * k as usize;
    let (values, tokens) = (words(gpu, count)?, words(gpu, count)?);
    let outs = [&values, &tokens].map(GpuOutput::new);
    gpu.submit(|encoder| gpu.sampler().top_k(encoder, logits, k, outs[0], outs[1]))?;
    Ok((floats(read(gpu, &values, count).await?), read(gpu, &tokens, count).await?))
}

/// A buffer for so many words: one at least, since none can be mapped.
fn words(gpu: &Gpu, count: usize) -> sortilege::Result<wgpu::Buffer> {
    gpu.buffer(4 * count.max(1) as u64, wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC)
}

/// So many words of it.
async fn read(gpu: &Gpu, buffer: &wgpu::Buffer, count: usize) -> sortilege::Result<Vec<u32>> {
    let mut words = gpu.read_async(buffer).await?;
    words.truncate(count);
    Ok(words)
}

fn floats(words: Vec<u32>) -> Vec<f32> {
    words.into_iter().map(f32::from_bits).collect()
}
