//! Histories of requests on the device, so that requests whose tokens change logits run ahead of the host as all others do.
//!
//! A slot per request holds its tokens; nobody but the device writes it. A row that runs ahead tells `row_history`, one more
//! dispatch before pass 1, what the host knows: parameters, and how many tokens its kept changes have seen. The kernel takes in
//! the record of the step before, which a copy at the end of that step has left in the slot, and makes of the tokens that the
//! host has not seen what `Row::ahead` makes of them: a table of changes of this step, and Mirostat's limit. It writes into a copy of the upload,
//! `work`, which all calls share as they share the scratch: the device runs one after the other, and what the host takes for
//! held stays what it sent. A whole history travels once, when a request enters. Each step names the call that drew the token
//! before it; where the slot has another's, because an encoder was dropped or submitted out of turn, the row is lost.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, Weak};

use super::guard::lock;
use super::waiter::Waiter;
use crate::answer::words::{draw, sample};
use crate::error::{Error, Result};
use crate::plan::Plan;
use crate::request::ahead::{Run, slot};
use crate::request::{Identity, Inputs, Life, Row};

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

/// Who has which slot.
#[derive(Debug)]
struct Slots {
    list: Vec<Slot>,
    /// By the number of a request.
    by_owner: HashMap<u64, usize>,
    calls: u64,
    /// Slots as they were before calls that are not recorded yet: call, number, slot.
    begun: Vec<(u64, usize, Slot)>,
}

#[derive(Clone, Debug, Default)]
struct Slot {
    /// Number of the request; 0 of none.
    owner: u64,
    /// Its turns: after another one its tokens are no longer those of the slot.
    turns: u32,
    life: Weak<Life>,
    /// Tokens before the row that was drawn last, and the call that drew it.
    length: u64,
    call: u32,
    /// When it was used last.
    used: u64,
    /// Whether it is needed: it holds tokens that change logits, not only what may end the request.
    looks_back: bool,
}

/// What is lost if a slot goes to another request; the least first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Loss {
    /// Nobody's, or of a request that is dropped or has finished.
    Nothing,
    /// What the host has accepted: the request enters again.
    Known,
    /// The end of a request that runs ahead.
    End,
    /// A request that runs ahead.
    History,
}

impl Slot {
    fn loss(&self) -> Loss {
        match self.life.upgrade() {
            None => Loss::Nothing,
            Some(life) if life.has_finished() => Loss::Nothing,
            Some(life) if life.tokens() as u64 > self.length => Loss::Known,
            Some(_) if self.looks_back => Loss::History,
            Some(_) => Loss::End,
        }
    }
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
        let list = vec![Slot::default(); requests];
        let slots = Slots { list, by_owner: HashMap::new(), calls: 0, begun: Vec::new() };
        Self { buffer, waiter, tokens, slots: Mutex::new(slots) }
    }

    /// Nothing, if this sampler made them, or one that shares its device. wgpu would take a buffer of another device for one of
    /// the engine's, where both have the same number.
    pub(super) fn check_owner(&self, waiter: &Arc<Waiter>) -> Result<()> {
        if Arc::ptr_eq(&self.waiter, waiter) {
            return Ok(());
        }
        Err(Error::Params(
            "the histories were made by a sampler of its own: make them with this one, or this one from that with `Sampler::with`"
                .to_owned(),
        ))
    }

    /// Finds the slots of the rows that run ahead, or that may do so from here on. Gives the number of the call, which is to
    /// [end](Self::end).
    pub(super) fn enter(&self, rows: &[Row<'_>], runs: &mut Vec<Option<Run>>) -> Result<u64> {
        let mut slots = lock(&self.slots);
        slots.calls += 1;
        let call = slots.calls;
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
            Some(slot) => *run = slot.map(|slot| new_run(slot, length, None, self.tokens)),
            None if looks_back => {
                return Err(Error::Limit(format!(
                    "row {number} finds no place in the histories, which hold {} requests: make them larger, or lower `rows`",
                    slots.list.len()
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

impl Slots {
    /// The run of a request whose last token is the one that its slot waits for.
    fn go_on(&mut self, request: &Identity, length: u64, capacity: usize) -> Option<Run> {
        let number = *self.by_owner.get(&request.number())?;
        let slot = &mut self.list[number];
        if slot.turns != request.turns() || slot.used == self.calls || slot.length + 1 != length {
            return None;
        }
        self.begun.push((self.calls, number, slot.clone()));
        slot.used = self.calls;
        Some(new_run(number, length, Some(slot.call), capacity))
    }

    /// Why a request has no run.
    fn why_not(&self, request: &Identity, length: u64) -> String {
        let Some(&number) = self.by_owner.get(&request.number()) else {
            return format!(
                "it has not entered, or another request has its place ({} places, see `Histories`)",
                self.list.len()
            );
        };
        let slot = &self.list[number];
        if slot.turns != request.turns() {
            "its tokens or parameters have changed since, other than by samples of rows in turn".to_owned()
        } else if slot.used == self.calls {
            "a row before it is of the same request, and takes part in the same call".to_owned()
        } else {
            let before = length - slot.length.saturating_add(1).min(length);
            format!("{before} steps before it were not recorded with them")
        }
    }

    /// A slot for a request that enters: its own, or the one whose loss is the least, and of several the one that was not used
    /// for the longest. One that only wants to know when it ends takes none that is needed. The inner `None` for the second row
    /// of a request in one call.
    fn take(&mut self, request: &Identity, looks_back: bool) -> Option<Option<usize>> {
        let own = self.by_owner.get(&request.number()).copied();
        if own.is_some_and(|number| self.list[number].used == self.calls) {
            return Some(None);
        }
        let may_be_taken = |slot: &Slot, loss: Loss| {
            slot.used != self.calls && (looks_back || loss == Loss::Nothing || !slot.looks_back)
        };
        let all = self.list.iter().enumerate().map(|(number, slot)| (number, slot, slot.loss()));
        let idle = all.filter(|(_, slot, loss)| may_be_taken(slot, *loss));
        let least = idle.min_by_key(|(_, slot, loss)| (*loss, slot.used)).map(|(number, ..)| number);
        let number = own.or(least)?;
        self.begun.push((self.calls, number, self.list[number].clone()));
        self.by_owner.remove(&self.list[number].owner);
        self.by_owner.insert(request.number(), number);
        self.list[number] = Slot {
            owner: request.number(),
            turns: request.turns(),
            life: request.watch(),
            // Nobody goes on from here before the call is recorded.
            length: u64::MAX - 1,
            call: 0,
            used: self.calls,
            looks_back,
        };
        Some(Some(number))
    }

    /// A call that failed takes back what no other call has changed since; the last change first, as a request may have lost
    /// one slot and taken another.
    fn end(&mut self, call: u64, is_recorded: bool) {
        while let Some(place) = self.begun.iter().rposition(|(other, ..)| *other == call) {
            let (_, number, before) = self.begun.remove(place);
            if !is_recorded && self.list[number].used == call {
                self.take_back(number, before);
            }
        }
    }

    fn take_back(&mut self, number: usize, before: Slot) {
        let [taken, owner] = [self.list[number].owner, before.owner];
        self.list[number] = before;
        if taken == owner {
            return;
        }
        self.by_owner.remove(&taken);
        if owner != 0 && *self.by_owner.entry(owner).or_insert(number) != number {
            self.list[number] = Slot::default(); // meanwhile it has another
        }
    }

    fn keep(&mut self, owner: u64, run: &Run, call: u32) {
        let slot = &mut self.list[run.slot as usize];
        if slot.owner == owner {
            (slot.length, slot.call) = (run.length.into(), call);
        }
    }
}

fn new_run(slot: usize, length: u64, call: Option<u32>, capacity: usize) -> Run {
    #[expect(clippy::cast_possible_truncation, reason = "within a buffer of words that 32 bits count")]
    let [slot, length, capacity] = [slot as u32, length as u32, capacity as u32];
    Run { slot, capacity, length, call }
}
