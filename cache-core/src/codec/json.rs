//! JSON: the default codec.

use super::{Codec, CodecError, ReadValue};

/// JSON through `serde_json`: readable with `redis-cli`, and by other languages.
#[derive(Clone, Copy, Debug, Default)]
pub struct Json;

impl Codec for Json {
    fn id(&self) -> u8 {
        1
    }

    fn encode(&self, value: &dyn erased_serde::Serialize, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        serde_json::to_writer(bytes, value).map_err(CodecError::new)
    }

    fn decode(&self, bytes: &[u8], read: ReadValue<'_>) -> Result<(), CodecError> {
        let mut json = serde_json::Deserializer::from_slice(bytes);
        read(&mut <dyn erased_serde::Deserializer<'_>>::erase(&mut json)).map_err(CodecError::new)?;
        json.end().map_err(CodecError::new)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::{decode, encode};
    use std::collections::BTreeMap;

    #[test]
    fn values_survive_the_codec() {
        let value = BTreeMap::from([("a".to_owned(), Some(1.5)), ("b".to_owned(), None)]);
        let bytes = encode(&Json, &value).unwrap();
        assert_eq!(bytes, br#"{"a":1.5,"b":null}"#);
        assert_eq!(decode::<BTreeMap<String, Option<f64>>>(&Json, &bytes).unwrap(), value);
    }

    #[test]
    fn bytes_that_are_not_the_value_are_refused() {
        for bad in ["", "{", "1 2", "\"text\""] {
            assert!(decode::<u32>(&Json, bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
