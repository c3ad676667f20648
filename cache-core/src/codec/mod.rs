//! How values become bytes on far tiers.

#[cfg(feature = "json")]
mod json;

#[cfg(feature = "json")]
pub use json::Json;

use std::fmt;

/// Writes and reads values of any type that serde knows.
///
/// The value passes through [`erased_serde`], so that a service holds one codec for all types.
pub trait Codec: Send + Sync + 'static {
    /// The number that frames carry, so that bytes are only read by the codec that wrote them. Numbers below 128 are kept
    /// for codecs of this project.
    fn id(&self) -> u8;

    /// Appends `value` to `bytes`.
    ///
    /// # Errors
    /// The value cannot be written in this format. The service then keeps it in near tiers only.
    fn encode(&self, value: &dyn erased_serde::Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Makes a deserializer over `bytes`, hands it to `read` once, and checks that nothing is left over.
    ///
    /// # Errors
    /// `read` failed, or the bytes are not what [`Codec::encode`] writes. The service then treats the entry as a miss.
    fn decode(&self, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError>;
}

/// Reads one value from a deserializer.
pub type ReadValue<'a> = &'a mut dyn FnMut(&mut dyn erased_serde::Deserializer<'_>) -> Result<(), erased_serde::Error>;

/// Why a value could not be written or read. Its text may quote the value, so it goes to traces at debug level only.
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

pub(crate) fn encode<T: serde::Serialize>(codec: &dyn Codec, value: &T) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::with_capacity(128);
    codec.encode(value, &mut bytes)?;
    Ok(bytes)
}

pub(crate) fn decode<T: serde::de::DeserializeOwned>(codec: &dyn Codec, bytes: &[u8]) -> Result<T, CodecError> {
    let mut value = None;
    codec.decode(bytes, &mut |deserializer| {
        value = Some(erased_serde::deserialize(deserializer)?);
        Ok(())
    })?;
    value.ok_or_else(|| CodecError::new("the codec did not read the value"))
}
