#![no_main]

use std::path::Path;

libfuzzer_sys::fuzz_target!(|text: &str| {
    whorl_fuzz::tracer(text, Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../stdlib")))
});
