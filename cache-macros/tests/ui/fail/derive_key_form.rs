use cache_aside::CacheKey;

#[derive(CacheKey)]
union Both {
    a: u8,
    b: i8,
}

#[derive(CacheKey)]
#[cache_key(prefix = "user")]
struct Wrong {
    #[cache_key(skip)]
    id: u64,
}

fn main() {}
