//! `sortilege validate`

use std::io::{IsTerminal, Write};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use sortilege::SamplerOptions;
use sortilege::device::{Candidate, Gpu, candidates};
use sortilege::validate::{ERROR_LIMIT, Engine, Extent, Report, validate};

use crate::args::ValidateArgs;
use crate::engine;
use crate::failure::{Failure, Result, note};

#[derive(Serialize)]
struct DeviceReport {
    device: String,
    adapter: String,
    backend: String,
    driver: String,
    seconds: f64,
    kernels: Vec<KernelReport>,
}

#[derive(Serialize)]
struct KernelReport {
    kernel: &'static str,
    cases: usize,
    mismatches: usize,
    worst_error: Option<f64>,
    first_mismatch: Option<String>,
}

impl From<Report> for KernelReport {
    fn from(report: Report) -> Self {
        let Report { kernel, cases, mismatches, worst_error, first_mismatch } = report;
        Self { kernel, cases, mismatches, worst_error, first_mismatch }
    }
}

pub(crate) fn run(args: &ValidateArgs) -> Result<()> {
    let extent = if args.quick { Extent::Quick } else { Extent::Full };
    // None stands for the CPU engine.
    let devices: Vec<Option<Candidate>> = match args.device.as_str() {
        "cpu" => vec![None],
        "all" => candidates(true).into_iter().map(Some).chain([None]).collect(),
        "auto" => vec![sortilege::device::best_hardware(candidates(false))],
        name => vec![Some(engine::candidate(name)?)],
    };
    if args.device == "all" && devices.len() == 1 {
        note!("note: no adapter found; only the CPU engine is validated");
    }
    if args.device == "auto" && devices[0].is_none() {
        note!("note: no hardware GPU found; the CPU engine is validated");
    }
    // A mismatch is told even if nobody reads the rest.
    let mut printed = Ok(());
    let mut reports = Vec::new();
    let mut unopened = Vec::new();
    for device in devices {
        let id = device.as_ref().map_or_else(|| "cpu".to_owned(), |candidate| candidate.id.clone());
        match one(device, &id, extent) {
            Ok(of_device) => {
                for report in of_device {
                    if !args.json {
                        printed = printed.and(print(&report));
                    }
                    reports.push(report);
                }
            }
            // One broken driver among several must not hide what the others do.
            Err(failure) if args.device == "all" => {
                note!("error: {id}: {failure}");
                unopened.push(id);
            }
            Err(failure) => return Err(failure),
        }
    }
    if args.json {
        let mut text =
            serde_json::to_vec_pretty(&reports).map_err(|error| Failure::writing(&error.into()))?;
        text.push(b'\n');
        printed = std::io::stdout().write_all(&text).map_err(|error| Failure::writing(&error));
    }
    let kernels =
        || reports.iter().flat_map(|report| report.kernels.iter().map(move |kernel| (report, kernel)));
    let mismatches: usize = kernels().map(|(_, kernel)| kernel.mismatches).sum();
    let first = kernels()
        .find_map(|(report, kernel)| Some((&report.device, kernel.kernel, kernel.first_mismatch.as_ref()?)));
    if let Some((device, kernel, first)) = first {
        return Err(Failure::Mismatch(format!(
            "{mismatches} mismatches; the first: {device}, {kernel}, {first}"
        )));
    }
    if !unopened.is_empty() {
        return Err(Failure::Failed(format!("not validated: {}", unopened.join(", "))));
    }
    printed?;
    let cases: usize = kernels().map(|(_, kernel)| kernel.cases).sum();
    note!("{cases} cases, 0 mismatches, errors below {ERROR_LIMIT:e}");
    Ok(())
}

/// A report of the kernels that the device runs, and a second one of those for any device where these are others.
fn one(device: Option<Candidate>, id: &str, extent: Extent) -> Result<Vec<DeviceReport>> {
    // Without the self-check: here the whole grid speaks.
    let gpu = match device {
        Some(candidate) => {
            let limits = candidate.limits();
            Some(Gpu::open_unchecked(candidate, limits)?)
        }
        None => None,
    };
    let mut reports = vec![with_progress(gpu.as_ref(), id, extent)?];
    if let Some(gpu) = gpu.filter(|gpu| gpu.sampler().has_int64()) {
        let options = SamplerOptions { portable: true, ..gpu.sampler().options() };
        let id = format!("{id}, portable kernels");
        reports.push(with_progress(Some(&gpu.with_options(options)?), &id, extent)?);
    }
    Ok(reports)
}

fn with_progress(gpu: Option<&Gpu>, id: &str, extent: Extent) -> Result<DeviceReport> {
    let start = Instant::now();
    let bar = ProgressBar::hidden();
    if std::io::stderr().is_terminal() {
        bar.set_draw_target(indicatif::ProgressDrawTarget::stderr());
    }
    bar.set_style(ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} batches").unwrap_or_else(
        |_| {
            ProgressStyle::default_bar() // the template is ours, so this is never reached
        },
    ));
    bar.set_message(id.to_owned());
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let kernels = validate(gpu.map_or(Engine::Cpu, Engine::Gpu), extent, &mut progress)?;
    bar.finish_and_clear();
    let info = gpu.map(Gpu::info);
    Ok(DeviceReport {
        device: id.to_owned(),
        adapter: info.map_or_else(|| "cpu".to_owned(), |info| info.name.clone()),
        backend: info.map_or_else(|| "rust".to_owned(), |info| info.backend.to_string()),
        driver: info.map_or_else(String::new, engine::driver),
        seconds: start.elapsed().as_secs_f64(),
        kernels: kernels.into_iter().map(KernelReport::from).collect(),
    })
}

fn print(report: &DeviceReport) -> Result<()> {
    let mut text = Vec::new();
    let DeviceReport { device, adapter, backend, driver, seconds, kernels } = report;
    let mut write = || -> std::io::Result<()> {
        writeln!(text, "{device}: {adapter} ({backend}) {driver}, {seconds:.1} s")?;
        for kernel in kernels {
            write!(
                text,
                "  {:<12} {:>6} cases  {:>4} mismatches",
                kernel.kernel, kernel.cases, kernel.mismatches
            )?;
            match kernel.worst_error {
                Some(error) => writeln!(text, "  worst error {error:.1e}")?,
                None => writeln!(text)?,
            }
        }
        std::io::stdout().write_all(&text)
    };
    write().map_err(|error| Failure::writing(&error))
}
