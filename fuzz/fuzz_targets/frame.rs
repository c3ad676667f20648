#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| cache_aside_fuzz::fuzz_targets::frame(bytes));
