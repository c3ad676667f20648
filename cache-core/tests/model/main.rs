//! The coherence protocol as a model, explored in every interleaving.

mod assertions;
mod callers;
mod drain;
mod effects;
mod explore;
mod failover;
mod faults;
mod fences;
mod listener;
mod model;
mod mutants;
mod properties;
mod protocol;
mod setup;
mod state;
mod whole;
mod writers;
