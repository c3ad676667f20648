//! How an entry or a lease is written on a shared tier.
//!
//! ```text
//! offset  0  magic       CA C3       never valid UTF-8, so no JSON or plain text starts so
//!         2  layout      2
//!         3  kind        'V' value, 'N' negative entry, 'L' lease
//!         4  token       16 bytes
//!        20  flag        1 when another node waits for the end of the lease or of the claim, 2 when the claim was in vain; of
//!                        the lease of a value that is being set in a cluster, 2 or 3 (its token begins with the version)
//!        21  codec
//!        22  schema      u32
//!        26  created     u64, milliseconds since the Unix epoch
//!        34  fresh until u64
//!        42  expires     u64
//!        50  cost        u32, milliseconds
//!        54  birth       16 bytes
//!        70  version     u64, one more than the application's; 0 where it gave none
//!        78  claimed     u64, until when a node has the right to replace the entry, in milliseconds of the tier's clock
//!        86  tags        u16, how many there are, then a u16 each
//!            etag        u16, its length in bytes; then its text
//!            payload     to the end
//! ```
//! A lease ends after its flag. All numbers are big-endian. The scripts of a shared tier read no further than the claim,
//! which they write, and patch the birth of a value that is stored together with its journal record.
//!
//! Hand-written rather than derived: the scripts depend on each offset, and every length is checked before it is used.

use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};

use crate::clock::Timestamp;
use crate::coherence::Position;
use crate::entry::{Entry, Token, Value};
use crate::tags::{TagSlot, Tags};

/// What every frame starts with.
pub const MAGIC: [u8; 2] = [0xca, 0xc3];
/// The layout that this crate writes.
pub const LAYOUT: u8 = 2;
/// The offset of the kind.
pub const KIND_AT: usize = 3;
/// The offset of the token.
pub const TOKEN_AT: usize = 4;
/// The offset of the flag that says what becomes of the lease or of the claim.
pub const FLAG_AT: usize = 20;
/// The length of a lease, in bytes.
pub const LEASE_BYTES: usize = 21;
/// The offset of the birth.
pub const BIRTH_AT: usize = 54;
/// The offset of the application's version.
pub const VERSION_AT: usize = 70;
/// The offset of the time until which the entry is claimed.
pub const CLAIMED_AT: usize = 78;
/// The length of what stands before the tags, in bytes.
pub const HEADER_BYTES: usize = 86;
/// The length of the shortest entry, in bytes: one without tags, etag and payload.
pub const ENTRY_BYTES: usize = HEADER_BYTES + 4;

const KIND_VALUE: u8 = b'V';
const KIND_ABSENT: u8 = b'N';
const KIND_LEASE: u8 = b'L';

/// What a shared tier held under a key.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Frame {
    /// A value or a negative entry.
    Entry(Entry),
    /// Somebody holds the right to fill the key.
    Lease(Token),
    /// Bytes that were not written by this crate.
    Foreign(Bytes),
}

/// Writes an entry.
///
/// # Errors
/// The entry's value is [`Value::Typed`]: only a codec can make bytes of it.
pub fn encode(entry: &Entry) -> Result<Bytes, InvalidFrame> {
    let (kind, codec, payload) = match &entry.value {
        Value::Encoded { bytes, codec } => (KIND_VALUE, *codec, bytes.as_ref()),
        Value::Absent => (KIND_ABSENT, 0, &[][..]),
        Value::Typed(_) => return Err(InvalidFrame("a typed value has no bytes; encode it with a codec first")),
    };
    let slots = entry.tags.slots();
    let Ok(count) = u16::try_from(slots.len()) else {
        return Err(InvalidFrame("it has more than 65535 tags"));
    };
    let etag = entry.etag.as_deref().unwrap_or_default();
    let Ok(etag_bytes) = u16::try_from(etag.len()) else {
        return Err(InvalidFrame("its etag is longer than 65535 bytes"));
    };
    let mut frame = start(ENTRY_BYTES + 2 * slots.len() + etag.len() + payload.len(), kind, entry.token);
    frame.put_u8(codec);
    frame.put_u32(entry.schema);
    frame.put_u64(entry.created.as_millis());
    frame.put_u64(entry.fresh_until.as_millis());
    frame.put_u64(entry.expires.as_millis());
    frame.put_u32(u32::try_from(entry.cost.as_millis()).unwrap_or(u32::MAX));
    frame.put_slice(&entry.birth.to_bytes());
    frame.put_u64(entry.version.map_or(0, |version| version.saturating_add(1)));
    frame.put_u64(0);
    debug_assert_eq!(frame.len(), HEADER_BYTES, "the layout above");
    frame.put_u16(count);
    slots.iter().for_each(|slot| frame.put_u16(slot.number()));
    frame.put_u16(etag_bytes);
    frame.put_slice(etag.as_bytes());
    frame.put_slice(payload);
    Ok(frame.freeze())
}

/// Writes a lease.
#[must_use]
pub fn encode_lease(token: Token) -> Bytes {
    start(LEASE_BYTES, KIND_LEASE, token).freeze()
}

fn start(capacity: usize, kind: u8, token: Token) -> BytesMut {
    let mut frame = BytesMut::with_capacity(capacity);
    frame.put_slice(&MAGIC);
    frame.put_u8(LAYOUT);
    frame.put_u8(kind);
    frame.put_slice(token.as_bytes());
    frame.put_u8(0);
    frame
}

/// Reads what [`encode`] or [`encode_lease`] wrote. The payload is a slice of `bytes`, not a copy.
///
/// # Errors
/// The bytes start with the magic, and are of another layout, of an unknown kind, or too short.
pub fn decode(bytes: Bytes) -> Result<Frame, InvalidFrame> {
    if !bytes.starts_with(&MAGIC) {
        return Ok(Frame::Foreign(bytes));
    }
    if bytes.get(MAGIC.len()) != Some(&LAYOUT) {
        return Err(InvalidFrame("its layout is unknown"));
    }
    let Some(token) = array_at(&bytes, TOKEN_AT) else { return Err(InvalidFrame("it is too short")) };
    let token = Token::from_bytes(token);
    match bytes[KIND_AT] {
        KIND_LEASE if bytes.len() == LEASE_BYTES => Ok(Frame::Lease(token)),
        KIND_VALUE | KIND_ABSENT if bytes.len() >= HEADER_BYTES => {
            let entry = decode_entry(&bytes, token);
            entry.map(Frame::Entry).ok_or(InvalidFrame("it is too short, or its etag is no text"))
        }
        KIND_LEASE | KIND_VALUE | KIND_ABSENT => Err(InvalidFrame("its length is wrong")),
        _ => Err(InvalidFrame("its kind is unknown")),
    }
}

fn decode_entry(bytes: &Bytes, token: Token) -> Option<Entry> {
    let number = |at| array_at(bytes, at).map(u64::from_be_bytes);
    let count = usize::from(u16::from_be_bytes(array_at(bytes, HEADER_BYTES)?));
    let slots_at = HEADER_BYTES + 2;
    let etag_at = slots_at + 2 * count;
    let slots = bytes.get(slots_at..etag_at)?.chunks_exact(2).map(|slot| u16::from_be_bytes([slot[0], slot[1]]));
    let tags = Tags::from_slots(slots.map(TagSlot::new).collect());
    let etag_bytes = usize::from(u16::from_be_bytes(array_at(bytes, etag_at)?));
    let payload_at = etag_at + 2 + etag_bytes;
    let etag = std::str::from_utf8(bytes.get(etag_at + 2..payload_at)?).ok()?;
    let payload = bytes.slice(payload_at..);
    let size = payload.len() as u64;
    let value = if *bytes.get(KIND_AT)? == KIND_ABSENT {
        Value::Absent
    } else {
        Value::Encoded { bytes: payload, codec: *bytes.get(21)? }
    };
    let created = Timestamp::from_millis(number(26)?);
    let fresh_until = Timestamp::from_millis(number(34)?);
    Some(Entry {
        size,
        tags,
        tag_sequence: 0,
        value,
        token,
        schema: u32::from_be_bytes(array_at(bytes, 22)?),
        created,
        as_of: created,
        fresh_until,
        settled_until: fresh_until,
        expires: Timestamp::from_millis(number(42)?),
        cost: Duration::from_millis(u32::from_be_bytes(array_at(bytes, 50)?).into()),
        birth: Position::from_bytes(array_at(bytes, BIRTH_AT)?),
        version: number(VERSION_AT)?.checked_sub(1),
        etag: (!etag.is_empty()).then(|| etag.into()),
    })
}

fn array_at<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at + N)?.try_into().ok()
}

/// Why bytes are no frame.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid frame: {0}")]
pub struct InvalidFrame(&'static str);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry(value: Value) -> Entry {
        Entry {
            value,
            token: Token::from_bytes([7; 16]),
            created: Timestamp::from_millis(1),
            as_of: Timestamp::from_millis(1),
            fresh_until: Timestamp::from_millis(2),
            settled_until: Timestamp::from_millis(2),
            expires: Timestamp::from_millis(3),
            cost: Duration::from_millis(4),
            birth: Position::new(5, 6),
            version: Some(9),
            etag: Some("\"an etag\"".into()),
            schema: 8,
            tags: Tags::new(["a", "b"]),
            tag_sequence: 0,
            size: 7,
        }
    }

    #[test]
    fn a_value_survives_the_frame() {
        let written = entry(Value::Encoded { bytes: Bytes::from_static(b"payload"), codec: 9 });
        let Ok(Frame::Entry(read)) = decode(encode(&written).unwrap()) else { panic!("an entry") };
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        assert!(matches!(read.value, Value::Encoded { bytes, codec: 9 } if bytes == "payload"));
    }

    #[test]
    fn a_negative_entry_and_a_lease_survive_the_frame() {
        let written = Entry { size: 0, ..entry(Value::Absent) };
        let Ok(Frame::Entry(read)) = decode(encode(&written).unwrap()) else { panic!("an entry") };
        assert_eq!(format!("{read:?}"), format!("{written:?}"));
        let token = Token::from_bytes([1; 16]);
        assert!(matches!(decode(encode_lease(token)), Ok(Frame::Lease(read)) if read == token));
    }

    #[test]
    fn a_value_without_a_version_or_an_etag_has_none() {
        let written = Entry { version: None, etag: None, ..entry(Value::Absent) };
        let Ok(Frame::Entry(read)) = decode(encode(&written).unwrap()) else { panic!("an entry") };
        assert_eq!((read.version, read.etag), (None, None));
    }

    #[test]
    fn bytes_without_the_magic_are_foreign() {
        for foreign in [&b""[..], b"{}", b"\xca", b"\xc3\xca"] {
            assert!(matches!(decode(Bytes::from_static(foreign)), Ok(Frame::Foreign(bytes)) if bytes == foreign));
        }
    }

    #[test]
    fn every_truncation_of_a_header_is_refused() {
        let whole = encode(&entry(Value::Encoded { bytes: Bytes::from_static(b"x"), codec: 1 })).unwrap();
        for length in MAGIC.len()..whole.len() - 1 {
            assert!(decode(whole.slice(..length)).is_err(), "{length}");
        }
    }

    #[test]
    fn a_typed_value_cannot_be_written() {
        assert!(encode(&entry(Value::Typed(std::sync::Arc::new(1)))).is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(tail in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = decode(Bytes::from(tail.clone()));
            let _ = decode(Bytes::from([&MAGIC[..], &[LAYOUT], &tail].concat()));
        }
    }
}
