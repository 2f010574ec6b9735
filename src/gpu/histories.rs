//! Histories of requests on the device, so that requests whose tokens change logits run ahead of the host as all others do.
//!
//! A slot per request holds its tokens; nobody but the device writes it. A row that runs ahead tells `row_history`, one more
//! dispatch before pass 1, what the host knows: parameters, and how many tokens its kept changes have seen. The kernel takes in
//! the record of the step before, which a copy at the end of that step has left in the slot, and makes of the tokens that the
//! host has not seen what `Row::ahead` makes of them: a table of changes of this step, and Mirostat's limit. It writes into a copy of the upload,
//! `work`, which all calls share as they share the scratch: the device runs one after the other, and what the host takes for
//! held stays what it sent. A whole history travels once, when a request enters. Each step names the call that drew the token
//! before it; where the slot has another's, because an encoder was dropped or submitted out of turn, the row is lost.

use std::sync::{Arc, Mutex};

use super::guard::lock;
use super::slots::{Slots, new_run};
use super::waiter::Waiter;
use crate::answer::words::{draw, sample};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::request::ahead::{Run, slot};
use crate::request::{Inputs, Row};

/// Room on the device for the tokens of requests, made by [`Sampler::histories`](crate::Sampler::histories). Given with every step as
/// [`SampleBuffers::histories`](crate::SampleBuffers::histories), it lets requests with penalties, DRY, bad words or Mirostat
/// run ahead of [`Request::accept`](crate::Request::accept) too: the first step of such a request sends its tokens, and each later
/// one takes in what the step before drew. Of several draws of a row that is the first, as for `accept`.
///
/// A request that only has stop tokens takes a slot too, if one is free or another such request has it: the device knows when
/// it has finished, and its later rows draw nothing, from the very step on in which they would not if every token were waited
/// for ([`Sample::finish_reason`](crate::Sample::finish_reason)). Their workgroups leave at once. Without a slot, or after
/// another has taken it, such a request is drawn from behind its end too, until the host has accepted what ends it; `accept`
/// leaves those tokens out.
///
/// The host may accept late, or never. What a request draws is the same bits as if every token were waited for. Steps are to be
/// submitted in the order in which they were recorded; where one was not, those after it have the status
/// [`LostHistory`](crate::Status::LostHistory), and no other request knows of it. A request that was cloned, got other parameters, or was told a token
/// that was not drawn ([`Request::accept_token`](crate::Request::accept_token)) enters anew, for which the host must know all its tokens.
///
/// Where there is no place for one more, another request leaves: one that was dropped or has finished, else one whose tokens
/// the host has all accepted, which enters again when it is its turn, else one that only has stop tokens, and at last one that
/// runs ahead, whose next row is then an error; of several the one that was not drawn from for the longest. Ask for as many
/// places as rows are drawn at once, and for as many more as wait between two steps with tokens that are not accepted. A call
/// that fails takes nobody's place.
///
/// # Example
/// ```
/// use sortilege::{Dtype, GpuLogits, Request, SampleBuffers, SamplingParams, wgpu};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gpu = sortilege::device::Gpu::any()?;
/// let (device, sampler) = (gpu.device(), gpu.sampler());
/// # let usage = wgpu::BufferUsages::STORAGE;
/// # let logits = device.create_buffer(&wgpu::BufferDescriptor { label: None, size: 16, usage, mapped_at_creation: false });
/// let request = Request::new(SamplingParams { temperature: 0.0, presence_penalty: 1.0, ..SamplingParams::default() })?;
/// let histories = sampler.histories(8, 4096)?; // eight requests of up to 4096 tokens
/// let buffers = SampleBuffers { histories: Some(&histories), ..SampleBuffers::default() };
/// let batch = GpuLogits::packed(&logits, Dtype::F32, 1, 4); // all four are 0
/// let mut steps = Vec::new();
/// for position in 0..4 {
///     let mut encoder = device.create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
///     steps.push(sampler.sample(&mut encoder, &batch, &[request.row(position)], &buffers)?);
///     gpu.queue().submit([encoder.finish()]);
/// }
/// let tokens: Vec<u32> = steps.into_iter().map(|step| Ok(step.wait()?[0].draws[0].token)).collect::<sortilege::Result<_>>()?;
/// assert_eq!(tokens, [0, 1, 2, 3], "each one that was drawn loses against those that were not");
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Histories {
    pub(super) buffer: wgpu::Buffer,
    /// Of the samplers that may use it.
    waiter: Arc<Waiter>,
    tokens: usize,
    slots: Mutex<Slots>,
}

/// Tokens before a row, and whether something looks at all of them; else only the last one may end the request.
#[derive(Clone, Copy)]
struct Before {
    length: u64,
    looks_back: bool,
}

impl Before {
    /// If something looks at them that a device can look after: a draft's are known on the host, and so is a request that
    /// has finished.
    fn of(row: &Row<'_>) -> Option<Self> {
        let request = row.request;
        let ahead = row.position.checked_sub(request.next_position())?;
        let looks_back = request.looks_back().is_some();
        let is_looked_at = looks_back || !request.params().stop_token_ids.is_empty();
        let is_known = row.is_verified() || !row.ahead.is_empty() || row.detached;
        let is_plain = !is_known && row.certain_finish().is_none();
        let length = (request.tokens().len() as u64).saturating_add(ahead);
        (is_plain && is_looked_at).then_some(Self { length, looks_back })
    }
}

impl Histories {
    /// In a buffer that has room for them.
    pub(super) fn new(buffer: wgpu::Buffer, waiter: Arc<Waiter>, requests: usize, tokens: usize) -> Self {
        Self { buffer, waiter, tokens, slots: Mutex::new(Slots::new(requests)) }
    }

    /// Nothing, if this sampler made them, or one that shares its device. wgpu would take a buffer of another device for one of
    /// the engine's, where both have the same number.
    pub(super) fn check_owner(&self, waiter: &Arc<Waiter>) -> Result<()> {
        if Arc::ptr_eq(&self.waiter, waiter) {
            return Ok(());
        }
        Err(Error::Params("these histories are another sampler's: make them with this one".to_owned()))
    }

    /// Finds the slots of the rows that run ahead, or that may do so from here on. Gives the number of the call, which is to
    /// [end](Self::end).
    pub(super) fn enter(&self, rows: &[Row<'_>], runs: &mut Vec<Option<Run>>) -> Result<u64> {
        let mut slots = lock(&self.slots);
        let call = slots.begin();
        let entered = self.enter_all(&mut slots, rows, runs);
        if entered.is_err() {
            slots.end(call, false);
        }
        entered.map(|()| call)
    }

    /// A call that entered is recorded; or it failed, and the slots are as they were.
    pub(super) fn end(&self, call: u64, is_recorded: bool) {
        lock(&self.slots).end(call, is_recorded);
    }

    fn enter_all(&self, slots: &mut Slots, rows: &[Row<'_>], runs: &mut Vec<Option<Run>>) -> Result<()> {
        runs.clear();
        for row in rows {
            let fits = |before: &Before| !before.looks_back || before.length <= self.tokens as u64;
            runs.push(match Before::of(row).filter(fits) {
                Some(before) => slots.go_on(row.request.identity(), before.length, self.tokens),
                None => None,
            });
        }
        // First those that cannot do without.
        for needs_slot in [true, false] {
            for (number, (row, run)) in rows.iter().zip(runs.iter_mut()).enumerate() {
                match Before::of(row) {
                    Some(before) if before.looks_back == needs_slot => {
                        self.enter_one(slots, number, row, before, run)
                            .map_err(|error| error.of_row(number))?;
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Finds a slot for a row that begins, where there is one.
    fn enter_one(
        &self,
        slots: &mut Slots,
        number: usize,
        row: &Row<'_>,
        Before { length, looks_back }: Before,
        run: &mut Option<Run>,
    ) -> Result<()> {
        if looks_back && length > self.tokens as u64 {
            return Err(Error::Limit(format!(
                "row {number} has {length} tokens before it, the histories hold {}: make them larger",
                self.tokens
            )));
        }
        if run.is_some() || row.finish().is_some() {
            return Ok(());
        }
        let known = row.request.next_position();
        if row.position != known {
            let Some(what) = row.request.looks_back() else { return Ok(()) };
            return Err(Error::Params(format!(
                "row {number} draws token {0}, and with {what} needs all {0} before it, of which {known} are known, and the \
                 histories cannot tell the others: {1}; accept the others first",
                row.position,
                slots.why_not(row.request.identity(), length)
            )));
        }
        match slots.take(row.request.identity(), looks_back) {
            Some(slot) => *run = slot.map(|(slot, entry)| new_run(slot, length, None, entry, self.tokens)),
            None if looks_back => {
                return Err(Error::Limit(format!(
                    "row {number} finds no place in the histories, which hold {} requests: make them larger, or lower `rows`",
                    slots.len()
                )));
            }
            // Drawn behind its end too, which `accept` leaves out.
            None => {}
        }
        Ok(())
    }

    /// Leaves the records of the rows of a call that run ahead in their slots, for the step after this one.
    pub(super) fn keep(
        &self,
        encoder: &mut wgpu::CommandEncoder,
        inputs: &Inputs<'_>,
        plan: &Plan,
        (call, records): (u32, &wgpu::Buffer),
    ) {
        const KEPT_WORDS: usize = sample::HEADER_WORDS + draw::WORDS;
        let mut slots = lock(&self.slots);
        let demand = &plan.demand;
        for chunk in &plan.chunks {
            for row in 0..chunk.rows {
                let number = chunk.first_row + row;
                let Some(run) = inputs.run(number) else { continue };
                let record = chunk.rows * demand.token_words() + row * demand.record_words();
                let from = chunk.records_offset + 4 * record as u64;
                let to = 4 * (u64::from(run.first_word()) + slot::RECORD as u64);
                encoder.copy_buffer_to_buffer(records, from, &self.buffer, to, 4 * KEPT_WORDS as u64);
                slots.keep(inputs.rows()[number].request.identity().number(), run, call);
            }
        }
    }
}
