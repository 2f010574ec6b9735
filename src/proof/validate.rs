//! Validation: every kernel and operation against the CPU engine, bit for bit, and against the definition within the
//! promised error ([`audit`](crate::audit)).
//!
//! A case is a batch whose rows go through every kind of values in turn, so each row also has neighbours that are no
//! distributions at all.

use super::audit::{KnownRow, Verdict, worse};
use super::grid::{Case, cases, kind_of};
use super::operations::{Batch, FNV_PRIME, FNV_START, Judge, OPERATIONS};
use crate::error::Result;
use crate::gpu::{Gpu, at_once};
use crate::parallel::each;

pub use super::grid::Extent;

/// What was found of one operation.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct Report {
    /// Its name: that of the method of [`Engine`](crate::Engine), or of a kernel.
    pub name: &'static str,
    /// Rows compared.
    pub cases: usize,
    /// Rows whose bits differ from the CPU engine's, or that lie outside the promised error.
    pub mismatches: usize,
    /// Largest error against the definition, in nats; `None` where results are no probabilities.
    pub worst_error: Option<f64>,
    /// The first mismatch: case, row, field, both values.
    pub first_mismatch: Option<String>,
}

/// Runs the grid on a device, or without one on the CPU engine alone, and reports per operation; one that no case was
/// for, such as a kernel of a device without one, has no report. `progress` hears how many cases are done, and of how
/// many.
///
/// # Errors
/// What the device says. A mismatch is a report, no error.
///
/// # Example
/// ```no_run
/// use sortilege::device::Gpu;
/// use sortilege::validate::{Extent, validate};
/// let gpu = Gpu::any()?;
/// for report in validate(Some(&gpu), Extent::Quick, &mut |_, _| ())? {
///     assert_eq!(report.mismatches, 0, "{}: {:?}", report.name, report.first_mismatch);
/// }
/// # Ok::<(), sortilege::Error>(())
/// ```
#[cfg(not(target_family = "wasm"))]
pub fn validate(
    device: Option<&Gpu>,
    extent: Extent,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Report>> {
    at_once(validate_async(device, extent, &|_| true, progress))
}

/// [`validate`] for browsers, where it yields, of the operations with these names; natively it blocks as that does.
///
/// # Errors
/// As there.
pub async fn validate_async(
    device: Option<&Gpu>,
    extent: Extent,
    wanted: &dyn Fn(&str) -> bool,
    progress: &mut dyn FnMut(usize, usize),
) -> Result<Vec<Report>> {
    let cases = cases(extent);
    let names = OPERATIONS.iter().map(|(name, _)| *name).filter(|name| wanted(name));
    let mut reports: Vec<Report> = names.map(Report::new).collect();
    for (done, case) in cases.iter().enumerate() {
        progress(done, cases.len());
        try_case(case, device, &mut reports).await?;
    }
    progress(cases.len(), cases.len());
    reports.retain(|report| report.cases > 0);
    Ok(reports)
}

/// A hash of all answers of the CPU engine, operation by operation: the same on every machine.
///
/// # Errors
/// None that is known.
pub fn digests(extent: Extent) -> Result<Vec<(&'static str, u64)>> {
    let mut digests: Vec<(&'static str, u64)> =
        OPERATIONS.iter().map(|(name, _)| (*name, FNV_START)).collect();
    for case in cases(extent) {
        let bytes = case.bytes();
        let batch = Batch::new(&case, &bytes, None);
        for ((_, run), (_, digest)) in OPERATIONS.iter().zip(&mut digests) {
            // Without a device there is nothing to wait for.
            if let Some(Judge { digest: Some(of_case), .. }) = at_once(run(&batch))? {
                *digest = (*digest ^ of_case()).wrapping_mul(FNV_PRIME);
            }
        }
    }
    digests.retain(|(_, digest)| *digest != FNV_START);
    Ok(digests)
}

/// Runs the operations that have a report.
pub(super) async fn try_case(case: &Case, device: Option<&Gpu>, reports: &mut [Report]) -> Result<()> {
    let bytes = case.bytes();
    let batch = Batch::new(case, &bytes, device);
    let mut judges = Vec::new();
    for (place, report) in reports.iter().enumerate() {
        let run = OPERATIONS.iter().find(|(name, _)| *name == report.name).map(|(_, run)| run);
        if let Some(judge) = run.expect("reports are named after operations")(&batch).await? {
            judges.push((place, judge.verdict));
        }
    }
    let judged: Vec<Vec<Verdict>> = each(case.rows, |row| {
        let known = KnownRow::new(&batch.logits, row);
        judges.iter().map(|(_, judge)| judge(&known, row)).collect()
    });
    for (row, verdicts) in judged.into_iter().enumerate() {
        for ((place, _), verdict) in judges.iter().zip(verdicts) {
            reports[*place].count(verdict, || format!("{case}, row {row} ({})", kind_of(row).name));
        }
    }
    Ok(())
}

impl Report {
    pub(super) fn new(name: &'static str) -> Self {
        Self { name, cases: 0, mismatches: 0, worst_error: None, first_mismatch: None }
    }

    /// Counts a row.
    fn count(&mut self, verdict: Verdict, place: impl FnOnce() -> String) {
        self.cases += 1;
        if let Some(error) = verdict.error {
            self.worst_error = Some(worse(self.worst_error.unwrap_or(0.0), error));
        }
        if let Some(what) = verdict.wrong {
            self.mismatches += 1;
            self.first_mismatch.get_or_insert_with(|| format!("{}: {what}", place()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arithmetic::exact::TABLE_SIZE;
    use crate::gpu::Kernels;
    use crate::logits::Dtype;

    #[test]
    fn a_report_counts_what_is_wrong() {
        let mut report = Report::new("test");
        let verdict = |error, wrong: Option<&str>| {
            let sound = Verdict::default().unless(wrong.map(str::to_owned));
            Verdict { error, ..sound }
        };
        for (error, wrong) in [(Some(1e-9), None), (None, Some("first")), (Some(f64::NAN), Some("second"))] {
            report.count(verdict(error, wrong), || "here".to_owned());
        }
        assert_eq!((report.cases, report.mismatches), (3, 2));
        assert_eq!(report.first_mismatch.as_deref(), Some("here: first"));
        assert!(report.worst_error.expect("an error").is_nan());
    }

    /// A device with wrong numbers in its tables: validation and self-check must both say so.
    #[test]
    fn a_device_that_computes_other_bits_is_found() {
        let mut table = crate::kernels::kernel::tables();
        table.iter_mut().step_by(16).for_each(|entry| *entry += 1);
        let gpu = Gpu::any().expect("an adapter: scripts/test installs a software driver").with_table(&table);
        let is_ours = |case: &&Case| case.dtype == Dtype::F32 && case.vocab == 1000;
        let case = cases(Extent::Quick).iter().find(is_ours).copied().expect("a case");
        let mut reports: Vec<Report> = OPERATIONS.iter().map(|(name, _)| Report::new(name)).collect();
        at_once(try_case(&case, Some(&gpu), &mut reports)).expect("the device works");
        for report in &reports {
            assert_eq!(report.cases, case.rows, "{report:?}");
            let least = match report.name {
                "tile_stats" | "logprobs" => 8,
                "sample" => 3,
                "divergence" => 8,
                _ => continue,
            };
            assert!(report.mismatches >= least, "{report:?}");
            assert!(report.first_mismatch.as_ref().is_some_and(|first| first.contains("row")), "{report:?}");
        }
        // The self-check is small: it is for drivers that miscompile, not for single units.
        table.iter_mut().skip(TABLE_SIZE + 8).step_by(16).for_each(|entry| *entry += 1 << 7);
        let gpu = gpu.with_table(&table);
        for kernels in [Kernels::Logprobs, Kernels::Sample] {
            let check = gpu.sampler().self_check(kernels, Dtype::F32);
            assert!(matches!(check, Err(crate::Error::Mismatch(_))), "{check:?}");
        }
    }
}
