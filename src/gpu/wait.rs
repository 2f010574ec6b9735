//! Waits for what a callback of the device brings about: natively they poll and block, in a browser they yield.

use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;
#[cfg(not(target_family = "wasm"))]
use std::time::Instant;

#[cfg(not(target_family = "wasm"))]
use super::mapping::{Idle, is_settled};
use super::mapping::{Shared, outcome, wake_when_settled};
#[cfg(not(target_family = "wasm"))]
use crate::error::Error;
use crate::error::Result;

/// Comes back when the map is there. Natively it blocks, and does not yield. A browser calls back only when nobody blocks;
/// there it yields, without a deadline.
pub(crate) async fn mapped(shared: &Shared, device: &wgpu::Device, deadline: Duration) -> Result<()> {
    #[cfg(not(target_family = "wasm"))]
    drive(|| is_settled(shared), device, deadline)?;
    #[cfg(target_family = "wasm")]
    super::late::heard(device).await?;
    poll_fn(|context| match wake_when_settled(shared, context.waker()) {
        true => Poll::Pending,
        false => Poll::Ready(()),
    })
    .await;
    outcome(shared, deadline)
}

/// Polls the device until `is_done`, which a callback brings about. Never `PollType::Wait`: with a timeout and a second
/// thread that polls, wgpu 30 asserts ("the current submission index should be at least the wait submission index");
/// without one, it waits for the engine's later submits too.
#[cfg(not(target_family = "wasm"))]
pub(crate) fn drive(is_done: impl Fn() -> bool, device: &wgpu::Device, deadline: Duration) -> Result<()> {
    const SPIN: Duration = Duration::from_micros(100);
    const LONGEST_SLEEP: Duration = Duration::from_millis(1);
    let start = Instant::now();
    let mut idle = Idle::default();
    while !is_done() {
        let is_idle = idle.poll(device)?;
        let waited = start.elapsed();
        if waited > deadline && !is_done() {
            return Err(if is_idle { Error::NotSubmitted } else { Error::Timeout { deadline } });
        }
        if waited > SPIN {
            // A tenth of what was waited so far: little is lost, and nothing burnt.
            std::thread::sleep((waited / 10).min(LONGEST_SLEEP));
        }
    }
    Ok(())
}
