//! Measurements on a device: `commands` makes buffers and waits, `ceiling` and `latencies` say what the device costs at
//! least, `device` holds it and its logits, `job` runs a workload on them, `measure` takes the time.

mod ceiling;
mod commands;
mod device;
mod job;
mod latencies;
mod measure;

pub(super) use self::device::Device;
pub(super) use self::measure::measure;
