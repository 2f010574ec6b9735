//! What computes: the CPU engine or an open device, by name.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use sortilege::device::{Gpu, adapters, best_hardware, find};
use sortilege::{Cpu, Dtype, Engine, Kernels};

use crate::errors::raised;
use crate::process::PerProcess;
use crate::threads::on_threads;

/// An engine, open until the process ends.
#[derive(Clone)]
pub(crate) enum Device {
    Cpu,
    Gpu(Arc<OpenGpu>),
}

pub(crate) struct OpenGpu {
    gpu: Gpu,
    /// What it has proved to compute as the CPU engine does.
    checked: Mutex<HashSet<(Kernels, Dtype)>>,
}

/// Devices by the names that were asked for.
type Named = Vec<(String, Device)>;

static OPEN: PerProcess<Mutex<Named>> = PerProcess::new();

impl Device {
    /// The engine of this name: `auto`, `cpu`, `gpu`, the number of an adapter, or a part of its name, driver or
    /// backend.
    pub(crate) fn named(py: Python<'_>, name: &str) -> PyResult<Self> {
        if name == "cpu" {
            return Ok(Self::Cpu);
        }
        let (device, note) = py.detach(|| Self::open(name)).map_err(raised)?;
        if let Some(note) = note {
            PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &std::ffi::CString::new(note)?, 2)?;
        }
        Ok(device)
    }

    /// The device, and what is to be said of another that was not taken.
    fn open(name: &str) -> sortilege::Result<(Self, Option<String>)> {
        let mut list = OPEN.get().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, device)) = list.iter().find(|(known, _)| known == name) {
            return Ok((device.clone(), None));
        }
        let (device, note) = match name {
            "auto" => Self::best(),
            "gpu" => {
                let best = best_hardware(adapters(false)).ok_or_else(|| {
                    sortilege::Error::NoAdapter(
                        "no hardware GPU found: take device=\"cpu\", or name a software adapter (sortilege.devices())"
                            .to_owned(),
                    )
                })?;
                (Self::of(best)?, None)
            }
            _ => {
                // OpenGL is opened only for a user who names it: some drivers abort when they are closed.
                let word = name.to_lowercase();
                let with_gl = word.contains("gl") || word.contains("llvmpipe");
                (Self::of(find(adapters(with_gl), name)?)?, None)
            }
        };
        list.push((name.to_owned(), device.clone()));
        Ok((device, note))
    }

    /// The best hardware GPU, or the CPU.
    fn best() -> (Self, Option<String>) {
        let Some(adapter) = best_hardware(adapters(false)) else { return (Self::Cpu, None) };
        let id = adapter.id.clone();
        match Self::of(adapter) {
            Ok(device) => (device, None),
            Err(error) => (Self::Cpu, Some(format!("{id} is not used ({error}); the CPU does the work"))),
        }
    }

    fn of(adapter: sortilege::device::Adapter) -> sortilege::Result<Self> {
        // It is checked by the CPU engine.
        let gpu = on_threads(|| Gpu::open(adapter)).flatten()?;
        Ok(Self::Gpu(Arc::new(OpenGpu { gpu, checked: Mutex::default() })))
    }

    /// What computes.
    pub(crate) fn engine(&self) -> &(dyn Engine + Send + Sync) {
        match self {
            Self::Cpu => &Cpu,
            Self::Gpu(open) => &open.gpu,
        }
    }

    /// A device proves that it computes with these kernels as the CPU engine does, before it works for anybody.
    pub(crate) fn check(&self, kernels: Kernels, dtype: Dtype) -> sortilege::Result<()> {
        let Self::Gpu(open) = self else { return Ok(()) };
        // Not held during the check: its thread may take up another call meanwhile, which would wait for itself.
        let checked = || open.checked.lock().unwrap_or_else(PoisonError::into_inner);
        if !checked().contains(&(kernels, dtype)) {
            on_threads(|| open.gpu.sampler().self_check(kernels, dtype)).flatten()?;
            checked().insert((kernels, dtype));
        }
        Ok(())
    }

    /// After this error a lost device is no longer known by its names: the next call opens it again.
    pub(crate) fn forget_if_lost(&self, error: &sortilege::Error) {
        let (Self::Gpu(lost), sortilege::Error::DeviceLost { .. }) = (self, error) else { return };
        let mut open = OPEN.get().lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|(_, device)| !matches!(device, Self::Gpu(known) if Arc::ptr_eq(known, lost)));
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Gpu(open) => open.gpu.info().name.clone(),
        }
    }
}

/// The adapters of this machine, best first: a dict each of what `device=` takes (`id`), `name`, `backend`, `driver`,
/// `is_software`, and `unfit`, which says why it cannot run the kernels, or None.
///
/// OpenGL is left out unless `gl` asks for it.
#[pyfunction]
#[pyo3(signature = (gl = false))]
pub(crate) fn devices(py: Python<'_>, gl: bool) -> PyResult<Vec<Bound<'_, PyDict>>> {
    let list = py.detach(|| adapters(gl));
    let entry = |adapter: sortilege::device::Adapter| {
        let entry = PyDict::new(py);
        entry.set_item("id", &adapter.id)?;
        entry.set_item("name", &adapter.info.name)?;
        entry.set_item("backend", adapter.info.backend.to_string())?;
        entry.set_item("driver", format!("{} {}", adapter.info.driver, adapter.info.driver_info).trim())?;
        entry.set_item("is_software", adapter.is_software())?;
        entry.set_item("unfit", &adapter.unfit)?;
        Ok(entry)
    };
    list.into_iter().map(entry).collect()
}
