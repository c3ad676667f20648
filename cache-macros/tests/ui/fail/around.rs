use cache_aside::cache_invalidate;

#[cache_invalidate(key = "user:{id}", pattern = "list:*", around = true)]
async fn with_pattern(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "user:{id}", before = true, around = true)]
async fn with_before(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "user:{id}", around = true, when = |id| *id > 1)]
async fn with_result(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "user:{id}", before = "yes")]
async fn with_text(id: u64) -> u64 {
    id
}

#[cache_invalidate(key = "user:{id}", around = false, before = true, when = |id| *id > 1)]
async fn before_with_result(id: u64) -> u64 {
    id
}

fn main() {
    let _ = (with_pattern(1), with_before(1), with_result(1), with_text(1), before_with_result(1));
}
