//! Every codec: round trips, corrupted bytes, other combinations, bounds.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

const HERE: Place<'static> = Place::new("shop", "user:7");

/// A value with everything that formats disagree on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Sample {
    id: u64,
    signed: i64,
    ratio: f64,
    name: String,
    note: Option<String>,
    bytes: Vec<u8>,
    shape: Shape,
    map: BTreeMap<String, (bool, char)>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Unit,
    Newtype(u32),
    Struct { side: u16 },
}

fn samples() -> impl Strategy<Value = Sample> {
    let shape = prop_oneof![
        Just(Shape::Unit),
        any::<u32>().prop_map(Shape::Newtype),
        any::<u16>().prop_map(|side| Shape::Struct { side })
    ];
    // Repeated, so that some are worth compressing.
    let name = (".{0,20}", 0_usize..200).prop_map(|(part, times)| part.repeat(times));
    let map = prop::collection::btree_map(".{0,8}", any::<(bool, char)>(), 0..4);
    let ratio = {
        use prop::num::f64::{NEGATIVE, NORMAL, POSITIVE, SUBNORMAL, ZERO};
        POSITIVE | NEGATIVE | NORMAL | SUBNORMAL | ZERO
    };
    ((any::<u64>(), any::<i64>(), ratio), name, any::<Option<String>>(), any::<Vec<u8>>(), shape, map).prop_map(
        |((id, signed, ratio), name, note, bytes, shape, map)| Sample {
            id,
            signed,
            ratio,
            name,
            note,
            bytes,
            shape,
            map,
        },
    )
}

/// Every codec that is compiled in, and combinations.
#[allow(unused_mut, clippy::vec_init_then_push, reason = "which there are depends on features")]
fn codecs() -> Vec<(&'static str, Box<dyn Codec>)> {
    let mut codecs: Vec<(&'static str, Box<dyn Codec>)> = Vec::new();
    #[cfg(feature = "json")]
    codecs.push(("json", Box::new(Json)));
    #[cfg(feature = "msgpack")]
    codecs.push(("msgpack", Box::new(MessagePack)));
    #[cfg(feature = "postcard")]
    codecs.push(("postcard", Box::new(Postcard)));
    #[cfg(all(feature = "json", feature = "lz4"))]
    codecs.push(("lz4 of json", Box::new(Compressed::lz4(Json))));
    #[cfg(all(feature = "postcard", feature = "lz4"))]
    codecs.push(("lz4 of postcard", Box::new(Compressed::lz4(Postcard).threshold(0))));
    #[cfg(all(feature = "json", feature = "zstd"))]
    codecs.push(("zstd of json", Box::new(Compressed::zstd(Json).threshold(0))));
    #[cfg(all(feature = "json", feature = "encryption"))]
    codecs.push(("encrypted json", Box::new(Encrypted::new(Json, ring()))));
    #[cfg(all(feature = "json", feature = "encryption", feature = "lz4"))]
    codecs.push(("encrypted lz4 of json", Box::new(Encrypted::new(Compressed::lz4(Json).threshold(0), ring()))));
    codecs
}

#[cfg(feature = "encryption")]
fn ring() -> KeyRing {
    KeyRing::new(2, &[2; 32]).older(1, &[1; 32]).unwrap()
}

#[test]
fn no_two_codecs_have_one_id() {
    let mut ids: Vec<u8> = codecs().iter().map(|(_, codec)| codec.id()).collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert!(ids.len() == count && ids.iter().all(|id| *id < 128), "{ids:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn values_survive_every_codec(sample in samples()) {
        for (name, codec) in codecs() {
            let bytes = encode(&*codec, HERE, &sample).unwrap();
            let read: Sample = decode(&*codec, HERE, &bytes).unwrap_or_else(|error| panic!("{name}: {error:?}"));
            prop_assert_eq!(&read, &sample, "{}", name);
        }
    }

    #[test]
    fn corrupted_bytes_are_an_error_or_another_value_and_never_a_panic(
        sample in samples(), at: prop::sample::Index, with in 1..=255_u8, cut: prop::sample::Index,
    ) {
        for (name, codec) in codecs() {
            let whole = encode(&*codec, HERE, &sample).unwrap();
            let mut changed = whole.clone();
            changed[at.index(whole.len())] ^= with;
            let read = decode::<Sample>(&*codec, HERE, &changed);
            if name.starts_with("encrypted") {
                prop_assert!(read.is_err(), "{} noticed nothing", name);
            }
            let truncated = decode::<Sample>(&*codec, HERE, &whole[..cut.index(whole.len())]);
            prop_assert!(truncated.is_err(), "{} read what was cut off", name);
            let longer = [&whole[..], &[with]].concat();
            // White space behind JSON, and a byte that says nothing behind LZ4, change nothing.
            prop_assert!(decode::<Sample>(&*codec, HERE, &longer).map_or(true, |read| read == sample), "{}", name);
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        for (_, codec) in codecs() {
            let _ = decode::<Sample>(&*codec, HERE, &bytes);
            for mark in [&b"l"[..], b"L\0\0\x10\0", b"z", b"Z\0\0\x10\0", b"\x01\0\0\0\x02"] {
                let _ = decode::<Sample>(&*codec, HERE, &[mark, &bytes].concat());
            }
        }
    }

    #[test]
    fn what_one_codec_wrote_is_not_garbage_to_another(sample in samples()) {
        // Frames carry the id, so no codec is ever asked to; but if it were, it would read the value or nothing.
        for (wrote, writer) in codecs() {
            let bytes = encode(&*writer, HERE, &sample).unwrap();
            for (reads, reader) in codecs().into_iter().filter(|(reads, _)| *reads != wrote && !reads.contains("postcard")) {
                let read = decode::<Sample>(&*reader, HERE, &bytes);
                prop_assert!(read.is_err(), "{reads} read what {wrote} wrote");
            }
        }
    }
}

#[cfg(feature = "json")]
#[test]
fn json_is_plain_text_and_nothing_else_is_json() {
    let value = BTreeMap::from([("a".to_owned(), Some(1.5)), ("b".to_owned(), None)]);
    let bytes = encode(&Json, HERE, &value).unwrap();
    assert_eq!(bytes, br#"{"a":1.5,"b":null}"#);
    for bad in ["", "{", "1 2", "\"text\""] {
        assert!(decode::<u32>(&Json, HERE, bad.as_bytes()).is_err(), "{bad}");
    }
}

#[cfg(feature = "json")]
#[test]
fn json_has_no_infinity_and_no_nan() {
    for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let bytes = encode(&Json, HERE, &Some(odd)).unwrap();
        assert_eq!(bytes, b"null");
        assert_eq!(decode::<Option<f64>>(&Json, HERE, &bytes).unwrap(), None);
        assert!(decode::<f64>(&Json, HERE, &bytes).is_err());
    }
}

#[cfg(all(feature = "json", feature = "lz4", feature = "zstd"))]
mod compression {
    use super::*;

    #[test]
    fn only_what_is_long_and_gets_shorter_is_compressed() {
        for codec in [Compressed::lz4(Json), Compressed::zstd(Json)] {
            let mark = |value: &str| encode(&codec, HERE, &value).unwrap()[0].is_ascii_uppercase();
            assert!(!mark(&"a".repeat(1_000)), "it is short");
            assert!(mark(&"a".repeat(1_024)));
            let noise: String = (0..2_000_u32).map(|n| char::from(33 + (n * n * 31 % 90) as u8)).collect();
            let bytes = encode(&codec.threshold(0), HERE, &noise).unwrap();
            assert!(bytes.len() <= serde_json::to_vec(&noise).unwrap().len() + 1);
        }
    }

    #[test]
    fn what_would_get_too_long_is_neither_written_nor_allocated() {
        for codec in [Compressed::lz4(Json).threshold(0), Compressed::zstd(Json).threshold(0)] {
            let value = "a".repeat(100_000);
            let bytes = encode(&codec, HERE, &value).unwrap();
            assert_eq!(decode::<String>(&codec.max_bytes(100_002), HERE, &bytes).unwrap(), value);
            assert!(decode::<String>(&codec.max_bytes(100_001), HERE, &bytes).is_err());
            assert!(encode(&codec.max_bytes(100_001), HERE, &value).is_err());
            // A length that is not true, with and without the bytes to back it.
            for lie in [0_u32, 100_001, 100_003, u32::MAX] {
                let lying = [&bytes[..1], &lie.to_be_bytes(), &bytes[5..]].concat();
                assert!(decode::<String>(&codec, HERE, &lying).is_err(), "{lie}");
            }
            assert!(decode::<String>(&codec, HERE, &[bytes[0], 0, 255, 255, 255]).is_err());
            let plain = [&[bytes[0].to_ascii_lowercase()][..], br#""longer""#].concat();
            assert!(decode::<String>(&codec.max_bytes(8), HERE, &plain).is_ok());
            assert!(decode::<String>(&codec.max_bytes(7), HERE, &plain).is_err());
        }
    }

    #[test]
    fn lz4_allocates_for_no_length_that_its_bytes_cannot_have() {
        let codec = Compressed::lz4(Json);
        // 1 MiB is within the bound of the codec, and beyond what four bytes can stand for.
        let lying = [&b"L"[..], &(1_u32 << 20).to_be_bytes(), &[0; 4]].concat();
        let error = decode::<String>(&codec, HERE, &lying).unwrap_err();
        assert!(format!("{error:?}").contains("it would get longer"), "{error:?}");
    }
}

#[cfg(all(feature = "json", feature = "encryption"))]
mod encryption {
    use super::*;

    #[test]
    fn the_newest_key_encrypts_and_every_key_decrypts() {
        let old = Encrypted::new(Json, KeyRing::new(1, &[1; 32]));
        let both = Encrypted::new(Json, ring());
        let new = Encrypted::new(Json, KeyRing::new(2, &[2; 32]));
        let written = encode(&old, HERE, &"secret").unwrap();
        assert_eq!(decode::<String>(&both, HERE, &written).unwrap(), "secret");
        assert!(decode::<String>(&new, HERE, &written).is_err(), "its key is gone");
        let written = encode(&both, HERE, &"secret").unwrap();
        assert_eq!(decode::<String>(&new, HERE, &written).unwrap(), "secret");
        assert!(decode::<String>(&old, HERE, &written).is_err());
        let same_id = Encrypted::new(Json, KeyRing::new(2, &[3; 32]));
        assert!(decode::<String>(&same_id, HERE, &written).is_err());
        assert!(KeyRing::new(2, &[2; 32]).older(2, &[1; 32]).unwrap_err().to_string().contains("id 2 is given twice"));
    }

    #[test]
    fn a_value_that_was_moved_to_another_key_is_refused() {
        let codec = Encrypted::new(Json, ring());
        let written = encode(&codec, Place::new("shop", "user:7"), &"secret").unwrap();
        for elsewhere in [Place::new("shop", "user:8"), Place::new("shopu", "ser:7"), Place::new("", "shopuser:7")] {
            assert!(decode::<String>(&codec, elsewhere, &written).is_err(), "{elsewhere:?}");
        }
    }

    #[test]
    fn neither_values_nor_keys_show_and_no_two_writes_are_alike() {
        let codec = Encrypted::new(Json, KeyRing::new(7, &[171; 32]));
        let [one, other] = [0; 2].map(|_| encode(&codec, HERE, &"secret").unwrap());
        assert_ne!(one, other, "the nonce is new each time");
        assert!(!one.windows(6).any(|window| window == b"secret"));
        assert_eq!(format!("{codec:?}"), "Encrypted { inner: Json, keys: [7] }");
    }
}
