//! postcard.

use erased_serde::Serialize;

use super::{Codec, CodecError, Place, ReadValue};

/// [postcard](https://docs.rs/postcard): the shortest and fastest of the formats here, and Rust only.
///
/// It writes neither names nor types, so the reader must have the very type that the writer had: raise
/// [`Policy::schema`](crate::Policy::schema) with every change of a cached type, also where a field is added. Types that ask
/// the format what comes next (`serde_json::Value`, `#[serde(untagged)]`, `flatten`, `skip_serializing_if`) cannot be read
/// back: each read of one is a counted miss.
///
/// ```
/// use cache_core::CachingService;
/// use cache_core::codec::Postcard;
///
/// let builder = CachingService::<()>::builder().codec(Postcard);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Postcard;

impl Codec for Postcard {
    fn id(&self) -> u8 {
        3
    }

    fn encode(&self, _: Place<'_>, value: &dyn Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        *bytes = ::postcard::to_extend(value, std::mem::take(bytes)).map_err(CodecError::new)?;
        Ok(())
    }

    fn decode(&self, _: Place<'_>, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError> {
        let mut deserializer = ::postcard::Deserializer::from_bytes(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut deserializer)).map_err(CodecError::new)?;
        super::nothing_left(deserializer.finalize().map_err(CodecError::new)?)
    }
}
