//! What calls share: plans, the buffers and bindings of each call in flight, scratch of all of them; and the bytes that go
//! through them. A call that asks for what an earlier one asked for, of the same buffers, finds all of it made.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::buffers::buffer;
use super::guard::{guarded, lock, made};
use super::job::{Bindings, Kind};
use super::mapping;
use super::ring::{Call, Ring};
use super::room::{Room, most_bytes, rounded_up_within};
use super::upload::Upload;
use crate::answer::Decoding;
use crate::error::{Error, Result};
use crate::logits::Shape;
use crate::plan::{Demand, DeviceLimits, Plan, ROW_BYTES, Span};
use crate::request::Steps;

/// Bytes that a sampler has moved so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Requests, rows and targets sent to the device.
    pub bytes_uploaded: u64,
    /// Records and samples scheduled to come back.
    pub bytes_back: u64,
}

/// Plans that are remembered.
const MAX_PLANS: usize = 16;
/// Buffers of the engine's that are remembered.
const MAX_TARGETS: usize = 4;

/// The buffers of a sampler.
#[derive(Debug)]
pub(crate) struct Pool {
    device: wgpu::Device,
    queue: wgpu::Queue,
    /// A call in flight goes back to the ring that it came from.
    ring: Mutex<Ring>,
    /// The one used last comes last.
    plans: Mutex<Vec<Arc<Plan>>>,
    /// Room for the changes of a step.
    steps: Mutex<Steps>,
    /// Between the passes of a chunk: the device runs one chunk after the other, so all calls share it.
    scratch: Mutex<Option<wgpu::Buffer>>,
    /// Results on their way to a buffer that one dispatch cannot bind beside the logits; for all calls too.
    results: Mutex<[Option<wgpu::Buffer>; 2]>,
    /// The engine's buffers that were copied to last: they are of this device.
    targets: Mutex<Vec<wgpu::Buffer>>,
    /// The copy of an upload that the device writes, for rows that run ahead: all calls share it too.
    work: Mutex<Option<wgpu::Buffer>>,
    bytes_uploaded: AtomicU64,
    bytes_back: AtomicU64,
}

impl Pool {
    pub(crate) fn new(device: &wgpu::Device, queue: &wgpu::Queue) -> Self {
        Self {
            device: device.clone(),
            queue: queue.clone(),
            ring: Mutex::default(),
            plans: Mutex::default(),
            steps: Mutex::default(),
            scratch: Mutex::default(),
            results: Mutex::default(),
            targets: Mutex::default(),
            work: Mutex::default(),
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

    /// Where the buffers of a call that is made now go back to.
    pub(crate) fn ring(&self) -> Ring {
        lock(&self.ring).clone()
    }

    pub(crate) fn count_back(&self, bytes: u64) {
        self.bytes_back.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Room for the changes of a step; to be given back.
    pub(crate) fn take_steps(&self) -> Steps {
        std::mem::take(&mut lock(&self.steps))
    }

    pub(crate) fn give_back_steps(&self, steps: Steps) {
        *lock(&self.steps) = steps;
    }

    /// Lets go of everything idle, and of what is in flight when it comes back.
    pub(crate) fn trim(&self) {
        *lock(&self.ring) = Ring::default();
        lock(&self.plans).clear();
        *lock(&self.scratch) = None;
        *lock(&self.results) = [None, None];
        lock(&self.targets).clear();
        *lock(&self.work) = None;
    }

    /// Returns a call to the ring once the encoder's commands have run.
    pub(crate) fn give_back_when_done(&self, encoder: &wgpu::CommandEncoder, call: Call) {
        let ring = self.ring();
        encoder.on_submitted_work_done(move || lock(&ring).push(call));
    }

    /// Sends what is to be uploaded and is not held yet.
    pub(crate) fn send(&self, upload: &mut Upload) -> Result<()> {
        let sent = upload.send(&self.device, &self.queue)?;
        self.bytes_uploaded.fetch_add(sent, Ordering::Relaxed);
        Ok(())
    }

    /// The plan of a call, without the lists of its rows, which lie in these spans if they begin anywhere. Each of its chunks
    /// begins where one may; of a plan that is found again there may be more than it takes.
    pub(crate) fn plan(
        &self,
        shape: &Shape,
        spans: impl Iterator<Item = Span> + Clone,
        demand: Demand,
        may_begin: impl Fn(usize) -> bool,
        limits: &DeviceLimits,
    ) -> Result<Arc<Plan>> {
        let demand = Demand { lists: 0, ..demand };
        let mut plans = lock(&self.plans);
        let is_same = |plan: &Arc<Plan>| {
            plan.shape == *shape
                && plan.demand == demand
                && plan.spans.iter().copied().eq(spans.clone())
                && plan.chunks.iter().all(|chunk| may_begin(chunk.first_row))
        };
        if let Some(place) = plans.iter().rposition(is_same) {
            plans[place..].rotate_left(1);
            return Ok(plans[plans.len() - 1].clone());
        }
        let plan = Arc::new(Plan::of_spans(shape, spans.collect(), demand, may_begin, limits)?);
        if plans.len() >= MAX_PLANS {
            plans.remove(0);
        }
        plans.push(plan.clone());
        Ok(plan)
    }

    /// What one call has of its own: idle and bound to these buffers, or made for this plan, or of its kind and long idle,
    /// or new. Only records that the host wants need a staging buffer.
    pub(crate) fn call(
        &self,
        kind: Kind,
        plan: &Arc<Plan>,
        room: &Room,
        is_bound: impl Fn(&Bindings) -> bool,
    ) -> Result<Call> {
        static NEXT: AtomicU32 = AtomicU32::new(1);
        let idle = lock(&self.ring()).take(kind, plan, is_bound);
        let mut call = match idle {
            Some(call) => call,
            None => self.new_call(kind, plan, room)?,
        };
        call.number = NEXT.fetch_add(1, Ordering::Relaxed);
        if !call.upload.room.holds(room) {
            call.upload = Upload::new(&self.device, *room, Some(&call.upload.room))?;
            call.bindings = None;
        }
        if !Arc::ptr_eq(&call.plan, plan) {
            call.plan = plan.clone();
            call.bindings = None;
        }
        Ok(call)
    }

    fn new_call(&self, kind: Kind, plan: &Arc<Plan>, room: &Room) -> Result<Call> {
        use wgpu::BufferUsages as Usage;
        let make = |label, usage| buffer(&self.device, label, plan.records_bytes, usage);
        let upload = Upload::new(&self.device, *room, None)?;
        let (records, staging) = made(&self.device, "making the record buffers", || {
            let records = make("sortilege records", Usage::STORAGE | Usage::COPY_SRC);
            let wants_staging = !matches!(kind, Kind::Operation(_) | Kind::Tokens);
            (records, wants_staging.then(|| make("sortilege staging", Usage::MAP_READ | Usage::COPY_DST)))
        })?;
        Ok(Call {
            number: 0,
            idle_since: 0,
            device: self.device.clone(),
            kind,
            plan: plan.clone(),
            upload,
            records,
            staging,
            bindings: None,
            decoding: Decoding::default(),
            mapping: mapping::Shared::default(),
        })
    }

    /// Tile statistics and delegates of the chunk that ran last.
    pub(crate) fn scratch(&self, plan: &Plan) -> Result<wgpu::Buffer> {
        self.shared(&mut lock(&self.scratch), "making the scratch buffer", plan.scratch_bytes)
    }

    /// Room for so many bytes of the first or the second result of an operation.
    pub(crate) fn result(&self, number: usize, bytes: u64) -> Result<wgpu::Buffer> {
        self.shared(&mut lock(&self.results)[number], "making room for the results", bytes)
    }

    /// Room for a copy of an upload with so many quads of tables behind it.
    pub(crate) fn work(&self, room: &Room, quads: usize) -> Result<wgpu::Buffer> {
        let most = most_bytes(&self.device);
        let bytes = (room.bytes() + quads as u64 * ROW_BYTES).max(1 << 16);
        let Some(bytes) = rounded_up_within(bytes, most) else {
            return Err(Error::Limit(format!(
                "the changes of rows that run ahead need {quads} quads beside the {} bytes of the requests, the device binds {most} \
                 bytes: lower `rows`, or accept tokens sooner",
                room.bytes()
            )));
        };
        self.shared(&mut lock(&self.work), "making room for the changes", bytes)
    }

    /// A buffer that all calls share, made anew where it is too small.
    fn shared(
        &self,
        kept: &mut Option<wgpu::Buffer>,
        doing: &'static str,
        bytes: u64,
    ) -> Result<wgpu::Buffer> {
        if let Some(buffer) = kept.as_ref().filter(|buffer| buffer.size() >= bytes) {
            return Ok(buffer.clone());
        }
        let made = made(&self.device, doing, || {
            let usage =
                wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
            buffer(&self.device, "sortilege scratch", bytes, usage)
        })?;
        *kept = Some(made.clone());
        Ok(made)
    }

    /// Nothing, if this device copies to this buffer. wgpu says so when an encoder is finished, and the engine's would
    /// panic: one of our own is tried first, once for a buffer.
    pub(crate) fn check_target(&self, ours: &wgpu::Buffer, target: &wgpu::Buffer) -> Result<()> {
        let mut known = lock(&self.targets);
        if known.contains(target) {
            return Ok(());
        }
        guarded(&self.device, "copying to the engine's buffer", || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(ours, 0, target, 0, 4);
            encoder.finish()
        })?;
        if known.len() == MAX_TARGETS {
            known.remove(0);
        }
        known.push(target.clone());
        Ok(())
    }
}

#[cfg(all(test, feature = "device"))]
mod tests {
    use crate::gpu::{Gpu, GpuLogits};
    use crate::logits::Dtype;
    use crate::params::LogprobsParams;

    /// More of them than an idle call may be old.
    #[test]
    fn a_hundred_steps_in_flight_find_their_buffers_again() {
        let gpu = Gpu::any().expect("an adapter");
        let source = gpu.upload(&[0; 64]).expect("uploaded");
        let batch = GpuLogits::packed(&source, Dtype::F32, 1, 16);
        let fly = || {
            let step = |_| {
                gpu.submit(|encoder| gpu.sampler().logprobs(encoder, &batch, &LogprobsParams::default(), &[]))
            };
            let flight: Vec<_> = (0..100).map(step).collect::<Result<_, _>>().expect("recorded");
            flight.into_iter().for_each(|pending| assert_eq!(pending.wait().map(|rows| rows.len()), Ok(1)));
            gpu.sampler().traffic().bytes_uploaded
        };
        let before = fly();
        assert_eq!(fly() - before, 400, "a number each");
    }

    #[test]
    fn what_was_in_flight_when_all_was_let_go_is_not_used_again() {
        let gpu = Gpu::any().expect("an adapter");
        let source = gpu.upload(bytemuck::cast_slice(&[1.0f32, 2.0, 3.0])).expect("uploaded");
        let logits = GpuLogits::packed(&source, Dtype::F32, 1, 3);
        let sampler = gpu.sampler();
        let step = || {
            let submitted =
                gpu.submit(|encoder| sampler.logprobs(encoder, &logits, &LogprobsParams::default(), &[]));
            submitted.expect("recorded")
        };
        let idle = || sampler.pool.ring().lock().expect("no panic").idle();
        let first = step().wait().expect("records");
        let before = idle();
        let in_flight = step();
        assert_eq!(idle(), before - 1, "one is used again");
        sampler.trim();
        assert_eq!(in_flight.wait().expect("records"), first);
        assert_eq!(idle(), 0);
        assert_eq!(step().wait().expect("records"), first);
        assert_eq!(idle(), 1);
        sampler.trim();
        assert_eq!(idle(), 0);
    }
}
