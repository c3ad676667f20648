#[allow(clippy::all, unused_parens, unused_qualifications)]
async fn find_user<T: CacheKey>(db: &Db, id: &T) -> Option<Arc<User>> {
    let mut __key = ::cache_aside::__private::KeyBuffer::empty();
    find_user::__key::<T>(&mut __key, &id);
    #[allow(unused_imports)]
    use ::cache_aside::__private::{ProbeErrors as _, ProbePayload as _, ProbeShape as _};
    let __shape = (&&&::cache_aside::__private::Returned::<Option<Arc<User>>>::new())
        .shape();
    let __payload = ::cache_aside::__private::check_payload(
        (&&::cache_aside::__private::payload_of(__shape)).payload(),
    );
    if let ::core::option::Option::Some(__hit) = ::cache_aside::__private::hit(
        &__key,
        __shape,
        &__payload,
    ) {
        return __hit;
    }
    let __call = ::cache_aside::__private::Call::new(
            &::cache_aside::CachingService::global(),
            __key,
        )
        .negative_ttl(::core::time::Duration::new(30u64, 0u32));
    (&&&&&&::cache_aside::__private::errors_of(__shape))
        .errors()
        .inline(
            __call,
            __shape,
            __payload,
            ::core::option::Option::Some(|user| user.is_guest()),
            ::std::boxed::Box::pin(find_user::find_user::<T>(db, id)),
        )
        .await
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
    fn key<T: CacheKey>(id: &T) -> ::std::string::String {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key::<T>(&mut __key, &id);
        __key.into_string()
    }
    ///The cached value, or `None`: never loads.
    async fn get<T: CacheKey>(id: &T) -> ::core::option::Option<::std::sync::Arc<User>> {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key::<T>(&mut __key, &id);
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<Option<Arc<User>>>::new())
            .shape();
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        ::cache_aside::__private::get::<
            _,
            _,
            User,
        >(
                ::cache_aside::__private::Call::new(
                        &::cache_aside::CachingService::global(),
                        __key,
                    )
                    .negative_ttl(::core::time::Duration::new(30u64, 0u32)),
                __shape,
                __payload,
            )
            .await
    }
    ///Stores a value in place of the cached one, on every node.
    async fn put<T: CacheKey>(id: &T, value: User) -> ::cache_aside::Receipt {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key::<T>(&mut __key, &id);
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<Option<Arc<User>>>::new())
            .shape();
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        let __call = ::cache_aside::__private::Call::new(
                &::cache_aside::CachingService::global(),
                __key,
            )
            .negative_ttl(::core::time::Duration::new(30u64, 0u32));
        ::cache_aside::__private::put::<_, _, User>(__call, __shape, __payload, value)
            .await
    }
    ///Drops the cached value from every tier of every node.
    async fn invalidate<T: CacheKey>(id: &T) -> ::cache_aside::Receipt {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key::<T>(&mut __key, &id);
        ::cache_aside::__private::Call::new(
                &::cache_aside::CachingService::global(),
                __key,
            )
            .negative_ttl(::core::time::Duration::new(30u64, 0u32))
            .invalidate()
            .await
    }
    ///Drops the cached value, and returns what [`find_user()`] loads anew.
    async fn refresh<T: CacheKey>(db: &Db, id: &T) -> Option<Arc<User>> {
        {
            let mut __key = ::cache_aside::__private::KeyBuffer::empty();
            find_user::__key::<T>(&mut __key, &id);
            ::cache_aside::__private::Call::new(
                    &::cache_aside::CachingService::global(),
                    __key,
                )
                .negative_ttl(::core::time::Duration::new(30u64, 0u32))
                .invalidate()
                .await;
        }
        find_user::<T>(db, id).await
    }
    ///What [`find_user()`] would be without a cache: runs its body, stores nothing.
    async fn uncached<T: CacheKey>(db: &Db, id: &T) -> Option<Arc<User>> {
        find_user::find_user::<T>(db, id).await
    }
}
#[allow(clippy::all, unused_parens, unused_qualifications)]
impl find_user {
    #[inline]
    fn __key<T: CacheKey>(__key: &mut ::cache_aside::__private::KeyBuffer, id: &(&T)) {
        #[allow(unused_imports)]
        use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
        __key.function(::core::any::type_name::<Self>());
        __key.text(::core::format_args!("{}", ::core::any::type_name:: < T > ()));
        __key.literal(":");
        __key.argument(id);
        __key.literal(")");
    }
}
impl find_user {
    async fn find_user<T: CacheKey>(db: &Db, id: &T) -> Option<Arc<User>> {
        db.find(id).await
    }
}
