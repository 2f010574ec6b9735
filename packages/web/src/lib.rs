//! The library for JavaScript: objects and calls with numbers, bytes and JSON, to which `js/` gives their names and types.

// The standard library is built with the module, by a compiler that allows it.
#![feature(alloc_error_hook)]

mod engine;
mod error;
mod inputs;
mod log;
mod logits;
mod operations;
mod params;
#[cfg(feature = "proof")]
mod proof;
mod request;

use std::cell::RefCell;

use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    fn console_error(words: &str);
}

thread_local! {
    static TELL: RefCell<Option<js_sys::Function>> = const { RefCell::new(None) };
    /// Memory for the words about having none.
    static RESERVE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Has a function hear of a panic, or that there is no memory, before it ends the module: nothing that is awaited would ever be told.
#[wasm_bindgen]
pub fn on_panic(tell: js_sys::Function) {
    TELL.set(Some(tell));
    RESERVE.set(Vec::with_capacity(1 << 14));
    std::alloc::set_alloc_error_hook(|layout| {
        RESERVE.take();
        panic!("out of memory: {} bytes", layout.size());
    });
    std::panic::set_hook(Box::new(|info| {
        let words = info.to_string();
        console_error(&format!("sortilege: {words}"));
        // What a function throws that is told of the end helps nobody.
        let _ = TELL.with_borrow(|tell| tell.as_ref().map(|tell| tell.call1(&JsValue::NULL, &words.into())));
    }));
}

/// Version of the library, and of its arithmetic: results of one version can be compared bit for bit.
#[wasm_bindgen]
pub fn versions() -> String {
    format!(r#"{{"version":"{}","arithmetic":{}}}"#, env!("CARGO_PKG_VERSION"), sortilege::ARITHMETIC_VERSION)
}
