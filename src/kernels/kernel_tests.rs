//! What the host believes of the shaders, compared with what they say; every kernel translated for every backend.
#![expect(clippy::cast_possible_truncation, reason = "small numbers in tests")]

use std::mem::offset_of;

use bytemuck::Zeroable;
use naga::back::{glsl, hlsl, msl, spv};
use naga::valid::{Capabilities, ValidationFlags, Validator};
use naga::{AddressSpace, StorageAccess};

use super::kernel::{ChunkUniform, Kernel, Means, Slot};
use super::{ALL, row_sample, tile_stats};
use crate::logits::Dtype;
use crate::plan::{REQUEST_BYTES, UNIFORM_BYTES};
use crate::request::RequestWords;

fn parse(kernel: &Kernel) -> (naga::Module, naga::valid::ModuleInfo) {
    parse_text(kernel, Means::Floats)
}

pub(super) fn parse_text(kernel: &Kernel, means: Means) -> (naga::Module, naga::valid::ModuleInfo) {
    let text = kernel.wgsl.text(means);
    let module = naga::front::wgsl::parse_str(&text)
        .unwrap_or_else(|error| panic!("{}", error.emit_to_string_with_path(&text, kernel.name)));
    let info = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32)
        .validate(&module)
        .unwrap_or_else(|error| panic!("{}: {}", kernel.name, error.emit_to_string(&text)));
    (module, info)
}

/// The slots that a module declares, in order.
fn declared(module: &naga::Module) -> Vec<Slot> {
    let mut slots: Vec<(u32, Slot)> = module
        .global_variables
        .iter()
        .filter_map(|(_, variable)| {
            let binding = variable.binding?;
            assert_eq!(binding.group, 0);
            let slot = match variable.space {
                AddressSpace::Uniform => Slot::Chunk,
                AddressSpace::Storage { access } if access.contains(StorageAccess::STORE) => Slot::Write,
                AddressSpace::Storage { .. } => Slot::Read,
                space => panic!("unexpected binding in {space:?}"),
            };
            Some((binding.binding, slot))
        })
        .collect();
    slots.sort_by_key(|(binding, _)| *binding);
    assert!(slots.iter().enumerate().all(|(i, (binding, _))| i as u32 == *binding), "bindings have gaps");
    slots.into_iter().map(|(_, slot)| slot).collect()
}

#[test]
fn bindings_agree_with_the_shaders() {
    for kernel in ALL {
        assert_eq!(declared(&parse(kernel).0), kernel.slots, "{}", kernel.name);
    }
}

/// The checker above must see a difference.
#[test]
fn a_changed_binding_is_seen() {
    let changed = tile_stats::KERNEL.replaced("var<storage, read> table", "var<storage, read_write> table");
    assert_ne!(declared(&parse(&changed).0), tile_stats::KERNEL.slots);
}

/// Members of a struct that a shader declares, with their offsets, and its size.
fn layout(module: &naga::Module, name: &str) -> (Vec<(String, usize)>, usize) {
    let (_, declared) = module
        .types
        .iter()
        .find(|(_, ty)| ty.name.as_deref() == Some(name))
        .unwrap_or_else(|| panic!("{name} is not declared"));
    let naga::TypeInner::Struct { members, span } = &declared.inner else { panic!("{name} is no struct") };
    let members = members.iter().map(|m| (m.name.clone().unwrap_or_default(), m.offset as usize)).collect();
    (members, *span as usize)
}

macro_rules! fields {
    ($type:ty: $($field:ident)*) => { vec![$((stringify!($field).to_owned(), offset_of!($type, $field))),*] }
}

#[test]
fn structs_have_the_layout_of_the_shader() {
    let (module, _) = parse(&row_sample::KERNEL);
    let ours = fields!(ChunkUniform: vocab tiles listed rows element_base row_stride record_words out_base first_row call
        views mask_words mask_base other_base other_stride draws top_raw stage raw_list nothing most_rounds token_ids first_given);
    assert_eq!(layout(&module, "Chunk"), (ours, size_of::<ChunkUniform>()));
    assert_eq!(UNIFORM_BYTES as usize, size_of::<ChunkUniform>());
    let ours = fields!(RequestWords: first_kept kept_buckets first_step step_buckets repetition first_allowed pass_scale draw_scale draw_unit flags seed
        stream n_draws top_processed top_raw dynamic_low dynamic_span dynamic_power n_cuts per_logit first_xtc_exempt n_xtc_exempt history first_draft n_drafts block_place block_behind cuts);
    assert_eq!(layout(&module, "Request"), (ours, size_of::<RequestWords>()));
    assert_eq!(REQUEST_BYTES as usize, size_of::<RequestWords>());
}

/// Elements of an array that is a member of a struct.
fn array_length(module: &naga::Module, name: &str, member: &str) -> u32 {
    let (_, declared) =
        module.types.iter().find(|(_, ty)| ty.name.as_deref() == Some(name)).expect("the struct is declared");
    let naga::TypeInner::Struct { members, .. } = &declared.inner else { panic!("{name} is no struct") };
    let member = members.iter().find(|m| m.name.as_deref() == Some(member)).expect("the member is declared");
    match module.types[member.ty].inner {
        naga::TypeInner::Array { size: naga::ArraySize::Constant(length), .. } => length.get(),
        _ => panic!("{name} has no array of a known length there"),
    }
}

/// The shader's array of cuts has as many places as the host's, and the comparison can fail.
#[test]
fn a_request_has_room_for_as_many_cuts_on_both_sides() {
    let ours = RequestWords::zeroed().cuts.len() as u32;
    assert_eq!(array_length(&parse(&row_sample::KERNEL).0, "Request", "cuts"), ours);
    let changed = row_sample::KERNEL.replaced("const MAX_CUTS: u32 = 13u;", "const MAX_CUTS: u32 = 12u;");
    assert_ne!(array_length(&parse(&changed).0, "Request", "cuts"), ours);
}

/// The head of a kernel names its libraries: those that it is joined with, in the same order.
#[test]
fn heads_name_the_libraries() {
    for kernel in ALL {
        let text = kernel.wgsl.text(Means::Floats);
        let head = text.lines().take_while(|line| line.starts_with("//")).collect::<Vec<_>>().join(" ");
        // A text may be that of two kernels.
        let file = kernel.name.trim_start_matches("view_");
        let list = if file == kernel.name {
            "Libraries:".to_owned()
        } else {
            format!("Libraries of {}:", kernel.name)
        };
        let listed = head.split_once(&list).expect("a list").1.split_once('.').expect("its end").0;
        let listed: Vec<&str> = listed.split(',').map(|name| name.trim_matches([' ', '/'])).collect();
        // A library's first line is its name and what it is; the kernel's own comes first.
        let joined: Vec<&str> = text
            .lines()
            .filter_map(|line| line.strip_prefix("// ")?.split_once(": "))
            .filter(|(name, _)| name.chars().all(|c| c.is_ascii_lowercase() || c == '_'))
            .map(|(name, _)| name)
            .collect();
        assert_eq!(joined[0], file);
        assert_eq!(joined[1..], listed, "{}", kernel.name);
    }
}

/// What WebGPU promises everywhere: 256 invocations, 16 KiB of workgroup memory, 8 storage buffers.
#[test]
fn every_kernel_fits_the_floor_of_webgpu() {
    for kernel in ALL {
        let (module, _) = parse(kernel);
        let invocations: u32 = module.entry_points[0].workgroup_size.iter().product();
        assert!(invocations <= 256, "{}: {invocations} invocations", kernel.name);
        let workgroup_bytes: u32 = module
            .global_variables
            .iter()
            .filter(|(_, variable)| variable.space == AddressSpace::WorkGroup)
            .map(|(_, variable)| module.types[variable.ty].inner.size(module.to_ctx()).next_multiple_of(16))
            .sum();
        assert!(workgroup_bytes <= 16_384, "{}: {workgroup_bytes} bytes of workgroup memory", kernel.name);
        assert!(kernel.slots.iter().filter(|slot| **slot != Slot::Chunk).count() <= 8, "{}", kernel.name);
        let text = kernel.wgsl.text(Means::Floats);
        assert!(!["enable ", "subgroup", "u64"].iter().any(|word| text.contains(word)), "{}", kernel.name);
    }
}

/// Translates a kernel as wgpu does, with its overrides at their defaults or as given.
fn translate(kernel: &Kernel, means: Means, constants: &naga::back::PipelineConstants) -> Vec<u32> {
    let (module, info) = parse_text(kernel, means);
    let (module, info) = naga::back::pipeline_constants::process_overrides(&module, &info, None, constants)
        .unwrap_or_else(|error| panic!("{}: {error}", kernel.name));
    let pipeline =
        spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    let words = spv::write_vec(&module, &info, &spv::Options::default(), Some(&pipeline))
        .unwrap_or_else(|error| panic!("{} to SPIR-V: {error}", kernel.name));
    let mut msl_options =
        msl::Options { lang_version: (2, 3), fake_missing_bindings: true, ..Default::default() };
    msl_options.zero_initialize_workgroup_memory = false;
    msl::write_string(&module, &info, &msl_options, &msl::PipelineOptions::default())
        .unwrap_or_else(|error| panic!("{} to MSL: {error}", kernel.name));
    let mut text = String::new();
    let hlsl_options = hlsl::Options { fake_missing_bindings: true, ..Default::default() };
    hlsl::Writer::new(&mut text, &hlsl_options, &hlsl::PipelineOptions::default())
        .write(&module, &info, None)
        .unwrap_or_else(|error| panic!("{} to HLSL: {error}", kernel.name));
    let mut text = String::new();
    let glsl_options = glsl::Options {
        version: glsl::Version::Embedded { version: 310, is_webgl: false },
        ..Default::default()
    };
    let pipeline = glsl::PipelineOptions {
        shader_stage: naga::ShaderStage::Compute,
        entry_point: "main".into(),
        multiview: None,
    };
    glsl::Writer::new(
        &mut text,
        &module,
        &info,
        &glsl_options,
        &pipeline,
        naga::proc::BoundsCheckPolicies::default(),
    )
    .and_then(|mut writer| writer.write())
    .unwrap_or_else(|error| panic!("{} to GLSL: {error}", kernel.name));
    words
}

#[test]
fn every_kernel_translates_for_every_backend() {
    for (kernel, means) in ALL.iter().flat_map(|kernel| Means::ALL.map(|means| (kernel, means))) {
        let text = kernel.wgsl.text(means);
        for &dtype in Dtype::ALL {
            let mut constants = naga::back::PipelineConstants::default();
            if text.contains("override DTYPE:") {
                constants.insert("DTYPE".to_owned(), dtype.code().into());
            }
            if text.contains("override OTHER_DTYPE:") {
                constants.insert("OTHER_DTYPE".to_owned(), (2 - dtype.code()).into());
            }
            if means == Means::WalledFloats && text.contains("override WALLS:") {
                constants.insert("WALLS".to_owned(), 1.0);
            }
            let words = translate(kernel, means, &constants);
            if spirv_val_is_installed() {
                check_spirv(kernel.name, &words);
            }
        }
    }
}

fn spirv_val_is_installed() -> bool {
    std::process::Command::new("spirv-val").arg("--version").output().is_ok_and(|out| out.status.success())
}

fn check_spirv(name: &str, words: &[u32]) {
    let path = std::env::temp_dir().join(format!("sortilege-{}-{name}.spv", std::process::id()));
    std::fs::write(&path, bytemuck::cast_slice(words)).expect("the temporary folder is writable");
    let out = std::process::Command::new("spirv-val").arg(&path).output().expect("spirv-val runs");
    std::fs::remove_file(&path).expect("the file is ours");
    assert!(out.status.success(), "{name}: {}", String::from_utf8_lossy(&out.stderr));
}

/// Expressions of a function, and its accesses to memory that lanes share, with those of all that it calls: most compilers
/// copy a function to where it is called.
fn length(module: &naga::Module, function: &naga::Function, of: &Lengths) -> [usize; 2] {
    use naga::{Expression, Statement};
    let is_shared = |mut pointer| loop {
        match function.expressions[pointer] {
            Expression::Access { base, .. } | Expression::AccessIndex { base, .. } => pointer = base,
            Expression::GlobalVariable(variable) => {
                let space = module.global_variables[variable].space;
                break matches!(space, AddressSpace::WorkGroup | AddressSpace::Storage { .. });
            }
            _ => break false,
        }
    };
    let loads = function
        .expressions
        .iter()
        .filter(|(_, expression)| matches!(**expression, Expression::Load { pointer } if is_shared(pointer)));
    let mut found = [function.expressions.len(), loads.count()];
    let mut blocks = vec![&function.body];
    while let Some(block) = blocks.pop() {
        for statement in block {
            match statement {
                Statement::Call { function, .. } => (0..2).for_each(|i| found[i] += of[function][i]),
                Statement::Store { pointer, .. }
                | Statement::Atomic { pointer, .. }
                | Statement::WorkGroupUniformLoad { pointer, .. } => {
                    found[1] += usize::from(is_shared(*pointer));
                }
                Statement::Block(block) => blocks.push(block),
                Statement::If { accept, reject, .. } => blocks.extend([accept, reject]),
                Statement::Loop { body, continuing, .. } => blocks.extend([body, continuing]),
                Statement::Switch { cases, .. } => blocks.extend(cases.iter().map(|case| &case.body)),
                _ => {}
            }
        }
    }
    found
}

type Lengths = std::collections::HashMap<naga::Handle<naga::Function>, [usize; 2]>;

/// What drivers take time to compile: `docs/performance.md`, "Compile time of row_sample". Raise a limit knowingly.
#[test]
fn row_sample_is_no_longer_than_it_was() {
    let (module, _) = parse(&row_sample::KERNEL);
    let mut of = Lengths::new();
    for (handle, function) in module.functions.iter() {
        let length = length(&module, function, &of); // those it calls come before it
        of.insert(handle, length);
    }
    let [expressions, accesses] = length(&module, &module.entry_points[0].function, &of);
    assert!(expressions <= 30_000, "{expressions} expressions");
    assert!(accesses <= 700, "{accesses} accesses");
}
