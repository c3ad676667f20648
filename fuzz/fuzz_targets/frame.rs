#![no_main]

use cache_aside_fuzz::fuzz_targets::frame;
use cache_core::frame::{LAYOUT, MAGIC};

// Without a sanitizer the fuzzer does not see what slices are compared with, and would not guess what frames start with.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    frame(bytes);
    frame(&[&MAGIC[..], &[LAYOUT], bytes].concat());
});
