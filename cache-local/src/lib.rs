//! The in-process tier of `cache-aside`, on moka.
//!
//! Applications depend on the crate `cache-aside`, which re-exports what is public here.
//!
//! Values are held by reference: a hit is a look-up and a reference count, and never decodes. Whether an entry may be
//! served is decided by the service; this tier only frees what has expired or has no room.

mod builder;
mod front;
mod nearest;
mod sync;
mod tier;
mod turns;

pub use builder::{EvictionPolicy, LocalTierBuilder};
pub use tier::LocalTier;
