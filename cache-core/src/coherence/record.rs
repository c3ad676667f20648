//! The journal record: what one node tells all others.
//!
//! Written as text, so that `XRANGE` and `MONITOR` show it plainly, with every string length-prefixed, so that no key can
//! be mistaken for syntax: `1 <node> keys 2 6:user:1 6:user:2`. A node followed by `!` asks for acknowledgements. The
//! position is not part of it: the journal gives it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::key::Key;
use crate::pattern::Pattern;
use crate::tags::{TagSlot, Tags};

/// The largest number of keys in one record; longer lists are split into several records.
pub const MAX_KEYS: usize = 1_000;

/// The longest record that is read, in bytes: [`MAX_KEYS`] keys of the greatest length, with room for their prefixes.
pub const MAX_BYTES: usize = MAX_KEYS * (Key::MAX_BYTES + 8) + 64;

const VERSION: &str = "1";

/// Which node wrote a record: random, made anew at each start.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct NodeId(u64);

impl NodeId {
    /// The node with this number.
    #[must_use]
    pub const fn new(id: u64) -> Self {
        Self(id)
    }

    /// A node unlike every other.
    pub(crate) fn random() -> Self {
        Self(crate::entry::random_u64())
    }

    /// The number.
    #[must_use]
    pub const fn as_u64(self) -> u64 {
        self.0
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeId({self})")
    }
}

/// What changed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Change {
    /// The values of these keys are void: at most [`MAX_KEYS`].
    Keys(Arc<[Key]>),
    /// The values of these keys are void, and what is loaded in this time from now on may be as well: the source is about
    /// to change. At most [`MAX_KEYS`].
    Fence(Arc<[Key]>, Duration),
    /// The values of all keys that match are void.
    Pattern(Pattern),
    /// The values that have one of these tags are void.
    Tags(Tags),
    /// Every value of the namespace is void.
    Clear,
    /// Nothing is void: the journal begins here.
    Begin,
}

impl Change {
    /// Whether the value of `key`, whose tags are not known, may be void.
    #[must_use]
    pub fn may_cover(&self, key: &str) -> bool {
        match self {
            Self::Keys(keys) | Self::Fence(keys, _) => keys.iter().any(|void| void.as_str() == key),
            Self::Pattern(pattern) => pattern.matches(key),
            Self::Tags(_) | Self::Clear => true,
            Self::Begin => false,
        }
    }
}

/// A change and the node that made it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The node that made the change.
    pub node: NodeId,
    /// What changed.
    pub change: Change,
    /// Whether every node is to say at once that it has applied it.
    pub acknowledge: bool,
}

impl Record {
    /// A record that no node need acknowledge.
    #[must_use]
    pub const fn new(node: NodeId, change: Change) -> Self {
        Self { node, change, acknowledge: false }
    }

    /// Whether it voids everything.
    #[must_use]
    pub fn is_clear(&self) -> bool {
        self.change == Change::Clear
    }
}

impl fmt::Display for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = if self.acknowledge { "!" } else { "" };
        write!(f, "{VERSION} {}{mark} ", self.node)?;
        match &self.change {
            Change::Keys(keys) => {
                f.write_str("keys ")?;
                write_keys(f, keys)
            }
            Change::Fence(keys, hold) => {
                write!(f, "fence {} ", hold.as_millis())?;
                write_keys(f, keys)
            }
            Change::Pattern(pattern) => write!(f, "pattern {}:{pattern}", pattern.as_str().len()),
            Change::Tags(tags) => {
                write!(f, "tags {}", tags.slots().len())?;
                tags.slots().iter().try_for_each(|slot| write!(f, " {}", slot.number()))
            }
            Change::Clear => f.write_str("clear"),
            Change::Begin => f.write_str("begin"),
        }
    }
}

fn write_keys(f: &mut fmt::Formatter<'_>, keys: &[Key]) -> fmt::Result {
    write!(f, "{}", keys.len())?;
    keys.iter().try_for_each(|key| write!(f, " {}:{key}", key.as_str().len()))
}

impl FromStr for Record {
    type Err = InvalidRecord;

    fn from_str(text: &str) -> Result<Self, InvalidRecord> {
        if text.len() > MAX_BYTES {
            return Err(InvalidRecord("it is too long"));
        }
        let mut words = text.splitn(4, ' ');
        let mut word = || words.next().ok_or(InvalidRecord("it ends too early"));
        if word()? != VERSION {
            return Err(InvalidRecord("its version is unknown"));
        }
        let node = word()?;
        let (node, acknowledge) = node.strip_suffix('!').map_or((node, false), |node| (node, true));
        let node = u64::from_str_radix(node, 16).map_err(|_| InvalidRecord("its node is no hexadecimal number"))?;
        let change = match word()? {
            "keys" => Change::Keys(parse_keys(word()?)?),
            "fence" => {
                let (hold, keys) = word()?.split_once(' ').ok_or(InvalidRecord("it ends too early"))?;
                let hold = hold.parse().map_err(|_| InvalidRecord("its hold is no number"))?;
                Change::Fence(parse_keys(keys)?, Duration::from_millis(hold))
            }
            "pattern" => {
                let (pattern, rest) = take_string(word()?)?;
                end(rest)?;
                Change::Pattern(Pattern::new(pattern).map_err(|_| InvalidRecord("its pattern is malformed"))?)
            }
            "tags" => Change::Tags(parse_tags(word()?)?),
            "clear" if words.next().is_none() => Change::Clear,
            "begin" if words.next().is_none() => Change::Begin,
            _ => return Err(InvalidRecord("its kind is unknown")),
        };
        Ok(Self { node: NodeId(node), change, acknowledge })
    }
}

fn parse_keys(text: &str) -> Result<Arc<[Key]>, InvalidRecord> {
    let (count, mut rest) = text.split_once(' ').unwrap_or((text, ""));
    let count: usize = count.parse().map_err(|_| InvalidRecord("its number of keys is no number"))?;
    if count > MAX_KEYS {
        return Err(InvalidRecord("it has too many keys"));
    }
    let mut keys = Vec::with_capacity(count);
    while keys.len() < count {
        let (key, after) = take_string(rest)?;
        keys.push(Key::new(key).map_err(|_| InvalidRecord("it holds an invalid key"))?);
        rest = after.strip_prefix(' ').unwrap_or(after);
    }
    end(rest)?;
    Ok(keys.into())
}

fn parse_tags(text: &str) -> Result<Tags, InvalidRecord> {
    let mut numbers = text.split(' ').map(|number| number.parse().map_err(|_| InvalidRecord("a tag is no number")));
    let count: u16 = numbers.next().unwrap_or(Err(InvalidRecord("its number of tags is missing")))?;
    let slots: Vec<TagSlot> = numbers.map(|number| number.map(TagSlot::new)).collect::<Result<_, _>>()?;
    if slots.len() != usize::from(count) {
        return Err(InvalidRecord("its number of tags is wrong"));
    }
    Ok(Tags::from_slots(slots))
}

fn take_string(text: &str) -> Result<(&str, &str), InvalidRecord> {
    let (length, rest) = text.split_once(':').ok_or(InvalidRecord("a length is missing"))?;
    let length: usize = length.parse().map_err(|_| InvalidRecord("a length is no number"))?;
    rest.split_at_checked(length).ok_or(InvalidRecord("a length is wrong"))
}

fn end(rest: &str) -> Result<(), InvalidRecord> {
    if rest.is_empty() { Ok(()) } else { Err(InvalidRecord("it is followed by something else")) }
}

/// Why a text is no journal record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid journal record: {0}")]
pub struct InvalidRecord(&'static str);

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn record(change: Change) -> Record {
        Record::new(NodeId(0xab), change)
    }

    fn keys(keys: &[&str]) -> Change {
        Change::Keys(keys.iter().map(|key| Key::new(key).unwrap()).collect())
    }

    #[test]
    fn records_read_as_plain_text() {
        assert_eq!(record(keys(&["user:1", "b c"])).to_string(), "1 00000000000000ab keys 2 6:user:1 3:b c");
        assert_eq!(record(Change::Clear).to_string(), "1 00000000000000ab clear");
        let strict = Record { acknowledge: true, ..record(Change::Clear) };
        assert_eq!(strict.to_string(), "1 00000000000000ab! clear");
        assert_eq!(strict.to_string().parse(), Ok(strict));
        let pattern = Change::Pattern(Pattern::new("user:*").unwrap());
        assert_eq!(record(pattern).to_string(), "1 00000000000000ab pattern 6:user:*");
        let tags = Change::Tags(Tags::from_slots(vec![TagSlot::new(7), TagSlot::new(65_535)]));
        assert_eq!(record(tags.clone()).to_string(), "1 00000000000000ab tags 2 7 65535");
        let fence = Change::Fence([Key::new("k").unwrap()].into(), Duration::from_secs(3));
        assert_eq!(record(fence.clone()).to_string(), "1 00000000000000ab fence 3000 1 1:k");
        for change in [tags, fence, Change::Tags(Tags::NONE), Change::Clear, Change::Begin] {
            assert_eq!(record(change.clone()).to_string().parse(), Ok(record(change)));
        }
    }

    #[test]
    fn a_malformed_record_is_refused() {
        for bad in [
            "",
            "1",
            "2 ab clear",
            "1 xyz clear",
            "1 ! clear",
            "1 ab!! clear",
            "1 ab",
            "1 ab nothing",
            "1 ab clear more",
            "1 ab keys",
            "1 ab keys x",
            "1 ab keys 1",
            "1 ab keys 1 5:abc",
            "1 ab keys 1 3:abcd",
            "1 ab keys 1 0:",
            "1 ab keys 1001 1:a",
            "1 ab keys 1 99999999999999999999:a",
            "1 ab keys 1 1:é",
            "1 ab fence",
            "1 ab fence 3",
            "1 ab fence x 1 1:k",
            "1 ab tags",
            "1 ab tags 1",
            "1 ab tags 1 65536",
            "1 ab tags 0 7",
            "1 ab begin more",
            "1 ab pattern 1:[",
            "1 ab pattern 1:ab",
        ] {
            assert!(bad.parse::<Record>().is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn any_record_survives_the_journal(texts in prop::collection::vec("[^\\x00-\\x1f\\x7f]{1,20}", 1..20)) {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let record = record(keys(&texts));
            prop_assert_eq!(record.to_string().parse(), Ok(record));
        }

        #[test]
        fn no_text_panics(text in ".{0,200}") {
            let _ = text.parse::<Record>();
            let _ = format!("1 ab keys {text}").parse::<Record>();
        }
    }
}
