//! What does the work of `log` and `sample`, an open device or the CPU, and adapters by their names.

use sortilege::device::{Adapter, Gpu, adapters, best_hardware, find};
use sortilege::{Cpu, Dtype, Engine, Kernels};

use crate::failure::{Failure, Result, note};

/// The open device that the user asked for, or none: then the CPU does the work.
pub(crate) struct Chosen(Option<Box<Gpu>>);

impl Chosen {
    /// The CPU.
    pub(crate) const CPU: Self = Self(None);

    /// What the user asks for. `auto` is the best hardware GPU, or the CPU with a line saying so.
    pub(crate) fn new(device: &str) -> Result<Self> {
        match device {
            "cpu" => Ok(Self::CPU),
            "auto" => Ok(Self::best()),
            _ => Ok(Self(Some(Box::new(Gpu::open(find_adapter(device)?)?)))),
        }
    }

    fn best() -> Self {
        let Some(adapter) = best_hardware(adapters(false)) else {
            note!("note: no hardware GPU found; the CPU engine does the work, with the same bits");
            return Self::CPU;
        };
        let id = adapter.id.clone();
        match Gpu::open(adapter) {
            Ok(gpu) => Self(Some(Box::new(gpu))),
            Err(error) => {
                note!("note: {id} is not used ({error}); the CPU engine does the work");
                Self::CPU
            }
        }
    }

    /// What computes.
    pub(crate) fn engine(&self) -> &dyn Engine {
        match &self.0 {
            Some(gpu) => &**gpu,
            None => &Cpu,
        }
    }

    /// A device proves that it computes with these kernels as the CPU engine does, before it works for anybody.
    pub(crate) fn check(&self, kernels: Kernels, dtype: Dtype) -> sortilege::Result<()> {
        self.0.as_ref().map_or(Ok(()), |gpu| gpu.sampler().self_check(kernels, dtype))
    }

    /// Bytes that came back from the device.
    pub(crate) fn bytes_back(&self) -> Option<u64> {
        self.0.as_ref().map(|gpu| gpu.sampler().traffic().bytes_back)
    }

    /// Name, backend and driver.
    pub(crate) fn describe(&self) -> (String, String, String) {
        match &self.0 {
            None => ("cpu".to_owned(), "rust".to_owned(), format!("sortilege {}", env!("CARGO_PKG_VERSION"))),
            Some(gpu) => {
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
pub(crate) fn find_adapter(device: &str) -> Result<Adapter> {
    if device == "gpu" {
        return best_hardware(adapters(false)).ok_or_else(|| {
            Failure::NoAdapter(
                "no hardware GPU found: use --device cpu, or name a software adapter (see `sortilege info`)"
                    .to_owned(),
            )
        });
    }
    let mut list = adapters(asks_for_gl(device));
    // The adapters of OpenGL have the last numbers.
    if device.parse().is_ok_and(|number: usize| number >= list.len()) {
        list = adapters(true);
    }
    find(list, device).map_err(|error| match error {
        sortilege::Error::NoAdapter(problem) => Failure::NoAdapter(format!(
            "{problem}; auto, cpu and gpu are names too, and those of OpenGL that `sortilege info --gl` lists"
        )),
        other => other.into(),
    })
}

/// OpenGL is opened only for a user who names it: some drivers abort when they are closed.
fn asks_for_gl(device: &str) -> bool {
    let device = device.to_lowercase();
    device.contains("gl") || device.contains("llvmpipe")
}
