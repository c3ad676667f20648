use cache_aside::cached;

struct Users;

impl Users {
    #[cached(key = "user:{self.name}:{di}", companions = nowhere)]
    async fn find(&self, id: u64) -> u64 {
        id
    }

    #[cached(key = "user:{id}")]
    async fn find_other(&self, id: u64) -> Vec<u64> {
        Vec::from([id])
    }

    fn find_other_key() {}
}

#[cached(key = "{self.id}")]
async fn free() {}

fn main() {
    let _ = Users.find(1);
    let _ = Users::find_other_get(1);
}
