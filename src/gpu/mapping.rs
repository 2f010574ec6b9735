//! What became of a buffer that is mapped when an encoder is submitted: told by the map's own callback, by whoever gives
//! up waiting for it, or by nobody.

use std::borrow::Cow;
use std::ops::RangeBounds;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::{Duration, Instant};

use super::guard::{alive, lock, panic_message, poll};
use crate::error::{Error, Result};

/// Since when a device has had nothing to do while somebody waits for it. The encoder may still be with another thread, which
/// is told by its callback when it drops it; of a lost device no callback comes.
#[derive(Debug, Default)]
pub(super) struct Idle {
    since: Option<Instant>,
}

impl Idle {
    /// Polls the device, and says whether it has nothing to do; an error if that is so because it is lost, which is asked now
    /// and then.
    pub(super) fn poll(&mut self, device: &wgpu::Device) -> Result<bool> {
        /// Another thread's poll may hold our callback for a moment after the queue is empty.
        const PATIENCE: Duration = Duration::from_millis(100);
        if poll(device)? != wgpu::PollStatus::QueueEmpty {
            self.since = None;
            return Ok(false);
        }
        if self.since.get_or_insert_with(Instant::now).elapsed() > PATIENCE {
            self.since = None;
            alive(device, "waiting for the results")?;
        }
        Ok(true)
    }
}

/// What the callback said.
#[derive(Debug)]
enum Told {
    Mapped,
    Failed(String),
    /// The encoder went away without a submit.
    Dropped,
}

/// Why a waiting thread gave up, while the callback may still come.
#[derive(Clone, Debug)]
pub(crate) enum GaveUp {
    NotSubmitted,
    Lost(String),
    TimedOut,
}

/// What is known of a map, shared with its callback.
#[derive(Default)]
pub(crate) struct Mapping {
    told: Option<Told>,
    gave_up: Option<GaveUp>,
    waker: Option<Waker>,
    /// To be done once the callback has come.
    then: Option<Then>,
}

/// Hears whether the buffer is mapped.
type Then = Box<dyn FnOnce(bool) + Send>;

impl std::fmt::Debug for Mapping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { told, gave_up, .. } = self;
        f.debug_struct("Mapping").field("told", told).field("gave_up", gave_up).finish_non_exhaustive()
    }
}

/// Shared by whoever waits and the callback.
pub(crate) type Shared = Arc<Mutex<Mapping>>;

/// The callback. Dropped unused, it says that there will be no map.
struct Notifier(Shared);

impl Notifier {
    fn mapped(self, result: std::result::Result<(), wgpu::BufferAsyncError>) {
        tell(&self.0, result.map_or_else(|error| Told::Failed(error.to_string()), |()| Told::Mapped));
    }
}

impl Drop for Notifier {
    fn drop(&mut self) {
        tell(&self.0, Told::Dropped);
    }
}

/// Says what the callback has to say; the first time counts.
fn tell(shared: &Shared, told: Told) {
    let mut mapping = lock(shared);
    if mapping.told.is_some() {
        return;
    }
    let is_mapped = matches!(told, Told::Mapped);
    mapping.told = Some(told);
    let (waker, then) = (mapping.waker.take(), mapping.then.take());
    drop(mapping);
    if let Some(waker) = waker {
        wake(waker);
    }
    if let Some(then) = then {
        then(is_mapped);
    }
}

/// Does this once the callback has come, which may be now, with whether the buffer is mapped.
pub(crate) fn when_told(shared: &Shared, then: impl FnOnce(bool) + Send + 'static) {
    let mut mapping = lock(shared);
    if let Some(told) = &mapping.told {
        let is_mapped = matches!(told, Told::Mapped);
        drop(mapping);
        then(is_mapped);
    } else {
        mapping.then = Some(Box::new(then));
    }
}

/// A waker is foreign code: should it panic, nobody else who waits is to suffer from it.
fn wake(waker: Waker) {
    let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
}

/// Says that nobody waits any more.
pub(crate) fn give_up(shared: &Shared, why: GaveUp) {
    let mut mapping = lock(shared);
    mapping.gave_up.get_or_insert(why);
    if let Some(waker) = mapping.waker.take() {
        drop(mapping);
        wake(waker);
    }
}

/// Whether there is nothing to wait for.
pub(crate) fn is_settled(shared: &Shared) -> bool {
    let mapping = lock(shared);
    mapping.told.is_some() || mapping.gave_up.is_some()
}

/// Wakes this one once there is nothing to wait for; `false` if it is so already.
pub(crate) fn wake_when_settled(shared: &Shared, waker: &Waker) -> bool {
    let mut mapping = lock(shared);
    if mapping.told.is_some() || mapping.gave_up.is_some() {
        return false;
    }
    match &mut mapping.waker {
        Some(known) => known.clone_from(waker),
        none => *none = Some(waker.clone()),
    }
    true
}

/// Nothing, if the buffer is mapped.
pub(crate) fn outcome(shared: &Shared, deadline: Duration) -> Result<()> {
    let mapping = lock(shared);
    let lost =
        |message: &String| Error::DeviceLost { doing: "reading the results", message: message.clone() };
    match (&mapping.told, &mapping.gave_up) {
        (Some(Told::Mapped), _) => Ok(()),
        (Some(Told::Failed(message)), _) | (None, Some(GaveUp::Lost(message))) => Err(lost(message)),
        (Some(Told::Dropped), _) | (None, Some(GaveUp::NotSubmitted)) => Err(Error::NotSubmitted),
        (None, Some(GaveUp::TimedOut) | None) => Err(Error::Timeout { deadline }),
    }
}

/// Maps a range of a staging buffer once the encoder is submitted. What is known of an earlier map is forgotten: in its
/// place, unless somebody still looks at it.
pub(crate) fn map_on_submit(
    encoder: &wgpu::CommandEncoder,
    staging: &wgpu::Buffer,
    bytes: u64,
    shared: &mut Shared,
) {
    match Arc::get_mut(shared) {
        Some(mapping) => *mapping = Mutex::default(),
        None => *shared = Shared::default(),
    }
    let notifier = Notifier(shared.clone());
    encoder.map_buffer_on_submit(staging, wgpu::MapMode::Read, ..bytes, |result| notifier.mapped(result));
}

/// What a staging buffer holds, mapped. Where it is not mapped after all, wgpu 30 says so and wgpu 29 panics.
pub(super) fn mapped_range(
    staging: &wgpu::Buffer,
    bytes: impl RangeBounds<u64>,
    doing: &'static str,
) -> Result<wgpu::BufferView> {
    let lost = |message| Error::DeviceLost { doing, message };
    let range = catch_unwind(AssertUnwindSafe(|| staging.slice(bytes).get_mapped_range()));
    let range = range.map_err(|panic| lost(panic_message(&*panic)))?;
    #[cfg(not(feature = "wgpu29"))]
    let range = range.map_err(|error| lost(error.to_string()))?;
    Ok(range)
}

/// The words of a mapped range: where they lie, or copied where a browser's copy of them begins in the middle of a word.
pub(super) fn words_of<T: bytemuck::Pod>(view: &[u8]) -> Cow<'_, [T]> {
    bytemuck::try_cast_slice(view)
        .map_or_else(|_| Cow::Owned(bytemuck::pod_collect_to_vec(view)), Cow::Borrowed)
}
