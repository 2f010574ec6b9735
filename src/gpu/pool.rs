//! The buffers that calls share: uploads, records and staging of each call in flight, scratch of all of them; and the
//! bytes that go through them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::guard::{guarded, lock};
use crate::error::Result;
use crate::plan::Plan;

/// Bytes that a sampler has moved so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests, rows and targets sent to the device.
    pub bytes_uploaded: u64,
    /// Records and samples scheduled to come back.
    pub bytes_back: u64,
}

/// A buffer, unmapped.
pub(crate) fn buffer(
    device: &wgpu::Device,
    label: &str,
    size: u64,
    usage: wgpu::BufferUsages,
) -> wgpu::Buffer {
    device.create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// Buffers of one call in flight. A slot is reused when its records have been read.
#[derive(Debug)]
pub(crate) struct CallBuffers {
    /// Which call has them; every record repeats it.
    pub(crate) number: u32,
    /// What chunks are told, requests, rows.
    pub(crate) upload: wgpu::Buffer,
    /// What `upload` holds, so that only differences are sent.
    pub(crate) held: Vec<u8>,
    /// Records on the device.
    pub(crate) records: wgpu::Buffer,
    /// Records on the host, for a call whose records the host wants.
    pub(crate) staging: Option<wgpu::Buffer>,
}

/// Idle buffers, shared between the sampler and the calls in flight.
pub(crate) type Ring = Arc<Mutex<Vec<CallBuffers>>>;

/// The buffers of a sampler.
#[derive(Debug)]
pub(crate) struct Pool {
    device: wgpu::Device,
    queue: wgpu::Queue,
    ring: Ring,
    /// Between the passes of a chunk: the device runs one chunk after the other, so all calls share it.
    scratch: Mutex<Option<wgpu::Buffer>>,
    next_call: AtomicU32,
    bytes_uploaded: AtomicU64,
    bytes_back: AtomicU64,
}

impl Pool {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self {
            device: device.clone(),
            queue: queue.clone(),
            ring: Ring::default(),
            scratch: Mutex::default(),
            next_call: AtomicU32::new(1),
            bytes_uploaded: AtomicU64::new(0),
            bytes_back: AtomicU64::new(0),
        }
    }

    pub(crate) fn traffic(&self) -> Traffic {
        Traffic {
            bytes_uploaded: self.bytes_uploaded.load(Ordering::Relaxed),
            bytes_back: self.bytes_back.load(Ordering::Relaxed),
        }
    }

    /// Where the buffers of a call go back to.
    pub(crate) fn ring(&self) -> Ring {
        self.ring.clone()
    }

    pub(crate) fn count_back(&self, bytes: u64) {
        self.bytes_back.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Returns the buffers to the ring once the encoder's commands have run.
    pub(crate) fn give_back_when_done(&self, encoder: &wgpu::CommandEncoder, call: CallBuffers) {
        let ring = self.ring();
        encoder.on_submitted_work_done(move || lock(&ring).push(call));
    }

    /// Makes the upload buffer hold these bytes.
    pub(crate) fn send(&self, call: &mut CallBuffers, wanted: &[u8]) -> Result<()> {
        let changed = changes(&call.held, wanted);
        guarded(&self.device, "uploading the requests", || {
            for range in &changed {
                self.queue.write_buffer(&call.upload, range.start as u64, &wanted[range.clone()]);
            }
        })?;
        call.held.resize(call.held.len().max(wanted.len()), 0);
        call.held[..wanted.len()].copy_from_slice(wanted);
        let sent: usize = changed.iter().map(ExactSizeIterator::len).sum();
        self.bytes_uploaded.fetch_add(sent as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Buffers for one call: idle ones that fit, or new ones. Only records that the host wants need a staging buffer.
    pub(crate) fn call_buffers(&self, plan: &Plan, wants_staging: bool) -> Result<CallBuffers> {
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        {
            let mut idle = lock(&self.ring);
            let fits = |call: &CallBuffers| {
                call.staging.is_some() == wants_staging
                    && call.upload.size() >= plan.upload_bytes
                    && call.records.size() >= plan.records_bytes
            };
            if let Some(place) = idle.iter().position(fits) {
                return Ok(CallBuffers { number, ..idle.swap_remove(place) });
            }
            // What is too small now stays too small: let it go instead of keeping every size ever asked for.
            idle.retain(|call| call.staging.is_some() != wants_staging);
        }
        use wgpu::BufferUsages as Usage;
        let make = |label, bytes, usage| buffer(&self.device, label, bytes, usage);
        let uploaded = Usage::UNIFORM | Usage::STORAGE | Usage::COPY_DST;
        guarded(&self.device, "making the record buffers", || CallBuffers {
            number,
            held: Vec::new(),
            upload: make("sortilege upload", plan.upload_bytes, uploaded),
            records: make("sortilege records", plan.records_bytes, Usage::STORAGE | Usage::COPY_SRC),
            staging: wants_staging
                .then(|| make("sortilege staging", plan.records_bytes, Usage::MAP_READ | Usage::COPY_DST)),
        })
    }

    /// Tile statistics and delegates of the chunk that ran last.
    pub(crate) fn scratch(&self, plan: &Plan) -> Result<wgpu::Buffer> {
        let mut scratch = lock(&self.scratch);
        if let Some(buffer) = scratch.as_ref().filter(|buffer| buffer.size() >= plan.scratch_bytes) {
            return Ok(buffer.clone());
        }
        let made = guarded(&self.device, "making the scratch buffer", || {
            let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC;
            buffer(&self.device, "sortilege scratch", plan.scratch_bytes, usage)
        })?;
        *scratch = Some(made.clone());
        Ok(made)
    }
}

/// The ranges, whole words, in which `wanted` differs from what the buffer holds. Those nearer to each other than
/// `GAP` are one: a write costs more than the bytes.
fn changes(held: &[u8], wanted: &[u8]) -> Vec<std::ops::Range<usize>> {
    const GAP: usize = 128;
    let mut ranges: Vec<std::ops::Range<usize>> = Vec::new();
    for at in (0..wanted.len()).step_by(4) {
        if held.get(at..at + 4) == Some(&wanted[at..at + 4]) {
            continue;
        }
        match ranges.last_mut() {
            Some(last) if at < last.end + GAP => last.end = at + 4,
            _ => ranges.push(at..at + 4),
        }
    }
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_what_differs_and_little_more() {
        let held = vec![0u8; 1000];
        let with = |places: &[usize]| {
            let mut wanted = held.clone();
            places.iter().for_each(|&place| wanted[place] = 1);
            wanted
        };
        let changed = |held: &[u8], wanted: &[u8]| -> Vec<(usize, usize)> {
            changes(held, wanted).into_iter().map(|range| (range.start, range.end)).collect()
        };
        assert_eq!(changed(&held, &held), []);
        assert_eq!(changed(&[], &held[..8]), [(0, 8)], "nothing is held yet");
        assert_eq!(changed(&held, &with(&[5])), [(4, 8)], "whole words");
        assert_eq!(changed(&held, &with(&[0, 130])), [(0, 132)], "near ones are one");
        assert_eq!(changed(&held, &with(&[0, 132])), [(0, 4), (132, 136)], "far ones are two");
        assert_eq!(changed(&held[..500], &held[..504]), [(500, 504)], "past what is held");
        assert_eq!(changed(&held, &held[..500]), [], "what is held beyond stays");
    }
}
