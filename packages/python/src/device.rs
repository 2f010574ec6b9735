//! What computes: the CPU engine or an open device, by name, and the threads of the CPU engine.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::exceptions::PyRuntimeWarning;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use rayon::{ThreadPool, ThreadPoolBuilder};
use sortilege::device::{Gpu, adapters, best_hardware, find};
use sortilege::{Cpu, Dtype, Engine, Kernels};

use crate::errors::raised;

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

/// What belongs to a process, and not to one that is forked from it: there, no thread of these lives on.
struct Own<T> {
    process: u32,
    value: T,
}

/// Devices by the names that were asked for.
type Named = Vec<(String, Device)>;

static OPEN: Mutex<Option<Own<Named>>> = Mutex::new(None);
static THREADS: Mutex<Option<Own<Threads>>> = Mutex::new(None);

impl Device {
    /// The engine of this name: `auto`, `cpu`, `gpu`, or the number or a part of the name of an adapter.
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
        let mut open = OPEN.lock().unwrap_or_else(PoisonError::into_inner);
        let process = std::process::id();
        if open.as_ref().is_none_or(|open| open.process != process) {
            // What a parent opened is left alone: dropping it would wait for threads that are not here.
            std::mem::forget(open.replace(Own { process, value: Vec::new() }));
        }
        let list = &mut open.as_mut().expect("it was put there").value;
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
        let gpu = Gpu::open(adapter)?;
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
            threads(None)?.run(|| open.gpu.sampler().self_check(kernels, dtype))?;
            checked().insert((kernels, dtype));
        }
        Ok(())
    }

    /// After this error a lost device is no longer known by its names: the next call opens it again.
    pub(crate) fn forget_if_lost(&self, error: &sortilege::Error) {
        let (Self::Gpu(lost), sortilege::Error::DeviceLost { .. }) = (self, error) else { return };
        if let Some(open) = &mut *OPEN.lock().unwrap_or_else(PoisonError::into_inner) {
            open.value.retain(|(_, device)| !matches!(device, Self::Gpu(known) if Arc::ptr_eq(known, lost)));
        }
    }

    /// Its name.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Cpu => "cpu".to_owned(),
            Self::Gpu(open) => open.gpu.info().name.clone(),
        }
    }
}

/// Threads of the CPU engine.
#[derive(Clone)]
enum Threads {
    /// The library's, beside which the caller works.
    Default,
    /// Others, in another number or in a forked process.
    Own(Arc<ThreadPool>),
}

impl Threads {
    fn run<R: Send>(&self, work: impl FnOnce() -> R + Send) -> R {
        match self {
            Self::Default => work(),
            Self::Own(pool) => pool.install(work),
        }
    }

    fn count(&self) -> usize {
        self.run(rayon::current_num_threads)
    }
}

/// The process that loaded this module: to be called then.
pub(crate) fn loaded_by() -> u32 {
    static PROCESS: OnceLock<u32> = OnceLock::new();
    *PROCESS.get_or_init(std::process::id)
}

/// Whether the library's threads live here: not in a forked process, and only if they could be started.
fn has_default() -> bool {
    static STARTED: OnceLock<bool> = OnceLock::new();
    let start = || ThreadPoolBuilder::new().thread_name(name).build_global().is_ok();
    std::process::id() == loaded_by() && *STARTED.get_or_init(start)
}

fn name(number: usize) -> String {
    format!("sortilege {number}")
}

/// Runs something that works on so many rows with our threads; one row needs none.
pub(crate) fn with_threads<R: Send>(rows: usize, run: impl FnOnce() -> R + Send) -> sortilege::Result<R> {
    Ok(if rows > 1 { threads(None)?.run(run) } else { run() })
}

/// The threads of this process, of which there are so many from now on, if a number is given.
fn threads(number: Option<usize>) -> sortilege::Result<Threads> {
    let mut known = THREADS.lock().unwrap_or_else(PoisonError::into_inner);
    let process = std::process::id();
    let is_ours = known.as_ref().is_some_and(|own| own.process == process);
    if let (true, None, Some(own)) = (is_ours, number, &*known) {
        return Ok(own.value.clone());
    }
    let number = number.unwrap_or(0);
    let made = if has_default() && (number == 0 || number == Threads::Default.count()) {
        Threads::Default
    } else {
        let made = ThreadPoolBuilder::new().num_threads(number).thread_name(name).build();
        Threads::Own(Arc::new(made.map_err(|error| {
            sortilege::Error::Limit(format!(
                "no threads could be started ({error}): lower their number, or end others"
            ))
        })?))
    };
    let before = known.replace(Own { process, value: made.clone() });
    if !is_ours {
        // Of a parent process: its threads are not here.
        std::mem::forget(before);
    }
    Ok(made)
}

/// Number of threads that the CPU engine uses: all cores, `RAYON_NUM_THREADS`, or what was set.
///
/// >>> import sortilege
/// >>> sortilege.set_num_threads(2)
/// >>> sortilege.get_num_threads()
/// 2
#[pyfunction]
pub(crate) fn get_num_threads() -> PyResult<usize> {
    Ok(threads(None).map_err(raised)?.count())
}

/// Sets the number of threads that the CPU engine uses, of this process; 0 takes all cores.
///
/// No result depends on it.
#[pyfunction]
pub(crate) fn set_num_threads(threads: usize) -> PyResult<()> {
    self::threads(Some(threads)).map(drop).map_err(raised)
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
