//! The attribute macros of [`cache-aside`](https://docs.rs/cache-aside), which re-exports them.
//!
//! The pipeline: `attr` reads the attribute's arguments, `ast` the annotated function, `valid` joins the two
//! and finds what is wrong, `expand` writes the code. All errors of a function are reported in one build.

mod ast;
mod attr;
mod body;
mod companion;
mod contained;
mod derive_key;
mod duration;
mod enclosing;
mod errors;
mod expand;
mod function;
mod generics;
mod inputs;
mod key;
mod loader;
mod nearest;
mod open;
mod returns;
mod settings;
mod signature;
#[cfg(test)]
mod snapshots;
mod template;
mod tokens;
mod valid;
mod write_attr;
mod writes;

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
/// | `key = "user:{id}"` | The key. Placeholders are arguments, their fields and method calls: `{user.id}`, `{name.len()}`, `{id:08x}`, `{token:hash}` for a hash of a long or secret value in its place, `{T}` for the name of a type parameter, `{N}` for a constant one (of the `impl` block with a format, `{N:?}`, since it looks like a type). What would be taken for another key or a pattern is escaped in them, so two argument lists never share a key: see below. Without it: crate, module, function (of a trait: with the type arguments of `Self` and the trait) and every argument, each of which is a `CacheKey`. |
/// | `ttl`, `local_ttl`, `negative_ttl`, `load_timeout` | Durations: `"300ms"`, `"5m"`, `"1h30m"`, or an expression of type `Duration`. |
/// | `name = "users"` | What a default key begins with, in place of crate, module and function: then the function can be moved and renamed. In an `impl` block the path of `Self` stays in the key, and so does that of the trait. |
/// | `tags = ["org:{org_id}"]` | Tags of the stored value, as in `Policy`, with placeholders like those of the key, or an expression. They are made where a value is to be loaded or put, not at a hit. |
/// | `unless = \|value\| expr` | Does not store the loaded value if this holds of `&T`; the callers that wait for it get it. It sees no arguments: the body has them. |
/// | `stale_while_revalidate`, `soft_timeout` | Durations, as in `Policy`. The body then also runs while its caller has an answer already, so it may borrow nothing: see below. |
/// | `refresh_ahead` | By itself, or with a number, as in `Policy`. The same holds for it. |
/// | `stale_if_error`, `error_throttle` | Durations, as in `Policy`. |
/// | `jitter`, `schema`, `max_value_bytes` | Expressions, as in `Policy`. |
/// | `local_only`, `remote_only` | By themselves, or `= true`, as in `Policy`. |
/// | `skip_read = "redis"`, `skip_write = ["local", "redis"]` | Tiers that are left out, by name, as in `Policy`. |
/// | `policy = expr` | A whole `Policy`, which the arguments above then adjust. |
/// | `skip(db, ..)` | Arguments that are no part of the key. With a `key`, every other argument must be in it, and every other name where one is a pattern, but for those that `cache` reads; and so must a type or constant parameter that the return type has or no argument does. |
/// | `when = expr` | Uses the cache only if this holds; the arguments are in scope, those that a pattern binds as references. |
/// | `cache = expr` | The `CachingService` to use instead of `CachingService::global()`. An argument that it reads may be left out of the `key`: its values then share results as far as they give the same service. |
/// | `companions = associated`, `= none` | Where the function stands, if that cannot be seen from it: see below. |
/// | `crate = path` | Where the crate `cache_aside` is found if it was renamed. |
///
/// # What is escaped in a key
///
/// In what a placeholder writes, `:`, `*`, `?`, `[`, `]`, `{`, `}`, `\`, `%` and control characters are
/// percent-escaped: `a:b` is written `a%3Ab`. So is the character that ends the placeholder: the first punctuation of
/// the text behind it, if that is none of these. With `key = "search:{tenant}:{page}-{size}"` a `-` is escaped in
/// `page`, and in `tenant` and `size` it is not.
///
/// Nothing else in the template matters, so two templates, or a key and the `pattern` of [`macro@cache_invalidate`],
/// write an argument alike if they go on alike behind it, up to the first punctuation: `search:{tenant}:*` fits, and so
/// does `search:{tenant}:{page}-*`. A key that is put together by hand lacks the escapes: take it from
/// `find_user::key(..)`.
///
/// # Beside the function
///
/// `#[cached] fn find_user` also gives, with the function's visibility, `find_user::key(7)`,
/// `find_user::get(7).await`, `find_user::put(7, user).await`, `find_user::invalidate(7).await`,
/// `find_user::refresh(7).await` and `find_user::uncached(7).await`. The first four take only the arguments that the
/// key, `cache` and the policies use; `put` those of the tags, too.
///
/// In an `impl` block they are associated functions, `find_user_key`, `find_user_get` and so on, and take `&self` where
/// the key, `cache` or a policy reads it. `self` is no argument: name what of it matters in the key, `{self.tenant}`. The
/// default key has `Self` and the trait with their type parameters, and `{Self}` and `{T}` stand for types in a template.
///
/// An attribute sees only its function. Without a receiver, and where neither signature nor body says `Self`, it takes
/// the function for a free one: `companions = associated` corrects that. A trait and its implementation can have no such
/// functions: write `companions = none` there, except below `async_trait`, whose functions are recognised. The service's
/// own `invalidate` and `get` serve in their place.
///
/// Other attributes of the function, such as `#[tracing::instrument]` or [`macro@cache_invalidate`], run where the body does and
/// not at a hit, above as below this one. In a trait and its implementation they must stand above it.
///
/// # Errors
///
/// The function's own. Callers that waited for the same failed run share its error by `Clone`, else by
/// `From<SharedError>` (`anyhow::Error` and `Box<dyn Error + Send + Sync>` have it), else each runs the body for itself.
/// Where the error type is not `From<SharedError>` it cannot say that a run took too long: then a run may take 24 hours, whatever
/// the service's policy says.
///
/// # Panics
///
/// If the body panics, every caller that waited for it does, with a message that says so: the panic itself is reported where it
/// happened. If a run takes longer than it may, or the service is shut down meanwhile, its callers get a `SharedError` that says
/// so (`is_timeout`, `is_cancelled`), and panic where the error type cannot be made from that. A `Display` that fails, of
/// an argument in the key, panics in the caller.
///
/// # Cancel safety
///
/// Where every argument is owned, the body runs in its own task, and a caller that goes away cancels nothing, unless it runs the
/// body for itself, after a run whose error could not be shared: that it does in its own task.
/// Where one is borrowed, the body runs in its caller's task, and another caller takes over if that one goes away. So it
/// does in methods with `&self`, in associated functions and in traits; take `self: Arc<Self>`, or put the attribute on a
/// free function with owned arguments. A body that runs in its caller's task never runs in the background:
/// `stale_while_revalidate`, `soft_timeout` and `refresh_ahead` are errors there, and do nothing where a `policy = expr` or
/// the service's own policy has them.
#[proc_macro_attribute]
pub fn cached(arguments: TokenStream, item: TokenStream) -> TokenStream {
    expand::cached(arguments.into(), item.into()).into()
}

/// Stores a value when an async function has succeeded.
///
/// ```text
/// #[cache_put(key = "user:{user.id}", ttl = "5m")]
/// async fn save_user(user: User) -> Result<User, DbError> { .. }
/// ```
///
/// The stored value is what the function returned: `T` of `T`, `Option<T>`, `Result<T, E>` and `Result<Option<T>, E>`,
/// and of `Arc<T>` in its place. With `value = |returned| expr` it is what that makes of a reference to it. An error stores
/// nothing; `None` invalidates the key, since what was there is gone.
///
/// | argument | meaning |
/// |---|---|
/// | `key = "user:{user.id}"` | The key, as for [`macro@cached`]. |
/// | `value = \|returned\| expr` | What to store in place of what was returned. |
/// | `when = expr` | Stores only if this holds of the arguments. |
/// | `ttl`, `local_ttl`, `stale_while_revalidate`, `stale_if_error`, `refresh_ahead`, `jitter`, `schema`, `tags`, `max_value_bytes`, `local_only`, `remote_only`, `skip_write`, `policy` | As for [`macro@cached`]. |
/// | `cache = expr`, `crate = path` | As for [`macro@cached`]. |
///
/// Key, tags, policies, `when` and `cache` are read before the body runs, so it may move its arguments. An attribute sees
/// any function: free, of a type or of a trait, and several may stand on one.
///
/// Two writers of one key race: the value that is put last stays, and the source may have seen them in the other order.
/// Where that can happen, use [`macro@cache_invalidate`].
///
/// # Cancel safety
///
/// A caller that goes away while the body runs puts nothing, though the body may have written. One that goes away later leaves
/// the new value or none: the old one is removed in the background.
#[proc_macro_attribute]
pub fn cache_put(arguments: TokenStream, item: TokenStream) -> TokenStream {
    writes::expand(write_attr::Attribute::Put, arguments.into(), item.into()).into()
}

/// Invalidates cached values when an async function has succeeded.
///
/// ```text
/// #[cache_invalidate(key = "user:{user.id}", tags = ["org:{user.org}"])]
/// async fn save_user(user: &User) -> Result<(), DbError> { .. }
/// ```
///
/// | argument | meaning |
/// |---|---|
/// | `key = "user:{id}"` | A key, as for [`macro@cached`]. |
/// | `keys = ["user:{id}", ..]` | Several keys, or an expression that gives them. |
/// | `pattern = "user:{id}:*"` | Every key that matches. No argument can widen it, since what it holds is escaped, as in the key of [`macro@cached`] if that goes on alike behind the placeholder: `doc-{id}-*` for the key `doc-{id}-{page}`, and not `doc-{id}*`. |
/// | `tags = ["org:{org}"]` | Everything with one of these tags, or an expression that gives them. |
/// | `when = expr` | Invalidates only if this holds of the arguments. |
/// | `when = \|returned\| expr` | Decides by what the function returned, also after an error: `\|_\| true` for always. |
/// | `before = true` | Invalidates before the body runs, whatever comes of it, and not after: what is loaded meanwhile stays. |
/// | `around = true` | Runs the body in `CachingService::write_around`, which fences the keys: not even the death of the process leaves an old value behind. |
/// | `cache = expr`, `crate = path` | As for [`macro@cached`]. |
///
/// All of it is read before the body runs, so that may move its arguments. A function has succeeded if it returned, but not
/// an `Err`. An attribute sees any function: free, of a type or of a trait, and several may stand on one.
///
/// A function whose return type has no name, `-> impl Trait`, has succeeded by the type that its body gives.
///
/// A pattern that is malformed with the arguments at hand invalidates nothing, and is reported through `tracing`.
///
/// # Cancel safety
///
/// A caller that goes away while the body runs invalidates nothing, though the body may have written: where that matters, write
/// `around = true`, whose keys are invalidated then as well. One that goes away later has invalidated everything that its
/// attribute names: what the other tiers have not heard of yet, they are told in the background. So what belongs together
/// goes into one attribute. Of several, each wraps those above it: what comes after the body runs from top to bottom, and what
/// comes before it, by `before` and `around`, from bottom to top.
#[proc_macro_attribute]
pub fn cache_invalidate(arguments: TokenStream, item: TokenStream) -> TokenStream {
    writes::expand(write_attr::Attribute::Invalidate, arguments.into(), item.into()).into()
}

/// Implements `CacheKey` for a struct or an enum, so that it can be a key of a `Keyspace` or an argument of a cached function.
///
/// ```text
/// #[derive(Clone, PartialEq, Eq, Hash, CacheKey)]
/// struct PageKey { shop: ShopId, language: Language, number: u32 }
/// // In the keyspace "page": page:7:%lGerman%i%z:3
/// ```
///
/// Every field must be a `CacheKey`, and is a part of the key, in the order of declaration; a type parameter must be
/// one too. A type with one field is written as that field. An enum begins with the name of its variant: whoever
/// renames one, or reorders fields, gives the values other keys. What has several parts, and every enum, has marks
/// around it where it is a part itself, as the `Language` above: `%l` before it, `%i` behind each part and `%z` behind
/// it. `#[cache_key(crate = path)]` says where the crate `cache_aside` is found if it was renamed.
#[proc_macro_derive(CacheKey, attributes(cache_key))]
pub fn derive_cache_key(item: TokenStream) -> TokenStream {
    derive_key::expand(item.into()).into()
}
