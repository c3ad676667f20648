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

#[cached(key = "d", error_throttle = "5s")]
async fn nothing_to_throttle() -> u64 {
    1
}

#[cached(key = "e", stale_if_error = "1m", error_throttle = "2m")]
async fn throttled_beyond_its_window() -> u64 {
    1
}

#[cached(key = "f", stale_if_error = "1m", soft_timeout = "3s", load_timeout = "2s")]
async fn impatient() -> anyhow::Result<u64> {
    Ok(1)
}

fn main() {}
