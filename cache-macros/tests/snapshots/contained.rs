impl Users {
    async fn find(&self, id: u64) -> Result<User, DbError> {
        let mut __key = ::cache_aside::__private::KeyBuffer::empty();
        {
            let id = &id;
            let __key = &mut __key;
            #[allow(unused_imports)]
            use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
            __key.literal("user:");
            (&&&::cache_aside::__private::Placeholder(&id)).write(__key);
        }
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
        );
        let __load = move || async move {
            #[allow(unreachable_code, clippy::all)]
            if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<
                Result<User, DbError>,
            > {
                return __returned;
            }
            let id = id;
            let _ = &id;
            #[allow(clippy::let_and_return, clippy::let_unit_value)]
            let __returned: Result<User, DbError> = { self.db.find(id).await };
            #[allow(unreachable_code)] __returned
        };
        (&&&&&&::cache_aside::__private::errors_of(__shape))
            .errors()
            .inline(
                __call,
                __shape,
                __payload,
                ::core::option::Option::None,
                ::std::boxed::Box::pin(__load()),
            )
            .await
    }
}
