//! See the crate `cache-aside`.
