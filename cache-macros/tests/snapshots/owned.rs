/// Finds a user.
pub async fn find_user(id: u64, org: String) -> Result<User, DbError> {
    find_user::__run(::cache_aside::__private::Verb::Load, id, org).await
}
///The cache of [`find_user()`].
#[allow(non_camel_case_types, unreachable_pub, clippy::all)]
pub enum find_user {}
#[allow(dead_code, unreachable_pub, unused_variables, unused_parens, clippy::all)]
impl find_user {
    ///The key of [`find_user()`]'s value for these arguments.
    pub fn key(id: u64, org: String) -> ::std::string::String {
        let __key = Self::__key(&id, &org);
        __key.into_string()
    }
    ///The cached value, or `None`: never loads.
    pub async fn get(
        id: u64,
        org: String,
    ) -> ::core::option::Option<::std::sync::Arc<User>> {
        let __key = Self::__key(&id, &org);
        let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
        let __entry = __service
            .entry(__key.as_str())
            .ttl(::core::time::Duration::new(300u64, 0u32))
            .refresh_ahead(1f64);
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
        let __errors = (&&&&&&::cache_aside::__private::errors_of(__shape)).errors();
        ::cache_aside::__private::get(__entry, __shape, __payload).await
    }
    ///Stores a value in place of the cached one, on every node.
    pub async fn put(id: u64, org: String, value: User) -> ::cache_aside::Receipt {
        let __key = Self::__key(&id, &org);
        let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
        let __entry = __service
            .entry(__key.as_str())
            .ttl(::core::time::Duration::new(300u64, 0u32))
            .refresh_ahead(1f64);
        let __entry = __entry
            .tags(
                ::core::convert::identity::<
                    [::std::string::String; 1usize],
                >([
                    {
                        #[allow(unused_imports)]
                        use ::cache_aside::__private::{
                            WriteDisplay as _, WritePlain as _,
                        };
                        let mut __text = ::cache_aside::__private::KeyBuffer::new("");
                        __text.literal("org:");
                        {
                            let __text = &mut __text;
                            (&&&::cache_aside::__private::Placeholder(&org))
                                .write(__text);
                        }
                        __text.into_string()
                    },
                ]),
            );
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
        let __errors = (&&&&&&::cache_aside::__private::errors_of(__shape)).errors();
        ::cache_aside::__private::put(__entry, __shape, __payload, value).await
    }
    ///Drops the cached value from every tier of every node.
    pub async fn invalidate(id: u64, org: String) -> ::cache_aside::Receipt {
        let __key = Self::__key(&id, &org);
        let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
        let __entry = __service
            .entry(__key.as_str())
            .ttl(::core::time::Duration::new(300u64, 0u32))
            .refresh_ahead(1f64);
        __entry.invalidate().await
    }
    ///Drops the cached value, and returns what [`find_user()`] loads anew.
    pub async fn refresh(id: u64, org: String) -> Result<User, DbError> {
        Self::__run(::cache_aside::__private::Verb::Refresh, id, org).await
    }
    ///What [`find_user()`] would be without a cache: runs its body, stores nothing.
    pub async fn uncached(id: u64, org: String) -> Result<User, DbError> {
        Self::find_user(id, org).await
    }
}
#[allow(clippy::all, unused_parens, unused_qualifications)]
impl find_user {
    fn __key(id: &(u64), org: &(String)) -> ::cache_aside::__private::KeyBuffer {
        #[allow(unused_imports)]
        use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
        let mut __key = ::cache_aside::__private::KeyBuffer::new("");
        __key.literal("user:");
        {
            let __key = &mut __key;
            (&&&::cache_aside::__private::Placeholder(&org)).write(__key);
        }
        __key.literal(":");
        {
            let __key = &mut __key;
            (&&&::cache_aside::__private::Placeholder(&id)).write(__key);
        }
        __key
    }
    async fn __run(
        __verb: ::cache_aside::__private::Verb,
        id: u64,
        org: String,
    ) -> Result<User, DbError> {
        if id > 0 {} else {
            return Self::find_user(id, org).await;
        }
        let __key = Self::__key(&id, &org);
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
        let __errors = (&&&&&&::cache_aside::__private::errors_of(__shape)).errors();
        if let ::core::option::Option::Some(__hit) = ::cache_aside::__private::hit(
            __verb,
            &__key,
            __shape,
            &__payload,
        ) {
            return __hit;
        }
        ::std::boxed::Box::pin(async move {
                let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
                let __entry = __service
                    .entry(__key.as_str())
                    .ttl(::core::time::Duration::new(300u64, 0u32))
                    .refresh_ahead(1f64);
                let __entry = __entry
                    .tags(
                        ::core::convert::identity::<
                            [::std::string::String; 1usize],
                        >([
                            {
                                #[allow(unused_imports)]
                                use ::cache_aside::__private::{
                                    WriteDisplay as _, WritePlain as _,
                                };
                                let mut __text = ::cache_aside::__private::KeyBuffer::new(
                                    "",
                                );
                                __text.literal("org:");
                                {
                                    let __text = &mut __text;
                                    (&&&::cache_aside::__private::Placeholder(&org))
                                        .write(__text);
                                }
                                __text.into_string()
                            },
                        ]),
                    );
                let __miss = match ::cache_aside::__private::look(
                    &__entry,
                    __verb,
                    true,
                    __shape,
                    &__payload,
                ) {
                    ::core::result::Result::Ok(__found) => return __found,
                    ::core::result::Result::Err(__miss) => __miss,
                };
                let (__kept, __answer) = __errors
                    .spawned(
                        __entry,
                        __miss,
                        __shape,
                        &__payload,
                        ::core::option::Option::None,
                        Self::__boxed(id, org),
                    );
                __errors.settle(__shape, __payload, __kept, __answer.await)
            })
            .await
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
        ::std::boxed::Box::pin(Self::find_user(id, org))
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
