//! The adapters of this machine, for callers that have no device.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::checks::check_limits;
use crate::error::{Error, Result};

/// An adapter that this machine offers.
#[derive(Debug)]
#[non_exhaustive]
pub struct Adapter {
    /// The name by which [`find`] knows it, unique in its list: `lavapipe`, `llvmpipe`, or the adapter's own words.
    pub id: String,
    /// What the driver says of itself.
    pub info: wgpu::AdapterInfo,
    /// Whether its limits and backend can run the kernels; if not, why.
    pub unfit: Option<String>,
    pub(super) inner: wgpu::Adapter,
}

impl Adapter {
    /// Whether a processor pretends to be a GPU: good for tests, 10 to 40 times slower than the CPU engine.
    #[must_use]
    pub fn is_software(&self) -> bool {
        is_software(&self.info)
    }

    /// Whether `auto` may take it: hardware that can run the kernels.
    #[must_use]
    pub fn is_fit_hardware(&self) -> bool {
        !self.is_software() && self.unfit.is_none()
    }

    /// The adapter's limits.
    #[must_use]
    pub fn limits(&self) -> wgpu::Limits {
        self.inner.limits()
    }

    /// The adapter's features.
    #[must_use]
    pub fn features(&self) -> wgpu::Features {
        self.inner.features()
    }
}

fn is_software(info: &wgpu::AdapterInfo) -> bool {
    let name = info.name.to_lowercase();
    info.device_type == wgpu::DeviceType::Cpu
        || ["llvmpipe", "lavapipe", "softpipe", "swiftshader", "basic render driver"]
            .iter()
            .any(|word| name.contains(word))
}

/// The adapters of this machine, best first: discrete, integrated, virtual, software. OpenGL adapters are listed only
/// if `with_gl`, because some drivers abort the process when they are closed. The environment variable
/// `WGPU_BACKEND` restricts the backends.
#[must_use]
pub fn adapters(with_gl: bool) -> Vec<Adapter> {
    let mut descriptor = wgpu::InstanceDescriptor::new_without_display_handle_from_env();
    let by_environment = std::env::var_os("WGPU_BACKEND").is_some();
    if !with_gl && !by_environment {
        descriptor.backends.remove(wgpu::Backends::GL);
    }
    // The validation layers and debug output of the backends are for their developers.
    descriptor.flags = wgpu::InstanceFlags::empty().with_env();
    let backends = descriptor.backends;
    let Ok(adapters) = catch_unwind(AssertUnwindSafe(|| {
        let instance = wgpu::Instance::new(descriptor);
        pollster::block_on(instance.enumerate_adapters(backends))
    })) else {
        return Vec::new();
    };
    let mut list: Vec<Adapter> = adapters
        .into_iter()
        .map(|adapter| {
            let info = adapter.get_info();
            Adapter { id: id(&info), unfit: unfit(&adapter), info, inner: adapter }
        })
        .collect();
    list.sort_by_key(|adapter| {
        let kind = match adapter.info.device_type {
            _ if adapter.is_software() => 4,
            wgpu::DeviceType::DiscreteGpu => 0,
            wgpu::DeviceType::IntegratedGpu => 1,
            wgpu::DeviceType::VirtualGpu => 2,
            _ => 3,
        };
        // OpenGL last, so that the others keep their numbers with and without it.
        (adapter.info.backend == wgpu::Backend::Gl, kind)
    });
    let ids = told_apart(list.iter().map(|adapter| adapter.id.clone()).collect());
    for (adapter, id) in list.iter_mut().zip(ids) {
        adapter.id = id;
    }
    list
}

/// Ids of which equal ones have got a number from the second on.
fn told_apart(ids: Vec<String>) -> Vec<String> {
    let same_before = |i: usize| ids[..i].iter().filter(|id| **id == ids[i]).count();
    let numbered = |i: usize| match same_before(i) {
        0 => ids[i].clone(),
        before => format!("{} #{}", ids[i], before + 1),
    };
    (0..ids.len()).map(numbered).collect()
}

fn id(info: &wgpu::AdapterInfo) -> String {
    match (info.name.to_lowercase().contains("llvmpipe"), info.backend) {
        (true, wgpu::Backend::Vulkan) => "lavapipe".to_owned(),
        (true, wgpu::Backend::Gl) => "llvmpipe".to_owned(),
        _ => info.name.clone(),
    }
}

fn unfit(adapter: &wgpu::Adapter) -> Option<String> {
    if !adapter.get_downlevel_capabilities().flags.contains(wgpu::DownlevelFlags::COMPUTE_SHADERS) {
        return Some("no compute shaders".to_owned());
    }
    check_limits(&adapter.limits()).err().map(|error| error.to_string())
}

/// The adapter that a user names: its place in the list, its id, or a part of id, name, driver or backend that fits
/// no other.
///
/// # Errors
/// [`Error::NoAdapter`] lists the ids if none or several fit.
pub fn find(mut list: Vec<Adapter>, wanted: &str) -> Result<Adapter> {
    let word = wanted.to_lowercase();
    let number = wanted.parse::<usize>().ok();
    let places: Vec<usize> = if let Some(number) = number.filter(|&number| number < list.len()) {
        vec![number]
    } else if word.is_empty() {
        Vec::new()
    } else {
        let exact: Vec<usize> = (0..list.len()).filter(|&i| list[i].id.to_lowercase() == word).collect();
        let fits = |c: &Adapter| {
            format!("{} {} {} {}", c.id, c.info.name, c.info.driver, c.info.backend)
                .to_lowercase()
                .contains(&word)
        };
        // A place that is none is no part of "RTX 2080".
        let may_be_part = exact.is_empty() && number.is_none();
        if may_be_part { (0..list.len()).filter(|&i| fits(&list[i])).collect() } else { exact }
    };
    match places[..] {
        [place] => Ok(list.swap_remove(place)),
        _ => {
            let ids: Vec<&str> = list.iter().map(|adapter| adapter.id.as_str()).collect();
            Err(Error::NoAdapter(format!(
                "{} adapters fit {wanted:?}; there are: {}",
                if places.is_empty() { "no" } else { "several" },
                if ids.is_empty() { "none".to_owned() } else { ids.join(", ") }
            )))
        }
    }
}

/// The best hardware GPU that can run the kernels, never a software adapter.
#[must_use]
pub fn best_hardware(list: Vec<Adapter>) -> Option<Adapter> {
    list.into_iter().find(Adapter::is_fit_hardware)
}

#[cfg(test)]
mod tests {
    use super::told_apart;

    #[test]
    fn equal_adapters_have_ids_of_their_own() {
        let ids = ["X", "Y", "X", "X", "Y"].map(str::to_owned);
        assert_eq!(told_apart(ids.to_vec()), ["X", "Y", "X #2", "X #3", "Y #2"]);
    }
}
