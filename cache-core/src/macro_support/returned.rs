//! What a function returns, recognised by type and not by name, so that an alias of `Result` is a `Result`.
//!
//! Which trait implementation holds is chosen by method look-up: it tries the most references first, and the more
//! specific a type, the more references its implementation has.

use std::marker::PhantomData;
use std::sync::Arc;

use super::load::{Optional, Presence, Required};
use crate::Cacheable;

/// Stands for a type without a value of it.
pub type Marker<T> = PhantomData<fn() -> T>;

/// The return type of a function.
#[derive(Clone, Copy, Debug)]
pub struct Returned<R>(Marker<R>);

impl<R> Returned<R> {
    /// A stand-in for a value of the type.
    #[expect(clippy::new_without_default, reason = "named by expansions only")]
    #[must_use]
    pub const fn new() -> Self {
        Self(PhantomData)
    }
}

/// Finds the [`Shape`] of a return type.
pub trait ProbeShape {
    /// The shape found.
    type Shape;
    /// The shape found.
    fn shape(&self) -> Self::Shape;
}

macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident<$($parameter:ident),+> of $returned:ty, found on $probe:ty;)*) => {
        $(
            $(#[$doc])*
            #[derive(Debug)]
            pub struct $name<$($parameter),+>(pub(super) Marker<($($parameter,)+)>);

            impl<$($parameter),+> Clone for $name<$($parameter),+> {
                fn clone(&self) -> Self {
                    *self
                }
            }

            impl<$($parameter),+> Copy for $name<$($parameter),+> {}

            impl<$($parameter),+> ProbeShape for $probe {
                type Shape = $name<$($parameter),+>;
                fn shape(&self) -> Self::Shape {
                    $name(PhantomData)
                }
            }
        )*
    };
}

shapes! {
    /// `V`
    Plain<V> of V, found on Returned<V>;
    /// `Option<V>`
    Maybe<V> of Option<V>, found on &Returned<Option<V>>;
    /// `Result<V, E>`
    Fallible<V, E> of Result<V, E>, found on &Returned<Result<V, E>>;
    /// `Result<Option<V>, E>`
    FallibleMaybe<V, E> of Result<Option<V>, E>, found on &&Returned<Result<Option<V>, E>>;
}

/// How a return type holds its value.
pub trait Shape: Copy {
    /// What the function returns.
    type Returned;
    /// What stands in the place of the value.
    type Payload;
    /// The error, or `Infallible`.
    type Error;
    /// Whether there may be no value.
    type Presence: Presence;

    /// Takes a return value apart.
    ///
    /// # Errors
    /// The function's own.
    fn split(returned: Self::Returned) -> Result<Of<Self, Self::Payload>, Self::Error>;

    /// Puts a return value together.
    fn join(parts: Result<Of<Self, Self::Payload>, Self::Error>) -> Self::Returned;
}

/// `T`, or `Option<T>` where there may be no value.
pub type Of<S, T> = <<S as Shape>::Presence as Presence>::Of<T>;

/// An error that cannot occur.
type Never = std::convert::Infallible;

fn never<T>(result: Result<T, Never>) -> T {
    match result {
        Ok(value) => value,
        Err(never) => match never {},
    }
}

impl<V> Shape for Plain<V> {
    type Returned = V;
    type Payload = V;
    type Error = Never;
    type Presence = Required;
    fn split(returned: V) -> Result<V, Never> {
        Ok(returned)
    }
    fn join(parts: Result<V, Never>) -> V {
        never(parts)
    }
}

impl<V> Shape for Maybe<V> {
    type Returned = Option<V>;
    type Payload = V;
    type Error = Never;
    type Presence = Optional;
    fn split(returned: Option<V>) -> Result<Option<V>, Never> {
        Ok(returned)
    }
    fn join(parts: Result<Option<V>, Never>) -> Option<V> {
        never(parts)
    }
}

impl<V, E> Shape for Fallible<V, E> {
    type Returned = Result<V, E>;
    type Payload = V;
    type Error = E;
    type Presence = Required;
    fn split(returned: Result<V, E>) -> Result<V, E> {
        returned
    }
    fn join(parts: Result<V, E>) -> Result<V, E> {
        parts
    }
}

impl<V, E> Shape for FallibleMaybe<V, E> {
    type Returned = Result<Option<V>, E>;
    type Payload = V;
    type Error = E;
    type Presence = Optional;
    fn split(returned: Result<Option<V>, E>) -> Result<Option<V>, E> {
        returned
    }
    fn join(parts: Result<Option<V>, E>) -> Result<Option<V>, E> {
        parts
    }
}

/// A type that can be stored: [`Cacheable`], with one message for all that it may lack.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be cached",
    label = "cannot be stored",
    note = "a cached value is `Serialize`, `DeserializeOwned`, `Send`, `Sync` and `'static`",
    note = "derive the first two, `#[derive(serde::Serialize, serde::Deserialize)]`, and let the type own its data"
)]
pub trait Stored: Cacheable {}

#[diagnostic::do_not_recommend]
impl<T: Cacheable> Stored for T {}

/// A type of which every caller gets its own copy.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be handed to several callers",
    label = "what the function returns is not `Clone`",
    note = "derive `Clone` for it, or return `Arc<{Self}>`: then all callers share the cached value"
)]
pub trait HandedOut: Clone {}

#[diagnostic::do_not_recommend]
impl<T: Clone> HandedOut for T {}

/// What stands in the place of the value: the value, or an `Arc` of it.
#[derive(Debug)]
pub struct PayloadOf<V>(Marker<V>);

/// The payload of a shape.
pub const fn payload_of<S: Shape>(_shape: S) -> PayloadOf<S::Payload> {
    PayloadOf(PhantomData)
}

/// Finds the [`Payload`] of a shape.
pub trait ProbePayload {
    /// The payload found.
    type Found;
    /// The payload found.
    fn payload(&self) -> Self::Found;
}

/// An `Arc<T>`: callers share the cached value itself.
#[derive(Debug)]
pub struct Shared<T>(Marker<T>);

/// A value by itself: callers get clones of the cached one.
#[derive(Debug)]
pub struct Copied<T>(Marker<T>);

impl<T> ProbePayload for &PayloadOf<Arc<T>> {
    type Found = Shared<T>;
    fn payload(&self) -> Shared<T> {
        Shared(PhantomData)
    }
}

impl<T> ProbePayload for PayloadOf<T> {
    type Found = Copied<T>;
    fn payload(&self) -> Copied<T> {
        Copied(PhantomData)
    }
}

/// Compiles if the payload can be cached.
pub const fn check_payload<P: Payload>(payload: P) -> P {
    payload
}

/// How a value is taken in and handed out.
pub trait Payload {
    /// What the function has in the value's place.
    type Value;
    /// What is stored.
    type Stored: Cacheable;
    /// For the cache.
    fn take_in(value: Self::Value) -> Arc<Self::Stored>;
    /// What will be stored, before it is taken in.
    fn stored(value: &Self::Value) -> &Self::Stored;
    /// For a caller.
    fn hand_out(stored: Arc<Self::Stored>) -> Self::Value;
}

impl<T: Stored> Payload for Shared<T> {
    type Value = Arc<T>;
    type Stored = T;
    fn take_in(value: Arc<T>) -> Arc<T> {
        value
    }
    fn stored(value: &Arc<T>) -> &T {
        value
    }
    fn hand_out(stored: Arc<T>) -> Arc<T> {
        stored
    }
}

impl<T: Stored + HandedOut> Payload for Copied<T> {
    type Value = T;
    type Stored = T;
    fn take_in(value: T) -> Arc<T> {
        Arc::new(value)
    }
    fn stored(value: &T) -> &T {
        value
    }
    fn hand_out(stored: Arc<T>) -> T {
        T::clone(&stored)
    }
}
