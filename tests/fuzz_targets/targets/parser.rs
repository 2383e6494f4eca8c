#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| whorl_fuzz::parser(text));
