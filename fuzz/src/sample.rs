//! What `sample` of the program reads.

#[path = "../../cli/src/sample/args.rs"]
mod args;
#[path = "../../cli/src/sample/breakers.rs"]
mod breakers;
#[path = "../../cli/src/sample/idle.rs"]
mod idle;
#[path = "../../cli/src/sample/mask.rs"]
mod mask;
#[path = "../../cli/src/sample/numbers.rs"]
mod numbers;
#[path = "../../cli/src/sample/params.rs"]
mod params;
#[path = "../../cli/src/sample/params_file.rs"]
mod params_file;
#[path = "../../cli/src/sample/peers/mod.rs"]
mod peers;
#[path = "../../cli/src/sample/prompts.rs"]
mod prompts;
#[path = "../../cli/src/sample/requests.rs"]
mod requests;
#[path = "../../cli/src/sample/unique.rs"]
mod unique;
#[path = "../../cli/src/sample/values.rs"]
mod values;

pub(crate) use self::args::SampleArgs;
pub(crate) use self::mask::Mask;
pub(crate) use self::requests::Requests;
