//! Adapters and devices, for callers that have none: the convenience layer over [`Sampler`].

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use crate::buffers::{GpuInput, GpuLogits, GpuOutput, buffer};
use crate::cpu::SampleInputs;
use crate::error::{Error, Result};
use crate::guard::{guarded, lock, panic_message, poll};
use crate::inputs::Inputs;
use crate::logits::Logits;
use crate::params::Params;
use crate::readback::{Pending, drive, map_on_submit, wait_mapped};
use crate::record::{RawRecord, Record};
use crate::request::Row;
use crate::sample::Sample;
use crate::sampler::{Sampler, SamplerOptions, Traffic};

/// An adapter that this machine offers.
#[derive(Debug)]
pub struct Candidate {
    /// The name by which [`find`] knows it, unique in its list: `lavapipe`, `llvmpipe`, or the adapter's own words.
    pub id: String,
    /// What the driver says of itself.
    pub info: wgpu::AdapterInfo,
    /// Whether its limits and backend can run the kernels; if not, why.
    pub unfit: Option<String>,
    adapter: wgpu::Adapter,
}

impl Candidate {
    /// Whether a processor pretends to be a GPU: good for tests, 10 to 40 times slower than the CPU engine.
    #[must_use]
    pub fn is_software(&self) -> bool {
        is_software(&self.info)
    }

    /// Whether `auto` may take it: hardware that can run the kernels.
    #[must_use]
    pub fn is_fit_hardware(&self) -> bool {
        !self.is_software() && self.unfit.is_none()
    }

    /// The adapter's limits.
    #[must_use]
    pub fn limits(&self) -> wgpu::Limits {
        self.adapter.limits()
    }

    /// The adapter's features.
    #[must_use]
    pub fn features(&self) -> wgpu::Features {
        self.adapter.features()
    }
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    let name = info.name.to_lowercase();
    info.device_type == wgpu::DeviceType::Cpu
        || ["llvmpipe", "lavapipe", "softpipe", "swiftshader", "basic render driver"]
            .iter()
            .any(|word| name.contains(word))
}

/// The adapters of this machine, best first: discrete, integrated, virtual, software. OpenGL adapters are listed only
/// if `with_gl`, because some drivers abort the process when they are closed. The environment variable
/// `WGPU_BACKEND` restricts the backends.
#[must_use]
pub fn candidates(with_gl: bool) -> Vec<Candidate> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let by_environment = std::env::var_os("WGPU_BACKEND").is_some();
    if !with_gl && !by_environment {
        descriptor.backends.remove(wgpu::Backends::GL);
    }
    // The validation layers and debug output of the backends are for their developers.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let backends = descriptor.backends;
    let Ok(adapters) = catch_unwind(AssertUnwindSafe(|| {
        let instance = wgpu::Instance::new(descriptor);
        pollster::block_on(instance.enumerate_adapters(backends))
    })) else {
        return Vec::new();
    };
    let mut list: Vec<Candidate> = adapters
        .into_iter()
        .map(|adapter| {
            let info = adapter.get_info();
            Candidate { id: id(&info), unfit: unfit(&adapter), info, adapter }
        })
        .collect();
    list.sort_by_key(|candidate| {
        let kind = match candidate.info.device_type {
            _ if candidate.is_software() => 4,
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            _ => 3,
        };
        // OpenGL last, so that the others keep their numbers with and without it.
        (candidate.info.backend == wgpu::Backend::Gl, kind)
    });
    for i in 0..list.len() {
        let same = list[..i].iter().filter(|other| other.id == list[i].id).count();
        if same > 0 {
            list[i].id = format!("{} #{}", list[i].id, same + 1);
        }
    }
    list
}

fn id(info: &wgpu::AdapterInfo) -> String {
    match (info.name.to_lowercase().contains("llvmpipe"), info.backend) {
        (true, wgpu::Backend::Vulkan) => "lavapipe".to_owned(),
        (true, wgpu::Backend::Gl) => "llvmpipe".to_owned(),
        _ => info.name.clone(),
    }
}

fn unfit(adapter: &wgpu::Adapter) -> Option<String> {
    if !adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        return Some("no compute shaders".to_owned());
    }
    crate::sampler::check_limits(&adapter.limits()).err().map(|error| error.to_string())
}

/// The candidate that a user names: its place in the list, its id, or a part of id, name, driver or backend that fits
/// no other.
///
/// # Errors
/// [`Error::NoAdapter`] lists the ids if none or several fit.
pub fn find(mut list: Vec<Candidate>, wanted: &str) -> Result<Candidate> {
    let word = wanted.to_lowercase();
    let number = wanted.parse::<usize>().ok().filter(|&number| number < list.len());
    let places: Vec<usize> = if let Some(number) = number {
        vec![number]
    } else if word.is_empty() {
        Vec::new()
    } else {
        let exact: Vec<usize> = (0..list.len()).filter(|&i| list[i].id.to_lowercase() == word).collect();
        let fits = |c: &Candidate| {
            format!("{} {} {} {}", c.id, c.info.name, c.info.driver, c.info.backend)
                .to_lowercase()
                .contains(&word)
        };
        if exact.is_empty() { (0..list.len()).filter(|&i| fits(&list[i])).collect() } else { exact }
    };
    match places[..] {
        [place] => Ok(list.swap_remove(place)),
        _ => {
            let ids: Vec<&str> = list.iter().map(|candidate| candidate.id.as_str()).collect();
            Err(Error::NoAdapter(format!(
                "{} adapters fit {wanted:?}; there are: {}",
                if places.is_empty() { "no" } else { "several" },
                if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
            )))
        }
    }
}

/// The best hardware GPU that can run the kernels, never a software adapter.
#[must_use]
pub fn best_hardware(list: Vec<Candidate>) -> Option<Candidate> {
    list.into_iter().find(Candidate::is_fit_hardware)
}

/// An open device with a [`Sampler`] whose records are checked ([`Sampler::self_check_sampling`] checks the draws,
/// [`Sampler::self_check_long_lists`] more than 1024 entries per row), for logits that lie in host memory.
///
/// # Example
/// ```
/// use sortilege::{Logits, Params, cpu, device::Gpu};
/// let gpu = Gpu::any()?;
/// let values = [2.0f32, 1.0, 0.1];
/// let logits = Logits::f32(&values, 1, 3)?;
/// let records = gpu.record(&logits, &Params::default(), &[])?;
/// assert_eq!(records, cpu::record(&logits, &Params::default(), &[])?, "the same bits");
/// # Ok::<(), sortilege::Error>(())
/// ```
#[derive(Debug)]
pub struct Gpu {
    sampler: Sampler,
    device: wgpu::Device,
    queue: wgpu::Queue,
    info: wgpu::AdapterInfo,
    lost: Arc<Mutex<Option<String>>>,
}

/// What is asked of an adapter that has it: integers of 64 bits, and timestamps for
/// [`SamplerOptions::timestamps`](crate::SamplerOptions::timestamps).
const WELCOME: wgpu::Features = wgpu::Features::SHADER_INT64
    .union(wgpu::Features::TIMESTAMP_QUERY)
    .union(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS);

/// Most bytes of logits in one submit: a GPU that takes longer than some 100 ms is reset by its system.
const BLOCK_BYTES: usize = 32 << 20;

impl Gpu {
    /// The device of a candidate, with all the limits of its adapter, its timestamps and its integers of 64 bits, after a
    /// self-check of the kernels on it.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if it is unfit or the driver refuses, and what [`Sampler::self_check`] says.
    pub fn open(candidate: Candidate) -> Result<Self> {
        let limits = candidate.adapter.limits();
        let id = candidate.id.clone();
        let gpu = Self::open_unchecked(candidate, limits)?;
        gpu.sampler.self_check().map_err(|error| match error {
            Error::Mismatch(_) => Error::Mismatch(id),
            error => error,
        })?;
        Ok(gpu)
    }

    /// The same with these limits, as an engine might have requested them, and without the self-check.
    ///
    /// # Errors
    /// As for [`Gpu::open`].
    pub fn open_unchecked(candidate: Candidate, limits: wgpu::Limits) -> Result<Self> {
        let refused =
            |message: String| Error::NoAdapter(format!("{} cannot be opened: {message}", candidate.id));
        if let Some(reason) = &candidate.unfit {
            return Err(refused(reason.clone()));
        }
        let descriptor = wgpu::DeviceDescriptor {
            label: Some("sortilege"),
            required_features: candidate.features() & WELCOME,
            required_limits: limits,
            ..wgpu::DeviceDescriptor::default()
        };
        // request_device panics where a driver runs out of memory.
        let request = catch_unwind(AssertUnwindSafe(|| {
            pollster::block_on(candidate.adapter.request_device(&descriptor))
        }));
        let (device, queue) = request
            .map_err(|panic| refused(panic_message(&*panic)))?
            .map_err(|error| refused(error.to_string()))?;
        let lost = Arc::new(Mutex::new(None));
        let told = lost.clone();
        device.set_device_lost_callback(move |reason, message| {
            *lock(&told) = Some(format!("{reason:?}: {message}"));
        });
        let gpu = Self {
            sampler: Sampler::new(&device, &queue)?,
            device,
            queue,
            info: candidate.info.clone(),
            lost,
        };
        if gpu.info.backend == wgpu::Backend::Gl {
            // Some OpenGL drivers abort the process when their context is closed; this one stays open until its end.
            std::mem::forget((gpu.device.clone(), gpu.queue.clone(), candidate.adapter.clone()));
        }
        Ok(gpu)
    }

    /// The same device with a sampler of other settings.
    ///
    /// # Errors
    /// As for [`Sampler::with_options`].
    pub fn with_options(self, options: SamplerOptions) -> Result<Self> {
        let sampler = self.sampler.sibling(options)?;
        Ok(Self { sampler, ..self })
    }

    /// The same device with another table.
    #[cfg(test)]
    pub(crate) fn with_table(self, table: &[u32; crate::exact::TABLE_SIZE]) -> Self {
        let sampler = Sampler::with_table(&self.device, &self.queue, self.sampler.options(), table);
        Self { sampler: sampler.expect("the device allows it"), ..self }
    }

    /// Any device, the best first, software adapters included: for tests and examples.
    ///
    /// # Errors
    /// [`Error::NoAdapter`] if there is none at all.
    pub fn any() -> Result<Self> {
        let fit = candidates(false).into_iter().find(|candidate| candidate.unfit.is_none());
        Self::open(
            fit.ok_or_else(|| {
                Error::NoAdapter("this machine has no adapter that can run compute".to_owned())
            })?,
        )
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &wgpu::Device {
        &self.device
    }

    /// Its queue.
    #[must_use]
    pub fn queue(&self) -> &wgpu::Queue {
        &self.queue
    }

    /// What the driver says of itself.
    #[must_use]
    pub fn info(&self) -> &wgpu::AdapterInfo {
        &self.info
    }

    /// The sampler on this device.
    #[must_use]
    pub fn sampler(&self) -> &Sampler {
        &self.sampler
    }

    /// Polls the device until `is_done`, which a callback of the caller brings about, such as `on_submitted_work_done` or
    /// that of a map.
    ///
    /// # Errors
    /// [`Error::NotSubmitted`] if the device has nothing left to do and it still is not, [`Error::DeviceLost`], or
    /// [`Error::Timeout`] past the deadline of the sampler's options.
    pub fn wait_until(&self, is_done: impl Fn() -> bool) -> Result<()> {
        self.told(drive(is_done, &self.device, self.sampler.options().deadline))
    }

    /// Bytes moved so far, logits not counted.
    #[must_use]
    pub fn traffic(&self) -> Traffic {
        self.sampler.traffic()
    }

    /// One record per row, like [`cpu::record`](crate::cpu::record) and with the same bits. Uploads the logits in
    /// blocks of rows, two of them in flight.
    ///
    /// # Errors
    /// As for [`Sampler::record`] and [`Pending::wait`].
    pub fn record(
        &self,
        logits: &Logits<'_>,
        params: &Params,
        targets: &[Option<u32>],
    ) -> Result<Vec<Record>> {
        params.validate()?;
        crate::params::validate_targets(targets, logits.rows(), logits.vocab())?;
        self.in_blocks(logits, RawRecord::words(params.top_k), |encoder, uploaded, first| {
            let targets = targets.get(first..first + uploaded.rows).unwrap_or(&[]);
            self.sampler.record(encoder, uploaded, params, targets)
        })
    }

    /// One sample per row, like [`cpu::sample`](crate::cpu::sample) and with the same bits. Uploads the logits in blocks of
    /// rows, two of them in flight.
    ///
    /// # Errors
    /// As for [`Sampler::sample`] and [`Pending::wait`].
    pub fn sample(
        &self,
        logits: &Logits<'_>,
        rows: &[Row<'_>],
        inputs: &SampleInputs<'_>,
    ) -> Result<Vec<Sample>> {
        let vocab = logits.vocab();
        let mut rest = Inputs::new(rows, logits.rows(), vocab, inputs.mask)?;
        inputs.validate(&rest)?;
        let probabilities = inputs.draft.filter(|_| rest.wants_draft());
        let result_words = rest.demand(0).record_words() + probabilities.map_or(0, |_| vocab);
        self.in_blocks(logits, result_words, |encoder, uploaded, first| {
            let block = rest.split_first(uploaded.rows);
            let draft = match probabilities {
                Some(all) => {
                    Some(self.upload(bytemuck::cast_slice(&all[first * vocab..][..uploaded.rows * vocab]))?)
                }
                None => None,
            };
            let draft = draft.as_ref().map(GpuInput::new);
            self.sampler.sample_inputs(encoder, uploaded, &block, None, draft, None)
        })
    }

    /// Uploads the logits in blocks of rows, with results of so many words per row, and lets `record` fill an encoder for
    /// each: it hears the number of the block's first row. Two blocks are in flight.
    fn in_blocks<R>(
        &self,
        logits: &Logits<'_>,
        result_words: usize,
        mut record: impl FnMut(&mut wgpu::CommandEncoder, &GpuLogits<'_>, usize) -> Result<Pending<R>>,
    ) -> Result<Vec<R>> {
        let mut results = Vec::with_capacity(logits.rows());
        let mut in_flight: Option<Pending<R>> = None;
        let block_rows = rows_per_block(logits, result_words);
        for first in (0..logits.rows()).step_by(block_rows) {
            let block = logits.slice_rows(first, block_rows.min(logits.rows() - first));
            let pending = self.submit(&block, |encoder, uploaded| record(encoder, uploaded, first))?;
            if let Some(earlier) = in_flight.replace(pending) {
                results.extend(self.told(earlier.wait())?);
            }
        }
        if let Some(last) = in_flight {
            results.extend(self.told(last.wait())?);
        }
        Ok(results)
    }

    /// Maximum of each row; see [`cpu::row_max`](crate::cpu::row_max).
    ///
    /// # Errors
    /// As for [`Sampler::row_max`].
    pub fn row_max(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let [out] = self
            .operate(logits, 0, [1], |encoder, logits, [out]| self.sampler.row_max(encoder, logits, out))?;
        Ok(floats(&out))
    }

    /// Log-sum-exp of each row; see [`cpu::log_sum_exp`](crate::cpu::log_sum_exp).
    ///
    /// # Errors
    /// As for [`Sampler::log_sum_exp`].
    pub fn log_sum_exp(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let [out] = self.operate(logits, 0, [1], |encoder, logits, [out]| {
            self.sampler.log_sum_exp(encoder, logits, out)
        })?;
        Ok(floats(&out))
    }

    /// Log-softmax of each row; see [`cpu::log_softmax`](crate::cpu::log_softmax).
    ///
    /// # Errors
    /// As for [`Sampler::log_softmax`].
    pub fn log_softmax(&self, logits: &Logits<'_>) -> Result<Vec<f32>> {
        let [out] = self.operate(logits, 0, [logits.vocab()], |encoder, logits, [out]| {
            self.sampler.log_softmax(encoder, logits, out)
        })?;
        Ok(floats(&out))
    }

    /// The `k` largest logits of each row and their tokens; see [`cpu::top_k`](crate::cpu::top_k).
    ///
    /// # Errors
    /// As for [`Sampler::top_k`].
    pub fn top_k(&self, logits: &Logits<'_>, k: u32) -> Result<(Vec<f32>, Vec<u32>)> {
        Params { top_k: k, ..Params::default() }.validate()?;
        let width = k.max(1) as usize;
        let [values, tokens] = self.operate(logits, k, [width; 2], |encoder, logits, [values, tokens]| {
            self.sampler.top_k(encoder, logits, k, values, tokens)
        })?;
        if k == 0 { Ok((Vec::new(), Vec::new())) } else { Ok((floats(&values), tokens)) }
    }

    /// Uploads a block, lets `record` fill an encoder, submits it.
    fn submit<T>(
        &self,
        block: &Logits<'_>,
        record: impl FnOnce(&mut wgpu::CommandEncoder, &GpuLogits<'_>) -> Result<T>,
    ) -> Result<T> {
        let source = self.upload(block.span())?;
        let uploaded = GpuLogits {
            buffer: &source,
            byte_offset: 0,
            dtype: block.dtype(),
            rows: block.rows(),
            vocab: block.vocab(),
            row_stride: block.row_stride(),
        };
        let mut encoder =
            self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor { label: Some("sortilege") });
        let result = self.told(record(&mut encoder, &uploaded))?;
        self.told(guarded(&self.device, "submitting", || self.queue.submit([encoder.finish()])))?;
        Ok(result)
    }

    /// A buffer with these bytes, for the kernels to read.
    fn upload(&self, bytes: &[u8]) -> Result<wgpu::Buffer> {
        let size = (bytes.len() as u64).next_multiple_of(4);
        let doing = "uploading the logits";
        let source = self.told(guarded(&self.device, doing, || {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_DST;
            buffer(&self.device, "sortilege logits", size, usage)
        }))?;
        // A write is whole words; the last half word of an odd number of 16-bit logits travels alone.
        let (whole, rest) = bytes.split_at(bytes.len() / 4 * 4);
        self.told(guarded(&self.device, doing, || {
            self.queue.write_buffer(&source, 0, whole);
            if !rest.is_empty() {
                let mut word = [0; 4];
                word[..rest.len()].copy_from_slice(rest);
                self.queue.write_buffer(&source, whole.len() as u64, &word);
            }
        }))?;
        Ok(source)
    }

    /// Runs an operation whose outputs have these many words per row, and reads them back.
    fn operate<const OUTPUTS: usize>(
        &self,
        logits: &Logits<'_>,
        top_k: u32,
        words: [usize; OUTPUTS],
        operation: impl Fn(&mut wgpu::CommandEncoder, &GpuLogits<'_>, [GpuOutput<'_>; OUTPUTS]) -> Result<()>,
    ) -> Result<[Vec<u32>; OUTPUTS]> {
        use wgpu::BufferUsages as Usage;
        let mut results = [const { Vec::new() }; OUTPUTS];
        let block_rows = rows_per_block(logits, words.iter().sum::<usize>().max(RawRecord::words(top_k)));
        for first in (0..logits.rows()).step_by(block_rows) {
            let block = logits.slice_rows(first, block_rows.min(logits.rows() - first));
            let make = |bytes: u64, usage| {
                guarded(&self.device, "making the output", || {
                    buffer(&self.device, "sortilege output", bytes, usage)
                })
            };
            let mut outs = Vec::with_capacity(OUTPUTS);
            for words in words {
                let bytes = (block.rows() * words * 4) as u64;
                outs.push((
                    make(bytes, Usage::STORAGE | Usage::COPY_SRC)?,
                    make(bytes, Usage::MAP_READ | Usage::COPY_DST)?,
                ));
            }
            let maps = self.submit(&block, |encoder, uploaded| {
                operation(encoder, uploaded, std::array::from_fn(|i| GpuOutput::new(&outs[i].0)))?;
                let copy = |(out, staging): &(wgpu::Buffer, wgpu::Buffer)| {
                    encoder.copy_buffer_to_buffer(out, 0, staging, 0, out.size());
                    map_on_submit(encoder, staging, out.size())
                };
                Ok(outs.iter().map(copy).collect::<Vec<_>>())
            })?;
            for map in maps {
                self.told(wait_mapped(&map, &self.device, self.sampler.options().deadline))?;
            }
            for (result, (_, staging)) in results.iter_mut().zip(&outs) {
                let view = self.told(staging.slice(..).get_mapped_range().map_err(|error| {
                    Error::DeviceLost { doing: "reading the results", message: error.to_string() }
                }))?;
                result.extend_from_slice(bytemuck::cast_slice(&view));
            }
        }
        Ok(results)
    }

    /// An error of a lost device as such: calls on one "succeed" and leave invalid objects behind.
    fn told<T>(&self, result: Result<T>) -> Result<T> {
        result.map_err(|error| {
            // The lost callback runs inside a poll.
            if let Err(lost) = poll(&self.device) {
                return lost;
            }
            match (&*lock(&self.lost), error) {
                (Some(message), Error::DeviceLost { doing, .. } | Error::Validation { doing, .. }) => {
                    Error::DeviceLost { doing, message: message.clone() }
                }
                (_, error) => error,
            }
        })
    }
}

/// Rows whose logits, and whose results of so many words, stay below the size of a block.
fn rows_per_block(logits: &Logits<'_>, result_words: usize) -> usize {
    let row_bytes = logits.row_stride().max(logits.vocab()).saturating_mul(logits.dtype().bytes());
    (BLOCK_BYTES / row_bytes.max(result_words * 4)).max(1)
}

fn floats(words: &[u32]) -> Vec<f32> {
    words.iter().map(|&bits| f32::from_bits(bits)).collect()
}
