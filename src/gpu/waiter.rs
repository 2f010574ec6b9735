//! The thread that polls a device for those who await: one for the samplers that share it, while there is somebody.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard::lock;
use super::mapping::{GaveUp, Idle, Shared, give_up, is_settled};
use crate::error::{Error, Result};

/// How long the thread stays when there is nobody.
const IDLE: Duration = Duration::from_secs(1);
const SPIN: Duration = Duration::from_micros(100);
const LONGEST_SLEEP: Duration = Duration::from_millis(1);

/// Somebody who awaits.
#[derive(Debug)]
struct Waiting {
    shared: Shared,
    since: Instant,
    deadline: Duration,
}

#[derive(Debug, Default)]
struct List {
    waiting: Vec<Waiting>,
    has_thread: bool,
}

/// Those who await a device.
#[derive(Debug)]
pub(crate) struct Waiter {
    device: wgpu::Device,
    list: Mutex<List>,
    woken: Condvar,
}

impl Waiter {
    /// Nobody yet. Shared by the samplers that came about by [`Sampler::with`](crate::Sampler::with): devices of several
    /// instances compare as equal, so that there is no finding it by its device.
    pub(crate) fn new(device: &wgpu::Device) -> Arc<Self> {
        Arc::new(Self { device: device.clone(), list: Mutex::default(), woken: Condvar::new() })
    }

    /// Polls the device until this is settled; `false` if there is no thread to be had.
    pub(crate) fn poll_for(self: &Arc<Self>, shared: &Shared, deadline: Duration) -> bool {
        let mut list = lock(&self.list);
        let waiting = Waiting { shared: shared.clone(), since: Instant::now(), deadline };
        list.waiting.push(waiting);
        if list.has_thread {
            self.woken.notify_one();
            return true;
        }
        let waiter = self.clone();
        let thread = std::thread::Builder::new().name("sortilege".to_owned()).spawn(move || waiter.run());
        list.has_thread = thread.is_ok();
        if !list.has_thread {
            list.waiting.pop();
        }
        list.has_thread
    }

    fn run(&self) {
        let mut idle = Idle::default();
        let mut list = lock(&self.list);
        loop {
            list.waiting.retain(|waiting| !is_settled(&waiting.shared));
            let pause = if list.waiting.is_empty() {
                IDLE
            } else {
                drop(list);
                let polled = idle.poll(&self.device);
                let given_up: Vec<_> =
                    lock(&self.list).waiting.iter().filter_map(|waiting| waiting.judge(&polled)).collect();
                // With the list unlocked, for whoever is woken may await something else at once.
                given_up.into_iter().for_each(|(shared, why)| give_up(&shared, why));
                list = lock(&self.list);
                let waited =
                    list.waiting.iter().map(|waiting| waiting.since.elapsed()).min().unwrap_or_default();
                if waited < SPIN {
                    continue;
                }
                // A tenth of what the newest has waited so far: little is lost, and nothing burnt.
                (waited / 10).min(LONGEST_SLEEP)
            };
            let (woken, timeout) =
                self.woken.wait_timeout(list, pause).unwrap_or_else(PoisonError::into_inner);
            list = woken;
            if pause == IDLE && timeout.timed_out() && list.waiting.is_empty() {
                list.has_thread = false;
                return;
            }
        }
    }
}

/// Somebody who awaits without a thread, and polls whenever the executor comes by.
#[derive(Debug)]
pub(crate) struct Alone {
    waiting: Waiting,
    idle: Idle,
}

impl Alone {
    pub(crate) fn new(shared: &Shared, deadline: Duration) -> Self {
        let waiting = Waiting { shared: shared.clone(), since: Instant::now(), deadline };
        Self { waiting, idle: Idle::default() }
    }

    /// Polls the device once, and gives up where nothing can come any more.
    pub(crate) fn poll(&mut self, device: &wgpu::Device) {
        let polled = self.idle.poll(device);
        if let Some((shared, why)) = self.waiting.judge(&polled) {
            give_up(&shared, why);
        }
    }
}

impl Waiting {
    /// Why to give up, where nothing can come any more.
    fn judge(&self, is_idle: &Result<bool>) -> Option<(Shared, GaveUp)> {
        if is_settled(&self.shared) {
            return None;
        }
        let why = match is_idle {
            Err(Error::DeviceLost { message, .. }) => GaveUp::Lost(message.clone()),
            Err(other) => GaveUp::Lost(other.to_string()),
            Ok(_) if self.since.elapsed() <= self.deadline => return None,
            Ok(true) => GaveUp::NotSubmitted,
            Ok(false) => GaveUp::TimedOut,
        };
        Some((self.shared.clone(), why))
    }
}

#[cfg(all(test, feature = "device"))]
mod tests {
    use super::*;
    use crate::gpu::Gpu;
    use crate::gpu::mapping::{outcome, wake_when_settled};

    struct Panics;

    impl std::task::Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("foreign code");
        }
    }

    #[test]
    fn a_waker_that_panics_is_nobody_elses_trouble() {
        let shared = Shared::default();
        assert!(wake_when_settled(&shared, &Arc::new(Panics).into()));
        give_up(&shared, GaveUp::TimedOut);
        assert!(is_settled(&shared));
    }

    /// A process may have no thread left.
    #[test]
    fn without_a_thread_there_is_a_deadline_too() {
        let gpu = Gpu::any().expect("an adapter");
        let shared = Shared::default();
        let mut alone = Alone::new(&shared, Duration::from_millis(20));
        alone.poll(gpu.device());
        assert!(!is_settled(&shared), "it may still come");
        while !is_settled(&shared) {
            alone.poll(gpu.device());
        }
        assert_eq!(outcome(&shared, Duration::ZERO), Err(Error::NotSubmitted));
    }
}
