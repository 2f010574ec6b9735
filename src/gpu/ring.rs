//! What calls in flight have of their own, and those that came back, to be used again.

use std::sync::{Arc, Mutex};

use super::guard::{guarded, lock};
use super::job::{Bindings, Kind};
use super::mapping::{self, when_told};
use super::upload::Upload;
use crate::answer::Decoding;
use crate::plan::Plan;

/// Calls after which something idle is let go, with the engine's buffers that it is bound to; more where more were idle at
/// once, after so many steps in flight.
const MAX_IDLE: usize = 64;
/// Calls after which something idle may serve another plan.
const LONG_IDLE: usize = 8;

/// What one call in flight has of its own. It goes back to the ring when its records have been read.
#[derive(Debug)]
pub(crate) struct Call {
    /// Which call of all samplers it is, since they may share histories; every record repeats it.
    pub(crate) number: u32,
    /// How many calls had been asked for when this one came back.
    pub(crate) idle_since: usize,
    pub(crate) device: wgpu::Device,
    pub(crate) kind: Kind,
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

/// Calls that came back.
#[derive(Debug, Default)]
pub(crate) struct Idle {
    calls: Vec<Call>,
    /// Calls that were asked for.
    asked: usize,
    /// The most that were idle at once.
    most: usize,
}

impl Idle {
    pub(crate) fn push(&mut self, call: Call) {
        self.calls.push(Call { idle_since: self.asked, ..call });
        self.most = self.most.max(self.calls.len());
    }

    #[cfg(test)]
    pub(super) fn idle(&self) -> usize {
        self.calls.len()
    }

    /// One that is bound to these buffers, or made for this plan, or of its kind and long idle. Old ones are let go.
    pub(crate) fn take(
        &mut self,
        kind: Kind,
        plan: &Arc<Plan>,
        is_bound: impl Fn(&Bindings) -> bool,
    ) -> Option<Call> {
        self.asked = self.asked.wrapping_add(1);
        let age = |call: &Call| self.asked.wrapping_sub(call.idle_since);
        self.calls.retain(|call| age(call) <= MAX_IDLE.max(self.most));
        let is_of_plan = |call: &Call| call.kind == kind && Arc::ptr_eq(&call.plan, plan);
        let is_same = |call: &Call| is_of_plan(call) && call.bindings.as_ref().is_some_and(&is_bound);
        let fits = |call: &Call| {
            call.kind == kind && call.records.size() >= plan.records_bytes && age(call) > LONG_IDLE
        };
        let place = self.calls.iter().position(is_same).or_else(|| self.calls.iter().position(is_of_plan));
        place.or_else(|| self.calls.iter().position(fits)).map(|place| self.calls.remove(place))
    }
}

/// The idle ones, shared between the sampler and the calls in flight.
pub(crate) type Ring = Arc<Mutex<Idle>>;

/// Lets what a call has be used again: now, or once its map's callback has come.
pub(crate) fn forget(call: Call, ring: &Ring) {
    let (shared, ring) = (call.mapping.clone(), ring.clone());
    when_told(&shared, move |is_mapped| {
        // Of what is not mapped nobody knows whether it will be: a panic in a callback of the engine's keeps ours from being
        // called. The device may be lost by now.
        let unmap = |staging: &wgpu::Buffer| {
            is_mapped && guarded(&call.device, "letting the records go", || staging.unmap()).is_ok()
        };
        if call.staging.as_ref().is_none_or(unmap) {
            lock(&ring).push(call);
        }
    });
}
