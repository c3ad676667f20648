impl Users {
    #[allow(clippy::all, unused_parens, unused_qualifications)]
    pub(crate) async fn find(&self, id: Path<u64>) -> User {
        let __argument_0 = id;
        #[allow(unused_variables)]
        let Path(id) = &__argument_0;
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        Self::__find_key(&self, &mut __key, &__argument_0);
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<User>::new()).shape();
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        let __source = &(self.cache);
        let __service: &::cache_aside::CachingService = ::cache_aside::__private::service(
            __source,
        );
        if let ::core::option::Option::Some(__hit) = ::cache_aside::__private::hit_of(
            __service,
            &__key,
            __shape,
            &__payload,
        ) {
            return __hit;
        }
        let __call = ::cache_aside::__private::Call::new(__service, __key);
        (&&&&&&::cache_aside::__private::errors_of(__shape))
            .errors()
            .inline(
                __call,
                __shape,
                __payload,
                ::core::option::Option::None,
                ::std::boxed::Box::pin(Self::find_uncached(self, __argument_0)),
            )
            .await
    }
    ///The key of [`Self::find()`]'s value for these arguments.
    #[allow(
        dead_code,
        deprecated,
        unreachable_pub,
        unused_variables,
        unused_parens,
        clippy::all
    )]
    pub(crate) fn find_key(&self, id: Path<u64>) -> ::std::string::String {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        Self::__find_key(&self, &mut __key, &id);
        __key.into_string()
    }
    ///The cached value, or `None`: never loads.
    #[allow(
        dead_code,
        deprecated,
        unreachable_pub,
        unused_variables,
        unused_parens,
        clippy::all
    )]
    pub(crate) async fn find_get(
        &self,
        id: Path<u64>,
    ) -> ::core::option::Option<::std::sync::Arc<User>> {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        Self::__find_key(&self, &mut __key, &id);
        #[allow(unused_variables)]
        let Path(id) = &id;
        let __source = &(self.cache);
        let __service: &::cache_aside::CachingService = ::cache_aside::__private::service(
            __source,
        );
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<User>::new()).shape();
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        ::cache_aside::__private::get::<
            _,
            _,
            User,
        >(::cache_aside::__private::Call::new(__service, __key), __shape, __payload)
            .await
    }
    ///Stores a value in place of the cached one, on every node.
    #[allow(
        dead_code,
        deprecated,
        unreachable_pub,
        unused_variables,
        unused_parens,
        clippy::all
    )]
    pub(crate) async fn find_put(
        &self,
        id: Path<u64>,
        value: User,
    ) -> ::cache_aside::Receipt {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        Self::__find_key(&self, &mut __key, &id);
        #[allow(unused_variables)]
        let Path(id) = &id;
        let __source = &(self.cache);
        let __service: &::cache_aside::CachingService = ::cache_aside::__private::service(
            __source,
        );
        #[allow(unused_imports)]
        use ::cache_aside::__private::{
            ProbeErrors as _, ProbePayload as _, ProbeShape as _,
        };
        let __shape = (&&&::cache_aside::__private::Returned::<User>::new()).shape();
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        let __call = ::cache_aside::__private::Call::new(__service, __key);
        ::cache_aside::__private::put::<_, _, User>(__call, __shape, __payload, value)
            .await
    }
    ///Drops the cached value from every tier of every node.
    #[allow(
        dead_code,
        deprecated,
        unreachable_pub,
        unused_variables,
        unused_parens,
        clippy::all
    )]
    pub(crate) async fn find_invalidate(&self, id: Path<u64>) -> ::cache_aside::Receipt {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        Self::__find_key(&self, &mut __key, &id);
        #[allow(unused_variables)]
        let Path(id) = &id;
        let __source = &(self.cache);
        let __service: &::cache_aside::CachingService = ::cache_aside::__private::service(
            __source,
        );
        ::cache_aside::__private::Call::new(__service, __key).invalidate().await
    }
    ///Drops the cached value, and returns what [`Self::find()`] loads anew.
    #[allow(
        dead_code,
        deprecated,
        unreachable_pub,
        unused_variables,
        unused_parens,
        clippy::all
    )]
    pub(crate) async fn find_refresh(&self, id: Path<u64>) -> User {
        {
            let mut __key = ::cache_aside::__private::KeyBuffer::empty();
            Self::__find_key(&self, &mut __key, &id);
            #[allow(unused_variables)]
            let Path(id) = &id;
            let __source = &(self.cache);
            let __service: &::cache_aside::CachingService = ::cache_aside::__private::service(
                __source,
            );
            ::cache_aside::__private::Call::new(__service, __key).invalidate().await;
        }
        Self::find(self, id).await
    }
    #[doc(hidden)]
    #[allow(dead_code, clippy::all, unused_parens, unused_qualifications, missing_docs)]
    #[inline]
    fn __find_key(
        &self,
        __key: &mut ::cache_aside::__private::KeyBuffer,
        __argument_0: &(Path<u64>),
    ) {
        #[allow(unused_imports)]
        use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
        #[allow(unused_variables)]
        let Path(id) = __argument_0;
        __key.literal("user:");
        (&&&::cache_aside::__private::Placeholder(&self.tenant)).write(__key);
        __key.literal(":");
        (&&&::cache_aside::__private::Placeholder(&id)).write(__key);
    }
    ///What [`Self::find()`] would be without a cache: runs its body, stores nothing.
    #[allow(dead_code)]
    pub(crate) async fn find_uncached(&self, Path(id): Path<u64>) -> User {
        let _ = &id;
        self.db.find(id).await
    }
}
