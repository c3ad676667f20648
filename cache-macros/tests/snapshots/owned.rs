/// Finds a user.
#[allow(clippy::all, unused_parens, unused_qualifications)]
pub async fn find_user(id: u64, org: String) -> Result<User, DbError> {
    if id > 0 {} else {
        return find_user::find_user(id, org).await;
    }
    let mut __key = ::cache_aside::__private::KeyBuffer::empty();
    find_user::__key(&mut __key, &id, &org);
    #[allow(unused_imports)]
    use ::cache_aside::__private::{ProbeErrors as _, ProbePayload as _, ProbeShape as _};
    let __shape = (&&&::cache_aside::__private::Returned::<Result<User, DbError>>::new())
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
        .ttl(::core::time::Duration::new(300u64, 0u32))
        .refresh_ahead(1f64)
        .tags(
            ::core::convert::identity::<
                [::std::string::String; 1usize],
            >([
                {
                    #[allow(unused_imports)]
                    use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
                    let mut __text = ::cache_aside::__private::KeyBuffer::empty();
                    {
                        let __text = &mut __text;
                        __text.literal("org:");
                        (&&&::cache_aside::__private::Placeholder(&org)).write(__text);
                    }
                    __text.into_string()
                },
            ]),
        );
    (&&&&&&::cache_aside::__private::errors_of(__shape))
        .errors()
        .spawned(
            __call,
            __shape,
            __payload,
            ::core::option::Option::None,
            find_user::__boxed(id, org),
        )
        .await
}
///The cache of [`find_user()`].
#[allow(non_camel_case_types, unreachable_pub, clippy::all)]
pub enum find_user {}
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
    pub fn key(id: u64, org: String) -> ::std::string::String {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key(&mut __key, &id, &org);
        __key.into_string()
    }
    ///The cached value, or `None`: never loads.
    pub async fn get(
        id: u64,
        org: String,
    ) -> ::core::option::Option<::std::sync::Arc<User>> {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key(&mut __key, &id, &org);
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<
            Result<User, DbError>,
        >::new())
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
                    .ttl(::core::time::Duration::new(300u64, 0u32))
                    .refresh_ahead(1f64),
                __shape,
                __payload,
            )
            .await
    }
    ///Stores a value in place of the cached one, on every node.
    pub async fn put(id: u64, org: String, value: User) -> ::cache_aside::Receipt {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key(&mut __key, &id, &org);
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<
            Result<User, DbError>,
        >::new())
            .shape();
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        let __call = ::cache_aside::__private::Call::new(
                &::cache_aside::CachingService::global(),
                __key,
            )
            .ttl(::core::time::Duration::new(300u64, 0u32))
            .refresh_ahead(1f64)
            .tags(
                ::core::convert::identity::<
                    [::std::string::String; 1usize],
                >([
                    {
                        #[allow(unused_imports)]
                        use ::cache_aside::__private::{
                            WriteDisplay as _, WritePlain as _,
                        };
                        let mut __text = ::cache_aside::__private::KeyBuffer::empty();
                        {
                            let __text = &mut __text;
                            __text.literal("org:");
                            (&&&::cache_aside::__private::Placeholder(&org))
                                .write(__text);
                        }
                        __text.into_string()
                    },
                ]),
            );
        ::cache_aside::__private::put::<_, _, User>(__call, __shape, __payload, value)
            .await
    }
    ///Drops the cached value from every tier of every node.
    pub async fn invalidate(id: u64, org: String) -> ::cache_aside::Receipt {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        find_user::__key(&mut __key, &id, &org);
        ::cache_aside::__private::Call::new(
                &::cache_aside::CachingService::global(),
                __key,
            )
            .ttl(::core::time::Duration::new(300u64, 0u32))
            .refresh_ahead(1f64)
            .invalidate()
            .await
    }
    ///Drops the cached value, and returns what [`find_user()`] loads anew.
    pub async fn refresh(id: u64, org: String) -> Result<User, DbError> {
        {
            let mut __key = ::cache_aside::__private::KeyBuffer::empty();
            find_user::__key(&mut __key, &id, &org);
            ::cache_aside::__private::Call::new(
                    &::cache_aside::CachingService::global(),
                    __key,
                )
                .ttl(::core::time::Duration::new(300u64, 0u32))
                .refresh_ahead(1f64)
                .invalidate()
                .await;
        }
        find_user(id, org).await
    }
    ///What [`find_user()`] would be without a cache: runs its body, stores nothing.
    pub async fn uncached(id: u64, org: String) -> Result<User, DbError> {
        find_user::find_user(id, org).await
    }
}
#[allow(clippy::all, unused_parens, unused_qualifications)]
impl find_user {
    #[inline]
    fn __key(
        __key: &mut ::cache_aside::__private::KeyBuffer,
        id: &(u64),
        org: &(String),
    ) {
        #[allow(unused_imports)]
        use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
        __key.literal("user:");
        (&&&::cache_aside::__private::Placeholder(&org)).write(__key);
        __key.literal(":");
        (&&&::cache_aside::__private::Placeholder(&id)).write(__key);
    }
    fn __boxed(
        id: u64,
        org: String,
    ) -> ::core::pin::Pin<
        ::std::boxed::Box<
            dyn ::core::future::Future<
                Output = Result<User, DbError>,
            > + ::core::marker::Send,
        >,
    > {
        ::std::boxed::Box::pin(find_user::find_user(id, org))
    }
}
impl find_user {
    #[tracing::instrument]
    async fn find_user(id: u64, org: String) -> Result<User, DbError> {
        let _ = &id;
        let _ = &id;
        let _ = &org;
        let _ = &org;
        query(id, &org).await
    }
}
