//! A layer between the Vulkan loader and a driver, which fails a call on demand: the Nth of a kind since it was armed. A
//! device of which a call has failed with the loss of it stays lost. For Linux; elsewhere there is nothing in it.
#![cfg(target_os = "linux")]
#![expect(unsafe_code, reason = "a layer of Vulkan speaks C")]

use std::collections::HashMap;
use std::ffi::{CStr, c_char, c_void};
use std::mem::transmute;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU32, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ash::vk::{self, Handle};

/// The layer's name.
pub const NAME: &str = "VK_LAYER_SORTILEGE_faults";

/// The kinds of calls that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
#[expect(missing_docs, reason = "the table of functions below says which they are")]
pub enum Point {
    Device,
    Memory,
    Map,
    Bind,
    Buffer,
    Shader,
    Pipeline,
    Descriptors,
    Commands,
    Submit,
    Wait,
    Idle,
}

const POINTS: usize = Point::Idle as usize + 1;

/// Calls since the last arming.
static CALLS: [AtomicU32; POINTS] = [const { AtomicU32::new(0) }; POINTS];
static ARMED: AtomicU32 = AtomicU32::new(0);
/// The number of the call that fails, from 1 on.
static FAILS: AtomicU32 = AtomicU32::new(0);
static RESULT: AtomicI32 = AtomicI32::new(0);

/// Counts calls anew, and fails the `number`th of a point with this result; none where it is 0.
#[unsafe(no_mangle)]
pub extern "C" fn sortilege_arm(point: u32, number: u32, result: i32) {
    FAILS.store(0, SeqCst);
    CALLS.iter().for_each(|calls| calls.store(0, SeqCst));
    RESULT.store(result, SeqCst);
    ARMED.store(point, SeqCst);
    FAILS.store(number, SeqCst);
}

/// Calls of a point since the last arming.
#[unsafe(no_mangle)]
pub extern "C" fn sortilege_count(point: u32) -> u32 {
    CALLS[point as usize].load(SeqCst)
}

/// Counts a call, and says with what it is to fail.
fn fault(point: Point) -> Option<vk::Result> {
    let number = CALLS[point as usize].fetch_add(1, SeqCst) + 1;
    let is_it = ARMED.load(SeqCst) == point as u32 && FAILS.load(SeqCst) == number;
    is_it.then(|| vk::Result::from_raw(RESULT.load(SeqCst)))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What instances and devices go on to, by the loader's table of their functions, which is what their handles and those
/// of all that belongs to them point to.
static INSTANCES: Mutex<Option<HashMap<usize, NextInstance>>> = Mutex::new(None);
static DEVICES: Mutex<Option<HashMap<usize, Arc<NextDevice>>>> = Mutex::new(None);

#[derive(Clone, Copy)]
struct NextInstance {
    instance: vk::Instance,
    get: vk::PFN_vkGetInstanceProcAddr,
}

/// # Safety
/// The handle is one that can be dispatched.
unsafe fn key(handle: impl Handle) -> usize {
    unsafe { *(handle.as_raw() as *const usize) }
}

unsafe fn next_instance(handle: impl Handle) -> Option<NextInstance> {
    let key = unsafe { key(handle) };
    lock(&INSTANCES).as_ref()?.get(&key).copied()
}

unsafe fn next_device(handle: impl Handle) -> Arc<NextDevice> {
    let key = unsafe { key(handle) };
    lock(&DEVICES).as_ref().and_then(|devices| devices.get(&key)).expect("a device made here").clone()
}

/// The functions of a device that are counted (not vkEndCommandBuffer: where it fails, wgpu 30 panics when the engine lets
/// its queue go), each at its point, and the driver's own.
macro_rules! intercept {
    ($($name:ident: $type:ident at $point:ident ($handle:ident: $of:ty $(, $arg:ident: $arg_type:ty)*);)*) => {
        #[expect(non_snake_case, reason = "Vulkan's names")]
        struct NextDevice {
            device: vk::Device,
            get: vk::PFN_vkGetDeviceProcAddr,
            is_lost: AtomicBool,
            $($name: Option<vk::$type>,)*
        }

        impl NextDevice {
            unsafe fn new(device: vk::Device, get: vk::PFN_vkGetDeviceProcAddr) -> Self {
                $(
                    let name = concat!(stringify!($name), "\0").as_ptr().cast();
                    #[expect(non_snake_case, reason = "Vulkan's names")]
                    let $name = unsafe { transmute::<vk::PFN_vkVoidFunction, Option<vk::$type>>(get(device, name)) };
                )*
                Self { device, get, is_lost: AtomicBool::new(false), $($name,)* }
            }
        }

        $(
            #[expect(non_snake_case, reason = "Vulkan's names")]
            unsafe extern "system" fn $name($handle: $of $(, $arg: $arg_type)*) -> vk::Result {
                let next = unsafe { next_device($handle) };
                next.failed(Point::$point).unwrap_or_else(|| {
                    let driver = next.$name.expect("the driver has what it is asked for");
                    unsafe { driver($handle $(, $arg)*) }
                })
            }
        )*

        /// One of ours, of this name.
        fn counted(name: &str) -> vk::PFN_vkVoidFunction {
            $(
                if name == stringify!($name) {
                    return unsafe { transmute::<vk::$type, vk::PFN_vkVoidFunction>($name) };
                }
            )*
            None
        }
    };
}

type Allocator<'a> = *const vk::AllocationCallbacks<'a>;

intercept! {
    vkAllocateMemory: PFN_vkAllocateMemory at Memory
        (device: vk::Device, info: *const vk::MemoryAllocateInfo<'_>, allocator: Allocator<'_>, made: *mut vk::DeviceMemory);
    vkBindBufferMemory: PFN_vkBindBufferMemory at Bind
        (device: vk::Device, buffer: vk::Buffer, memory: vk::DeviceMemory, offset: u64);
    vkMapMemory: PFN_vkMapMemory at Map
        (device: vk::Device, memory: vk::DeviceMemory, offset: u64, size: u64, flags: vk::MemoryMapFlags, at: *mut *mut c_void);
    vkCreateBuffer: PFN_vkCreateBuffer at Buffer
        (device: vk::Device, info: *const vk::BufferCreateInfo<'_>, allocator: Allocator<'_>, made: *mut vk::Buffer);
    vkCreateShaderModule: PFN_vkCreateShaderModule at Shader
        (device: vk::Device, info: *const vk::ShaderModuleCreateInfo<'_>, allocator: Allocator<'_>, made: *mut vk::ShaderModule);
    vkCreateComputePipelines: PFN_vkCreateComputePipelines at Pipeline
        (device: vk::Device, cache: vk::PipelineCache, count: u32, infos: *const vk::ComputePipelineCreateInfo<'_>,
         allocator: Allocator<'_>, made: *mut vk::Pipeline);
    vkCreateDescriptorSetLayout: PFN_vkCreateDescriptorSetLayout at Descriptors
        (device: vk::Device, info: *const vk::DescriptorSetLayoutCreateInfo<'_>, allocator: Allocator<'_>,
         made: *mut vk::DescriptorSetLayout);
    vkCreateDescriptorPool: PFN_vkCreateDescriptorPool at Descriptors
        (device: vk::Device, info: *const vk::DescriptorPoolCreateInfo<'_>, allocator: Allocator<'_>, made: *mut vk::DescriptorPool);
    vkAllocateDescriptorSets: PFN_vkAllocateDescriptorSets at Descriptors
        (device: vk::Device, info: *const vk::DescriptorSetAllocateInfo<'_>, made: *mut vk::DescriptorSet);
    vkCreateCommandPool: PFN_vkCreateCommandPool at Commands
        (device: vk::Device, info: *const vk::CommandPoolCreateInfo<'_>, allocator: Allocator<'_>, made: *mut vk::CommandPool);
    vkAllocateCommandBuffers: PFN_vkAllocateCommandBuffers at Commands
        (device: vk::Device, info: *const vk::CommandBufferAllocateInfo<'_>, made: *mut vk::CommandBuffer);
    vkBeginCommandBuffer: PFN_vkBeginCommandBuffer at Commands
        (commands: vk::CommandBuffer, info: *const vk::CommandBufferBeginInfo<'_>);
    vkQueueSubmit: PFN_vkQueueSubmit at Submit
        (queue: vk::Queue, count: u32, infos: *const vk::SubmitInfo<'_>, fence: vk::Fence);
    vkGetSemaphoreCounterValue: PFN_vkGetSemaphoreCounterValue at Wait
        (device: vk::Device, semaphore: vk::Semaphore, value: *mut u64);
    vkGetSemaphoreCounterValueKHR: PFN_vkGetSemaphoreCounterValue at Wait
        (device: vk::Device, semaphore: vk::Semaphore, value: *mut u64);
    vkWaitSemaphores: PFN_vkWaitSemaphores at Wait
        (device: vk::Device, info: *const vk::SemaphoreWaitInfo<'_>, timeout: u64);
    vkWaitSemaphoresKHR: PFN_vkWaitSemaphores at Wait
        (device: vk::Device, info: *const vk::SemaphoreWaitInfo<'_>, timeout: u64);
    vkGetFenceStatus: PFN_vkGetFenceStatus at Wait
        (device: vk::Device, fence: vk::Fence);
    vkWaitForFences: PFN_vkWaitForFences at Wait
        (device: vk::Device, count: u32, fences: *const vk::Fence, all: vk::Bool32, timeout: u64);
    vkQueueWaitIdle: PFN_vkQueueWaitIdle at Idle
        (queue: vk::Queue);
    vkDeviceWaitIdle: PFN_vkDeviceWaitIdle at Idle
        (device: vk::Device);
}

impl NextDevice {
    /// With what a call fails.
    fn failed(&self, point: Point) -> Option<vk::Result> {
        let fault = fault(point);
        if fault == Some(vk::Result::ERROR_DEVICE_LOST) {
            self.is_lost.store(true, SeqCst);
            // Nothing runs on a lost device.
            self.vkDeviceWaitIdle.map(|wait| unsafe { wait(self.device) });
        }
        let tells_of_loss = matches!(point, Point::Submit | Point::Wait | Point::Idle);
        let lost = tells_of_loss && self.is_lost.load(SeqCst);
        fault.or(lost.then_some(vk::Result::ERROR_DEVICE_LOST))
    }
}

/// What the loader leaves in the chain of a description: a link to the next layer, or something else.
#[repr(C)]
struct Link<T> {
    kind: vk::StructureType,
    next: *mut c_void,
    function: i32,
    layer: *mut T,
}

#[repr(C)]
struct InstanceLink {
    next: *mut InstanceLink,
    get_instance: vk::PFN_vkGetInstanceProcAddr,
    get_physical_device: vk::PFN_vkVoidFunction,
}

#[repr(C)]
struct DeviceLink {
    next: *mut DeviceLink,
    get_instance: vk::PFN_vkGetInstanceProcAddr,
    get_device: vk::PFN_vkGetDeviceProcAddr,
}

/// The link for the next layer, in a chain that begins here.
unsafe fn link<T>(mut chain: *const c_void, kind: vk::StructureType) -> *mut Link<T> {
    const LAYER_LINK: i32 = 0;
    loop {
        let link = chain.cast_mut().cast::<Link<T>>();
        assert!(!link.is_null(), "the loader leaves a link");
        unsafe {
            if (*link).kind == kind && (*link).function == LAYER_LINK {
                return link;
            }
            chain = (*link).next;
        }
    }
}

unsafe extern "system" fn create_instance(
    info: *const vk::InstanceCreateInfo<'_>,
    allocator: Allocator<'_>,
    made: *mut vk::Instance,
) -> vk::Result {
    unsafe {
        let link = link::<InstanceLink>((*info).p_next, vk::StructureType::LOADER_INSTANCE_CREATE_INFO);
        let get = (*(*link).layer).get_instance;
        (*link).layer = (*(*link).layer).next;
        let create = get(vk::Instance::null(), c"vkCreateInstance".as_ptr());
        let create = transmute::<vk::PFN_vkVoidFunction, vk::PFN_vkCreateInstance>(create);
        let result = create(info, allocator, made);
        if result == vk::Result::SUCCESS {
            let next = NextInstance { instance: *made, get };
            lock(&INSTANCES).get_or_insert_default().insert(key(*made), next);
        }
        result
    }
}

unsafe extern "system" fn create_device(
    physical: vk::PhysicalDevice,
    info: *const vk::DeviceCreateInfo<'_>,
    allocator: Allocator<'_>,
    made: *mut vk::Device,
) -> vk::Result {
    if let Some(result) = fault(Point::Device) {
        return result;
    }
    unsafe {
        let link = link::<DeviceLink>((*info).p_next, vk::StructureType::LOADER_DEVICE_CREATE_INFO);
        let DeviceLink { next, get_instance, get_device } = *(*link).layer;
        (*link).layer = next;
        let instance = next_instance(physical).expect("an instance made here").instance;
        let create = get_instance(instance, c"vkCreateDevice".as_ptr());
        let create = transmute::<vk::PFN_vkVoidFunction, vk::PFN_vkCreateDevice>(create);
        let result = create(physical, info, allocator, made);
        if result == vk::Result::SUCCESS {
            let next = Arc::new(NextDevice::new(*made, get_device));
            lock(&DEVICES).get_or_insert_default().insert(key(*made), next);
        }
        result
    }
}

unsafe extern "system" fn get_instance(
    instance: vk::Instance,
    name: *const c_char,
) -> vk::PFN_vkVoidFunction {
    unsafe {
        let text = CStr::from_ptr(name).to_str().unwrap_or_default();
        match text {
            "vkGetInstanceProcAddr" => {
                transmute::<vk::PFN_vkGetInstanceProcAddr, vk::PFN_vkVoidFunction>(get_instance)
            }
            "vkCreateInstance" => {
                transmute::<vk::PFN_vkCreateInstance, vk::PFN_vkVoidFunction>(create_instance)
            }
            "vkCreateDevice" => transmute::<vk::PFN_vkCreateDevice, vk::PFN_vkVoidFunction>(create_device),
            "vkGetDeviceProcAddr" => {
                transmute::<vk::PFN_vkGetDeviceProcAddr, vk::PFN_vkVoidFunction>(get_device)
            }
            _ if instance.is_null() => None,
            _ => counted(text).or_else(|| {
                let next = next_instance(instance)?;
                (next.get)(instance, name)
            }),
        }
    }
}

unsafe extern "system" fn get_device(device: vk::Device, name: *const c_char) -> vk::PFN_vkVoidFunction {
    unsafe {
        let text = CStr::from_ptr(name).to_str().unwrap_or_default();
        if text == "vkGetDeviceProcAddr" {
            return transmute::<vk::PFN_vkGetDeviceProcAddr, vk::PFN_vkVoidFunction>(get_device);
        }
        let next = next_device(device);
        let driver = (next.get)(next.device, name);
        // What the driver lacks, we have not either.
        driver.and_then(|driver| counted(text).or(Some(driver)))
    }
}

/// What the loader and a layer tell each other.
#[repr(C)]
#[derive(Debug)]
pub struct Negotiation {
    kind: i32,
    next: *mut c_void,
    version: u32,
    get_instance: Option<vk::PFN_vkGetInstanceProcAddr>,
    get_device: Option<vk::PFN_vkGetDeviceProcAddr>,
    get_physical_device: vk::PFN_vkVoidFunction,
}

/// Where the loader begins.
///
/// # Safety
/// As the loader calls it.
#[unsafe(no_mangle)]
pub unsafe extern "system" fn vkNegotiateLoaderLayerInterfaceVersion(with: *mut Negotiation) -> vk::Result {
    let with = unsafe { &mut *with };
    with.version = with.version.min(2);
    with.get_instance = Some(get_instance);
    with.get_device = Some(get_device);
    with.get_physical_device = None;
    vk::Result::SUCCESS
}
