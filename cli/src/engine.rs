//! Which engine does the work of `log` and `sample`, an open device or the CPU, and adapters by their names.

use sortilege::cpu::{self, SampleInputs};
use sortilege::device::{Candidate, Gpu, best_hardware, candidates, find};
use sortilege::{Logits, Params, Record, Row, Sample};

use crate::failure::{Failure, Result, note};

/// The CPU engine or an open device.
pub(crate) enum Engine {
    Cpu,
    Gpu(Box<Gpu>),
}

impl Engine {
    /// The engine that the user asks for. `auto` is the best hardware GPU, or the CPU with a line saying so.
    pub(crate) fn choose(device: &str) -> Result<Self> {
        match device {
            "cpu" => return Ok(Self::Cpu),
            "auto" => {
                if let Some(candidate) = best_hardware(candidates(false)) {
                    let id = candidate.id.clone();
                    match Gpu::open(candidate) {
                        Ok(gpu) => return Ok(Self::Gpu(Box::new(gpu))),
                        Err(error) => {
                            note!("note: {id} is not used ({error}); the CPU engine does the work");
                        }
                    }
                } else {
                    note!("note: no hardware GPU found; the CPU engine does the work, with the same bits");
                }
                return Ok(Self::Cpu);
            }
            _ => {}
        }
        Ok(Self::Gpu(Box::new(Gpu::open(find_adapter(device)?)?)))
    }

    /// One record per row.
    pub(crate) fn record(
        &self,
        logits: &Logits<'_>,
        params: &Params,
        targets: &[Option<u32>],
    ) -> sortilege::Result<Vec<Record>> {
        match self {
            Self::Cpu => cpu::record(logits, params, targets),
            Self::Gpu(gpu) => gpu.record(logits, params, targets),
        }
    }

    /// A device proves that it makes lists of more than 1024 entries as the CPU engine does, before it makes one for
    /// anybody.
    pub(crate) fn check_lists(&self, dtype: sortilege::Dtype, top: u32) -> sortilege::Result<()> {
        match self {
            Self::Gpu(gpu) if top > 1024 => gpu.sampler().self_check_long_lists(dtype),
            _ => Ok(()),
        }
    }

    /// A device proves that it draws as the CPU engine does, before it draws for anybody.
    pub(crate) fn check_sampling(&self, dtype: sortilege::Dtype) -> sortilege::Result<()> {
        match self {
            Self::Cpu => Ok(()),
            Self::Gpu(gpu) => gpu.sampler().self_check_sampling(dtype),
        }
    }

    /// One sample per row.
    pub(crate) fn sample(
        &self,
        logits: &Logits<'_>,
        rows: &[Row<'_>],
        inputs: &SampleInputs<'_>,
    ) -> sortilege::Result<Vec<Sample>> {
        match self {
            Self::Cpu => cpu::sample(logits, rows, inputs),
            Self::Gpu(gpu) => gpu.sample(logits, rows, inputs),
        }
    }

    /// Bytes that came back from the device.
    pub(crate) fn bytes_back(&self) -> Option<u64> {
        match self {
            Self::Cpu => None,
            Self::Gpu(gpu) => Some(gpu.traffic().bytes_back),
        }
    }

    /// Name, backend and driver.
    pub(crate) fn describe(&self) -> (String, String, String) {
        match self {
            Self::Cpu => {
                ("cpu".to_owned(), "rust".to_owned(), format!("sortilege {}", env!("CARGO_PKG_VERSION")))
            }
            Self::Gpu(gpu) => {
                let info = gpu.info();
                (info.name.clone(), info.backend.to_string(), driver(info))
            }
        }
    }
}

/// The driver's name and version.
pub(crate) fn driver(info: &sortilege::wgpu::AdapterInfo) -> String {
    format!("{} {}", info.driver, info.driver_info).trim().to_owned()
}

/// The adapter behind `gpu`, a number or a name.
pub(crate) fn find_adapter(device: &str) -> Result<Candidate> {
    if device == "gpu" {
        return best_hardware(candidates(false)).ok_or_else(|| {
            Failure::NoAdapter(
                "no hardware GPU found: use --device cpu, or name a software adapter (see `sortilege info`)"
                    .to_owned(),
            )
        });
    }
    Ok(find(candidates(asks_for_gl(device)), device)?)
}

/// OpenGL is opened only for a user who names it: some drivers abort when they are closed.
fn asks_for_gl(device: &str) -> bool {
    let device = device.to_lowercase();
    device.contains("gl") || device.contains("llvmpipe")
}
