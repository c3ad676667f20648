use cache_aside::CacheKey;

struct Database;

#[derive(CacheKey)]
struct Named {
    id: u64,
    database: Database,
}

#[derive(CacheKey)]
struct Newtype(Database);

#[derive(CacheKey)]
enum Either {
    Left(u64),
    Right { database: Database, id: u64 },
}

fn main() {}
