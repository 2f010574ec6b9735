//! What to measure on. A software adapter is measured only for a user who asks for that.

use sortilege::device::{Adapter, adapters};

use super::args::BenchArgs;
use crate::engine::find_adapter;
use crate::failure::{Failure, Result, note};

/// What to measure on: an adapter, or the CPU engine.
pub(super) type Target = Option<Adapter>;

/// The targets that the options name.
pub(super) fn targets(args: &BenchArgs) -> Result<Vec<Target>> {
    match args.device.as_str() {
        "cpu" => Ok(vec![None]),
        "auto" => Ok(vec![best(args.allow_software)]),
        "all" => Ok(all(args.allow_software)),
        name => named(name, args.allow_software).map(|adapter| vec![Some(adapter)]),
    }
}

/// The best adapter that may be measured, or the CPU engine with a line saying so.
fn best(allow_software: bool) -> Target {
    // The hardware comes first.
    let fits = |adapter: &Adapter| adapter.unfit.is_none() && (allow_software || !adapter.is_software());
    let best = adapters(false).into_iter().find(fits);
    match &best {
        Some(best) if best.is_software() => {
            note!("note: no hardware GPU found; {}, a software adapter, is measured", best.id);
        }
        None => {
            note!("note: no hardware GPU found; the CPU engine is measured");
        }
        _ => {}
    }
    best
}

/// Every adapter that may be measured, with a line for those that may not, and the CPU engine.
fn all(allow_software: bool) -> Vec<Target> {
    let fits = |adapter: &Adapter| {
        let why = match &adapter.unfit {
            Some(reason) => reason,
            None if adapter.is_software() && !allow_software => {
                "it is a software adapter, see --allow-software"
            }
            None => return true,
        };
        note!("note: {} is left out: {why}", adapter.id);
        false
    };
    adapters(false).into_iter().filter(fits).map(Some).chain([None]).collect()
}

/// The adapter of this name, if it may be measured.
fn named(name: &str, allow_software: bool) -> Result<Adapter> {
    let adapter = find_adapter(name)?;
    if adapter.is_software() && !allow_software {
        return Err(Failure::Usage(format!(
            "{} is a software adapter, whose times say nothing about a GPU's: --device cpu measures the CPU \
             engine, --allow-software measures the adapter all the same",
            adapter.id
        )));
    }
    Ok(adapter)
}
