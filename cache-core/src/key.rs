//! Keys and namespaces, and what may stand in them.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

/// A valid cache key: 1 to 1,024 bytes without control characters. Cloning it is cheap: up to 23 bytes are held in
/// place, and longer keys are shared.
///
/// Calls of the service take any `AsRef<str>` and check it; make a `Key` to check early.
///
/// ```
/// use cache_core::Key;
///
/// assert!(Key::new("user:7").is_ok());
/// assert_eq!(Key::new("").unwrap_err().to_string(), "invalid key: it is empty; give it at least one character");
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key(SmolStr);

impl Key {
    /// The longest key, in bytes.
    pub const MAX_BYTES: usize = 1_024;

    /// Checks `key` and takes it.
    ///
    /// # Errors
    /// The key is empty, longer than [`Key::MAX_BYTES`], or holds a control character.
    pub fn new(key: impl AsRef<str>) -> Result<Self, InvalidKey> {
        let key = key.as_ref();
        Self::check(key)?;
        Ok(Self(SmolStr::new(key)))
    }

    /// Checks a key without taking it.
    ///
    /// # Errors
    /// As [`Key::new`].
    pub fn check(key: &str) -> Result<(), InvalidKey> {
        if key.is_empty() {
            return Err(InvalidKey::Empty);
        }
        if key.len() > Self::MAX_BYTES {
            return Err(InvalidKey::TooLong {
                bytes: key.len(),
                start: key.chars().take(40).flat_map(char::escape_debug).collect(),
            });
        }
        match key.bytes().position(|byte| byte < 0x20 || byte == 0x7f) {
            Some(at) => Err(InvalidKey::ControlCharacter { key: key.escape_debug().to_string(), at }),
            None => Ok(()),
        }
    }

    /// The key as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl AsRef<str> for Key {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for Key {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl From<Key> for Arc<str> {
    fn from(key: Key) -> Self {
        key.0.into()
    }
}

/// Why a text is no key.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidKey {
    /// The key is empty.
    #[error("invalid key: it is empty; give it at least one character")]
    Empty,
    /// The key is too long.
    #[error("invalid key \"{start}...\": it has {bytes} bytes; at most 1024 are allowed, so hash the long part")]
    TooLong {
        /// How long the key is, in bytes.
        bytes: usize,
        /// How the key starts.
        start: String,
    },
    /// The key holds a control character.
    #[error("invalid key \"{key}\": byte {at} is a control character; percent-escape it")]
    ControlCharacter {
        /// The key, escaped.
        key: String,
        /// The offset of the first control character, in bytes.
        at: usize,
    },
}

/// What separates the keys of one application from those of another on a shared tier.
///
/// 1 to 64 of `A-Z a-z 0-9 - _ . /`. A colon is not allowed, because `a:b` and key `c` would share a stored key with
/// namespace `a` and key `b:c`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<str>);

impl Namespace {
    /// The longest namespace, in bytes.
    pub const MAX_BYTES: usize = 64;

    /// Checks `name` and takes it.
    ///
    /// # Errors
    /// The name is empty, too long, or holds a character that is not allowed.
    pub fn new(name: impl AsRef<str>) -> Result<Self, InvalidNamespace> {
        let name = name.as_ref();
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        if name.is_empty() || name.len() > Self::MAX_BYTES || !name.chars().all(allowed) {
            return Err(InvalidNamespace { name: name.escape_debug().to_string() });
        }
        Ok(Self(Arc::from(name)))
    }

    /// The namespace as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    /// The namespace `cache`.
    fn default() -> Self {
        Self(Arc::from("cache"))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Why a text is no namespace.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid namespace \"{name}\": use 1 to 64 of A-Z a-z 0-9 - _ . / (for example \"shop-api\")")]
pub struct InvalidNamespace {
    name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_may_have_1_to_1024_bytes() {
        assert!(Key::new("k").is_ok());
        assert!(Key::new("k".repeat(1_024)).is_ok());
        assert_eq!(Key::new("").unwrap_err(), InvalidKey::Empty);
        assert!(matches!(Key::new("k".repeat(1_025)).unwrap_err(), InvalidKey::TooLong { bytes: 1_025, .. }));
    }

    #[test]
    fn what_a_long_key_begins_with_is_shown_without_control_characters() {
        let error = Key::new(format!("a\nb{}", "k".repeat(1_024))).unwrap_err();
        assert!(error.to_string().starts_with("invalid key \"a\\nbk"), "{error}");
    }

    #[test]
    fn a_control_character_is_named_by_its_offset() {
        let error = Key::new("a\nb").unwrap_err();
        assert_eq!(error.to_string(), "invalid key \"a\\nb\": byte 1 is a control character; percent-escape it");
    }

    #[test]
    fn a_namespace_has_no_colon_brace_or_glob() {
        for bad in ["", "a:b", "{a}", "a*", "a b", &"n".repeat(65)] {
            assert!(Namespace::new(bad).is_err(), "{bad}");
        }
        assert_eq!(Namespace::new("shop/api-1.0_x").unwrap().as_str(), "shop/api-1.0_x");
    }
}
