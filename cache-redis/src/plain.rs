//! Values without a frame, as other programs read and write them.

use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use cache_core::clock::{Clock, SystemClock, Timestamp};
use cache_core::coherence::Position;
use cache_core::frame::{self, Frame};
use cache_core::{Acquire, Entry, Key, TierError, Token, Value, codec};
use redis::{Pipeline, RedisResult};

use crate::scripts;
use crate::shared::unexpected;
use crate::tier::{Inner, millis};

/// For how long a value that never expires is taken to hold.
const UNLIMITED: Duration = Duration::from_secs(3_600);

static CLOCK: LazyLock<SystemClock> = LazyLock::new(SystemClock::new);

/// What is stored of an entry: what the codec wrote.
pub(crate) fn encode(entry: &Entry) -> Result<Bytes, TierError> {
    match &entry.value {
        Value::Encoded { bytes, .. } => Ok(bytes.clone()),
        _ => Err(TierError::refused("only an encoded value can be stored plain")),
    }
}

/// What is under each name, in order. A value and its time to live are read in one step, so they belong together.
pub(crate) async fn get_all(inner: &Inner, names: &[String]) -> Result<Vec<Option<Entry>>, TierError> {
    let mut batch = Pipeline::with_capacity(2 * names.len());
    // A key that holds something else than a string costs no other.
    batch.atomic().ignore_errors();
    for name in names {
        batch.cmd("GET").arg(name).cmd("PTTL").arg(name);
    }
    let asked = CLOCK.now();
    let replies: Vec<RedisResult<redis::Value>> = inner.lane.query_all("GET", &batch).await?;
    if replies.len() != 2 * names.len() {
        return Err(unexpected("GET"));
    }
    let mut replies = replies.into_iter();
    let mut entries = Vec::with_capacity(names.len());
    while let (Some(value), Some(left)) = (replies.next(), replies.next()) {
        entries.push(match (value, left) {
            (Ok(redis::Value::BulkString(bytes)), Ok(redis::Value::Int(left))) => {
                decode(inner, bytes.into(), left, asked)
            }
            _ => None,
        });
    }
    Ok(entries)
}

pub(crate) async fn acquire(
    inner: &Inner,
    key: &Key,
    token: Token,
    mut over: bool,
    ttl: Duration,
) -> Result<Acquire, TierError> {
    loop {
        let mut script = scripts::ACQUIRE_PLAIN.key(inner.names().data(key));
        script.key(inner.names().fences(key));
        script.arg(&frame::encode_lease(token)[..]).arg(millis(ttl)).arg(if over { "over" } else { "" });
        let asked = CLOCK.now();
        let found = match inner.lane.invoke("acquiring a lease", &script).await? {
            redis::Value::Int(1) => return Ok(Acquire::Acquired),
            redis::Value::Int(0) => return Ok(Acquire::Held),
            redis::Value::Int(2) => return Ok(Acquire::Fenced),
            redis::Value::Array(found) => found,
            _ => return Err(unexpected("acquiring a lease")),
        };
        match <[redis::Value; 2]>::try_from(found) {
            Ok([redis::Value::BulkString(bytes), redis::Value::Int(left)]) if !over => {
                if let Some(entry) = decode(inner, bytes.into(), left, asked) {
                    return Ok(Acquire::Found(entry));
                }
                // A frame, which must not keep the key from being filled.
                over = true;
            }
            _ => return Err(unexpected("acquiring a lease")),
        }
    }
}

/// The entry that a plain value is, with `left` milliseconds to live when the server, which was `asked` at that time, said so. The
/// answer may have been long on its way. A lease or a frame is none.
fn decode(inner: &Inner, bytes: Bytes, left: i64, asked: Timestamp) -> Option<Entry> {
    match frame::decode(bytes) {
        Ok(Frame::Foreign(bytes)) => {
            let left = u64::try_from(left).map_or(UNLIMITED, Duration::from_millis);
            let value = Value::Encoded { bytes, codec: codec::UNKNOWN };
            // Not known; whatever the near tier has got meanwhile was loaded no earlier than this was read.
            let created = Timestamp::ZERO;
            let mut entry = Entry::new(value, created, asked + left);
            entry.birth = Position::UNKNOWN;
            Some(entry)
        }
        Ok(Frame::Lease(_)) => None,
        Ok(_) => {
            inner.counts.undecodable(&"it is in a frame, and this tier has plain values");
            None
        }
        Err(reason) => {
            inner.counts.undecodable(&reason);
            None
        }
    }
}
