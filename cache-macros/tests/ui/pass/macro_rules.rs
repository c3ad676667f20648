//! The attribute on functions that another macro writes.

use cache_aside::cached;

macro_rules! finders {
    ($($name:ident($id:ident: $ty:ty) -> $returned:ty = $key:literal;)*) => {
        $(
            #[cached(key = $key, ttl = "1m")]
            pub async fn $name($id: $ty) -> $returned {
                Ok(Default::default())
            }
        )*
    };
}

finders! {
    find_user(id: u64) -> Result<String, String> = "user:{id}";
    find_order(number: String) -> Result<Option<u64>, String> = "order:{number}";
}

fn main() {
    let _ = find_user::key(1);
    let _ = find_order::get(String::new());
}
