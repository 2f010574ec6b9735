//! Temporary files that have names, and signals, which must not leave them behind.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

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

/// From now on, signals that end the program take its temporary files away first: the exit code is 128 and the signal's
/// number. A full quota of file sizes is an error of the write.
#[cfg(unix)]
pub(crate) fn leave_nothing_behind() -> std::io::Result<()> {
    use std::sync::Arc;
    use std::sync::atomic::AtomicBool;

    use signal_hook::consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM};
    use signal_hook::iterator::Signals;

    signal_hook::flag::register(libc::SIGXFSZ, Arc::new(AtomicBool::new(false)))?;
    let ending = [SIGHUP, SIGINT, SIGQUIT, SIGTERM, libc::SIGXCPU];
    let mut signals = Signals::new(ending.into_iter().filter(|&signal| !is_ignored(signal)))?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        if let Some(signal) = signals.forever().next() {
            let names = Names::hold();
            for path in names.0.iter() {
                let _ = std::fs::remove_file(path); // it may never have been there
            }
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
