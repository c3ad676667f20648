use cache_aside::cached;

#[cached(key = "user:{id}", tags = ["org:{org_di}", "", "a:{id + 1}"], skip(org_id))]
async fn find_user(id: u64, org_id: u64) -> u64 {
    id + org_id
}

#[cached(key = "user:{id}", tags = ["org:{org_id}"])]
async fn find_member(id: u64, org_id: u64) -> u64 {
    id + org_id
}

fn main() {
    let _ = (find_user(1, 2), find_member(1, 2));
}
