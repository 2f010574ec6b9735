//! Translates a WGSL kernel as wgpu-hal 30 does.
//!
//! `translate vulkan KERNEL.wgsl [NAME=VALUE ...]` compiles it with the first Vulkan driver and prints what that says of it
//! (VK_KHR_pipeline_executable_properties): statistics as `# name: value`, then the assembly. No device is needed where
//! the driver is Mesa's RADV with `RADV_FORCE_FAMILY`. `translate metal KERNEL.wgsl ...` prints Metal's language, which is
//! C++. The pairs are values of overrides.

use std::error::Error;
use std::ffi::{CStr, c_char};

use ash::{khr, vk};
use naga::back::{PipelineConstants, msl, spv};
use naga::Module;
use naga::proc::{BoundsCheckPolicies, BoundsCheckPolicy};
use naga::valid::{Capabilities, ModuleInfo, ValidationFlags, Validator};

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: translate vulkan|metal KERNEL.wgsl [NAME=VALUE ...]";
    let (target, path) = args.next().zip(args.next()).ok_or(usage)?;
    let mut constants = PipelineConstants::default();
    for pair in args {
        let (name, value) = pair.split_once('=').ok_or("an override is NAME=VALUE")?;
        constants.insert(name.to_owned(), value.parse()?);
    }
    let text = std::fs::read_to_string(path)?;
    let (module, info) = parse(&text, &constants)?;
    match target.as_str() {
        // SAFETY: every object is made of valid ones and used on this thread; the process ends with them.
        "vulkan" => unsafe { compile(&spirv(&module, &info)?) },
        "metal" => {
            println!("{}", metal(&module, &info)?);
            Ok(())
        }
        _ => Err(usage.into()),
    }
}

fn parse(text: &str, constants: &PipelineConstants) -> Result<(Module, ModuleInfo), Box<dyn Error>> {
    let module = naga::front::wgsl::parse_str(text).map_err(|error| error.emit_to_string(text))?;
    let info = Validator::new(ValidationFlags::all(), Capabilities::SHADER_FLOAT16_IN_FLOAT32)
        .validate(&module)
        .map_err(|error| error.emit_to_string(text))?;
    let entry = Some((naga::ShaderStage::Compute, "main"));
    let (module, info) =
        naga::back::pipeline_constants::process_overrides(&module, &info, entry, constants)?;
    Ok((module.into_owned(), info.into_owned()))
}

/// With the options of wgpu-hal's Vulkan half on a device with `robustBufferAccess2`.
fn spirv(module: &Module, info: &ModuleInfo) -> Result<Vec<u32>, Box<dyn Error>> {
    let options = spv::Options {
        lang_version: (1, 6),
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: spv::ZeroInitializeWorkgroupMemoryMode::None,
        force_loop_bounding: true,
        ..spv::Options::default()
    };
    let pipeline =
        spv::PipelineOptions { shader_stage: naga::ShaderStage::Compute, entry_point: "main".into() };
    Ok(spv::write_vec(module, info, &options, Some(&pipeline))?)
}

/// With the checks of bounds and loops of the SPIR-V above.
fn metal(module: &Module, info: &ModuleInfo) -> Result<String, Box<dyn Error>> {
    let options = msl::Options {
        lang_version: (3, 0),
        fake_missing_bindings: true,
        bounds_check_policies: BoundsCheckPolicies {
            index: BoundsCheckPolicy::Restrict,
            buffer: BoundsCheckPolicy::Unchecked,
            image_load: BoundsCheckPolicy::Unchecked,
            binding_array: BoundsCheckPolicy::Unchecked,
        },
        zero_initialize_workgroup_memory: false,
        force_loop_bounding: true,
        ..msl::Options::default()
    };
    Ok(msl::write_string(module, info, &options, &msl::PipelineOptions::default())?.0)
}

unsafe fn compile(words: &[u32]) -> Result<(), Box<dyn Error>> {
    unsafe {
        let entry = ash::Entry::load()?;
        let application = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
        let instance = entry
            .create_instance(&vk::InstanceCreateInfo::default().application_info(&application), None)?;
        let physical = *instance.enumerate_physical_devices()?.first().ok_or("no Vulkan device")?;
        let families = instance.get_physical_device_queue_family_properties(physical);
        let family = families.iter().position(|family| family.queue_flags.contains(vk::QueueFlags::COMPUTE));
        let queues = [vk::DeviceQueueCreateInfo::default()
            .queue_family_index(u32::try_from(family.ok_or("no queue for compute")?)?)
            .queue_priorities(&[1.0])];
        let extensions = [
            khr::pipeline_executable_properties::NAME.as_ptr(),
            ash::ext::robustness2::NAME.as_ptr(),
        ];
        let mut executable =
            vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR::default().pipeline_executable_info(true);
        let mut robust = vk::PhysicalDeviceRobustness2FeaturesEXT::default().robust_buffer_access2(true);
        let mut memory = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
        let features = vk::PhysicalDeviceFeatures::default().robust_buffer_access(true);
        let info = vk::DeviceCreateInfo::default()
            .queue_create_infos(&queues)
            .enabled_extension_names(&extensions)
            .enabled_features(&features)
            .push_next(&mut executable)
            .push_next(&mut robust)
            .push_next(&mut memory);
        let device = instance.create_device(physical, &info, None)?;
        let module = device.create_shader_module(&vk::ShaderModuleCreateInfo::default().code(words), None)?;
        // A kernel's first binding is its uniform, the others are storage.
        let bindings: Vec<_> = (0..9)
            .map(|binding| {
                let kind = match binding {
                    0 => vk::DescriptorType::UNIFORM_BUFFER,
                    _ => vk::DescriptorType::STORAGE_BUFFER,
                };
                vk::DescriptorSetLayoutBinding::default()
                    .binding(binding)
                    .descriptor_count(1)
                    .descriptor_type(kind)
                    .stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        let set = [device.create_descriptor_set_layout(
            &vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings),
            None,
        )?];
        let layout = device
            .create_pipeline_layout(&vk::PipelineLayoutCreateInfo::default().set_layouts(&set), None)?;
        let stage = vk::PipelineShaderStageCreateInfo::default()
            .stage(vk::ShaderStageFlags::COMPUTE)
            .module(module)
            .name(c"main");
        let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
            | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
        let info = vk::ComputePipelineCreateInfo::default().stage(stage).layout(layout).flags(flags);
        let made = device.create_compute_pipelines(vk::PipelineCache::null(), &[info], None);
        let pipeline = made.map_err(|(_, error)| error)?[0];
        print(&khr::pipeline_executable_properties::Device::new(&instance, &device), pipeline)
    }
}

unsafe fn print(
    driver: &khr::pipeline_executable_properties::Device,
    pipeline: vk::Pipeline,
) -> Result<(), Box<dyn Error>> {
    unsafe {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline);
        for statistic in driver.get_pipeline_executable_statistics(&info)? {
            if statistic.format == vk::PipelineExecutableStatisticFormatKHR::UINT64 {
                println!("# {}: {}", text(&statistic.name), statistic.value.u64);
            }
        }
        // Twice: for their number and sizes, then for their texts.
        let get = driver.fp().get_pipeline_executable_internal_representations_khr;
        let device = driver.device();
        let mut count = 0;
        get(device, &info, &mut count, std::ptr::null_mut()).result()?;
        let mut all = vec![vk::PipelineExecutableInternalRepresentationKHR::default(); count as usize];
        get(device, &info, &mut count, all.as_mut_ptr()).result()?;
        let mut texts: Vec<Vec<u8>> = all.iter().map(|one| vec![0; one.data_size]).collect();
        for (one, text) in all.iter_mut().zip(&mut texts) {
            one.p_data = text.as_mut_ptr().cast();
        }
        get(device, &info, &mut count, all.as_mut_ptr()).result()?;
        for (_, assembly) in all.iter().zip(&texts).filter(|(one, _)| text(&one.name) == "Assembly") {
            println!("{}", String::from_utf8_lossy(assembly).trim_end_matches('\0'));
        }
        Ok(())
    }
}

/// A name in a structure of Vulkan.
fn text(name: &[c_char]) -> String {
    // SAFETY: the driver ends its names with a zero.
    unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned()
}
