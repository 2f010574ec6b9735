//! Times of a workload on a device: by its own clock and by the host's, one call at a time and several in flight.

use std::collections::{BTreeMap, VecDeque};
use std::time::Instant;

use sortilege::Timing;

use super::commands::{encoder, flush};
use super::device::{LoadedLogits, copies_to_read};
use super::job::Job;
use crate::bench::cell::Cell;
use crate::bench::task::Workload;
use crate::bench::times::{median, microseconds, microseconds_between, p95};
use crate::failure::Result;

/// Calls in flight in the ring.
const RING: usize = 4;

/// The measurements of a workload in a warm cache and in a cold one, after a check of what the device says.
pub(crate) fn measure(loaded: &LoadedLogits<'_>, workload: Workload) -> Result<[Cell; 2]> {
    let LoadedLogits { device, source, .. } = loaded;
    let job = Job::new(loaded, workload)?;
    let before = device.gpu.sampler().traffic().bytes_back;
    job.check(device.gpu.sampler())?;
    let bytes_back = device.gpu.sampler().traffic().bytes_back - before;
    if let Some(timed) = &device.timed {
        job.check(timed)?;
    }
    let cell = |is_cold: bool| -> Result<Cell> {
        let mut cell = device.cell(workload, source);
        cell.cache = Some(if is_cold { "cold" } else { "warm" }.to_owned());
        cell.bytes_back = Some(bytes_back);
        time(&job, &mut cell, is_cold)?;
        if !is_cold {
            cell.wall_ring_us = ring_us(&job)?;
        }
        cell.rate(source.bytes(), loaded.ceilings_us[usize::from(is_cold)]);
        Ok(cell)
    };
    Ok([cell(false)?, cell(true)?])
}

/// Measures GPU time and wall time, one call at a time.
fn time(job: &Job<'_>, cell: &mut Cell, is_cold: bool) -> Result<()> {
    let wall = wall_us(job, is_cold)?;
    let timings = device_timings(job, is_cold)?;
    cell.wall_us = Some(median(&wall));
    match timings {
        Some(timings) => {
            let totals: Vec<f64> = timings.iter().map(|t| t.total.as_secs_f64() * 1e6).collect();
            cell.gpu_us = Some(median(&totals));
            cell.p95_us = Some(p95(&totals));
            cell.calls = Some(totals.len() as u64);
            cell.pass_us = Some(pass_us(&timings));
            let dispatches =
                timings.first().map(|t| t.passes.iter().filter(|pass| pass.name != "copy").count());
            cell.dispatches = dispatches.map(|count| count as u64);
        }
        None => {
            cell.p95_us = Some(p95(&wall));
            cell.calls = Some(wall.len() as u64);
        }
    }
    Ok(())
}

/// Microseconds from recording to the results.
fn wall_us(job: &Job<'_>, is_cold: bool) -> Result<Vec<f64>> {
    let device = job.loaded.device;
    let mut next_copy = copies_to_read(job.loaded.copies.len(), is_cold);
    device.budget.measure(|| {
        if is_cold {
            flush(job.gpu, &device.flush)?;
        }
        let start = Instant::now();
        job.wait(job.submit(job.gpu.sampler(), encoder(job.gpu), next_copy())?)?;
        Ok(microseconds(start))
    })
}

/// What the device's own clock says, where it has one and the call is not too long for it.
fn device_timings(job: &Job<'_>, is_cold: bool) -> Result<Option<Vec<Timing>>> {
    let device = job.loaded.device;
    let Some(sampler) = &device.timed else { return Ok(None) };
    let mut next_copy = copies_to_read(job.loaded.copies.len(), is_cold);
    let timings = device.budget.measure(|| {
        let _ = sampler.take_timings(); // of calls that were not measured
        if is_cold {
            flush(job.gpu, &device.flush)?;
        }
        job.wait(job.submit(sampler, encoder(job.gpu), next_copy())?)?;
        Ok(sampler.take_timings().pop())
    })?;
    Ok(arrived(timings))
}

/// Microseconds per call with several in flight; none of a single call.
fn ring_us(job: &Job<'_>) -> Result<Option<f64>> {
    let submit = || job.submit(job.gpu.sampler(), encoder(job.gpu), 0);
    let mut in_flight = (0..RING).map(|_| submit()).collect::<Result<VecDeque<_>>>()?;
    // For each call that ends another one begins: the last ones, behind which the ring only empties, do not count.
    let ends = job.loaded.device.budget.measure(|| {
        in_flight.push_back(submit()?);
        if let Some(oldest) = in_flight.pop_front() {
            job.wait(oldest)?;
        }
        Ok(Instant::now())
    })?;
    for call in in_flight {
        job.wait(call)?;
    }
    Ok(microseconds_between(&ends))
}

/// The timings that arrived, if any did: a timing that the device lost is no reason to forget the others.
fn arrived<T>(timings: Vec<Option<T>>) -> Option<Vec<T>> {
    let arrived: Vec<T> = timings.into_iter().flatten().collect();
    (!arrived.is_empty()).then_some(arrived)
}

/// Medians of the passes, in microseconds by name; a call of several chunks has several dispatches of a name, which add
/// up.
fn pass_us(timings: &[Timing]) -> BTreeMap<String, f64> {
    let mut times: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for timing in timings {
        let mut sums: BTreeMap<&str, f64> = BTreeMap::new();
        for pass in &timing.passes {
            *sums.entry(pass.name).or_default() += pass.time.as_secs_f64() * 1e6;
        }
        for (name, time) in sums {
            times.entry(name.to_owned()).or_default().push(time);
        }
    }
    times.into_iter().map(|(name, times)| (name, median(&times))).collect()
}

#[cfg(test)]
mod tests {
    use super::arrived;

    #[test]
    fn a_lost_timing_leaves_the_others() {
        assert_eq!(arrived(vec![Some(1), None, Some(3)]), Some(vec![1, 3]));
        assert_eq!(arrived::<u32>(vec![None, None]), None);
        assert_eq!(arrived::<u32>(Vec::new()), None);
    }
}
