use cache_aside::cached;

struct Users;

impl Users {
    #[cached(key = "user:{id}")]
    async fn find(&self, id: u64) -> u64 {
        id
    }
}

fn main() {
    let _ = Users.find(1);
}
