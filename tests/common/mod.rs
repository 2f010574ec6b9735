//! Devices for tests: a GPU test without an adapter fails, it never skips.

use sortilege::SamplerOptions;
use sortilege::device::{Gpu, candidates, find};

/// Opens twice, with the kernels of the device and, where those use integers of 64 bits, with the portable ones, every adapter that `SORTILEGE_TEST_ADAPTERS` names (ids, comma separated), or if it is not set every adapter
/// that can run the kernels.
///
/// # Panics
/// If one of them is missing, or there is none.
pub(crate) fn gpus() -> Vec<Gpu> {
    let wanted = std::env::var("SORTILEGE_TEST_ADAPTERS").ok();
    let mut list = candidates(true);
    if let Some(wanted) = &wanted {
        let ids: Vec<&str> = wanted.split(',').map(str::trim).collect();
        list.retain(|candidate| ids.contains(&candidate.id.as_str()));
        for id in ids {
            assert!(list.iter().any(|candidate| candidate.id == id), "adapter {id} is required and missing");
        }
    } else {
        list.retain(|candidate| candidate.unfit.is_none());
    }
    assert!(!list.is_empty(), "no adapter: scripts/test installs a software driver");
    let portable = SamplerOptions { portable: true, ..SamplerOptions::default() };
    let mut gpus = Vec::new();
    for candidate in list {
        let id = candidate.id.clone();
        let open = |candidate| Gpu::open(candidate).expect("the adapter opens and passes its self-check");
        gpus.push(open(candidate));
        if gpus.last().is_some_and(|gpu| gpu.sampler().has_int64()) {
            let again = open(find(candidates(true), &id).expect("it was there"));
            gpus.push(again.with_options(portable).expect("the same device"));
        }
    }
    gpus
}
