//! What devices answer under hostile rows and at random: no row reaches another, and every engine gives the same bits.
#![expect(clippy::cast_possible_truncation, reason = "a test")]
#![expect(clippy::print_stdout, reason = "figures of docs/reliability.md")]

#[path = "../common/mod.rs"]
mod common;
mod halves;
mod poison;
mod random;
mod strangers;
mod whole;

use std::sync::LazyLock;

use sortilege::device::Gpu;
use sortilege::{Cpu, Engine};

/// One set of devices for all tests, so that kernels are compiled once.
static GPUS: LazyLock<Vec<Gpu>> = LazyLock::new(common::gpus);

/// Every engine of this machine by its name: the devices, and the CPU's.
fn engines() -> impl Iterator<Item = (String, &'static dyn Engine)> {
    let device = |gpu: &'static Gpu| {
        let by = if gpu.sampler().options().integers { "integers" } else { "floats" };
        (format!("{} by {by}", gpu.info().name), gpu as &dyn Engine)
    };
    GPUS.iter().map(device).chain([("CPU".to_owned(), &Cpu as &dyn Engine)])
}
