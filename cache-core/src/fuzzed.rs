//! The fuzz targets on what proptest makes: any bytes, and bytes that were once right.

use bytes::Bytes;
use proptest::prelude::*;

use crate::clock::Timestamp;
use crate::coherence::{Change, NodeId, Record};
use crate::frame;
use crate::fuzz_targets;
use crate::{Entry, Key, Tags, Value};

/// Changes some bytes, and cuts the rest off.
fn damage(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8)], cut: prop::sample::Index) -> Vec<u8> {
    for (at, with) in changes {
        if !bytes.is_empty() {
            let at = at.index(bytes.len());
            bytes[at] = *with;
        }
    }
    bytes.truncate(cut.index(bytes.len() + 1));
    bytes
}

fn a_frame(payload: &[u8]) -> Vec<u8> {
    let value = Value::Encoded { bytes: Bytes::copy_from_slice(payload), codec: 1 };
    let mut entry = Entry::new(value, Timestamp::from_millis(1), Timestamp::MAX);
    entry.tags = Tags::new(["a", "b"]);
    frame::encode(&entry).unwrap().to_vec()
}

fn a_record(key: &str) -> Vec<u8> {
    let keys = [Key::new("k").unwrap(), Key::new(key).unwrap_or_else(|_| Key::new("other").unwrap())];
    Record::new(NodeId::new(7), Change::Keys(keys.into())).to_string().into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn every_target_bears_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_targets::frame(&bytes);
        fuzz_targets::record(&bytes);
        fuzz_targets::pattern(&bytes);
        #[cfg(all(feature = "postcard", feature = "lz4", feature = "zstd"))]
        fuzz_targets::decompression(&bytes);
    }

    #[test]
    fn frames_and_records_bear_damage(
        payload in prop::collection::vec(any::<u8>(), 0..40),
        key in ".{0,20}",
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        cut: prop::sample::Index,
    ) {
        fuzz_targets::frame(&a_frame(&payload));
        fuzz_targets::frame(&damage(a_frame(&payload), &changes, cut));
        fuzz_targets::record(&a_record(&key));
        fuzz_targets::record(&damage(a_record(&key), &changes, cut));
    }

    #[test]
    fn patterns_bear_whatever_looks_like_one(text in "[a-c*?\\[\\]^\\\\-]{0,12}\n[a-c*?\\[\\]^\\\\-]{0,12}") {
        fuzz_targets::pattern(text.as_bytes());
    }

    #[cfg(all(feature = "postcard", feature = "lz4", feature = "zstd"))]
    #[test]
    fn compressed_bytes_bear_damage(
        part in prop::collection::vec(any::<u8>(), 1..20),
        times in 1_usize..200,
        changes in prop::collection::vec(any::<(prop::sample::Index, u8)>(), 0..4),
        cut: prop::sample::Index,
    ) {
        use crate::codec::{Compressed, Place, Postcard, encode};
        for codec in [Compressed::lz4(Postcard), Compressed::zstd(Postcard)] {
            let written = encode(&codec.threshold(0), Place::new("fuzz", "key"), &part.repeat(times)).unwrap();
            fuzz_targets::decompression(&damage(written, &changes, cut));
        }
    }
}
