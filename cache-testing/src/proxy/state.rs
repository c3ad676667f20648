use std::collections::{BTreeMap, VecDeque};

use super::Direction;

/// What passes through a connection in one go.
#[derive(Debug, Clone)]
pub(super) struct Chunk {
    pub(super) arrived: tokio::time::Instant,
    pub(super) bytes: Vec<u8>,
}

/// What has arrived on a connection and was not yet passed on.
#[derive(Debug, Default)]
pub(super) struct Held {
    to_server: VecDeque<Chunk>,
    to_client: VecDeque<Chunk>,
}

impl Held {
    pub(super) fn chunks(&self, direction: Direction) -> &VecDeque<Chunk> {
        match direction {
            Direction::ToServer => &self.to_server,
            Direction::ToClient => &self.to_client,
        }
    }

    pub(super) fn chunks_mut(&mut self, direction: Direction) -> &mut VecDeque<Chunk> {
        match direction {
            Direction::ToServer => &mut self.to_server,
            Direction::ToClient => &mut self.to_client,
        }
    }

    pub(super) fn byte_count(&self, direction: Direction) -> u64 {
        self.chunks(direction).iter().map(|chunk| chunk.bytes.len() as u64).sum()
    }

    fn contains(&self, direction: Direction, bytes: &[u8]) -> bool {
        let all: Vec<u8> = self.chunks(direction).iter().flat_map(|chunk| chunk.bytes.iter().copied()).collect();
        all.windows(bytes.len()).any(|window| window == bytes)
    }
}

/// All that the proxy knows, published as one value, so that a test can wait for any of it.
#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) listening: bool,
    pub(super) accepted: u64,
    pub(super) passed_to_server: u64,
    pub(super) passed_to_client: u64,
    /// The open connections, by their number in order of acceptance, from 1.
    pub(super) open: BTreeMap<u64, Held>,
}

impl State {
    pub(super) fn counters(&self) -> Counters {
        Counters {
            accepted: self.accepted,
            open: self.open.len() as u64,
            to_server: Traffic { passed: self.passed_to_server, held: self.held(Direction::ToServer) },
            to_client: Traffic { passed: self.passed_to_client, held: self.held(Direction::ToClient) },
        }
    }

    pub(super) fn held(&self, direction: Direction) -> u64 {
        self.open.values().map(|held| held.byte_count(direction)).sum()
    }

    pub(super) fn holds(&self, direction: Direction, bytes: &[u8]) -> bool {
        self.open.values().any(|held| held.contains(direction, bytes))
    }

    pub(super) fn none_open_up_to(&self, number: u64) -> bool {
        self.open.range(..=number).next().is_none()
    }

    pub(super) fn passed_mut(&mut self, direction: Direction) -> &mut u64 {
        match direction {
            Direction::ToServer => &mut self.passed_to_server,
            Direction::ToClient => &mut self.passed_to_client,
        }
    }
}

/// What a proxy has seen since its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Counters {
    /// Connections accepted.
    pub accepted: u64,
    /// Connections that are open.
    pub open: u64,
    /// Bytes from clients.
    pub to_server: Traffic,
    /// Bytes from the server.
    pub to_client: Traffic,
}

/// Bytes in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Traffic {
    /// Bytes that were passed on, on all connections since the start.
    pub passed: u64,
    /// Bytes that are in the proxy, on the open connections.
    pub held: u64,
}
