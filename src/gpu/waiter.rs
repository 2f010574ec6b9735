//! The thread that polls a device for those who await: one per device, while there is somebody.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::guard::{lock, poll};
use super::mapping::{GaveUp, PATIENCE, Shared, give_up, is_settled};
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
    /// Since when the device has had nothing to do.
    empty_since: Option<Instant>,
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
        let waiting = Waiting { shared: shared.clone(), since: Instant::now(), deadline, empty_since: None };
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
        let mut list = lock(&self.list);
        loop {
            list.waiting.retain(|waiting| !is_settled(&waiting.shared));
            let pause = if list.waiting.is_empty() {
                IDLE
            } else {
                drop(list);
                let polled = poll(&self.device);
                list = lock(&self.list);
                list.waiting.iter_mut().for_each(|waiting| waiting.judge(&polled));
                let longest =
                    list.waiting.iter().map(|waiting| waiting.since.elapsed()).max().unwrap_or_default();
                if longest < SPIN {
                    continue;
                }
                // A tenth of what was waited so far: little is lost, and nothing burnt.
                (longest / 10).min(LONGEST_SLEEP)
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

impl Waiting {
    /// Gives up where nothing can come any more.
    fn judge(&mut self, polled: &Result<wgpu::PollStatus>) {
        if is_settled(&self.shared) {
            return;
        }
        let is_empty = matches!(polled, Ok(wgpu::PollStatus::QueueEmpty));
        self.empty_since = is_empty.then(|| self.empty_since.unwrap_or_else(Instant::now));
        if let Err(error) = polled {
            let message = match error {
                Error::DeviceLost { message, .. } => message.clone(),
                other => other.to_string(),
            };
            give_up(&self.shared, GaveUp::Lost(message));
        } else if self.empty_since.is_some_and(|since| since.elapsed() > PATIENCE) {
            give_up(&self.shared, GaveUp::NotSubmitted);
        } else if self.since.elapsed() > self.deadline {
            give_up(&self.shared, GaveUp::TimedOut);
        }
    }
}
