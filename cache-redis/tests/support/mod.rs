//! What the tests of this crate have in common.
#![allow(dead_code, unreachable_pub, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::Timestamp;
use cache_core::coherence::{BusConnection, BusMessage, Change, NodeId, Position, Record};
use cache_core::frame::{self, Frame};
use cache_core::{Appended, CacheTier, Entry, Key, Namespace, Put, PutOutcome, Token, Value};
use cache_redis::RedisTier;
use cache_testing::RedisServer;

pub const TTL: Duration = Duration::from_secs(60);

pub fn start() -> (RedisServer, RedisTier) {
    let server = RedisServer::start();
    // As where the rules are known already, so that connecting the bus appends no record of its own.
    server.cli(&["HSET", "{test}!rules", "cleared", "0-0"]);
    let tier = tier(&server);
    (server, tier)
}

/// A tier on `server` in the namespace `test`.
pub fn tier(server: &RedisServer) -> RedisTier {
    let tier = RedisTier::new(server.url()).unwrap();
    tier.bind(&Namespace::new("test").unwrap()).unwrap();
    tier
}

pub fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

pub fn keys<const N: usize>(texts: [&str; N]) -> [Key; N] {
    texts.map(key)
}

pub fn token(number: u8) -> Token {
    Token::from_bytes([number; 16])
}

pub fn entry(payload: &'static str) -> Entry {
    let value = Value::Encoded { bytes: Bytes::from_static(payload.as_bytes()), codec: 1 };
    let mut entry = Entry::new(value, Timestamp::from_millis(1), Timestamp::from_millis(2));
    entry.token = token(200);
    entry.schema = 7;
    entry.birth = Position::new(3, 4);
    entry
}

pub fn payload(entry: Option<&Entry>) -> Option<&str> {
    match &entry?.value {
        Value::Encoded { bytes, .. } => Some(std::str::from_utf8(bytes).unwrap()),
        other => panic!("{other:?} is not encoded"),
    }
}

pub fn record(keys: &[Key]) -> Record {
    Record::new(NodeId::new(0xab), Change::Keys(keys.into()))
}

pub fn put(entry: Entry, ttl: Duration) -> Put {
    Put::new(entry, ttl, TTL)
}

/// The record of a value that was stored.
#[track_caller]
pub fn stored(outcome: PutOutcome) -> Appended {
    match outcome {
        PutOutcome::Stored(appended) => appended,
        other => panic!("the value was to be stored, and {other:?}"),
    }
}

/// What is stored under a name, past the tier.
pub fn raw(server: &RedisServer, name: &str) -> Option<Vec<u8>> {
    match server.command(&["GET", name]).unwrap() {
        cache_testing::resp::Reply::Bytes(bytes) => Some(bytes),
        cache_testing::resp::Reply::Nil => None,
        other => panic!("GET {name} was answered with {other:?}"),
    }
}

/// Stores bytes under a name, past the tier.
pub fn store(server: &RedisServer, name: &str, bytes: &[u8]) {
    server.command(&[b"SET", name.as_bytes(), bytes]).unwrap();
}

pub fn stored_frame(server: &RedisServer, name: &str) -> Frame {
    frame::decode(raw(server, name).unwrap().into()).unwrap()
}

pub fn time_to_live(server: &RedisServer, name: &str) -> i64 {
    server.cli(&["PTTL", name]).parse().unwrap()
}

pub async fn subscribe(tier: &RedisTier) -> Box<dyn BusConnection> {
    let mut connection = tier.shared().unwrap().bus().connect().await.unwrap();
    connection.begin(Position::START).await.unwrap();
    connection
}

/// Everything that was announced before this call.
pub async fn announced(connection: &mut dyn BusConnection) -> Vec<BusMessage> {
    connection.last_position().await.unwrap();
    std::iter::from_fn(|| connection.try_next()).collect()
}

/// Repeats `attempt` until it gives something, as the tier recovers in the background and tells nobody.
pub async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let limit = tokio::time::Instant::now() + Duration::from_secs(20);
    while tokio::time::Instant::now() < limit {
        if let Some(done) = attempt().await {
            return done;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it did not happen within 20 s");
}
