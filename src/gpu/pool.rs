//! What calls share: plans, the buffers and bindings of each call in flight, scratch of all of them; and the bytes that go
//! through them. A call that asks for what an earlier one asked for, of the same buffers, finds all of it made.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::buffers::buffer;
use super::guard::{guarded, lock, made};
use super::job::{Bindings, Kind};
use super::mapping::{self, when_told};
use super::room::Room;
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

/// What one call in flight has of its own. It goes back to the ring when its records have been read.
#[derive(Debug)]
pub(crate) struct Call {
    /// Which call it is; every record repeats it.
    pub(crate) number: u32,
    pub(crate) device: wgpu::Device,
    kind: Kind,
    pub(crate) plan: Arc<Plan>,
    /// What chunks are told, requests, rows.
    pub(crate) upload: Upload,
    /// Records on the device.
    pub(crate) records: wgpu::Buffer,
    /// Records on the host, for a call whose records the host wants.
    pub(crate) staging: Option<wgpu::Buffer>,
    /// The passes over the buffers of the last call of this plan.
    pub(crate) bindings: Option<Bindings>,
    pub(crate) decoding: Decoding,
    pub(crate) mapping: mapping::Shared,
}

/// Idle ones, shared between the sampler and the calls in flight.
pub(crate) type Ring = Arc<Mutex<Vec<Call>>>;

/// Lets what a call has be used again: now, or once its map's callback has come.
pub(crate) fn forget(call: Call, ring: &Ring) {
    let (shared, ring) = (call.mapping.clone(), ring.clone());
    when_told(&shared, move |is_mapped| {
        if let Some(staging) = call.staging.as_ref().filter(|_| is_mapped)
            // The device may be lost by now.
            && guarded(&call.device, "letting the records go", || staging.unmap()).is_err()
        {
            return;
        }
        lock(&ring).push(call);
    });
}

/// Calls after which something idle is let go, with the engine's buffers that it is bound to.
const MAX_IDLE: u32 = 64;
/// Calls after which something idle may serve another plan.
const LONG_IDLE: u32 = 8;
/// Plans that are remembered.
const MAX_PLANS: usize = 16;

/// The buffers of a sampler.
#[derive(Debug)]
pub(crate) struct Pool {
    device: wgpu::Device,
    queue: wgpu::Queue,
    ring: Ring,
    /// The one used last comes last.
    plans: Mutex<Vec<Arc<Plan>>>,
    /// Room for the changes of a step.
    steps: Mutex<Steps>,
    /// Between the passes of a chunk: the device runs one chunk after the other, so all calls share it.
    scratch: Mutex<Option<wgpu::Buffer>>,
    /// Results on their way to a buffer that one dispatch cannot bind beside the logits; for all calls too.
    results: Mutex<[Option<wgpu::Buffer>; 2]>,
    /// Buffers that took tokens last: they are of this device.
    takes_tokens: Mutex<Vec<wgpu::Buffer>>,
    /// The copy of an upload that the device writes, for rows that run ahead: all calls share it too.
    work: Mutex<Option<wgpu::Buffer>>,
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
            plans: Mutex::default(),
            steps: Mutex::default(),
            scratch: Mutex::default(),
            results: Mutex::default(),
            takes_tokens: Mutex::default(),
            work: Mutex::default(),
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
    pub(crate) fn ring(&self) -> &Ring {
        &self.ring
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

    /// Lets go of everything idle.
    pub(crate) fn trim(&self) {
        lock(&self.ring).clear();
        lock(&self.plans).clear();
        *lock(&self.scratch) = None;
        *lock(&self.results) = [None, None];
        lock(&self.takes_tokens).clear();
        *lock(&self.work) = None;
    }

    /// Returns a call to the ring once the encoder's commands have run.
    pub(crate) fn give_back_when_done(&self, encoder: &wgpu::CommandEncoder, call: Call) {
        let ring = self.ring.clone();
        encoder.on_submitted_work_done(move || lock(&ring).push(call));
    }

    /// Sends what is to be uploaded and is not held yet.
    pub(crate) fn send(&self, upload: &mut Upload) -> Result<()> {
        let sent = upload.send(&self.device, &self.queue)?;
        self.bytes_uploaded.fetch_add(sent, Ordering::Relaxed);
        Ok(())
    }

    /// The plan of a call, without the lists of its rows, which lie in these spans if they begin anywhere.
    pub(crate) fn plan(
        &self,
        shape: &Shape,
        spans: impl Iterator<Item = Span> + Clone,
        demand: Demand,
        limits: &DeviceLimits,
    ) -> Result<Arc<Plan>> {
        let demand = Demand { lists: 0, ..demand };
        let mut plans = lock(&self.plans);
        let is_same = |plan: &Arc<Plan>| {
            plan.shape == *shape && plan.demand == demand && plan.spans.iter().copied().eq(spans.clone())
        };
        if let Some(place) = plans.iter().rposition(is_same) {
            plans[place..].rotate_left(1);
            return Ok(plans[plans.len() - 1].clone());
        }
        let plan = Arc::new(Plan::of_spans(shape, spans.collect(), demand, limits)?);
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
        let number = self.next_call.fetch_add(1, Ordering::Relaxed);
        let idle = {
            let mut idle = lock(&self.ring);
            let age = |call: &Call| number.wrapping_sub(call.number);
            idle.retain(|call| age(call) <= MAX_IDLE);
            let is_of_plan = |call: &Call| call.kind == kind && Arc::ptr_eq(&call.plan, plan);
            let is_same = |call: &Call| is_of_plan(call) && call.bindings.as_ref().is_some_and(&is_bound);
            let fits = |call: &Call| {
                call.kind == kind && call.records.size() >= plan.records_bytes && age(call) > LONG_IDLE
            };
            let place = idle.iter().position(is_same).or_else(|| idle.iter().position(is_of_plan));
            place.or_else(|| idle.iter().position(fits)).map(|place| idle.remove(place))
        };
        let mut call = match idle {
            Some(call) => call,
            None => self.new_call(kind, plan, room)?,
        };
        call.number = number;
        if !call.upload.room.holds(room) {
            call.upload = Upload::new(&self.device, call.upload.room.and(room))?;
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
        let upload = Upload::new(&self.device, *room)?;
        let (records, staging) = made(&self.device, "making the record buffers", || {
            let records = make("sortilege records", Usage::STORAGE | Usage::COPY_SRC);
            let wants_staging = !matches!(kind, Kind::Operation(_) | Kind::Tokens);
            (records, wants_staging.then(|| make("sortilege staging", Usage::MAP_READ | Usage::COPY_DST)))
        })?;
        Ok(Call {
            number: 0,
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
        let limits = self.device.limits();
        let most = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let bytes = (room.bytes() + quads as u64 * ROW_BYTES).max(1 << 16).checked_next_power_of_two();
        let Some(bytes) = bytes.filter(|&bytes| bytes <= most) else {
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
    pub(crate) fn check_tokens(&self, records: &wgpu::Buffer, tokens: &wgpu::Buffer) -> Result<()> {
        const REMEMBERED: usize = 4;
        let mut known = lock(&self.takes_tokens);
        if known.contains(tokens) {
            return Ok(());
        }
        guarded(&self.device, "copying the tokens to the engine's buffer", || {
            let mut encoder = self.device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(records, 0, tokens, 0, 4);
            encoder.finish()
        })?;
        if known.len() == REMEMBERED {
            known.remove(0);
        }
        known.push(tokens.clone());
        Ok(())
    }
}
