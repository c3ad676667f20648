use cache_aside::cached;
use std::rc::Rc;

#[cached(key = "user:{id}")]
async fn find_user(id: u64) -> u64 {
    let shared = Rc::new(id);
    std::future::ready(()).await;
    *shared
}

fn main() {}
