impl Users {
    async fn find(&self, id: u64) -> Result<User, DbError> {
        let __key = {
            let id = &id;
            #[allow(unused_imports)]
            use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
            let mut __key = ::cache_aside::__private::KeyBuffer::new("");
            __key.literal("user:");
            {
                let __key = &mut __key;
                (&&&::cache_aside::__private::Placeholder(&id)).write(__key);
            }
            __key
        };
        let __bypass = false;
        let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
        let __entry = __service.entry(__key.as_str());
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
        let __load = move || async move {
            #[allow(unreachable_code, clippy::all)]
            if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<
                Result<User, DbError>,
            > {
                return __returned;
            }
            let id = id;
            #[allow(clippy::let_and_return, clippy::let_unit_value)]
            let __returned: Result<User, DbError> = { self.db.find(id).await };
            #[allow(unreachable_code)] __returned
        };
        if __bypass {
            return __load().await;
        }
        let __miss = match ::cache_aside::__private::look(
            &__entry,
            ::cache_aside::__private::Verb::Load,
            false,
            __shape,
            &__payload,
        ) {
            ::core::result::Result::Ok(__found) => return __found,
            ::core::result::Result::Err(__miss) => __miss,
        };
        let (__kept, __answer) = __errors
            .inline(
                __entry,
                __miss,
                __shape,
                &__payload,
                ::core::option::Option::None,
                ::std::boxed::Box::pin(__load()),
            );
        __errors.settle(__shape, __payload, __kept, __answer.await)
    }
}
