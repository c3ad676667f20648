//! What a tier stores under a key.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::coherence::Position;
use crate::tags::Tags;

/// Marks one lease or one stored value, so that a script can tell it from every other.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Token([u8; Token::BYTES]);

impl Token {
    /// The length of a token, in bytes.
    pub const BYTES: usize = 16;

    /// The token of values that nobody holds a lease on, such as plain ones written by someone else.
    pub const NONE: Self = Self([0; Self::BYTES]);

    /// A token unlike every other.
    pub(crate) fn random() -> Self {
        Self(((u128::from(random_u64()) << 64) | u128::from(random_u64())).to_be_bytes())
    }

    /// The token with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the token.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// From a generator seeded by the operating system, since tokens and nodes must differ between processes.
pub(crate) fn random_u64() -> u64 {
    thread_local! {
        static GENERATOR: std::cell::RefCell<fastrand::Rng> = std::cell::RefCell::new(fastrand::Rng::with_seed(seed()));
    }
    GENERATOR.with_borrow_mut(|generator| generator.u64(..))
}

/// The keys of a [`RandomState`](std::hash::RandomState) come from the operating system; hashing a counter with them gives
/// each thread its own seed.
fn seed() -> u64 {
    use std::hash::BuildHasher;
    use std::sync::atomic::{AtomicU64, Ordering};
    static THREADS: AtomicU64 = AtomicU64::new(0);
    std::hash::RandomState::new().hash_one(THREADS.fetch_add(1, Ordering::Relaxed))
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({:032x})", u128::from_be_bytes(self.0))
    }
}

/// The value of an [`Entry`].
#[derive(Clone)]
#[non_exhaustive]
pub enum Value {
    /// A value by reference, as near tiers hold it: a hit never decodes.
    Typed(Arc<dyn Any + Send + Sync>),
    /// A value as bytes, as far tiers hold it.
    Encoded {
        /// What the codec wrote.
        bytes: Bytes,
        /// Which codec wrote it: [`Codec::id`](crate::codec::Codec::id).
        codec: u8,
    },
    /// A negative entry: the source has no value for the key.
    Absent,
}

impl Value {
    /// How many bytes the value takes, as far as it shows.
    fn size(&self) -> u64 {
        match self {
            Self::Typed(value) => size_of_val(&**value) as u64,
            Self::Encoded { bytes, .. } => bytes.len() as u64,
            Self::Absent => 0,
        }
    }
}

impl fmt::Debug for Value {
    /// Values may be secret, so only their kind and length are shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(_) => f.write_str("Typed(..)"),
            Self::Encoded { bytes, codec } => write!(f, "Encoded({} bytes, codec {codec})", bytes.len()),
            Self::Absent => f.write_str("Absent"),
        }
    }
}

/// A value with what the protocol must know of it.
#[derive(Clone, Debug)]
#[non_exhaustive]
// What a hit looks at comes first, so that it lies together.
#[repr(C)]
pub struct Entry {
    /// Until when a hit in a near tier need not ask how fresh the value is, nor whether to load it anew: no later than
    /// `fresh_until`. It is not written to far tiers.
    pub settled_until: Timestamp,
    /// The version of the value's type: [`Policy::schema`](crate::Policy::schema).
    pub schema: u32,
    /// The value.
    pub value: Value,
    /// Marks this very entry.
    pub token: Token,
    /// When the load that gave the value began.
    pub created: Timestamp,
    /// The latest time at which this node knew the value to be current: when it began to load it, or to read it from a
    /// far tier. It is not written to far tiers.
    pub as_of: Timestamp,
    /// Until when the value is fresh: from then on it is stale, and served only as far as a policy allows it.
    pub fresh_until: Timestamp,
    /// From when on the value is never served.
    pub expires: Timestamp,
    /// How long the load took.
    pub cost: Duration,
    /// The latest journal position known when the load began: a later record that covers the key voids the entry.
    pub birth: Position,
    /// The application's version of the value, where it gave one: a `set` of an older version does not replace it.
    pub version: Option<u64>,
    /// What the source calls this state of the value, where the loader told.
    pub etag: Option<Arc<str>>,
    /// What may be invalidated by tag.
    pub tags: Tags,
    /// How far this node's count of invalidations by tag, by pattern and as a whole had come when it began to load the value,
    /// or to read it from a far tier. It is not written to far tiers.
    pub tag_sequence: u64,
    /// How many bytes the value takes: as encoded, where it was; else the size of its type, without what it points to.
    /// It is not written to far tiers.
    pub size: u64,
}

impl Entry {
    /// An entry with `value` that is fresh from `created` until `expires`, with no token, cost, birth,
    /// version, etag, schema or tags.
    #[must_use]
    pub fn new(value: Value, created: Timestamp, expires: Timestamp) -> Self {
        Self {
            size: value.size(),
            value,
            token: Token::NONE,
            created,
            as_of: created,
            fresh_until: expires,
            settled_until: expires,
            expires,
            cost: Duration::ZERO,
            birth: Position::START,
            version: None,
            etag: None,
            schema: 0,
            tags: Tags::NONE,
            tag_sequence: 0,
        }
    }

    /// Whether `other` is a copy of this very entry, which shares its value.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let shared = match (&self.value, &other.value) {
            (Value::Typed(one), Value::Typed(other)) => Arc::ptr_eq(one, other),
            (Value::Encoded { bytes: one, .. }, Value::Encoded { bytes: other, .. }) => {
                std::ptr::eq::<[u8]>(&**one, &**other)
            }
            (Value::Absent, Value::Absent) => true,
            _ => false,
        };
        shared && (self.token, self.birth, self.as_of) == (other.token, other.birth, other.as_of)
    }

    /// The same entry with another value, and of its size: the far form of an entry.
    pub(crate) fn sized_as(self, value: Value) -> Self {
        Self { size: value.size(), value, ..self }
    }

    /// The same entry, of the same size, with another value: the near form of a far entry.
    #[must_use]
    pub fn with_value(&self, value: Value) -> Self {
        Self { value, ..self.clone() }
    }
}
