async fn save_user(user: User) -> Result<User, DbError> {
    let __service: ::cache_aside::CachingService = ::cache_aside::CachingService::global();
    let __when: bool = true;
    let __key: ::std::vec::Vec<::std::string::String> = <::std::vec::Vec<
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
    ]);
    let __entry = __service
        .entry(__key[0].as_str())
        .ttl(::core::time::Duration::new(300u64, 0u32));
    let __run = async move {
        #[allow(unreachable_code, clippy::all)]
        if let ::core::option::Option::Some(__returned) = ::core::option::Option::None::<
            Result<User, DbError>,
        > {
            return __returned;
        }
        #[allow(clippy::let_and_return, clippy::let_unit_value)]
        let __returned: Result<User, DbError> = { store(user).await };
        #[allow(unreachable_code)] __returned
    };
    if !__when {
        return __run.await;
    }
    #[allow(unused_imports)]
    use ::cache_aside::__private::{ProbePayload as _, ProbeShape as _};
    let __shape = (&&&::cache_aside::__private::Returned::<Result<User, DbError>>::new())
        .shape();
    {
        let __payload = ::cache_aside::__private::check_payload(
            (&&::cache_aside::__private::payload_of(__shape)).payload(),
        );
        ::cache_aside::__private::put_returned(__entry, __shape, __payload, __run.await)
            .await
    }
}
