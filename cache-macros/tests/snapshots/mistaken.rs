::core::compile_error! {
    "`#[cached]` has no argument `tll`; did you mean `ttl`?\nits arguments are `key`, `name`, `ttl`, `local_ttl`, `negative_ttl`, `stale_while_revalidate`, `stale_if_error`, `error_throttle`, `soft_timeout`, `load_timeout`, `refresh_ahead`, `jitter`, `schema`, `tags`, `max_value_bytes`, `local_only`, `remote_only`, `skip_read`, `skip_write`, `policy`, `cache`, `when`, `unless`, `skip`, `companions` and `crate`"
}
::core::compile_error! {
    "`{di}` names no argument of this function; did you mean `id`?\nthe only argument is `id`"
}
#[allow(unused_variables)]
async fn find_user(id: u64) -> User {
    query(id).await
}
///The cache of [`find_user()`].
#[allow(non_camel_case_types, unreachable_pub, clippy::all)]
enum find_user {}
#[allow(
    dead_code,
    deprecated,
    unreachable_pub,
    unused_variables,
    unused_parens,
    clippy::all
)]
impl find_user {
    ///The key of [`find_user()`]'s value for these arguments.
    fn key(id: u64) -> ::std::string::String {
        ::core::unimplemented!()
    }
    ///The cached value, or `None`: never loads.
    async fn get(id: u64) -> ::core::option::Option<::std::sync::Arc<User>> {
        ::core::unimplemented!()
    }
    ///Stores a value in place of the cached one, on every node.
    async fn put(id: u64, value: User) -> ::cache_aside::Receipt {
        ::core::unimplemented!()
    }
    ///Drops the cached value from every tier of every node.
    async fn invalidate(id: u64) -> ::cache_aside::Receipt {
        ::core::unimplemented!()
    }
    ///Drops the cached value, and returns what [`find_user()`] loads anew.
    async fn refresh(id: u64) -> User {
        ::core::unimplemented!()
    }
    ///What [`find_user()`] would be without a cache: runs its body, stores nothing.
    async fn uncached(id: u64) -> User {
        ::core::unimplemented!()
    }
}
