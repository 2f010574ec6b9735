//! The library for JavaScript: objects and calls with numbers, bytes and JSON, to which `js/` gives their names and types.

mod engine;
mod error;
mod log;
mod logits;
mod params;
mod request;

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(words: &str);
}

/// Says where a panic was before it ends the module; `js/` makes it an error.
#[wasm_bindgen(start)]
fn start() {
    std::panic::set_hook(Box::new(|info| console_error(&format!("sortilege: {info}"))));
}

/// Version of the library, and of its arithmetic: results of one version can be compared bit for bit.
#[wasm_bindgen]
pub fn versions() -> String {
    format!(r#"{{"version":"{}","arithmetic":{}}}"#, env!("CARGO_PKG_VERSION"), sortilege::ARITHMETIC_VERSION)
}
