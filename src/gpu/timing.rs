//! How long each dispatch takes on the device: timestamps around every one, for a sampler that was asked for them.
//!
//! A sampler puts all dispatches into one compute pass. One with timestamps makes a pass of each, the only place where
//! every device with the feature can write them.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use super::buffers::buffer;
use super::guard::{guarded, lock, made};
use super::mapping::{Shared, is_settled, map_on_submit, mapped_range, outcome, words_of};
use crate::error::{Error, Result};

/// How long a call of a [`Sampler`](crate::Sampler) took on the device.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// The dispatches in order, those of every chunk, and at the end `copy`, what came after the last one: only where
    /// the device has `TIMESTAMP_QUERY_INSIDE_ENCODERS`, and of a call with a copy: of its records to the host, of its tokens, or
    /// of results to a buffer that holds the logits too.
    pub passes: Vec<PassTime>,
    /// From the start of the first to the end of the last, gaps included.
    pub total: Duration,
}

/// How long one dispatch took.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PassTime {
    /// The kernel's name, or `copy`.
    pub name: &'static str,
    /// From its start to its end.
    pub time: Duration,
}

/// Calls in flight that nobody asked about; the oldest are forgotten.
const MAX_UNREAD: usize = 1024;

/// The timestamps of a sampler's calls.
#[derive(Debug)]
pub(crate) struct Clock {
    /// Nanoseconds of a tick.
    period: f64,
    has_copy: bool,
    idle: Mutex<Vec<Queries>>,
    /// Recorded and not yet read, the oldest first.
    unread: Mutex<VecDeque<(Shared, Stopwatch)>>,
}

/// Room for the timestamps of one call.
#[derive(Debug)]
struct Queries {
    set: wgpu::QuerySet,
    count: u32,
    resolved: wgpu::Buffer,
    staging: wgpu::Buffer,
}

/// The timestamps of one call: two per dispatch, and one after the copy.
#[derive(Debug)]
pub(crate) struct Stopwatch {
    queries: Queries,
    names: Vec<&'static str>,
    has_copy: bool,
}

impl Clock {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Result<Self> {
        let features = device.features();
        if !features.contains(wgpu::Features::TIMESTAMP_QUERY) {
            return Err(Error::Limit(
                "timestamps are asked for, and the device was requested without `Features::TIMESTAMP_QUERY`: request it \
                 with that, or leave `SamplerOptions::timestamps` out"
                    .to_owned(),
            ));
        }
        Ok(Self {
            period: queue.get_timestamp_period().into(),
            has_copy: features.contains(wgpu::Features::TIMESTAMP_QUERY_INSIDE_ENCODERS),
            idle: Mutex::default(),
            unread: Mutex::default(),
        })
    }

    /// A stopwatch for dispatches of these names; none for more of them than a query set can hold.
    pub(crate) fn start(&self, device: &wgpu::Device, names: Vec<&'static str>) -> Result<Option<Stopwatch>> {
        let Some(count) =
            u32::try_from(names.len() * 2 + 1).ok().filter(|n| *n <= wgpu::QUERY_SET_MAX_QUERIES)
        else {
            return Ok(None);
        };
        let idle = {
            let mut idle = lock(&self.idle);
            let place = idle.iter().position(|queries| queries.count >= count);
            place.map(|place| idle.swap_remove(place))
        };
        let queries = match idle {
            Some(queries) => queries,
            None => made(device, "making the timestamps", || Queries::new(device, count))?,
        };
        Ok(Some(Stopwatch { queries, names, has_copy: false }))
    }

    /// Records the last timestamp after a copy, if there was one, and the way of all to the host.
    pub(crate) fn finish(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        mut stopwatch: Stopwatch,
        has_copy: bool,
    ) {
        stopwatch.has_copy = has_copy && self.has_copy;
        let stamps = stopwatch.stamps();
        let Queries { set, resolved, staging, .. } = &stopwatch.queries;
        if stopwatch.has_copy {
            encoder.write_timestamp(set, stamps - 1);
        }
        let bytes = u64::from(stamps) * 8;
        encoder.resolve_query_set(set, 0..stamps, resolved, 0);
        encoder.copy_buffer_to_buffer(resolved, 0, staging, 0, bytes);
        let mut state = Shared::default();
        map_on_submit(encoder, staging, bytes, &mut state);
        let mut unread = lock(&self.unread);
        if unread.len() >= MAX_UNREAD {
            unread.pop_front();
        }
        unread.push_back((state, stopwatch));
    }

    /// Timings of the calls that the device has finished, the oldest first, up to one that it has not.
    pub(crate) fn take(&self, device: &wgpu::Device) -> Vec<Timing> {
        let mut timings = Vec::new();
        let mut unread = lock(&self.unread);
        while unread.front().is_some_and(|(state, _)| is_settled(state)) {
            let Some((state, stopwatch)) = unread.pop_front() else { break };
            if outcome(&state, Duration::ZERO).is_err() {
                continue; // an encoder that was dropped, or a lost device
            }
            if let Some(timing) = stopwatch.read(self.period) {
                timings.push(timing);
                // The device may be lost by now.
                let unmap = || stopwatch.queries.staging.unmap();
                if guarded(device, "letting the timestamps go", unmap).is_ok() {
                    lock(&self.idle).push(stopwatch.queries);
                }
            }
        }
        timings
    }
}

impl Queries {
    fn new(device: &wgpu::Device, count: u32) -> Self {
        use wgpu::BufferUsages as Usage;
        let (label, bytes) = ("sortilege timestamps", u64::from(count) * 8);
        Self {
            set: device.create_query_set(&wgpu::QuerySetDescriptor {
                label: Some(label),
                ty: wgpu::QueryType::Timestamp,
                count,
            }),
            count,
            resolved: buffer(device, label, bytes, Usage::QUERY_RESOLVE | Usage::COPY_SRC),
            staging: buffer(device, label, bytes, Usage::MAP_READ | Usage::COPY_DST),
        }
    }
}

impl Stopwatch {
    /// Where the dispatch of this number writes when it starts and ends.
    pub(crate) fn writes(&self, dispatch: u32) -> wgpu::ComputePassTimestampWrites<'_> {
        wgpu::ComputePassTimestampWrites {
            query_set: &self.queries.set,
            beginning_of_pass_write_index: Some(2 * dispatch),
            end_of_pass_write_index: Some(2 * dispatch + 1),
        }
    }

    fn stamps(&self) -> u32 {
        #[expect(clippy::cast_possible_truncation, reason = "they fit a query set")]
        let stamps = self.names.len() as u32 * 2 + u32::from(self.has_copy);
        stamps
    }

    /// From the mapped ticks.
    fn read(&self, period: f64) -> Option<Timing> {
        let view =
            mapped_range(&self.queries.staging, ..u64::from(self.stamps()) * 8, "reading the times").ok()?;
        Some(timing(&words_of(&view), &self.names, period))
    }
}

/// Two ticks per name, and one more where a copy followed.
fn timing(ticks: &[u64], names: &[&'static str], period: f64) -> Timing {
    // A counter may step back where a driver patches it together.
    let between =
        |from: u64, to: u64| Duration::from_secs_f64(to.saturating_sub(from) as f64 * period * 1e-9);
    let (stamps, rest) = ticks.as_chunks::<2>();
    let last = stamps.last().map_or(0, |stamp| stamp[1]);
    let dispatches = names.iter().zip(stamps).map(|(name, [from, to])| (*name, *from, *to));
    let copy = rest.iter().map(|end| ("copy", last, *end));
    Timing {
        passes: dispatches
            .chain(copy)
            .map(|(name, from, to)| PassTime { name, time: between(from, to) })
            .collect(),
        total: between(ticks.first().copied().unwrap_or(0), ticks.last().copied().unwrap_or(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_times_of_passes_and_copy() {
        let nanoseconds = Duration::from_nanos;
        let names = ["tile_stats", "row_logprobs"];
        let found = timing(&[100, 130, 140, 150, 155], &names, 2.0);
        let times: Vec<_> = found.passes.iter().map(|pass| (pass.name, pass.time)).collect();
        assert_eq!(
            times,
            [("tile_stats", nanoseconds(60)), ("row_logprobs", nanoseconds(20)), ("copy", nanoseconds(10))]
        );
        assert_eq!(found.total, nanoseconds(110), "with the gap");
        let found = timing(&[100, 130, 140, 139], &names, 1.0);
        assert_eq!(found.passes.len(), 2, "no copy");
        assert_eq!(found.passes[1].time, Duration::ZERO, "a counter that steps back");
    }
}
