//! wgpu's errors as values: error scopes, and the unwinding of the calls that panic. In a browser scopes tell later (`late`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

#[cfg(not(target_family = "wasm"))]
use super::complaint::complaint;
use crate::error::{Error, Result};

/// Locks even after a panic elsewhere: what we guard is always whole.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(target_family = "wasm")]
pub(crate) use super::late::guarded;

/// Runs calls on the device and returns its complaint as a value instead of a panic.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn guarded<T>(device: &wgpu::Device, doing: &'static str, calls: impl FnOnce() -> T) -> Result<T> {
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let internal = device.push_error_scope(wgpu::ErrorFilter::Internal);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let made = catch_unwind(AssertUnwindSafe(calls));
    let [validation, internal, memory] = [validation, internal, memory].map(|scope| at_once(scope.pop()));
    let made = made.map_err(|panic| given_up(doing, &*panic))?;
    // The memory first: what was not made is then not valid either.
    match memory.or(internal).or(validation).map(|error| complaint(error, doing)) {
        None => Ok(made),
        // On a lost device everything is made in silence, and what uses it is no longer valid.
        Some(Error::Validation { .. }) if is_lost(device) => Err(lost(doing)),
        Some(error) => Err(error),
    }
}

/// [`guarded`], for what is used without a question later: a device lost meanwhile makes in silence what is not valid, and
/// would say so in the engine's `finish` or `submit`.
pub(crate) fn made<T>(device: &wgpu::Device, doing: &'static str, calls: impl FnOnce() -> T) -> Result<T> {
    let made = guarded(device, doing, calls)?;
    alive(device, doing)?;
    Ok(made)
}

/// A panic of wgpu in a call other than a poll: out of memory for commands (`PendingWrites::activate`), or a fault of its
/// own. Nobody knows what it left half done; the device is the caller's, who is told to let it go.
#[cfg(not(target_family = "wasm"))]
fn given_up(doing: &'static str, panic: &(dyn std::any::Any + Send)) -> Error {
    Error::DeviceLost { doing, message: format!("wgpu panicked: {}", panic_message(panic)) }
}

/// An error on a lost device, for what would seem to succeed there. In a browser only an answer tells.
pub(crate) fn alive(device: &wgpu::Device, doing: &'static str) -> Result<()> {
    if !cfg!(target_family = "wasm") && is_lost(device) { Err(lost(doing)) } else { Ok(()) }
}

fn lost(doing: &'static str) -> Error {
    Error::DeviceLost { doing, message: "nothing can be made on it any more".to_owned() }
}

/// Whether a buffer of four bytes is made without a complaint and yet cannot be mapped. The callback that wgpu would tell of
/// a loss is the engine's.
fn is_lost(device: &wgpu::Device) -> bool {
    let scopes = [wgpu::ErrorFilter::OutOfMemory, wgpu::ErrorFilter::Internal, wgpu::ErrorFilter::Validation]
        .map(|filter| device.push_error_scope(filter));
    let descriptor = wgpu::BufferDescriptor {
        label: Some("sortilege probe"),
        size: 4,
        usage: wgpu::BufferUsages::MAP_READ,
        mapped_at_creation: false,
    };
    let made = catch_unwind(AssertUnwindSafe(|| device.create_buffer(&descriptor)));
    let complaints = scopes.into_iter().rev().filter_map(|scope| at_once(scope.pop())).count();
    let (Ok(made), 0) = (made, complaints) else { return false };
    let is_refused = Arc::new(AtomicBool::new(false));
    let refused = is_refused.clone();
    let scope = device.push_error_scope(wgpu::ErrorFilter::Validation);
    // At once on a lost device; on any other it takes a poll, or never comes about: the buffer goes first.
    made.map_async(wgpu::MapMode::Read, .., move |mapped| refused.store(mapped.is_err(), Ordering::Relaxed));
    let _ = at_once(scope.pop());
    is_refused.load(Ordering::Relaxed)
}

/// The output of a future that is ready at once: natively a scope is, and what waits for the device blocks
/// ([`mapped`](super::wait::mapped)). In a browser neither is so.
pub(crate) fn at_once<T>(future: impl Future<Output = T>) -> T {
    match std::pin::pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => unreachable!("natively nothing of this room yields"),
    }
}

/// `Device::poll` without waiting, as a value: it panics on a lost device.
pub(crate) fn poll(device: &wgpu::Device) -> Result<wgpu::PollStatus> {
    match catch_unwind(AssertUnwindSafe(|| device.poll(wgpu::PollType::Poll))) {
        Ok(Ok(status)) => Ok(status),
        Ok(Err(error)) => Err(Error::Validation { doing: "a poll", message: error.to_string() }),
        Err(panic) => Err(Error::DeviceLost { doing: "polling", message: panic_message(&*panic) }),
    }
}

/// The words of a caught panic.
pub(crate) fn panic_message(panic: &(dyn std::any::Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()))
        .unwrap_or_else(|| "no message".to_owned())
}
