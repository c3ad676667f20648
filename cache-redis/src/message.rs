//! What is published on the channel.
//!
//! `<previous> <position> <record>` when a record was appended, `value <previous> <position> <ttl> <length>:<record><frame>`
//! when the value that was set is sent with its record, `lease <key>` when a lease that was waited for has ended, `swept
//! <position> <pattern>` when everything that a pattern covered has been removed.
//! Anyone with access to the server can publish anything, so every length is checked.

use std::time::Duration;

use bytes::Bytes;
use cache_core::coherence::{BusMessage, Position, RECORD_MAX_BYTES, REPLICA_MAX_BYTES, Record, Replica};
use cache_core::frame::{self, Frame};
use cache_core::{Key, Pattern};

const LEASE: &str = "lease ";
const SWEPT: &str = "swept ";
const VALUE: &[u8] = b"value ";

/// The longest message: a record, after two positions of twice twenty digits and a dash each. A value goes with the record
/// of a single key, and the two are shorter than a record can be.
const MAX_BYTES: usize = RECORD_MAX_BYTES + 2 * (20 + 1 + 20 + 1);

/// What to publish when the lease on `key` has ended.
pub(crate) fn lease_ended(key: &Key) -> String {
    format!("{LEASE}{key}")
}

/// What to publish when everything that `pattern` covered at `position` has been removed.
pub(crate) fn swept(pattern: &Pattern, position: Position) -> String {
    format!("{SWEPT}{position} {pattern}")
}

/// Reads a message.
pub(crate) fn parse(payload: &[u8]) -> BusMessage {
    try_parse(payload).unwrap_or(BusMessage::Unreadable)
}

fn try_parse(payload: &[u8]) -> Option<BusMessage> {
    if payload.len() > MAX_BYTES {
        return None;
    }
    if let Some(rest) = payload.strip_prefix(VALUE) {
        return parse_value(rest);
    }
    let text = std::str::from_utf8(payload).ok()?;
    if let Some(key) = text.strip_prefix(LEASE) {
        return Key::new(key).ok().map(BusMessage::LeaseEnded);
    }
    if let Some((position, pattern)) = text.strip_prefix(SWEPT).and_then(|rest| rest.split_once(' ')) {
        return Some(BusMessage::Swept(Pattern::new(pattern).ok()?, position.parse().ok()?));
    }
    let mut words = text.splitn(3, ' ');
    let previous: Position = words.next()?.parse().ok()?;
    let position: Position = words.next()?.parse().ok()?;
    let record: Record = words.next()?.parse().ok()?;
    (previous < position).then_some(BusMessage::Appended { previous, position, record, replica: None })
}

/// A value that cannot be read is left out: its record says that the old one is void.
fn parse_value(payload: &[u8]) -> Option<BusMessage> {
    let mut parts = payload.splitn(4, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(parts.next()?).ok();
    let previous: Position = text()?.parse().ok()?;
    let position: Position = text()?.parse().ok()?;
    let ttl = Duration::from_millis(text()?.parse().ok()?);
    let rest = parts.next()?;
    let colon = rest.iter().position(|byte| *byte == b':')?;
    let length: usize = std::str::from_utf8(&rest[..colon]).ok()?.parse().ok()?;
    let (record, value) = rest[colon + 1..].split_at_checked(length)?;
    let record: Record = std::str::from_utf8(record).ok()?.parse().ok()?;
    let replica = match frame::decode(Bytes::copy_from_slice(value)) {
        Ok(Frame::Entry(entry)) if entry.size <= REPLICA_MAX_BYTES as u64 => Some(Replica { entry, ttl }),
        _ => None,
    };
    (previous < position).then_some(BusMessage::Appended { previous, position, record, replica })
}

#[cfg(test)]
mod tests {
    use super::*;
    use cache_core::clock::Timestamp;
    use cache_core::coherence::{Change, NodeId};
    use cache_core::{Entry, Value};
    use proptest::prelude::*;

    fn is_unreadable(payload: &[u8]) -> bool {
        matches!(parse(payload), BusMessage::Unreadable)
    }

    #[test]
    fn an_appended_record_is_read() {
        let BusMessage::Appended { previous, position, record, replica: None } = parse(b"1-2 3-4 1 ab clear") else {
            panic!("an appended record")
        };
        assert_eq!((previous, position), (Position::new(1, 2), Position::new(3, 4)));
        assert_eq!(record, Record::new(NodeId::new(0xab), Change::Clear));
    }

    fn value(frame: &[u8]) -> Vec<u8> {
        [&b"value 1-2 3-4 5000 11:1 ab keys 0"[..], frame].concat()
    }

    #[test]
    fn a_value_is_read_with_its_record() {
        let entry = Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
        let message = parse(&value(&frame::encode(&entry).unwrap()));
        let BusMessage::Appended { position, record, replica: Some(replica), .. } = message else { panic!("a value") };
        assert_eq!(
            (position, record.node, replica.ttl),
            (Position::new(3, 4), NodeId::new(0xab), Duration::from_secs(5))
        );
        for broken in [&b""[..], b"x", b"\xca\xc3\x01V"] {
            let message = parse(&value(broken));
            assert!(matches!(message, BusMessage::Appended { replica: None, .. }), "the record counts: {broken:?}");
        }
    }

    #[test]
    fn the_end_of_a_lease_is_read() {
        for key in ["k", "a b", "lease ", "1-2 3-4 1 ab clear"] {
            let key = Key::new(key).unwrap();
            assert!(matches!(parse(lease_ended(&key).as_bytes()), BusMessage::LeaseEnded(read) if read == key));
        }
    }

    #[test]
    fn the_end_of_a_scan_is_read() {
        let (pattern, at) = (Pattern::new("user: *").unwrap(), Position::new(5, 6));
        let message = parse(swept(&pattern, at).as_bytes());
        assert!(matches!(message, BusMessage::Swept(read, position) if read == pattern && position == at));
    }

    #[test]
    fn anything_else_is_unreadable() {
        for bad in [
            &b""[..],
            b"lease",
            b"lease ",
            b"lease a\nb",
            b"swept 1-2",
            b"swept 1 a",
            b"swept 1-2 [",
            b"value ",
            b"value 1-2 3-4 5",
            b"value 1-2 3-4 x 11:1 ab keys 0",
            b"value 1-2 3-4 5 12:1 ab keys 0",
            b"value 1-2 3-4 5 99999999999999999999:1 ab keys 0",
            b"value 3-4 1-2 5 11:1 ab keys 0",
            b"value \xff 3-4 5 11:1 ab keys 0",
            b"1-2",
            b"1-2 3-4",
            b"1-2 3-4 ",
            b"1-2 3 1 ab clear",
            b"1-2 1-2 1 ab clear",
            b"3-4 1-2 1 ab clear",
            b"1-2  3-4 1 ab clear",
            b"\xff\xfe",
        ] {
            assert!(is_unreadable(bad), "{bad:?}");
        }
        assert!(is_unreadable(&[b'x'].repeat(MAX_BYTES + 1)));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            parse(&bytes);
        }

        #[test]
        fn no_mutation_of_a_message_panics(at in 0usize..40, byte: u8, cut in 0usize..40) {
            let mut payload = b"1-2 3-4 1 00000000000000ab keys 1 3:abc".to_vec();
            if let Some(target) = payload.get_mut(at) {
                *target = byte;
            }
            payload.truncate(payload.len().saturating_sub(cut));
            parse(&payload);
        }

        #[test]
        fn no_mutation_of_a_value_panics(at in 0usize..130, byte: u8, cut in 0usize..130) {
            let entry = Entry::new(Value::Absent, Timestamp::ZERO, Timestamp::MAX);
            let mut payload = value(&frame::encode(&entry).unwrap());
            if let Some(target) = payload.get_mut(at) {
                *target = byte;
            }
            payload.truncate(payload.len().saturating_sub(cut));
            parse(&payload);
        }
    }
}
