//! Every interleaving of loads, late replies, writes and faults of the bus that could bring an old value back. Each is
//! forced: by gates in loaders and in the tier, by links that a fault proxy holds, and by a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod support;

#[path = "races/between.rs"]
mod between;
#[allow(dead_code, unreachable_pub)]
#[path = "../examples/custom_tier.rs"]
mod custom_tier;
#[path = "races/foreign.rs"]
mod foreign;
#[path = "races/gated.rs"]
mod gated;
#[path = "races/journal.rs"]
mod journal;
#[path = "races/links.rs"]
mod links;
#[path = "races/loads.rs"]
mod loads;
#[path = "races/refreshes.rs"]
mod refreshes;
#[path = "races/replies.rs"]
mod replies;
#[path = "races/sets.rs"]
mod sets;
#[path = "races/setting.rs"]
mod setting;
#[path = "races/sweeps.rs"]
mod sweeps;
