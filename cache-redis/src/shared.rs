//! The tier as one that nodes share: leases, and the journal.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::coherence::{Bus, JournalPage, NodeId, Position, Record};
use cache_core::frame::{self, FLAG_AT, Frame, TOKEN_AT};
use cache_core::{
    Acquire, Appended, Claim, Entry, Key, KeyScan, Pattern, Put, PutOutcome, SharedTier, TierError, Token, WriteLog,
};
use redis::{FromRedisValue, Value};

#[cfg(feature = "cluster")]
use crate::cluster::split;
use crate::config::Wire;
use crate::message::{self, lease_ended};
use crate::plain;
use crate::scan::DataScan;
use crate::scripts::Call;
use crate::tier::{Inner, RedisTier, millis};
use crate::{journal, rules, scripts};

#[async_trait]
impl SharedTier for RedisTier {
    async fn acquire(&self, key: &Key, token: Token, over: Option<Token>, ttl: Duration) -> Result<Acquire, TierError> {
        if self.inner.wire == Wire::Plain {
            return plain::acquire(&self.inner, key, token, over.is_some(), ttl).await;
        }
        let mut over = over.map(|token| *token.as_bytes());
        loop {
            let replaceable = over.as_ref().map_or(&[][..], |token| &token[..]);
            let call = |data: &str| {
                let mut script = scripts::ACQUIRE.key(data);
                script.arg(&frame::encode_lease(token)[..]).arg(millis(ttl)).arg(replaceable);
                script
            };
            let found = match self.inner.acquire(key, token, call).await? {
                Value::Int(1) => return Ok(Acquire::Acquired),
                Value::Int(0) => return Ok(Acquire::Held),
                Value::Int(2) => return Ok(Acquire::Fenced),
                Value::BulkString(found) => Bytes::from(found),
                _ => return Err(unexpected("acquiring a lease")),
            };
            // What looked like an entry to the script may still be garbage, which must not keep the key from being filled.
            let garbage = found.get(TOKEN_AT..TOKEN_AT + Token::BYTES).and_then(|token| token.try_into().ok());
            match frame::decode(found) {
                Ok(Frame::Entry(entry)) => return Ok(Acquire::Found(entry)),
                _ if garbage.is_none() || garbage == over => return Err(unexpected("acquiring a lease")),
                _ => over = garbage,
            }
        }
    }

    async fn extend(&self, key: &Key, token: Token, ttl: Duration) -> Result<bool, TierError> {
        let mut script = scripts::EXTEND.key(self.inner.names().data(key));
        script.arg(&held(token)[..]).arg(millis(ttl));
        self.inner.lane.invoke("extending a lease", &script).await
    }

    async fn fill(&self, key: &Key, token: Token, entry: Entry, ttl: Duration) -> Result<bool, TierError> {
        let names = self.inner.names();
        if self.inner.wire == Wire::Plain && matches!(entry.value, cache_core::Value::Absent) {
            // Nothing would say that it is an absence. Whether the lease stood is told all the same.
            return self.give_back(key, token).await;
        }
        let mut script = scripts::FILL.key(names.data(key));
        script.arg(&held(token)[..]).arg(&self.inner.encode(&entry)?[..]).arg(self.inner.lifetime(&entry, ttl));
        script.arg(&names.channel).arg(lease_ended(key));
        self.inner.lane.invoke("filling", &script).await
    }

    async fn claim(&self, key: &Key, over: Token, ttl: Duration) -> Result<Claim, TierError> {
        let names = self.inner.names();
        let mut script = scripts::CLAIM.key(names.data(key));
        if self.write_log().is_some() {
            script.key(names.fences(key));
        }
        script.arg(&over.as_bytes()[..]).arg(millis(ttl));
        match self.inner.lane.invoke("claiming an entry", &script).await? {
            1 => Ok(Claim::Claimed),
            0 => Ok(Claim::Taken),
            2 => Ok(Claim::Gone),
            throttled if throttled < 0_i64 => Ok(Claim::Throttled(Duration::from_millis(throttled.unsigned_abs()))),
            _ => Err(unexpected("claiming an entry")),
        }
    }

    async fn extend_claim(&self, key: &Key, over: Token, ttl: Duration) -> Result<bool, TierError> {
        self.reclaim(key, over, ttl, "").await
    }

    async fn end_claim(&self, key: &Key, over: Token, throttle: Duration) -> Result<bool, TierError> {
        self.reclaim(key, over, throttle, if throttle.is_zero() { "\0" } else { "\u{2}" }).await
    }

    async fn refill(&self, key: &Key, over: Token, entry: Entry, ttl: Duration) -> Result<bool, TierError> {
        let names = self.inner.names();
        let mut script = scripts::REFILL.key(names.data(key));
        script.arg(&over.as_bytes()[..]).arg(&self.inner.encode(&entry)?[..]).arg(millis(ttl));
        script.arg(&names.channel).arg(lease_ended(key));
        self.inner.lane.invoke("replacing an entry", &script).await
    }

    async fn release(&self, key: &Key, token: Token) -> Result<(), TierError> {
        self.give_back(key, token).await.map(drop)
    }

    async fn put(&self, key: &Key, put: Put, record: &Record) -> Result<PutOutcome, TierError> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.inner.lane.cluster() {
            return split::put(&self.inner, cluster, key, put, record).await;
        }
        let plain = self.inner.wire == Wire::Plain;
        if plain && put.entry.version.is_some() {
            return Err(TierError::refused("plain values have no versions"));
        }
        let names = self.inner.names();
        // The caller is told at the latest when the response is not waited for any more.
        let last_moment = self.server_millis_in(put.within.min(self.inner.response_timeout)).await?;
        let mut script = scripts::PUT.key(&names.journal);
        script.key(&names.last).key(names.data(key)).key(names.fences(key));
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        script.arg(&self.inner.encode(&put.entry)?[..]).arg(self.inner.lifetime(&put.entry, put.ttl)).arg(last_moment);
        script.arg(put.replicate.filter(|_| !plain).map_or_else(String::new, |ttl| millis(ttl).to_string()));
        script.arg(if plain { "plain" } else { "" });
        let reply: Value = self.invoke_in_time("storing with a record", &script).await?;
        if matches!(reply, Value::Int(0)) {
            return Ok(PutOutcome::Superseded);
        }
        let (previous, position, stored): (String, String, bool) =
            redis::from_redis_value(reply).map_err(|_| unexpected("storing with a record"))?;
        let appended = appended(previous, position, Vec::new())?;
        Ok(if stored { PutOutcome::Stored(appended) } else { PutOutcome::Fenced(appended) })
    }

    async fn invalidate(&self, keys: &[Key], record: &Record, lift: Option<Token>) -> Result<Appended, TierError> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.inner.lane.cluster() {
            return split::invalidate(&self.inner, cluster, keys, record, lift).await;
        }
        let names = self.inner.names();
        let mut script = scripts::INVALIDATE.key(&names.journal);
        script.key(&names.last).key(&names.rules);
        for key in keys {
            script.key(names.data(key));
        }
        for key in keys.iter().filter(|_| lift.is_some()) {
            script.key(names.fences(key));
        }
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        script.arg(lift.as_ref().map_or(&[][..], |token| &token.as_bytes()[..]));
        for field in rules::fields(&record.change) {
            script.arg(field);
        }
        let (previous, position, removed) = self.inner.lane.invoke("invalidating", &script).await?;
        appended(previous, position, removed)
    }

    async fn fence(&self, keys: &[Key], record: &Record, token: Token, hold: Duration) -> Result<Appended, TierError> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.inner.lane.cluster() {
            return split::fence(&self.inner, cluster, keys, record, token, hold).await;
        }
        let names = self.inner.names();
        let mut script = scripts::FENCE.key(&names.journal);
        script.key(&names.last);
        for key in keys {
            script.key(names.data(key));
        }
        for key in keys {
            script.key(names.fences(key));
        }
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        script.arg(&token.as_bytes()[..]).arg(millis(hold));
        let (previous, position, removed) = self.inner.lane.invoke("fencing", &script).await?;
        appended(previous, position, removed)
    }

    async fn enclose(&self, key: &Key, fence: Token, lease: Token, ttl: Duration) -> Result<bool, TierError> {
        if !self.encloses() {
            return Ok(false);
        }
        let names = self.inner.names();
        let mut script = scripts::ENCLOSE.key(names.data(key));
        script.key(names.fences(key));
        script.arg(&frame::encode_lease(lease)[..]).arg(millis(ttl)).arg(&fence.as_bytes()[..]);
        self.inner.lane.invoke("enclosing a write", &script).await
    }

    async fn conclude(
        &self,
        key: &Key,
        put: Put,
        record: &Record,
        fence: Token,
        lease: Token,
    ) -> Result<PutOutcome, TierError> {
        if !self.encloses() {
            let lifted = self.invalidate(std::slice::from_ref(key), record, Some(fence)).await?;
            return Ok(PutOutcome::Fenced(lifted));
        }
        let names = self.inner.names();
        let last_moment = self.server_millis_in(put.within.min(self.inner.response_timeout)).await?;
        let mut script = scripts::CONCLUDE.key(&names.journal);
        script.key(&names.last).key(names.data(key)).key(names.fences(key));
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        script.arg(&self.inner.encode(&put.entry)?[..]).arg(millis(put.ttl)).arg(last_moment);
        script.arg(&fence.as_bytes()[..]).arg(&held(lease)[..]);
        let (previous, position, stored): (String, String, bool) =
            self.invoke_in_time("concluding a write", &script).await?;
        let appended = appended(previous, position, Vec::new())?;
        Ok(if stored { PutOutcome::Stored(appended) } else { PutOutcome::Fenced(appended) })
    }

    async fn read_after(&self, after: Position, limit: usize) -> Result<JournalPage, TierError> {
        let query = journal::read_after(&self.inner.names().journal, after, limit);
        journal::page(self.inner.lane.query_all("reading the journal", &query).await?)
    }

    async fn swept(&self, pattern: &Pattern, position: Position) -> Result<bool, TierError> {
        #[cfg(feature = "cluster")]
        if self.inner.lane.cluster().is_some_and(|cluster| cluster.missed.any(pattern, position)) {
            return Ok(false);
        }
        let names = self.inner.names();
        let mut script = scripts::SWEPT.key(&names.rules);
        script.arg(rules::pattern_field(pattern)).arg(position.to_string());
        script.arg(&names.channel).arg(message::swept(pattern, position));
        // Where the rule was not there any more, a later one has taken its place.
        self.inner.lane.invoke::<Value>("forgetting a rule", &script).await.map(|_| true)
    }

    async fn unheard(&self, position: Position, bound: Duration) -> Result<Duration, TierError> {
        let mut script = scripts::UNHEARD.key(&self.inner.names().nodes);
        script.arg(position.millis()).arg(position.sequence());
        script.arg(u64::try_from(bound.as_millis()).unwrap_or(u64::MAX));
        self.inner.lane.invoke("asking who has heard", &script).await.map(Duration::from_millis)
    }

    async fn leave(&self, node: NodeId) -> Result<(), TierError> {
        let mut command = redis::cmd("HDEL");
        command.arg(&self.inner.names().nodes).arg(node.to_string());
        self.inner.lane.query("HDEL", &command).await
    }

    async fn scan(&self, pattern: &Pattern) -> Result<Box<dyn KeyScan>, TierError> {
        let lanes = self.inner.lane.primaries().await?;
        Ok(Box::new(DataScan::new(lanes, Arc::clone(&self.inner), pattern)))
    }

    fn keeps_births(&self) -> bool {
        self.inner.wire == Wire::Framed
    }

    fn bus(&self) -> &dyn Bus {
        self
    }

    fn write_log(&self) -> Option<&dyn WriteLog> {
        // There a write and its entry do not share a slot, so they could not be kept in one step.
        #[cfg(feature = "cluster")]
        if self.inner.lane.cluster().is_some() {
            return None;
        }
        Some(self)
    }
}

/// What a key holds while the lease with `token` is on it, up to the flag.
pub(crate) fn held(token: Token) -> Bytes {
    frame::encode_lease(token).slice(..FLAG_AT)
}

impl Inner {
    /// Runs the script that acquires a lease; `call` gives it for a data key, to which the fences are yet to be added.
    async fn acquire(&self, key: &Key, token: Token, call: impl Fn(&str) -> Call) -> Result<Value, TierError> {
        #[cfg(feature = "cluster")]
        if let Some(cluster) = self.lane.cluster() {
            return split::acquire(self, cluster, key, token, call).await;
        }
        let _ = token;
        let mut script = call(&self.names().data(key));
        self.lane.invoke("acquiring a lease", script.key(self.names().fences(key))).await
    }
}

impl RedisTier {
    /// Whether a write can be concluded in one step, and its value has room for its birth: not in a cluster, and not if it is
    /// plain.
    fn encloses(&self) -> bool {
        self.write_log().is_some() && self.inner.wire == Wire::Framed
    }

    /// Gives a lease back, and tells whether it was there.
    async fn give_back(&self, key: &Key, token: Token) -> Result<bool, TierError> {
        let names = self.inner.names();
        let mut script = scripts::RELEASE.key(names.data(key));
        script.arg(&held(token)[..]).arg(&names.channel).arg(lease_ended(key));
        self.inner.lane.invoke("releasing a lease", &script).await
    }

    async fn reclaim(&self, key: &Key, over: Token, ttl: Duration, flag: &str) -> Result<bool, TierError> {
        let names = self.inner.names();
        let mut script = scripts::RECLAIM.key(names.data(key));
        // Zero is a time to live here, if a short one: the claim ends now.
        let ttl = if ttl.is_zero() { 0 } else { millis(ttl) };
        script.arg(&over.as_bytes()[..]).arg(ttl).arg(flag).arg(&names.channel).arg(lease_ended(key));
        self.inner.lane.invoke("renewing a claim", &script).await
    }

    /// Runs a script that carries the moment from which on it must not run.
    pub(crate) async fn invoke_in_time<T: FromRedisValue>(&self, action: &str, script: &Call) -> Result<T, TierError> {
        self.inner.lane.invoke(action, script).await.inspect_err(|error| self.inner.doubt_clock(error))
    }

    /// What the server's clock will show when `after` has passed from now, or a little earlier. Asks the server while nothing is
    /// known of its clock.
    pub(crate) async fn server_millis_in(&self, after: Duration) -> Result<i64, TierError> {
        let now = Instant::now();
        // A moment that no clock can tell never comes.
        let Some(moment) = now.checked_add(after) else { return Ok(i64::MAX) };
        let clock = &self.inner.server_clock;
        if let Some(millis) = clock.millis_at(moment) {
            return Ok(millis);
        }
        clock.note(self.inner.lane.query("TIME", &redis::cmd("TIME")).await?);
        clock.millis_at(moment).ok_or_else(|| unexpected("TIME"))
    }
}

pub(crate) fn appended(previous: String, position: String, removed: Vec<bool>) -> Result<Appended, TierError> {
    let read = |text: String| text.parse::<Position>().map_err(|error| TierError::unavailable(error.to_string()));
    Ok(Appended { previous: read(previous)?, position: read(position)?, removed })
}

pub(crate) fn unexpected(action: &str) -> TierError {
    TierError::unavailable(format!("{action} failed: the answer was not understood"))
}
