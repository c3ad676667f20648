//! Values and errors without their types, so that the way of a miss is compiled once, and not anew for each type.

use std::any::{Any, TypeId};
use std::marker::PhantomData;
use std::sync::Arc;

use crate::codec::{self, Codec, CodecError, Place};
use crate::error::LoadError;
use crate::service::Cacheable;

/// A value of some type.
pub(crate) type AnyValue = Arc<dyn Any + Send + Sync>;

/// An error of some type.
pub(crate) type AnyError = dyn Any + Send + Sync;

/// What a load gave: `None` for an absence.
pub(crate) type AnyOutcome = Result<Option<AnyValue>, LoadError<AnyError>>;

type Encode = fn(&dyn Codec, Place<'_>, &(dyn Any + Send + Sync)) -> Result<Vec<u8>, CodecError>;
type Decode = fn(&dyn Codec, Place<'_>, &[u8]) -> Result<AnyValue, CodecError>;

/// What must be known of a type to read and to write its values.
#[derive(Debug)]
pub(crate) struct ValueType {
    id: fn() -> TypeId,
    size: usize,
    encode: Encode,
    decode: Decode,
}

/// The types of one call.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Types {
    pub(crate) value: &'static ValueType,
    /// The types of value and error, on which callers must agree to share a load.
    pub(crate) pair: TypeId,
}

impl Types {
    pub(crate) fn of<T: Cacheable, E: 'static>() -> Self {
        Self { value: ValueType::of::<T>(), pair: TypeId::of::<(T, E)>() }
    }
}

struct Of<T>(PhantomData<T>);

impl<T: Cacheable> Of<T> {
    const TYPE: &'static ValueType =
        &ValueType { id: TypeId::of::<T>, size: size_of::<T>(), encode: encode::<T>, decode: decode::<T> };
}

impl ValueType {
    pub(crate) const fn of<T: Cacheable>() -> &'static Self {
        Of::<T>::TYPE
    }

    /// Whether `value` is of this type.
    pub(crate) fn is_type_of(&self, value: &AnyValue) -> bool {
        (**value).type_id() == (self.id)()
    }

    /// The size of the type, without what it points to.
    pub(crate) const fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn encode(&self, codec: &dyn Codec, place: Place<'_>, value: &AnyValue) -> Result<Vec<u8>, CodecError> {
        (self.encode)(codec, place, &**value)
    }

    pub(crate) fn decode(&self, codec: &dyn Codec, place: Place<'_>, bytes: &[u8]) -> Result<AnyValue, CodecError> {
        (self.decode)(codec, place, bytes)
    }
}

fn encode<T: Cacheable>(
    codec: &dyn Codec,
    place: Place<'_>,
    value: &(dyn Any + Send + Sync),
) -> Result<Vec<u8>, CodecError> {
    let value = value.downcast_ref::<T>().ok_or_else(|| CodecError::new("the value is of another type"))?;
    codec::encode(codec, place, value)
}

fn decode<T: Cacheable>(codec: &dyn Codec, place: Place<'_>, bytes: &[u8]) -> Result<AnyValue, CodecError> {
    codec::decode::<T>(codec, place, bytes).map(|value| Arc::new(value) as AnyValue)
}

/// The value as what it is.
pub(crate) fn value<T: Send + Sync + 'static>(value: AnyValue) -> Arc<T> {
    match value.downcast() {
        Ok(value) => value,
        // A value is asked for as what it is.
        Err(_) => unreachable!("callers of other types take part in other loads"),
    }
}

/// The outcome with its types.
pub(crate) fn outcome<T, E>(outcome: AnyOutcome) -> Result<Option<Arc<T>>, LoadError<E>>
where
    T: Send + Sync + 'static,
    E: Send + Sync + 'static,
{
    outcome.map(|found| found.map(value)).map_err(error)
}

/// The error with its type.
pub(crate) fn error<E: Send + Sync + 'static>(error: LoadError<AnyError>) -> LoadError<E> {
    match error {
        LoadError::Source(error) => LoadError::Source(value(error)),
        LoadError::TimedOut => LoadError::TimedOut,
        LoadError::Panicked => LoadError::Panicked,
        LoadError::Cancelled => LoadError::Cancelled,
    }
}
