//! The threads of the CPU engine.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use pyo3::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::errors::raised;
use crate::params::whole;
use crate::process::PerProcess;

/// Threads of the CPU engine.
#[derive(Clone)]
enum Threads {
    /// The library's, beside which the caller works.
    Default,
    /// Others, in another number or in a forked process.
    Own(Arc<ThreadPool>),
}

static THREADS: PerProcess<Mutex<Option<Threads>>> = PerProcess::new();

impl Threads {
    /// So many; 0 for all cores.
    fn new(number: usize) -> sortilege::Result<Self> {
        if has_default() && (number == 0 || number == Self::Default.count()) {
            return Ok(Self::Default);
        }
        let made = ThreadPoolBuilder::new().num_threads(number).thread_name(name).build();
        made.map(|pool| Self::Own(Arc::new(pool))).map_err(|error| {
            sortilege::Error::Limit(format!(
                "no threads could be started ({error}): lower their number, or end others"
            ))
        })
    }

    /// Those of this process.
    fn current() -> sortilege::Result<Self> {
        let mut known = THREADS.get().lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = &*known {
            return Ok(threads.clone());
        }
        Ok(known.insert(Self::new(0)?).clone())
    }

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

/// Runs something that works on several rows: whatever does must run so, as in a forked process the library's own threads
/// are not there, and who waits for them waits for ever.
pub(crate) fn on_threads<R: Send>(run: impl FnOnce() -> R + Send) -> sortilege::Result<R> {
    Ok(Threads::current()?.run(run))
}

/// Number of threads that the CPU engine uses: all cores, `RAYON_NUM_THREADS`, or what was set.
///
/// >>> import sortilege
/// >>> sortilege.set_num_threads(2)
/// >>> sortilege.get_num_threads()
/// 2
#[pyfunction]
pub(crate) fn get_num_threads() -> PyResult<usize> {
    Ok(Threads::current().map_err(raised)?.count())
}

/// Sets the number of threads that the CPU engine uses, of this process; 0 takes all cores. Calls of several threads at once
/// share them, and each caller may work too.
///
/// No result depends on it.
#[pyfunction]
pub(crate) fn set_num_threads(threads: &Bound<'_, PyAny>) -> PyResult<()> {
    let made = Threads::new(whole("threads", threads)?).map_err(raised)?;
    *THREADS.get().lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    Ok(())
}
