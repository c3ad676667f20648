//! JSON: the default codec.

use super::{Codec, CodecError, Place, ReadValue};

/// JSON through `serde_json`: readable with `redis-cli`, and by other languages.
///
/// Every finite `f32` and `f64` comes back as it was. JSON has no infinity and no NaN, so both are written as `null`: an `Option` of
/// one is read as `None`, and a bare one cannot be read, so its value is loaded at every miss of L1. Where they occur, take another
/// codec.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Codec for Json {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, _: Place<'_>, value: &dyn erased_serde::Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(bytes, value).map_err(CodecError::new)
    }

    fn decode(&self, _: Place<'_>, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(CodecError::new)?;
        json.end().map_err(CodecError::new)
    }
}
