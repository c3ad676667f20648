use cache_aside::cached;

#[cached(key = "user:{id}")]
fn find_user(id: u64) -> u64 {
    id
}

fn main() {
    let _: u64 = find_user(1);
}
