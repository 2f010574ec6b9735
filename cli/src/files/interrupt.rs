//! Temporary files that have names, and signals, which must not leave them behind.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

/// The temporary files that have names now. Whoever makes, renames or removes one holds it; a signal that ends the
/// program takes it for good.
static NAMED: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// The names of temporary files, kept from change and the program from being interrupted.
pub(super) struct Names(MutexGuard<'static, Vec<PathBuf>>);

impl Names {
    pub(super) fn hold() -> Self {
        Self(NAMED.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn add(&mut self, path: &Path) {
        self.0.push(path.to_owned());
    }

    pub(super) fn remove(&mut self, path: &Path) {
        self.0.retain(|name| name != path);
    }
}

/// Whether a signal has come that ends the program.
static IS_ENDING: LazyLock<Arc<AtomicBool>> = LazyLock::new(Arc::default);

/// Does not come back if a signal is about to end the program: that standard input ended too, as in a pipeline that is
/// interrupted, is not what it died of.
pub(crate) fn yield_to_signal() {
    while IS_ENDING.load(Ordering::SeqCst) {
        std::thread::park();
    }
}

/// From now on, signals that end the program take its temporary files away first; it still dies of them, so that a loop
/// of a shell ends too. A full quota of file sizes is an error of the write.
#[cfg(unix)]
pub(crate) fn leave_nothing_behind() -> std::io::Result<()> {
    use signal_hook::consts::{SIGALRM, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};
    use signal_hook::iterator::Signals;

    signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let ending = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGALRM, SIGUSR1, SIGUSR2, libc::SIGXCPU];
    let ending: Vec<i32> = ending.into_iter().filter(|&signal| !is_ignored(signal)).collect();
    for &signal in &ending {
        signal_hook::flag::register(signal, Arc::clone(&IS_ENDING))?;
    }
    let mut signals = Signals::new(ending)?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let names = Names::hold();
            for path in names.0.iter() {
                let _ = std::fs::remove_file(path); // it may never have been there
            }
            let _ = signal_hook::low_level::emulate_default_handler(signal); // it does not come back
            signal_hook::low_level::exit(128 + signal);
        }
    })?;
    Ok(())
}

/// Whether the signal was ignored when the program started, as nohup has it: then it stays so.
#[cfg(unix)]
#[expect(unsafe_code, reason = "the system's question has no safe form")]
fn is_ignored(signal: i32) -> bool {
    let mut action = std::mem::MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: without a new action nothing is changed; the old one is written to our own memory, where zeros are a
    // valid one too.
    unsafe {
        libc::sigaction(signal, std::ptr::null(), action.as_mut_ptr()) == 0
            && action.assume_init().sa_sigaction == libc::SIG_IGN
    }
}

/// Elsewhere the system's own ways apply.
#[cfg(not(unix))]
pub(crate) fn leave_nothing_behind() -> std::io::Result<()> {
    Ok(())
}
