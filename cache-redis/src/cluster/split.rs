//! Calls that touch a key and the journal, which lie on different servers.
//!
//! What removes goes first, and the record second: whoever has applied the record finds nothing any more that is older. A
//! load that begins in between gives what is current, though it is born before the record; near tiers drop it when the
//! record comes, which costs one read.
//!
//! A value that is set needs both: it is born at its record, and the old one must be gone before that. So a lease takes the
//! old one's place, then comes the record, then the value over that very lease. Whatever removes the lease in between, an
//! invalidation or a newer version, voids the value, which is then not stored, nor kept near; one that was sent to near tiers with
//! its record is voided there by another record.

use std::time::{Duration, Instant};

use cache_core::coherence::{Change, Record};
use cache_core::frame::{self, FLAG_AT};
use cache_core::{Appended, Key, Put, PutOutcome, TierError, Token};
use futures_util::future::join_all;
use redis::Value;

use super::{Cluster, Failure};
use crate::scripts::{self, Call};
use crate::shared::{appended, held, unexpected};
use crate::slot::slot_of;
use crate::tier::{Inner, millis};
use crate::{message, rules, scan};

/// Marks the lease of a value that is about to be set: its token begins with the value's version.
const SETS: u8 = 2;

pub(crate) async fn invalidate(
    inner: &Inner,
    cluster: &Cluster,
    keys: &[Key],
    record: &Record,
    fence: Option<Token>,
) -> Result<Appended, TierError> {
    if let Some(token) = fence {
        lift(inner, cluster, keys, token).await?;
    }
    recorded(inner, cluster, record, remove(inner, cluster, keys).await).await
}

/// Appends the record also where not every key could be removed: other nodes should hear of those that were, and drop what they have
/// of all. The caller hears that it failed, and tries again.
async fn recorded(
    inner: &Inner,
    cluster: &Cluster,
    record: &Record,
    removed: Result<Vec<bool>, TierError>,
) -> Result<Appended, TierError> {
    let appended = append(inner, cluster, record, Vec::new()).await;
    let removed = removed?;
    Ok(Appended { removed, ..appended? })
}

pub(crate) async fn fence(
    inner: &Inner,
    cluster: &Cluster,
    keys: &[Key],
    record: &Record,
    token: Token,
    hold: Duration,
) -> Result<Appended, TierError> {
    let raised = keys.iter().map(async |key| {
        let fences = inner.names().fences(key);
        let mut script = scripts::RAISE.key(&fences);
        script.arg(&token.as_bytes()[..]).arg(millis(hold));
        cluster.invoke::<Value>(slot_of(fences.as_bytes()), &script).await
    });
    // A fence stands before what it fences is removed, so nothing is stored in between. Under one that stood already there may be
    // something still: the call that raised it may have ended before it removed anything. Nothing has to stay there, since no
    // write is enclosed in a cluster.
    let raised = join_all(raised).await;
    let fenced = keys.iter().zip(&raised).filter(|(_, raised)| raised.is_ok()).map(|(key, _)| key.clone());
    // Also where others could not be fenced: the caller may go on without.
    let removed = remove_each(inner, cluster, &fenced.collect::<Vec<_>>()).await;
    let raised: Result<Vec<Value>, Failure> = raised.into_iter().collect();
    let removed = raised.and_then(|_| removed.into_iter().collect());
    recorded(inner, cluster, record, removed.map_err(|failure| failure.into_tier_error("fencing"))).await
}

async fn lift(inner: &Inner, cluster: &Cluster, keys: &[Key], token: Token) -> Result<(), TierError> {
    let lifts = keys.iter().map(async |key| {
        let fences = inner.names().fences(key);
        let mut script = scripts::LIFT.key(&fences);
        script.arg(&token.as_bytes()[..]);
        cluster.invoke::<Value>(slot_of(fences.as_bytes()), &script).await
    });
    let lifted: Result<Vec<Value>, Failure> = join_all(lifts).await.into_iter().collect();
    lifted.map(drop).map_err(|failure| failure.into_tier_error("lifting fences"))
}

pub(crate) async fn put(
    inner: &Inner,
    cluster: &Cluster,
    key: &Key,
    put: Put,
    record: &Record,
) -> Result<PutOutcome, TierError> {
    // Nodes must not be sent the value when the caller has given up. The heartbeat notes the clock of the server that has the
    // journal; until it has, they are sent none.
    let last_moment = Instant::now().checked_add(put.within.min(inner.response_timeout));
    let last_moment = last_moment.and_then(|moment| inner.server_clock.millis_at(moment));
    let data = inner.names().data(key);
    let slot = slot_of(data.as_bytes());
    let version = put.entry.version.map_or(0, |version| version.saturating_add(1)).to_be_bytes();
    let token = token_of(version, put.entry.token);
    let mut lease = frame::encode_lease(token).to_vec();
    lease[FLAG_AT] = SETS;
    let mut hold = scripts::HOLD.key(&data);
    hold.arg(&lease).arg(millis(inner.response_timeout.saturating_mul(3))).arg(&version[..]);
    let outcome = with_fences(inner, cluster, key, token, hold).await?;
    if outcome == Held::Superseded {
        return Ok(PutOutcome::Superseded);
    }
    // A version may be overtaken before it is recorded, and that only shows after it was sent.
    let replicate = put.replicate.filter(|_| outcome == Held::Free && put.entry.version.is_none()).zip(last_moment);
    let appended = match replicate {
        Some((ttl, last_moment)) => append_with_value(inner, cluster, &put, ttl, last_moment, record).await?,
        None => append(inner, cluster, record, Vec::new()).await?,
    };
    if outcome != Held::Free {
        return Ok(PutOutcome::Fenced(appended));
    }
    let mut entry = put.entry;
    entry.birth = appended.position;
    let mut fill = scripts::FILL.key(&data);
    fill.arg(&held(token)[..]).arg(&inner.encode(&entry)?[..]).arg(millis(put.ttl));
    fill.arg(&inner.names().channel).arg(message::lease_ended(key));
    if cluster.invoke(slot, &fill).await.map_err(|failure| failure.into_tier_error("storing"))? {
        return Ok(PutOutcome::Stored(appended));
    }
    // Something newer has taken the lease: a newer version perhaps, of which the record may come before this one.
    Ok(PutOutcome::Fenced(match replicate {
        // Nodes that took the value from the bus hear that it is void.
        Some(_) => append(inner, cluster, record, Vec::new()).await?,
        None => appended,
    }))
}

/// Acquires a lease: the answer of the script.
pub(crate) async fn acquire(
    inner: &Inner,
    cluster: &Cluster,
    key: &Key,
    token: Token,
    call: impl Fn(&str) -> Call,
) -> Result<Value, TierError> {
    let (data, fences) = (inner.names().data(key), inner.names().fences(key));
    let slot = slot_of(data.as_bytes());
    let failed = |failure: Failure| failure.into_tier_error("acquiring a lease");
    match cluster.invoke(slot, call(&data).key(&fences)).await {
        Err(failure) if failure.is_divided() => {}
        result => return result.map_err(failed),
    }
    let answer: Value = cluster.invoke(slot, &call(&data)).await.map_err(failed)?;
    let fenced = answer == Value::Int(1) && is_fenced(inner, cluster, key, token).await?;
    Ok(if fenced { Value::Int(2) } else { answer })
}

#[derive(PartialEq, Eq)]
enum Held {
    /// The value of a newer version is there, and every node is told of it: its record came first.
    Superseded,
    Free,
    Fenced,
    /// The lease of a newer version is there. Whoever put it may be gone before there is a record, so this one is recorded.
    Overtaken,
}

/// Puts the lease of a value that is about to be set.
async fn with_fences(
    inner: &Inner,
    cluster: &Cluster,
    key: &Key,
    token: Token,
    mut hold: Call,
) -> Result<Held, TierError> {
    let slot = slot_of(inner.names().data(key).as_bytes());
    let failed = |failure: Failure| failure.into_tier_error("storing");
    let alone = hold.clone();
    let answer: u8 = match cluster.invoke(slot, hold.key(inner.names().fences(key))).await {
        Err(failure) if failure.is_divided() => match cluster.invoke(slot, &alone).await.map_err(failed)? {
            1 if is_fenced(inner, cluster, key, token).await? => 2,
            answer => answer,
        },
        result => result.map_err(failed)?,
    };
    match answer {
        0 => Ok(Held::Superseded),
        1 => Ok(Held::Free),
        2 => Ok(Held::Fenced),
        3 => Ok(Held::Overtaken),
        _ => Err(unexpected("storing with a record")),
    }
}

/// Asks for the fences of a key after a lease was put on it, and gives the lease back if there are any. While a slot is
/// moving, a script cannot ask for both. Whoever fences a key removes what is there afterwards, so it is either this lease
/// that is removed or those fences that are found.
async fn is_fenced(inner: &Inner, cluster: &Cluster, key: &Key, token: Token) -> Result<bool, TierError> {
    let (data, fences) = (inner.names().data(key), inner.names().fences(key));
    let mut exists = redis::cmd("EXISTS");
    exists.arg(&fences);
    let failed = |failure: Failure| failure.into_tier_error("asking for fences");
    let fenced = cluster.send(slot_of(fences.as_bytes()), &exists).await.map_err(failed)? != Value::Int(0);
    if fenced {
        let mut release = scripts::RELEASE.key(&data);
        release.arg(&held(token)[..]).arg(&inner.names().channel).arg(message::lease_ended(key));
        cluster.invoke::<Value>(slot_of(data.as_bytes()), &release).await.map_err(failed)?;
    }
    Ok(fenced)
}

/// The version, and half of what makes the entry's token its own.
fn token_of(version: [u8; 8], entry: Token) -> Token {
    let mut bytes = *entry.as_bytes();
    bytes[..8].copy_from_slice(&version);
    Token::from_bytes(bytes)
}

async fn remove(inner: &Inner, cluster: &Cluster, keys: &[Key]) -> Result<Vec<bool>, TierError> {
    let removed: Result<_, Failure> = remove_each(inner, cluster, keys).await.into_iter().collect();
    removed.map_err(|failure| failure.into_tier_error("UNLINK"))
}

async fn remove_each(inner: &Inner, cluster: &Cluster, keys: &[Key]) -> Vec<Result<bool, Failure>> {
    let unlinks = keys.iter().map(|key| {
        let data = inner.names().data(key);
        (slot_of(data.as_bytes()), scan::unlink(data))
    });
    match cluster.scatter(&unlinks.collect::<Vec<_>>()).await {
        Ok(removed) => removed.into_iter().map(|removed| Ok(removed? == Value::Int(1))).collect(),
        Err(failure) => keys.iter().map(|_| Err(failure.clone())).collect(),
    }
}

async fn append(inner: &Inner, cluster: &Cluster, record: &Record, removed: Vec<bool>) -> Result<Appended, TierError> {
    let names = inner.names();
    let mut script = scripts::INVALIDATE.key(&names.journal);
    script
        .key(&names.last)
        .key(&names.rules)
        .arg(record.to_string())
        .arg(&names.channel)
        .arg(inner.journal_max_records)
        .arg("");
    for field in rules::fields(&record.change) {
        script.arg(field);
    }
    let reply = cluster.invoke(slot_of(names.journal.as_bytes()), &script).await;
    let (previous, position, _): (String, String, Vec<bool>) =
        reply.map_err(|failure| failure.into_tier_error("recording"))?;
    let appended = appended(previous, position, removed)?;
    if let Change::Pattern(_) = record.change {
        cluster.missed.recorded(appended.position);
    }
    Ok(appended)
}

async fn append_with_value(
    inner: &Inner,
    cluster: &Cluster,
    put: &Put,
    replicate: Duration,
    last_moment: i64,
    record: &Record,
) -> Result<Appended, TierError> {
    let names = inner.names();
    let mut script = scripts::PUT.key(&names.journal);
    script.key(&names.last).arg(record.to_string()).arg(&names.channel).arg(inner.journal_max_records);
    script.arg(&inner.encode(&put.entry)?[..]).arg(millis(put.ttl)).arg(last_moment).arg(millis(replicate).to_string());
    let reply = cluster.invoke(slot_of(names.journal.as_bytes()), &script).await;
    let reply = reply.map_err(|failure| failure.into_tier_error("recording"));
    let (previous, position, _): (String, String, bool) = reply.inspect_err(|error| inner.doubt_clock(error))?;
    appended(previous, position, Vec::new())
}
