//! The staging ring: records are copied to a mappable buffer at the end of the engine's encoder, mapped when it is
//! submitted, decoded when somebody asks.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use super::guard::{lock, poll};
use super::pool::{CallBuffers, Ring};
use crate::answer::words::record;
use crate::error::{Error, Result};
use crate::plan::Plan;

#[derive(Debug)]
pub(crate) enum Mapping {
    /// Nobody has told yet.
    Waiting(Option<Waker>),
    /// The map's own result.
    Done(std::result::Result<(), String>),
    /// The encoder went away without a submit.
    Abandoned,
    /// The thread that polls for a future gave up.
    TimedOut,
}

/// Tells the waiting side what became of the map; dropped unused, that there will be none.
struct Notifier(Arc<Mutex<Mapping>>);

impl Notifier {
    fn mapped(self, result: std::result::Result<(), wgpu::BufferAsyncError>) {
        settle(&self.0, Mapping::Done(result.map_err(|error| error.to_string())));
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        settle(&self.0, Mapping::Abandoned);
    }
}

/// Says what became of the map; the first to say so counts.
fn settle(state: &Mutex<Mapping>, outcome: Mapping) {
    let mut state = lock(state);
    if let Mapping::Waiting(waker) = &mut *state {
        let waker = waker.take();
        *state = outcome;
        drop(state);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

/// Whether it is known what became of the map.
pub(crate) fn is_settled(state: &Mutex<Mapping>) -> bool {
    !matches!(*lock(state), Mapping::Waiting(_))
}

/// Maps a range of a staging buffer once the encoder is submitted.
pub(crate) fn map_on_submit(
    encoder: &wgpu::CommandEncoder,
    staging: &wgpu::Buffer,
    bytes: u64,
) -> Arc<Mutex<Mapping>> {
    let state = Arc::new(Mutex::new(Mapping::Waiting(None)));
    let notifier = Notifier(state.clone());
    encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, ..bytes, |result| notifier.mapped(result));
    state
}

/// Blocks until the map is there.
pub(crate) fn wait_mapped(state: &Mutex<Mapping>, device: &wgpu::Device, deadline: Duration) -> Result<()> {
    drive(|| is_settled(state), device, deadline)?;
    outcome(state, deadline)
}

fn outcome(state: &Mutex<Mapping>, deadline: Duration) -> Result<()> {
    match &*lock(state) {
        Mapping::Done(Ok(())) => Ok(()),
        Mapping::Done(Err(message)) => {
            Err(Error::DeviceLost { doing: "reading the results", message: message.clone() })
        }
        Mapping::Abandoned => Err(Error::NotSubmitted),
        Mapping::TimedOut | Mapping::Waiting(_) => Err(Error::Timeout { seconds: deadline.as_secs() }),
    }
}

/// What becomes of a row's words.
type Decode<R> = Box<dyn Fn(usize, &[u32]) -> R + Send + Sync>;

/// Logprobs or samples on their way to the host. Submit the encoder, then [`wait`](Self::wait) or `.await`; several may
/// be in flight, and they may be read in any order. Dropping one forgets its rows and disturbs nothing.
#[must_use = "the rows are lost if nobody waits for them"]
pub struct Pending<R> {
    state: Arc<Mutex<Mapping>>,
    /// `None` for an empty batch, or once the rows are read.
    call: Option<CallBuffers>,
    ring: Ring,
    device: wgpu::Device,
    plan: Plan,
    decode: Decode<R>,
    deadline: Duration,
    is_polled: bool,
}

impl<R> std::fmt::Debug for Pending<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pending").field("plan", &self.plan).finish_non_exhaustive()
    }
}

impl<R> Pending<R> {
    /// Schedules the map of `call.staging` for the submit of `encoder`.
    pub(crate) fn schedule(
        encoder: &wgpu::CommandEncoder,
        device: wgpu::Device,
        ring: Ring,
        call: Option<CallBuffers>,
        plan: Plan,
        decode: Decode<R>,
        deadline: Duration,
    ) -> Self {
        let state = match call.as_ref().and_then(|call| call.staging.as_ref()) {
            Some(staging) => map_on_submit(encoder, staging, plan.records_bytes),
            None => Arc::new(Mutex::new(Mapping::Done(Ok(())))),
        };
        Self { state, call, ring, device, plan, decode, deadline, is_polled: false }
    }

    /// What the call does on the device.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether [`wait`](Self::wait) would return at once. Polls the device without blocking.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        is_settled(&self.state) || poll(&self.device).is_err() || is_settled(&self.state)
    }

    /// Blocks until they are here: one per row.
    ///
    /// # Errors
    /// [`Error::NotSubmitted`] if the encoder was not submitted before, [`Error::Validation`] if the device rejected
    /// it, [`Error::DeviceLost`], or [`Error::Timeout`] past the deadline of the sampler's options.
    pub fn wait(mut self) -> Result<Vec<R>> {
        drive(|| is_settled(&self.state), &self.device, self.deadline)?;
        self.read()
    }

    /// Decodes the mapped records and returns the buffers to the ring.
    fn read(&mut self) -> Result<Vec<R>> {
        outcome(&self.state, self.deadline)?;
        let Some(call) = self.call.take() else { return Ok(Vec::new()) };
        let Some(staging) = &call.staging else { return Ok(Vec::new()) };
        let lost = |error: wgpu::MapRangeError| Error::DeviceLost {
            doing: "reading the records",
            message: error.to_string(),
        };
        let view = staging.slice(..self.plan.records_bytes).get_mapped_range().map_err(lost)?;
        let words: &[u32] = bytemuck::cast_slice(&view);
        let demand = self.plan.demand;
        let mut records = Vec::with_capacity(self.plan.shape.rows);
        for chunk in &self.plan.chunks {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "an offset into a buffer that is mapped here"
            )]
            let first = chunk.records_offset as usize / 4 + chunk.rows * demand.token_words();
            let rows = words[first..].chunks_exact(demand.record_words()).take(chunk.rows);
            for (row, words) in (chunk.first_row..).zip(rows) {
                // A submit that the device rejects maps the buffer all the same, with what an earlier call left in it.
                if words[record::CALL] != call.number {
                    return Err(Error::Validation {
                        doing: "the submitted commands",
                        message: "they never ran; the device's error handler has the reason".to_owned(),
                    });
                }
                records.push((self.decode)(row, words));
            }
        }
        drop(view);
        staging.unmap();
        lock(&self.ring).push(call);
        Ok(records)
    }
}

impl<R> Future for Pending<R> {
    type Output = Result<Vec<R>>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if let Mapping::Waiting(waker) = &mut *lock(&self.state) {
            *waker = Some(context.waker().clone());
        } else {
            return Poll::Ready(self.read());
        }
        // Natively a map completes only inside somebody's poll. A thread does it, so that the executor stays free.
        if !self.is_polled {
            self.is_polled = true;
            if cfg!(not(target_family = "wasm")) {
                let (state, device, deadline) = (self.state.clone(), self.device.clone(), self.deadline);
                let polling = move || match drive(|| is_settled(&state), &device, deadline) {
                    Ok(()) => {}
                    Err(Error::NotSubmitted) => settle(&state, Mapping::Abandoned),
                    Err(Error::DeviceLost { message, .. }) => settle(&state, Mapping::Done(Err(message))),
                    Err(_) => settle(&state, Mapping::TimedOut),
                };
                if std::thread::Builder::new().name("sortilege".to_owned()).spawn(polling).is_err() {
                    // No thread to be had: poll here, whenever the executor comes by.
                    self.is_polled = false;
                    let _ = poll(&self.device);
                    context.waker().wake_by_ref();
                }
            }
        }
        Poll::Pending
    }
}

/// Polls the device until `is_done`, which a callback brings about. Never `PollType::Wait`: with a timeout and a second
/// thread that polls, wgpu 30 asserts ("the current submission index should be at least the wait submission index");
/// without one, it waits for the engine's later submits too.
pub(crate) fn drive(is_done: impl Fn() -> bool, device: &wgpu::Device, deadline: Duration) -> Result<()> {
    const SPIN: Duration = Duration::from_micros(100);
    const LONGEST_SLEEP: Duration = Duration::from_millis(1);
    // Another thread's poll may hold our callback for a moment after the queue is empty.
    const PATIENCE: Duration = Duration::from_millis(100);
    let start = Instant::now();
    let mut empty_since = None;
    while !is_done() {
        if poll(device)? == wgpu::PollStatus::QueueEmpty {
            let since = *empty_since.get_or_insert_with(Instant::now);
            if since.elapsed() > PATIENCE && !is_done() {
                return Err(Error::NotSubmitted);
            }
        } else {
            empty_since = None;
        }
        let waited = start.elapsed();
        if waited > deadline {
            return Err(Error::Timeout { seconds: deadline.as_secs() });
        }
        if waited > SPIN {
            // A tenth of what was waited so far: little is lost, and nothing burnt.
            std::thread::sleep((waited / 10).min(LONGEST_SLEEP));
        }
    }
    Ok(())
}
