//! Every visibility, and functions in bodies.

mod outer {
    pub mod inner {
        use cache_aside::cached;

        #[cached(key = "a")]
        pub async fn public() -> u64 {
            1
        }

        #[cached(key = "b")]
        pub(crate) async fn in_crate() -> u64 {
            1
        }

        #[cached(key = "c")]
        pub(in crate::outer) async fn in_path() -> u64 {
            1
        }

        #[cached(key = "d")]
        pub(super) async fn in_super() -> u64 {
            1
        }

        #[cached(key = "e")]
        pub(self) async fn private() -> u64 {
            1
        }

        pub fn use_private() {
            let _ = (private(), private::get());
        }
    }

    pub fn use_restricted() {
        let _ = (inner::in_path(), inner::in_path::get(), inner::in_super::get());
    }
}

fn main() {
    use cache_aside::cached;
    use outer::inner::{in_crate, public};

    struct Local(u64);

    #[cached(key = "{local.0}")]
    async fn local(local: Local) -> u64 {
        local.0
    }

    outer::use_restricted();
    outer::inner::use_private();
    let _ = (public(), public::get(), in_crate::get(), local::key(Local(1)));
}
