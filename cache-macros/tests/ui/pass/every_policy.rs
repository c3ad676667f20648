use cache_aside::cached;
use std::time::Duration;

const WINDOW: Duration = Duration::from_secs(60);

#[cached(
    key = "user:{id}",
    ttl = "5m",
    stale_while_revalidate = WINDOW,
    stale_if_error = "1h",
    error_throttle = "2s",
    soft_timeout = "50ms",
    refresh_ahead = 2,
    max_value_bytes = 64 * 1024,
    skip_read = "redis",
    skip_write = ["redis", "other"]
)]
async fn find_user(id: u64) -> Result<String, std::io::Error> {
    Ok(id.to_string())
}

#[cached(key = "early:{id}", refresh_ahead, local_only)]
async fn early(id: u64) -> u64 {
    id
}

#[cached(key = "late:{name}", refresh_ahead = false, remote_only = false, stale_if_error = "1m")]
async fn late(name: &str) -> usize {
    name.len()
}

fn main() {}
