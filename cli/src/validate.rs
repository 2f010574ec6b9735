//! `sortilege validate`: the library's validation, on the devices that are asked for. What is compared, and how, is in
//! the library.

use std::io::{self, Write};
use std::time::Instant;

use clap::Args;
use serde::Serialize;
use sortilege::audit::ERROR_LIMIT;
use sortilege::device::{Adapter, Gpu, adapters, best_hardware};
use sortilege::validate::{Extent, Report, validate};
use sortilege::{Dtype, SamplerOptions};

use crate::failure::{Failure, Result, note};
use crate::{engine, progress};

#[derive(Args, Debug)]
pub(crate) struct ValidateArgs {
    /// all (every adapter, OpenGL included, and the CPU engine), auto, cpu, gpu, the number of
    /// an adapter, or a part of its name, driver or backend
    #[arg(long, default_value = "all", value_parser = crate::shared_args::device)]
    pub(crate) device: String,
    /// Smaller sizes only: half a minute on a software adapter for each text of the kernels (by floats, by integers
    /// alone), twice that until it has compiled them once
    #[arg(long)]
    pub(crate) quick: bool,
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
}

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
        let Report { name, cases, mismatches, worst_error, first_mismatch, .. } = report;
        Self { kernel: name, cases, mismatches, worst_error, first_mismatch }
    }
}

pub(crate) fn run(args: &ValidateArgs) -> Result<()> {
    let extent = if args.quick { Extent::Quick } else { Extent::Full };
    let mut outcome = Outcome { printed: Ok(()), reports: Vec::new(), unopened: Vec::new() };
    for device in devices(&args.device)? {
        let id = device.as_ref().map_or_else(|| "cpu".to_owned(), |adapter| adapter.id.clone());
        match validate_device(device, &id, extent) {
            Ok(reports) => {
                for report in reports {
                    if !args.json {
                        outcome.print(report_text(&report));
                    }
                    outcome.reports.push(report);
                }
            }
            // One broken driver among several must not hide what the others do.
            Err(failure) if args.device == "all" => {
                note!("error: {id}: {failure}");
                outcome.unopened.push(id);
            }
            Err(failure) => return Err(failure),
        }
    }
    if args.json {
        let text = serde_json::to_string_pretty(&outcome.reports);
        outcome.print(text.map_err(|error| Failure::writing(&error.into()))? + "\n");
    }
    outcome.conclude()
}

/// What to validate; `None` stands for the CPU engine.
fn devices(name: &str) -> Result<Vec<Option<Adapter>>> {
    let devices: Vec<Option<Adapter>> = match name {
        "cpu" => vec![None],
        "all" => adapters(true).into_iter().map(Some).chain([None]).collect(),
        "auto" => vec![best_hardware(adapters(false))],
        name => vec![Some(engine::find_adapter(name)?)],
    };
    if name == "all" && devices.len() == 1 {
        note!("note: no adapter found; only the CPU engine is validated");
    }
    if name == "auto" && devices[0].is_none() {
        note!("note: no hardware GPU found; the CPU engine is validated");
    }
    Ok(devices)
}

/// What came of all devices.
struct Outcome {
    /// The first write that failed: a mismatch is told even if nobody reads the rest.
    printed: Result<()>,
    reports: Vec<DeviceReport>,
    /// Names of devices that could not be validated.
    unopened: Vec<String>,
}

impl Outcome {
    /// Writes to standard output, until that fails.
    fn print(&mut self, text: String) {
        if self.printed.is_ok() {
            self.printed = io::stdout().write_all(text.as_bytes()).map_err(|error| Failure::writing(&error));
        }
    }

    /// The failure to end with, or a line that says that there is none.
    fn conclude(self) -> Result<()> {
        let kernels = || {
            self.reports.iter().flat_map(|report| report.kernels.iter().map(move |kernel| (report, kernel)))
        };
        let mismatches: usize = kernels().map(|(_, kernel)| kernel.mismatches).sum();
        let first = kernels().find_map(|(report, kernel)| {
            Some((&report.device, kernel.kernel, kernel.first_mismatch.as_ref()?))
        });
        if let Some((device, kernel, first)) = first {
            return Err(Failure::Mismatch(format!(
                "{mismatches} mismatches; the first: {device}, {kernel}, {first}"
            )));
        }
        if !self.unopened.is_empty() {
            return Err(Failure::Failed(format!("not validated: {}", self.unopened.join(", "))));
        }
        let cases: usize = kernels().map(|(_, kernel)| kernel.cases).sum();
        self.printed?;
        note!("{cases} cases, 0 mismatches, errors below {ERROR_LIMIT:e}");
        Ok(())
    }
}

/// A report of the kernels that the device runs, and a second one of those by integers alone where these are others.
fn validate_device(device: Option<Adapter>, id: &str, extent: Extent) -> Result<Vec<DeviceReport>> {
    // Without the self-check: here the whole grid speaks, of a device whose integers pass the sampler's own.
    let gpu = match device {
        Some(adapter) => {
            let limits = adapter.limits();
            Some(Gpu::open_unchecked(adapter, limits)?)
        }
        None => None,
    };
    let mut reports = vec![validate_kernels(gpu.as_ref(), id, extent)?];
    if let Some(gpu) = gpu
        && Dtype::ALL.iter().any(|&dtype| gpu.sampler().uses_integers(dtype).is_ok_and(|integers| !integers))
    {
        let options = SamplerOptions { integers: true, ..gpu.sampler().options() };
        let id = format!("{id}, by integers");
        reports.push(validate_kernels(Some(&gpu.with_options(options)?), &id, extent)?);
    }
    Ok(reports)
}

/// A report of the kernels that an open device runs, or of the CPU engine.
fn validate_kernels(gpu: Option<&Gpu>, id: &str, extent: Extent) -> Result<DeviceReport> {
    let start = Instant::now();
    let bar = progress::bar(0, "{msg} {wide_bar} {pos}/{len} batches");
    bar.set_message(id.to_owned());
    let mut progress = |done: usize, total: usize| {
        bar.set_length(total as u64);
        bar.set_position(done as u64);
    };
    let kernels = validate(gpu, extent, &mut progress)?;
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

/// A report for people.
fn report_text(report: &DeviceReport) -> String {
    let DeviceReport { device, adapter, backend, driver, seconds, kernels } = report;
    let mut text = format!("{device}: {adapter} ({backend}) {driver}, {seconds:.1} s\n");
    for KernelReport { kernel, cases, mismatches, worst_error, .. } in kernels {
        let error = worst_error.map_or_else(String::new, |error| format!("  worst error {error:.1e}"));
        text += &format!("  {kernel:<12} {cases:>6} cases  {mismatches:>4} mismatches{error}\n");
    }
    text
}
