//! The in-process tier of `cache-aside`, on moka.
//!
//! Applications depend on the crate `cache-aside`, which re-exports this.

mod builder;
mod tier;

pub use builder::LocalTierBuilder;
pub use tier::LocalTier;
