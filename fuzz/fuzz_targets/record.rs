#![no_main]

use cache_aside_fuzz::fuzz_targets::record;

/// How records start, by what they say.
const BEGINNINGS: [&str; 6] = ["1 1 keys ", "1 1 fence ", "1 1 pattern ", "1 1 tags ", "1 a! keys ", "1 1 clear"];

// Without a sanitizer the fuzzer does not see what words are compared with, and would hardly guess them.
libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    record(bytes);
    for beginning in BEGINNINGS {
        record(&[beginning.as_bytes(), bytes].concat());
    }
});
