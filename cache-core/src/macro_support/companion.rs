//! What the functions beside an annotated one do.

use std::sync::Arc;

use super::call::Call;
use super::load::Presence;
use super::returned::{Copied, Fallible, FallibleMaybe, Maybe, Payload, Shape, Shared, Stored};
use crate::erased::ValueType;
use crate::{CachingService, Receipt};

/// The cached value, for `find_user::get`.
pub async fn get<S, P, G>(mut call: Call, _shape: S, _payload: P) -> Option<Arc<G>>
where
    P: Payload,
    (S, P): Presents<G, Stored = P::Stored>,
{
    call.entry().get().await.map(<(S, P)>::present)
}

/// Stores a value, for `find_user::put`.
pub async fn put<S, P, G>(call: Call, _shape: S, _payload: P, value: G) -> Receipt
where
    P: Payload,
    (S, P): Presents<G, Stored = P::Stored>,
{
    match <(S, P)>::accept(value) {
        Some(value) => call.set(value, ValueType::of::<P::Stored>()).await,
        None => call.invalidate().await,
    }
}

/// How the signatures of `get` and `put` name what is stored. They are written before types are known: as the stored type
/// `G` where the return type shows it, and as the return type itself where an alias hides it.
#[diagnostic::on_unimplemented(
    message = "cannot tell which type this cached function stores",
    label = "`{G}` is neither what the function returns nor the value in that",
    note = "an alias of `Result` or `Option` has the value's type as its first parameter, or none",
    note = "a type that is no `Result`, but whose name ends like that, needs an alias: `type Found = SearchResult<Item>;`, and return `Found`"
)]
pub trait Presents<G> {
    /// What is stored.
    type Stored;
    /// For `get`.
    fn present(stored: Arc<Self::Stored>) -> Arc<G>;
    /// For `put`; `None` if there is no value in what was put.
    fn accept(given: G) -> Option<Arc<Self::Stored>>;
}

macro_rules! presents_stored {
    ($($payload:ident)*) => {
        $(impl<S, T> Presents<T> for (S, $payload<T>) {
            type Stored = T;
            fn present(stored: Arc<T>) -> Arc<T> {
                stored
            }
            fn accept(given: T) -> Option<Arc<T>> {
                Some(Arc::new(given))
            }
        })*
    };
}

presents_stored!(Copied Shared);

macro_rules! presents_returned {
    ($([$($parameter:ident)+] $shape:ty, $payload:ty;)*) => {
        $(impl<$($parameter),+> Presents<<$shape as Shape>::Returned> for ($shape, $payload)
        where
            T: Stored,
            $payload: Payload<Value = <$shape as Shape>::Payload, Stored = T>,
        {
            type Stored = T;
            fn present(stored: Arc<T>) -> Arc<<$shape as Shape>::Returned> {
                Arc::new(<$shape>::join(Ok(<$shape as Shape>::Presence::of(<$payload>::hand_out(stored)))))
            }
            fn accept(given: <$shape as Shape>::Returned) -> Option<Arc<T>> {
                let value = <$shape as Shape>::Presence::present(<$shape>::split(given).ok()?);
                value.map(<$payload>::take_in)
            }
        })*
    };
}

presents_returned! {
    [T] Maybe<T>, Copied<T>;
    [T] Maybe<Arc<T>>, Shared<T>;
    [T E] Fallible<T, E>, Copied<T>;
    [T E] Fallible<Arc<T>, E>, Shared<T>;
    [T E] FallibleMaybe<T, E>, Copied<T>;
    [T E] FallibleMaybe<Arc<T>, E>, Shared<T>;
}

/// What `cache = expr` may give.
#[diagnostic::on_unimplemented(
    message = "`cache = ..` needs a `CachingService`",
    label = "this is no `CachingService`, nor a reference or an `Arc` of one"
)]
pub trait ServiceSource<B> {
    /// The service.
    fn service(&self) -> &CachingService<B>;
}

impl<B> ServiceSource<B> for CachingService<B> {
    fn service(&self) -> &CachingService<B> {
        self
    }
}

impl<B, S: ServiceSource<B> + ?Sized> ServiceSource<B> for &S {
    fn service(&self) -> &CachingService<B> {
        S::service(self)
    }
}

impl<B, S: ServiceSource<B> + ?Sized> ServiceSource<B> for Arc<S> {
    fn service(&self) -> &CachingService<B> {
        S::service(self)
    }
}

/// The service that `cache = expr` gives.
pub fn service<B, S: ServiceSource<B> + ?Sized>(source: &S) -> &CachingService<B> {
    source.service()
}
