//! What is fuzzed: each function takes any bytes, and panics if something that must hold does not.
//!
//! `fuzz/` runs them under libFuzzer; the tests of this crate (`fuzzed.rs`) run them on what proptest makes.

use bytes::Bytes;
use cache_core::coherence::Record;
use cache_core::frame::{self, Frame};
use cache_core::{Pattern, Value};

/// A frame that can be read says the same when it is written and read again.
pub fn frame(bytes: &[u8]) {
    let Ok(Frame::Entry(entry)) = frame::decode(Bytes::copy_from_slice(bytes)) else { return };
    // Of a negative entry the bytes behind the header are dropped.
    if matches!(entry.value, Value::Encoded { .. }) {
        let Ok(written) = frame::encode(&entry) else { panic!("an entry that was read cannot be written") };
        let Ok(Frame::Entry(again)) = frame::decode(written) else { panic!("what was written cannot be read") };
        assert_eq!(format!("{again:?}"), format!("{entry:?}"));
    }
}

/// A record that can be read says the same when it is written and read again.
pub fn record(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(record) = text.parse::<Record>() else { return };
    assert_eq!(record.to_string().parse::<Record>().as_ref(), Ok(&record));
}

/// The first line is a pattern, the second a key: an escaped key matches itself, and stars before and after a pattern do not
/// make it match less.
pub fn pattern(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (pattern, key) = text.split_once('\n').unwrap_or((text, text));
    if let Ok(escaped) = Pattern::new(Pattern::escape(key)) {
        assert!(escaped.matches(key), "{escaped} does not match {key:?}");
    }
    let Ok(narrow) = Pattern::new(pattern) else { return };
    if narrow.matches(key)
        && let Ok(wide) = Pattern::new(format!("*{pattern}*"))
    {
        assert!(wide.matches(key), "{wide} does not match {key:?}, which {narrow} does");
    }
}

/// Whatever the bytes say, decompressing them neither panics nor makes more than the bound; and as a value they survive.
#[cfg(all(feature = "postcard", feature = "lz4", feature = "zstd"))]
pub fn decompression(bytes: &[u8]) {
    use cache_core::codec::{Codec, Compressed, Place, Postcard};
    use serde::de::IgnoredAny;

    const BOUND: usize = 1 << 16;
    let place = Place::new("fuzz", "key");
    for codec in [Compressed::lz4(Postcard), Compressed::zstd(Postcard)] {
        let codec = codec.threshold(0).max_bytes(BOUND);
        for mark in [&b""[..], b"L\0\0\x10\0", b"Z\0\0\x10\0"] {
            // An error is what most bytes come to.
            let _ = codec.decode(place, &[mark, bytes].concat(), &mut |deserializer| {
                erased_serde::deserialize::<IgnoredAny>(deserializer).map(drop)
            });
        }
        let mut encoded = Vec::new();
        if codec.encode(place, &bytes, &mut encoded).is_ok() {
            let mut decoded = None;
            let read = codec.decode(place, &encoded, &mut |deserializer| {
                decoded = Some(erased_serde::deserialize::<Vec<u8>>(deserializer)?);
                Ok(())
            });
            assert!(read.is_ok() && decoded.as_deref() == Some(bytes));
        }
    }
}
