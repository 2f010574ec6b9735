//! What became of a buffer that is mapped when an encoder is submitted: told by the map's own callback, by whoever gives
//! up waiting for it, or by nobody.

use std::sync::{Arc, Mutex};
use std::task::Waker;
use std::time::Duration;

use super::guard::{guarded, lock};
use super::pool::{Call, Ring};
use crate::error::{Error, Result};

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
#[derive(Debug, Default)]
pub(crate) struct Mapping {
    told: Option<Told>,
    gave_up: Option<GaveUp>,
    waker: Option<Waker>,
    /// A call that nobody waits for, and where it goes once the callback has come.
    forgotten: Option<(Box<Call>, Ring)>,
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
    mapping.told = Some(told);
    let (waker, forgotten) = (mapping.waker.take(), mapping.forgotten.take());
    drop(mapping);
    if let Some(waker) = waker {
        waker.wake();
    }
    if let Some((call, ring)) = forgotten {
        give_back(*call, &ring);
    }
}

/// Says that nobody waits any more.
pub(crate) fn give_up(shared: &Shared, why: GaveUp) {
    let mut mapping = lock(shared);
    mapping.gave_up.get_or_insert(why);
    if let Some(waker) = mapping.waker.take() {
        drop(mapping);
        waker.wake();
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
        (None, Some(GaveUp::TimedOut) | None) => Err(Error::Timeout { seconds: deadline.as_secs() }),
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

/// Lets the buffers of a call be used again: now, or once the callback has come.
pub(crate) fn forget(call: Call, ring: &Ring) {
    let shared = call.mapping.clone();
    let mut mapping = lock(&shared);
    if mapping.told.is_some() {
        drop(mapping);
        drop(shared);
        give_back(call, ring);
    } else {
        mapping.forgotten = Some((Box::new(call), ring.clone()));
    }
}

fn give_back(call: Call, ring: &Ring) {
    let is_mapped = matches!(lock(&call.mapping).told, Some(Told::Mapped));
    if let Some(staging) = call.staging.as_ref().filter(|_| is_mapped)
        // The device may be lost by now.
        && guarded(&call.device, "letting the records go", || staging.unmap()).is_err()
    {
        return;
    }
    lock(ring).push(call);
}
