//! The targets, as the tests of cache-core have them.

#[path = "../../cache-core/src/fuzz_targets.rs"]
pub mod fuzz_targets;
