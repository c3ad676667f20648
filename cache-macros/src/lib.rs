//! The attribute macros of [`cache-aside`](https://docs.rs/cache-aside), which re-exports them.
//!
//! The pipeline: `attr` reads the attribute's arguments, `ast` the annotated function, `valid` joins the two
//! and finds what is wrong, `expand` writes the code. All errors of a function are reported in one build.

mod ast;
mod attr;
mod companion;
mod contained;
mod duration;
mod errors;
mod expand;
mod generics;
mod key;
mod nearest;
mod returns;
mod signature;
mod template;
mod tokens;
mod valid;

use proc_macro::TokenStream;

/// Caches what an async function returns: `async fn`, or a function that returns `impl Future`, free, of a type or of a
/// trait.
///
/// ```text
/// #[cached(key = "user:{id}", ttl = "5m")]
/// async fn find_user(id: u64) -> Result<User, DbError> { .. }
/// ```
///
/// The first call loads the value by running the body, later calls are answered from the cache. Callers that miss
/// together share one run. What is stored for `T`, `Option<T>`, `Result<T, E>` and `Result<Option<T>, E>` is always
/// `T`: an error is never stored, and an absence only with `negative_ttl`. A function that returns `Arc<T>` in `T`'s
/// place hands out the cached value itself, otherwise a clone of it.
///
/// # Arguments
///
/// | argument | meaning |
/// |---|---|
/// | `key = "user:{id}"` | The key. Placeholders are arguments, their fields and method calls: `{user.id}`, `{name.len()}`, `{id:08x}`, `{T}` for the name of a type parameter. Reserved characters in them are percent-escaped, so two argument lists never share a key. Without it: crate, module, function and every argument, each of which is a `CacheKey`. |
/// | `ttl`, `local_ttl`, `negative_ttl`, `load_timeout` | Durations: `"300ms"`, `"5m"`, `"1h30m"`, or an expression of type `Duration`. |
/// | `jitter`, `schema` | Expressions, as in `Policy`. |
/// | `policy = expr` | A whole `Policy`, which the arguments above then adjust. |
/// | `skip(db, ..)` | Arguments that are no part of the key. |
/// | `when = expr` | Uses the cache only if this holds; the arguments are in scope, those that a pattern binds as references. |
/// | `cache = expr` | The `CachingService` to use instead of `CachingService::global()`. |
/// | `companions = associated`, `= none` | Where the function stands, if that cannot be seen from it: see below. |
/// | `crate = path` | Where the crate `cache_aside` is found if it was renamed. |
///
/// # Beside the function
///
/// `#[cached] fn find_user` also gives, with the function's visibility, `find_user::key(7)`,
/// `find_user::get(7).await`, `find_user::put(7, user).await`, `find_user::invalidate(7).await`,
/// `find_user::refresh(7).await` and `find_user::uncached(7).await`. The first four take only the arguments that the
/// key, `cache` and the policies use.
///
/// In an `impl` block they are associated functions, `find_user_key`, `find_user_get` and so on, and take `&self` where
/// the key, `cache` or a policy reads it. `self` is no argument: name what of it matters in the key, `{self.tenant}`. The
/// default key has `Self` with its type parameters, and `{Self}` and `{T}` stand for types in a template.
///
/// An attribute sees only its function. Without a receiver, and where neither signature nor body says `Self`, it takes
/// the function for a free one: `companions = associated` corrects that. A trait and its implementation can have no such
/// functions: write `companions = none` there, except below `async_trait`, whose functions are recognised. The service's
/// own `invalidate` and `get` serve in their place.
///
/// # Errors
///
/// The function's own. Callers that waited for the same failed run share its error by `Clone`, else by
/// `From<SharedError>` (`anyhow::Error` and `Box<dyn Error + Send + Sync>` have it), else each runs the body for itself.
/// A run has no time limit, whatever the service's policy says, unless the error type is `From<SharedError>`.
///
/// # Panics
///
/// A panic of the body resumes in every caller that waited for it.
///
/// # Cancel safety
///
/// Where every argument is owned, the body runs in its own task, and a caller that goes away cancels nothing.
/// Where one is borrowed, the body runs in its caller's task, and another caller takes over if that one goes away.
#[proc_macro_attribute]
pub fn cached(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(arguments.into(), item.into()).into()
}
