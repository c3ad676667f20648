async fn save_user(user: &User) -> Result<(), DbError> {
    #[allow(unused_imports)]
    use ::cache_aside::__private::ProbeOutcome as _;
    let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
    let __when: bool = true;
    let __voided = ::cache_aside::__private::Voided {
        keys: <::std::vec::Vec<
            ::std::string::String,
        > as ::core::convert::From<
            _,
        >>::from([
            {
                #[allow(unused_imports)]
                use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
                let mut __text = ::cache_aside::__private::KeyBuffer::empty();
                {
                    let __text = &mut __text;
                    __text.literal("user:");
                    (&&&::cache_aside::__private::Placeholder(&user.id)).write(__text);
                }
                __text.into_string()
            },
        ]),
        pattern: ::core::option::Option::Some({
            #[allow(unused_imports)]
            use ::cache_aside::__private::{WriteDisplay as _, WritePlain as _};
            let mut __text = ::cache_aside::__private::KeyBuffer::empty();
            {
                let __text = &mut __text;
                __text.literal("list:");
                (&&&::cache_aside::__private::Placeholder(&user.org)).write(__text);
                __text.literal(":*");
            }
            __text.into_string()
        }),
        tags: ::core::default::Default::default(),
    };
    let __run = async move {
        #[allow(unreachable_code, clippy::all)]
        if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<
            Result<(), DbError>,
        > {
            return __returned;
        }
        #[allow(clippy::let_and_return, clippy::let_unit_value)]
        let __returned: Result<(), DbError> = { store(user).await };
        #[allow(unreachable_code)] __returned
    };
    #[allow(unused_variables)]
    let __probe = ::cache_aside::__private::Returned::<Result<(), DbError>>::new();
    let __result: Result<(), DbError> = __run.await;
    if __when && (&&__probe).has_succeeded(&__result) {
        __voided.invalidate(&__service).await;
    }
    __result
}
