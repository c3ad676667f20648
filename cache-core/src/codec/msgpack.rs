//! MessagePack.

use erased_serde::Serialize;

use super::{Codec, CodecError, Place, ReadValue};

/// MessagePack through `rmp-serde`: shorter and faster than JSON, and read by many languages. Structs are maps with the
/// names of their fields, so fields may be added and reordered as in JSON.
///
/// ```
/// use cache_core::CachingService;
/// use cache_core::codec::MessagePack;
///
/// let builder = CachingService::<()>::builder().codec(MessagePack);
/// # let _ = builder;
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagePack;

impl Codec for MessagePack {
    fn id(&self) -> u8 {
        2
    }

    fn encode(&self, _: Place<'_>, value: &dyn Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut serializer = rmp_serde::Serializer::new(bytes).with_struct_map();
        erased_serde::serialize(value, &mut serializer).map_err(CodecError::new)
    }

    fn decode(&self, _: Place<'_>, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError> {
        let mut left = bytes;
        let mut deserializer = rmp_serde::Deserializer::new(&mut left);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut deserializer)).map_err(CodecError::new)?;
        super::nothing_left(left)
    }
}
