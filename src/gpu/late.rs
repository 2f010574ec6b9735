//! What a browser says of calls later than they return. It is kept here until an answer of the device is awaited, whose
//! error it becomes.

use std::cell::{Cell, RefCell};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use super::complaint::complaint;
use crate::error::{Error, Result};

/// What a scope will have said.
type Scope = Pin<Box<dyn Future<Output = Option<wgpu::Error>>>>;

/// The scopes of some calls, popped.
struct Unheard {
    device: wgpu::Device,
    doing: &'static str,
    /// Those that did not say yet.
    scopes: Vec<Scope>,
    told: Option<Error>,
}

/// Calls that are remembered where nobody awaits anything.
const MOST: usize = 1024;

impl Unheard {
    /// Whether nothing was said, and nothing will be.
    fn is_silent(&mut self) -> bool {
        while let Some(scope) = self.scopes.first_mut() {
            let Poll::Ready(said) = scope.as_mut().poll(&mut Context::from_waker(Waker::noop())) else {
                return false;
            };
            drop(self.scopes.remove(0));
            self.hear(said);
        }
        self.told.is_none()
    }

    fn hear(&mut self, said: Option<wgpu::Error>) {
        COMPLAINTS.set(COMPLAINTS.get().wrapping_add(u32::from(said.is_some())));
        self.told = self.told.take().or(said.map(|error| complaint(error, self.doing)));
    }
}

thread_local! {
    static UNHEARD: RefCell<Vec<Unheard>> = const { RefCell::new(Vec::new()) };
    static COMPLAINTS: Cell<u32> = const { Cell::new(0) };
}

/// How many complaints were heard so far. What was made before one of them may not be valid.
pub(crate) fn complaints() -> u32 {
    COMPLAINTS.get()
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
    let validation = Box::pin(validation.pop()) as Scope;
    // The memory first: what was not made is then not valid either.
    let scopes = vec![Box::pin(memory.pop()) as Scope, validation];
    UNHEARD.with_borrow_mut(|all| {
        while all.first_mut().is_some_and(Unheard::is_silent) {
            all.remove(0);
        }
        if all.len() == MOST {
            // The first complaint is the one to be told.
            all.remove(usize::from(all[0].told.is_some()));
        }
        all.push(Unheard { device: device.clone(), doing, scopes, told: None });
    });
    Ok(made)
}

/// The first complaint about the calls on a device so far that nobody heard yet; each is told once. Dropped before it is
/// ready, it leaves them to the next one of the device.
///
/// # Errors
/// The complaint.
pub(crate) fn heard(device: &wgpu::Device) -> impl Future<Output = Result<()>> + 'static {
    let ours = |unheard: &mut Unheard| unheard.device == *device;
    let mut ours = Hearing(UNHEARD.with_borrow_mut(|all| all.extract_if(.., ours).collect()));
    async move {
        for unheard in &mut ours.0 {
            while let Some(scope) = unheard.scopes.first_mut() {
                let said = scope.await;
                drop(unheard.scopes.remove(0));
                unheard.hear(said);
            }
        }
        std::mem::take(&mut ours.0).into_iter().find_map(|unheard| unheard.told).map_or(Ok(()), Err)
    }
}

/// What one answer hears.
struct Hearing(Vec<Unheard>);

impl Drop for Hearing {
    fn drop(&mut self) {
        UNHEARD.with_borrow_mut(|all| {
            all.splice(0..0, self.0.drain(..));
        });
    }
}
