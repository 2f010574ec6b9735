//! Writes the JavaScript of a module: what `wasm-bindgen --target web` does, without its command line's
//! own dependencies.

use anyhow::{Context, Result};
use wasm_bindgen_cli_support::Bindgen;

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let (module, folder) = args.next().zip(args.next()).context("usage: bindgen MODULE.wasm FOLDER")?;
    Bindgen::new().input_path(module).out_name("sortilege").web(true)?.typescript(false).generate(folder)
}
