//! `sortilege info`: the adapters of this machine, and which of them `auto` takes. It opens none.

use std::io::Write;

use clap::Args;
use serde::Serialize;
use sortilege::device::{self, adapters};
use sortilege::log::write_json_pretty;
use sortilege::wgpu::Features;

use crate::engine::driver;
use crate::failure::{Failure, Result};
use crate::shown::shown;

#[derive(Args, Debug)]
pub(crate) struct InfoArgs {
    /// Print JSON
    #[arg(long)]
    pub(crate) json: bool,
    /// List OpenGL adapters too; some drivers abort when they are closed
    #[arg(long)]
    pub(crate) gl: bool,
}

#[derive(Serialize)]
struct AdapterLine {
    number: usize,
    name: String,
    adapter: String,
    backend: String,
    driver: String,
    kind: String,
    software: bool,
    /// Why the kernels cannot run on it.
    unfit: Option<String>,
    max_storage_binding_bytes: u64,
    max_buffer_bytes: u64,
    workgroup_storage_bytes: u32,
    subgroup_sizes: [u32; 2],
    subgroups: bool,
    shader_f16: bool,
    timestamps: bool,
    mappable_primary_buffers: bool,
}

#[derive(Serialize)]
struct Info {
    version: &'static str,
    arithmetic_version: u32,
    adapters: Vec<AdapterLine>,
    auto: String,
    why: String,
}

pub(crate) fn run(args: &InfoArgs) -> Result<()> {
    let list = adapters(args.gl);
    let auto = list.iter().position(device::Adapter::is_fit_hardware);
    let info = Info {
        version: env!("CARGO_PKG_VERSION"),
        arithmetic_version: sortilege::ARITHMETIC_VERSION,
        auto: auto.map_or_else(|| "cpu".to_owned(), |place| list[place].id.clone()),
        why: match (auto, list.len()) {
            (Some(_), 1) => "the only adapter, and it is hardware".to_owned(),
            (Some(_), _) => "the best hardware adapter".to_owned(),
            (None, 0) => "there is no adapter".to_owned(),
            (None, _) => {
                "there is no fit hardware adapter; a software adapter is taken only by name".to_owned()
            }
        },
        adapters: list.iter().enumerate().map(describe).collect(),
    };
    let mut text = Vec::new();
    let written = if args.json { write_json_pretty(&mut text, &info) } else { print(&mut text, &info) };
    written.and_then(|()| std::io::stdout().write_all(&text)).map_err(|error| Failure::writing(&error))
}

fn describe((number, adapter): (usize, &device::Adapter)) -> AdapterLine {
    let (limits, features) = (adapter.limits(), adapter.features());
    let info = &adapter.info;
    AdapterLine {
        number,
        name: adapter.id.clone(),
        adapter: info.name.clone(),
        backend: info.backend.to_string(),
        driver: driver(info),
        kind: format!("{:?}", info.device_type),
        software: adapter.is_software(),
        unfit: adapter.unfit.clone(),
        max_storage_binding_bytes: limits.max_storage_buffer_binding_size,
        max_buffer_bytes: limits.max_buffer_size,
        workgroup_storage_bytes: limits.max_compute_workgroup_storage_size,
        subgroup_sizes: [info.subgroup_min_size, info.subgroup_max_size],
        subgroups: features.contains(Features::SUBGROUP),
        shader_f16: features.contains(Features::SHADER_F16),
        timestamps: features.contains(Features::TIMESTAMP_QUERY),
        mappable_primary_buffers: features.contains(Features::MAPPABLE_PRIMARY_BUFFERS),
    }
}

fn print(out: &mut Vec<u8>, info: &Info) -> std::io::Result<()> {
    writeln!(out, "sortilege {}, arithmetic version {}\n", info.version, info.arithmetic_version)?;
    for adapter in &info.adapters {
        let yes = |has: bool, word: &'static str| if has { word } else { "-" };
        writeln!(out, "{}  {}", adapter.number, shown(&adapter.name))?;
        writeln!(out, "     adapter   {} ({}, {})", shown(&adapter.adapter), adapter.backend, adapter.kind)?;
        writeln!(out, "     driver    {}", shown(&adapter.driver))?;
        writeln!(
            out,
            "     limits    binding {} MiB, buffer {} MiB, workgroup memory {} KiB, subgroups of {} to {}",
            adapter.max_storage_binding_bytes >> 20,
            adapter.max_buffer_bytes >> 20,
            adapter.workgroup_storage_bytes >> 10,
            adapter.subgroup_sizes[0],
            adapter.subgroup_sizes[1]
        )?;
        writeln!(
            out,
            "     features  {} {} {} {}",
            yes(adapter.subgroups, "subgroup"),
            yes(adapter.shader_f16, "shader-f16"),
            yes(adapter.timestamps, "timestamp-query"),
            yes(adapter.mappable_primary_buffers, "mappable-primary-buffers")
        )?;
        if let Some(reason) = &adapter.unfit {
            writeln!(out, "     unfit     {reason}")?;
        }
    }
    writeln!(
        out,
        "{}cpu  the CPU engine, the same bits\n",
        if info.adapters.is_empty() { "" } else { "\n" }
    )?;
    writeln!(out, "auto takes {}: {}", info.auto, info.why)
}
