use cache_aside::cached;

#[cached(key = "range:{from}{to}")]
async fn adjacent(from: u64, to: u64) -> u64 {
    from + to
}

#[cached(key = "range:{from}to{to}")]
async fn alphanumeric(from: u64, to: u64) -> u64 {
    from + to
}

fn main() {
    let _ = (adjacent::key(1, 2), alphanumeric::key(1, 2));
}
