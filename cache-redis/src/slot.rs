//! Slots of a cluster: which names lie on the same server.
//!
//! Names are what they are called on a single server too, so all of this is compiled always.

use std::sync::OnceLock;

/// How many slots a cluster has.
pub(crate) const SLOTS: u16 = 16_384;

/// The slot of a name: the CRC16 (XMODEM) of its hash tag, or of all of it where it has none.
pub(crate) fn slot_of(name: &[u8]) -> u16 {
    crc16(hash_tag(name).unwrap_or(name)) % SLOTS
}

/// What stands between the first opening brace and the first closing one after it, unless that is nothing.
pub(crate) fn hash_tag(name: &[u8]) -> Option<&[u8]> {
    let open = name.iter().position(|byte| *byte == b'{')? + 1;
    let length = name[open..].iter().position(|byte| *byte == b'}')?;
    (length > 0).then(|| &name[open..open + length])
}

/// A number whose decimal digits, as a hash tag, lie in `slot`.
pub(crate) fn number_in(slot: u16) -> u32 {
    static NUMBERS: OnceLock<Box<[u32]>> = OnceLock::new();
    NUMBERS.get_or_init(one_for_each_slot)[usize::from(slot % SLOTS)]
}

/// The search ends after some 180,000 numbers.
fn one_for_each_slot() -> Box<[u32]> {
    let mut numbers = vec![None; usize::from(SLOTS)];
    let mut missing = numbers.len();
    for number in 0_u32.. {
        let found = &mut numbers[usize::from(slot_of(number.to_string().as_bytes()))];
        missing -= usize::from(found.is_none());
        found.get_or_insert(number);
        if missing == 0 {
            break;
        }
    }
    numbers.into_iter().map(Option::unwrap_or_default).collect()
}

fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_servers() {
        // From the specification of the cluster, and from CLUSTER KEYSLOT.
        assert_eq!(slot_of(b"123456789"), 0x31c3 % SLOTS);
        assert_eq!(slot_of(b"foo"), 12_182);
        assert_eq!(slot_of(b"{foo}bar"), 12_182);
        assert_eq!(slot_of(b""), 0);
    }

    #[test]
    fn a_tag_is_what_stands_between_the_first_braces() {
        assert_eq!(hash_tag(b"a{b}c{d}"), Some(&b"b"[..]));
        assert_eq!(hash_tag(b"a}b{c}"), Some(&b"c"[..]));
        assert_eq!(hash_tag(b"{{a}}"), Some(&b"{a"[..]));
        for none in [&b"plain"[..], b"{}a{b}", b"a{b", b"a}b{c", b"a}"] {
            assert_eq!(hash_tag(none), None);
        }
    }

    #[test]
    fn every_slot_has_a_number() {
        for slot in 0..SLOTS {
            assert_eq!(slot_of(format!("x{{{}}}y", number_in(slot)).as_bytes()), slot);
        }
    }
}
