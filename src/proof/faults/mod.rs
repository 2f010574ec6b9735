//! Faults of one token in the shaders, planted one at a time: the quick grid of validation must find each of them on a
//! device, and nothing where there is none. What it cannot see shows here first, and becomes a case of the grid.

/// Lines of `what: right => wrong;`, the last with its reason where the two are equivalent.
macro_rules! faults {
    ($($what:literal: $right:literal => $wrong:literal $(, equivalent: $reason:literal)?;)*) => {
        &[$($crate::proof::faults::Fault {
            what: $what,
            right: $right,
            wrong: $wrong,
            equivalent: faults!(@ $($reason)?),
        }),*]
    };
    (@) => { None };
    (@ $reason:literal) => { Some($reason) };
}

mod history;
mod program;
mod table;

use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use super::grid::{Case, Extent, cases};
use super::operations::MOST_AHEAD;
use super::validate::{Report, try_case};
use crate::SamplerOptions;
use crate::arithmetic::format::MOST_LISTED;
use crate::error::Error;
use crate::gpu::{Gpu, adapters, at_once};
use crate::kernels::kernel::{Kernel, Means, is_wanted};
use crate::kernels::loop_rounds;
use crate::logits::Dtype;

/// A change of a kernel's text.
struct Fault {
    what: &'static str,
    /// Stands once in the kernel.
    right: &'static str,
    wrong: &'static str,
    /// Why nobody can tell it from the sound kernel.
    equivalent: Option<&'static str>,
}

/// The faults of a kernel, and where they can show.
struct Faults {
    kernel: Kernel,
    operations: &'static [&'static str],
    /// Whether a case comes by the kernel.
    reaches: fn(&Case) -> bool,
    /// The first is the one that every run of the tests plants.
    list: &'static [Fault],
}

fn every(_: &Case) -> bool {
    true
}

fn draws(case: &Case) -> bool {
    case.samples
}

fn runs_ahead(case: &Case) -> bool {
    case.samples && case.vocab <= MOST_AHEAD
}

fn lists_at_length(case: &Case) -> bool {
    case.params.top_logprobs > MOST_LISTED
}

fn draws_long_lists(case: &Case) -> bool {
    draws(case) && lists_at_length(case)
}

/// For a software driver that compiles while others compile beside it.
const DEADLINE: Duration = Duration::from_secs(120);

/// A device, and where it has passed with sound kernels.
struct Bench {
    gpu: Gpu,
    /// Those that cost least first: of f32, then of what takes kernels of another type.
    cases: Vec<Case>,
    sound: HashSet<(usize, &'static str, bool)>,
}

impl Bench {
    fn new() -> Self {
        let mut cases = cases(Extent::Quick);
        cases.sort_by_key(|case| (case.dtype != Dtype::F32, case.rows * case.vocab));
        Self { gpu: open(), cases, sound: HashSet::new() }
    }

    /// By what the fault is found; nothing where it passes the grid.
    ///
    /// # Panics
    /// If the sound kernels do not pass the case that found it.
    fn find(&mut self, faults: &Faults, fault: &Fault) -> Option<String> {
        let [floats, integers] = texts(&faults.kernel);
        let has_two = floats != integers;
        let texts = [(false, floats), (true, integers)];
        let texts =
            texts.iter().filter(|(integers, text)| text.contains(fault.right) && (has_two || !integers));
        texts.into_iter().find_map(|&(integers, _)| self.find_in(integers, faults, fault))
    }

    /// The same in one of the texts.
    fn find_in(
        &mut self,
        integers: bool,
        Faults { kernel, operations, reaches, .. }: &Faults,
        fault: &Fault,
    ) -> Option<String> {
        let options = SamplerOptions { integers, deadline: DEADLINE, ..SamplerOptions::default() };
        let faulty = self.gpu.beside(options, Some(planted(kernel, fault))).expect("a sampler");
        let reached: Vec<usize> = (0..self.cases.len()).filter(|&i| reaches(&self.cases[i])).collect();
        for number in reached {
            let case = self.cases[number];
            let Some(found) = mismatch(&case, &faulty, operations) else { continue };
            if found.is_lost {
                // Whatever the device is still doing, it does alone.
                std::mem::forget((faulty, std::mem::replace(&mut self.gpu, open())));
            }
            for &operation in *operations {
                if self.sound.insert((number, operation, integers)) {
                    let sound = self.gpu.beside(options, None).expect("a sampler");
                    let wrong = mismatch(&case, &sound, &[operation]);
                    assert!(wrong.is_none(), "no fault is planted: {wrong:?}");
                }
            }
            return Some(found.by);
        }
        None
    }
}

#[derive(Debug)]
struct Found {
    by: String,
    /// The device cannot be relied on any more.
    is_lost: bool,
}

/// What is wrong with a device on a case.
fn mismatch(case: &Case, gpu: &Gpu, operations: &[&'static str]) -> Option<Found> {
    let mut reports: Vec<Report> = operations.iter().copied().map(Report::new).collect();
    match catch_unwind(AssertUnwindSafe(|| at_once(try_case(case, Some(gpu), &mut reports)))) {
        Ok(Ok(())) => reports.iter().find_map(|report| {
            let what = report.first_mismatch.as_ref()?;
            Some(Found { by: format!("{}, {what}", report.name), is_lost: false })
        }),
        Ok(Err(error)) => {
            let is_lost = matches!(error, Error::Timeout { .. } | Error::DeviceLost { .. });
            Some(Found { by: format!("{case}: {error}"), is_lost })
        }
        Err(_) => Some(Found { by: format!("{case}: a panic"), is_lost: false }),
    }
}

/// The adapter that the tests are to use, or any; without a self-check, which is validation's own matter.
fn open() -> Gpu {
    let wanted = std::env::var("SORTILEGE_TEST_ADAPTERS").ok();
    let ids: Option<Vec<&str>> = wanted.as_ref().map(|ids| ids.split(',').map(str::trim).collect());
    let is_wanted = |id: &str| ids.as_ref().is_none_or(|ids| ids.contains(&id));
    let adapter = adapters(true)
        .into_iter()
        .find(|adapter| adapter.unfit.is_none() && is_wanted(&adapter.id))
        .expect("an adapter: scripts/test installs a software driver");
    let limits = adapter.limits();
    Gpu::open_unchecked(adapter, limits).expect("the adapter opens")
}

fn planted(kernel: &Kernel, fault: &Fault) -> Kernel {
    Kernel { wgsl: kernel.wgsl.changed(|text| text.replace(fault.right, fault.wrong)), ..*kernel }
}

/// A kernel by floats, and by integers.
fn texts(kernel: &Kernel) -> [String; 2] {
    [Means::Floats, Means::Integers].map(|means| kernel.wgsl.text(means))
}

/// The text of a kernel that has the fault's place.
fn text_with(kernel: &Kernel, fault: &Fault) -> String {
    let [floats, integers] = texts(kernel);
    if floats.contains(fault.right) { floats } else { integers }
}

/// The file of the shaders in which a fault lies: the last one that begins before it.
fn library(kernel: &Kernel, fault: &Fault) -> String {
    let text = text_with(kernel, fault);
    let (before, _) = text.split_once(fault.right).expect("the right text");
    let is_name =
        |name: &&str| name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
    let heads = before.lines().filter_map(|line| line.strip_prefix("// ")?.split_once(": "));
    heads.map(|(name, _)| name).rfind(is_name).expect("the kernel's own head").to_owned()
}

#[test]
fn faults_are_what_they_say() {
    for Faults { kernel, list, .. } in table::FAULTS {
        let name = kernel.name;
        for fault @ Fault { what, right, wrong, .. } in *list {
            let count = |text: &str| text.matches(right).count();
            assert_eq!(count(&text_with(kernel, fault)), 1, "{name}, {what}: {right:?}");
            let [sound, integers] = texts(kernel);
            assert!(count(&integers) <= 1 && right != wrong, "{name}, {what}");
            let [by_floats, by_integers] = texts(&planted(kernel, fault));
            let text = if by_floats == sound { by_integers } else { by_floats };
            let module = naga::front::wgsl::parse_str(&text)
                .unwrap_or_else(|error| panic!("{name}, {what}: {}", error.emit_to_string(&text)));
            naga::valid::Validator::new(
                naga::valid::ValidationFlags::all(),
                naga::valid::Capabilities::SHADER_FLOAT16_IN_FLOAT32,
            )
            .validate(&module)
            .unwrap_or_else(|error| panic!("{name}, {what}: {}", error.emit_to_string(&text)));
        }
    }
}

/// At least three faults to be found in every kernel, and one in every library of the one that draws.
#[test]
fn faults_are_everywhere() {
    // Of the device's loops validation asks nothing: src/gpu/loops.rs.
    let asked = crate::kernels::ALL.iter().filter(|kernel| kernel.name != loop_rounds::KERNEL.name);
    for kernel in asked {
        let faults =
            table::FAULTS.iter().find(|faults| faults.kernel.name == kernel.name).expect(kernel.name);
        let real = faults.list.iter().filter(|fault| fault.equivalent.is_none()).count();
        assert!(real >= 3 && faults.list[0].equivalent.is_none(), "{}", kernel.name);
    }
    let everywhere: HashSet<String> = table::FAULTS
        .iter()
        .flat_map(|Faults { kernel, list, .. }| list.iter().map(|fault| library(kernel, fault)))
        .collect();
    for name in [
        "row_program",
        "cuts",
        "draws",
        "views",
        "ranks",
        "scan",
        "thresholds",
        "radix",
        "select",
        "few",
        "quads",
        "merge",
        "list",
        "changes",
        "soft_float",
        "numbers",
        "rng",
        "digits",
        "exact",
        "floats",
        "integer_floats",
        "lane",
        "logits",
        "integers",
        "wide",
        "status",
        "pair",
        "divergence",
        "sums",
    ] {
        assert!(everywhere.contains(name), "no fault in {name}.wgsl");
    }
}

#[test]
fn planted_faults_are_found() {
    let mut bench = Bench::new();
    let mut tried = 0;
    let mut wrong = Vec::new();
    for faults in table::FAULTS {
        for (number, fault) in faults.list.iter().enumerate() {
            let name = format!("{}, {}: {}", faults.kernel.name, library(&faults.kernel, fault), fault.what);
            if !is_wanted(number, &name) {
                continue;
            }
            tried += 1;
            let start = Instant::now();
            let found = bench.find(faults, fault);
            if found.is_some() == fault.equivalent.is_some() {
                wrong.push(name.clone());
            }
            let said = match (&found, fault.equivalent) {
                (Some(by), None) => format!("found by {by}"),
                (Some(by), Some(_)) => format!("FOUND, although equivalent, by {by}"),
                (None, Some(reason)) => format!("equivalent: {reason}"),
                (None, None) => "NOT FOUND".to_owned(),
            };
            eprintln!("{:6.1} s  {name}\n          {said}", start.elapsed().as_secs_f64());
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(tried > 0, "no fault is called so: SORTILEGE_FAULTS");
}
