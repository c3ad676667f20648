//! What the properties are written with.

use std::future::Future;
use std::time::{Duration, Instant};

use bytes::Bytes;
use cache_core::clock::Timestamp;
use cache_core::coherence::{BusConnection, BusMessage, Change, NodeId, Position, Record};
use cache_core::{Acquire, Appended, CacheTier, Entry, Key, Put, PutOutcome, SharedTier, Token, Value};

/// Longer than any test lasts.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);

/// Short enough to be waited for, long enough to be seen beginning.
pub(super) const SHORT: Duration = Duration::from_millis(50);

/// How long something may take that is certain to happen.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);

const POLL_INTERVAL: Duration = Duration::from_millis(2);

pub(super) fn key(text: impl AsRef<str>) -> Key {
    Key::new(text).expect("the suite uses valid keys")
}

pub(super) fn keys<const N: usize>(texts: [&str; N]) -> [Key; N] {
    texts.map(key)
}

pub(super) fn token(n: u8) -> Token {
    Token::from_bytes([n; Token::BYTES])
}

pub(super) fn entry(payload: impl Into<Bytes>) -> Entry {
    let value = Value::Encoded { bytes: payload.into(), codec: 1 };
    Entry::new(value, Timestamp::from_millis(1_700_000_000_000), Timestamp::MAX)
}

pub(super) fn entry_with_token(payload: impl Into<Bytes>, token: Token) -> Entry {
    let mut entry = entry(payload);
    entry.token = token;
    entry
}

/// The bytes of the value in `found`, if it is one.
pub(super) fn payload(found: Option<&Entry>) -> Option<&[u8]> {
    match &found?.value {
        Value::Encoded { bytes, .. } => Some(bytes),
        other => panic!("an encoded value went in and {other:?} came out"),
    }
}

pub(super) async fn set(tier: &dyn CacheTier, key: &Key, payload: impl Into<Bytes>) {
    tier.set(key, entry(payload), HOUR).await.expect("set");
}

pub(super) async fn get(tier: &dyn CacheTier, key: &Key) -> Option<Entry> {
    tier.get(key).await.expect("get")
}

#[track_caller]
pub(super) fn assert_payload(found: Option<&Entry>, expected: impl AsRef<[u8]>, of: &Key) {
    let found = payload(found).unwrap_or_else(|| panic!("{of:?} is absent"));
    let expected = expected.as_ref();
    // Payloads of a mebibyte would drown the message.
    let shown =
        |bytes: &[u8]| format!("{} bytes {:?}", bytes.len(), bytes[..bytes.len().min(40)].escape_ascii().to_string());
    assert!(found == expected, "{of:?} holds {} instead of {}", shown(found), shown(expected));
}

pub(super) async fn assert_holds(tier: &dyn CacheTier, key: &Key, expected: impl AsRef<[u8]>) {
    assert_payload(get(tier, key).await.as_ref(), expected, key);
}

pub(super) async fn assert_absent(tier: &dyn CacheTier, key: &Key) {
    let found = get(tier, key).await;
    assert!(found.is_none(), "{key:?} holds {found:?}");
}

/// Asks until the answer is yes.
pub(super) async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let started = Instant::now();
    while !holds().await {
        assert!(started.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

pub(super) async fn eventually_absent(tier: &dyn CacheTier, key: &Key) {
    eventually(&format!("{key:?} expires"), || async { get(tier, key).await.is_none() }).await;
}

pub(super) fn shared(tier: &dyn CacheTier) -> &dyn SharedTier {
    tier.shared().expect("the tier is declared as shared, so shared() gives its operations")
}

pub(super) fn put(entry: Entry, ttl: Duration) -> Put {
    Put::new(entry, ttl, PATIENCE)
}

/// The record of a value that was stored.
#[track_caller]
pub(super) fn stored(outcome: PutOutcome) -> Appended {
    match outcome {
        PutOutcome::Stored(appended) => appended,
        other => panic!("the value was to be stored, and {other:?}"),
    }
}

pub(super) async fn acquire(tier: &dyn CacheTier, key: &Key, token: Token, ttl: Duration) -> Acquire {
    shared(tier).acquire(key, token, None, ttl).await.expect("acquire")
}

pub(super) async fn assert_acquired(tier: &dyn CacheTier, key: &Key, token: Token) {
    let outcome = acquire(tier, key, token, HOUR).await;
    assert!(matches!(outcome, Acquire::Acquired), "{key:?}: {outcome:?}");
}

pub(super) async fn assert_held(tier: &dyn CacheTier, key: &Key) {
    let outcome = acquire(tier, key, token(99), HOUR).await;
    assert!(matches!(outcome, Acquire::Held), "{key:?}: {outcome:?}");
}

pub(super) fn record_of_keys(keys: &[Key]) -> Record {
    Record::new(NodeId::new(7), Change::Keys(keys.into()))
}

pub(super) async fn fence(tier: &dyn CacheTier, keys: &[Key], holder: u8, hold: Duration) -> Appended {
    let record = Record::new(NodeId::new(7), Change::Fence(keys.into(), hold));
    shared(tier).fence(keys, &record, token(holder), hold).await.expect("fence")
}

pub(super) async fn lift(tier: &dyn CacheTier, keys: &[Key], holder: u8) -> Appended {
    shared(tier).invalidate(keys, &record_of_keys(keys), Some(token(holder))).await.expect("invalidate")
}

pub(super) async fn is_fenced(tier: &dyn CacheTier, key: &Key) -> bool {
    matches!(acquire(tier, key, token(99), SHORT).await, Acquire::Fenced)
}

/// A connection to a journal that has begun, and that has nothing more to tell of its beginning.
pub(super) async fn connect(tier: &dyn CacheTier) -> Box<dyn BusConnection> {
    let mut connection = shared(tier).bus().connect().await.expect("the bus can be connected to");
    connection.begin(Position::START).await.expect("begin");
    connection.last_position().await.expect("last_position");
    while connection.try_next().is_some() {}
    connection
}

pub(super) async fn next(connection: &mut dyn BusConnection) -> BusMessage {
    let message = tokio::time::timeout(PATIENCE, connection.next()).await.expect("a message arrives");
    message.expect("the connection stands")
}
