use cache_aside::cached;

#[cached(key = "a", soft_timeout = "50ms")]
async fn nothing_to_serve() -> u64 {
    1
}

#[cached(key = "b", local_only, remote_only = true)]
async fn no_tier() -> u64 {
    1
}

#[cached(key = "c", ttl = "1m", local_ttl = "5m", skip_read = 1, local_only = "yes")]
async fn wrong_values() -> u64 {
    1
}

fn main() {}
