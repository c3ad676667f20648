//! How values become bytes on far tiers.
//!
//! | codec | feature | id | |
//! |---|---|---|---|
//! | [`Json`] | `json` | 1 | the default: readable with `redis-cli`, and by other languages |
//! | [`MessagePack`] | `msgpack` | 2 | shorter and faster, read by many languages |
//! | [`Postcard`] | `postcard` | 3 | the shortest and fastest, Rust only; every change of a type needs a new schema |
//! | [`Compressed::lz4`] over another | `lz4` | + 16 | values over a size |
//! | [`Compressed::zstd`] over another | `zstd` | + 32 | values over a size; shorter than LZ4, and slower |
//! | [`Encrypted`] over another | `encryption` | + 64 | keys that can be rotated |
//!
//! Frames carry the id of the codec that wrote them, and a value of any other is a miss: so a change of the codec costs each
//! value one load, and nothing is misread. While a fleet is being changed, its two halves replace each other's values.

#[cfg(any(feature = "lz4", feature = "zstd"))]
mod compressed;
#[cfg(feature = "encryption")]
mod encrypted;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "postcard")]
mod postcard;
#[cfg(test)]
mod tests;

#[cfg(any(feature = "lz4", feature = "zstd"))]
pub use compressed::Compressed;
#[cfg(feature = "encryption")]
pub use encrypted::{Encrypted, KeyRing};
#[cfg(feature = "json")]
pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MessagePack;
#[cfg(feature = "postcard")]
pub use postcard::Postcard;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Writes and reads values of any type that serde knows.
///
/// The value passes through [`erased_serde`], so that a service holds one codec for all types. A codec or a type that panics
/// counts as one that fails.
pub trait Codec: Send + Sync + 'static {
    /// The number that frames carry, so that bytes are only read by the codec that wrote them. Numbers below 128 are kept
    /// for codecs of this project. A codec that is to be compressed or encrypted needs one from 128 to 143, since these set
    /// the bits 4 to 6 of it.
    fn id(&self) -> u8;

    /// Appends `value`, which is to be stored at `place`, to `bytes`.
    ///
    /// # Errors
    /// The value cannot be written in this format. The service then keeps it in near tiers only.
    fn encode(
        &self,
        place: Place<'_>,
        value: &dyn erased_serde::Serialize,
        bytes: &mut Vec<u8>,
    ) -> Result<(), CodecError>;

    /// Makes a deserializer over `bytes`, which were found at `place`, hands it to `read` once, and checks that nothing is left over.
    ///
    /// # Errors
    /// `read` failed, or the bytes are not what [`Codec::encode`] writes. The service then treats the entry as a miss.
    fn decode(&self, place: Place<'_>, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError>;
}

/// In place of the id of a codec, where the tier does not say which one wrote a value: the service's own reads it.
pub const UNKNOWN: u8 = 0;

/// Where a value is stored. Most codecs need not know.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Place<'a> {
    /// The namespace of the service.
    pub namespace: &'a str,
    /// The key, without the namespace.
    pub key: &'a str,
}

impl<'a> Place<'a> {
    /// The place of `key` in `namespace`.
    #[must_use]
    pub const fn new(namespace: &'a str, key: &'a str) -> Self {
        Self { namespace, key }
    }
}

#[cfg(feature = "lz4")]
const LZ4_FLAG: u8 = 16;
#[cfg(feature = "zstd")]
const ZSTD_FLAG: u8 = 32;
#[cfg(feature = "encryption")]
const ENCRYPTED_FLAG: u8 = 64;

#[cfg(any(feature = "msgpack", feature = "postcard"))]
fn nothing_left(bytes: &[u8]) -> Result<(), CodecError> {
    if bytes.is_empty() { Ok(()) } else { Err(CodecError::new("bytes are left over behind the value")) }
}

/// Reads one value from a deserializer.
pub type ReadValue<'a> = &'a mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>;

/// Why a value could not be written or read. Its source may quote the value, so the service neither traces nor tells it.
#[derive(Debug)]
pub struct CodecError(Box<dyn std::error::Error + Send + Sync>);

impl CodecError {
    /// An error of a codec, caused by `source`.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(source.into())
    }
}

impl fmt::Display for CodecError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the codec failed")
    }
}

impl std::error::Error for CodecError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.0)
    }
}

pub(crate) fn encode<T: serde::Serialize>(
    codec: &dyn Codec,
    place: Place<'_>,
    value: &T,
) -> Result<Vec<u8>, CodecError> {
    unwinding(|| {
        let mut bytes = Vec::with_capacity(128);
        codec.encode(place, value, &mut bytes)?;
        Ok(bytes)
    })
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(
    codec: &dyn Codec,
    place: Place<'_>,
    bytes: &[u8],
) -> Result<T, CodecError> {
    unwinding(|| {
        let mut value = None;
        codec.decode(place, bytes, &mut |deserializer| {
            value = Some(erased_serde::deserialize(deserializer)?);
            Ok(())
        })?;
        value.ok_or_else(|| CodecError::new("the codec did not read the value"))
    })
}

/// Runs `call`, and makes an error of its panic: a value that one version of a type cannot bear must not fail a call that the
/// loader could answer. What the call makes is gone after a panic, so nobody can see it broken.
fn unwinding<T>(call: impl FnOnce() -> Result<T, CodecError>) -> Result<T, CodecError> {
    catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err(CodecError::new("the codec panicked")))
}
