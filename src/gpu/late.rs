//! What a browser says of calls later than they return. It is kept here until an answer of the device is awaited, whose
//! error it becomes.

use std::cell::RefCell;
use std::pin::Pin;

use super::complaint::complaint;
use crate::error::Result;

/// The scopes of some calls, popped.
struct Unheard {
    device: wgpu::Device,
    doing: &'static str,
    scopes: [Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>; 2],
}

thread_local! {
    static UNHEARD: RefCell<Vec<Unheard>> = const { RefCell::new(Vec::new()) };
}

/// Runs calls on the device. What it has against them is kept for [`heard`].
///
/// # Errors
/// None: the type is that of the native one.
#[expect(clippy::unnecessary_wraps, reason = "the type of the native one")]
pub(crate) fn guarded<T>(device: &wgpu::Device, doing: &'static str, calls: impl FnOnce() -> T) -> Result<T> {
    // Not for internal errors, on which wgpu 30 panics: those go to the console.
    let memory = device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
    let validation = device.push_error_scope(wgpu::ErrorFilter::Validation);
    let made = calls();
    let validation = Box::pin(validation.pop()) as Pin<Box<dyn Future<Output = _>>>;
    // The memory first: what was not made is then not valid either.
    let scopes = [Box::pin(memory.pop()) as Pin<Box<dyn Future<Output = _>>>, validation];
    UNHEARD.with_borrow_mut(|all| all.push(Unheard { device: device.clone(), doing, scopes }));
    Ok(made)
}

/// The first complaint about the calls on a device so far that nobody heard yet; each is told once.
///
/// # Errors
/// The complaint.
pub(crate) fn heard(device: &wgpu::Device) -> impl Future<Output = Result<()>> + 'static {
    let ours: Vec<Unheard> =
        UNHEARD.with_borrow_mut(|all| all.extract_if(.., |unheard| unheard.device == *device).collect());
    async move {
        let mut first = Ok(());
        for Unheard { doing, scopes, .. } in ours {
            for scope in scopes {
                if let Some(error) = scope.await {
                    first = first.and(Err(complaint(error, doing)));
                }
            }
        }
        first
    }
}
