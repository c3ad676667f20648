//! The tier as one that nodes share: leases, and the journal.

use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use cache_core::coherence::{Bus, JournalPage, Position, Record};
use cache_core::frame::{self, FLAG_AT, Frame, TOKEN_AT};
use cache_core::{Acquire, Appended, Entry, Key, Pattern, SharedTier, TierError, Token};
use redis::Value;

use crate::message::{self, lease_ended};
use crate::tier::{RedisTier, encode, millis};
use crate::{journal, rules, scripts};

#[async_trait]
impl SharedTier for RedisTier {
    async fn acquire(&self, key: &Key, token: Token, over: Option<Token>, ttl: Duration) -> Result<Acquire, TierError> {
        let mut over = over.map(|token| *token.as_bytes());
        loop {
            let mut script = scripts::ACQUIRE.key(self.inner.names().data(key));
            let replaceable = over.as_ref().map_or(&[][..], |token| &token[..]);
            script.arg(&frame::encode_lease(token)[..]).arg(millis(ttl)).arg(replaceable);
            let found = match self.inner.lane.invoke("acquiring a lease", &script).await? {
                Value::Int(1) => return Ok(Acquire::Acquired),
                Value::Int(0) => return Ok(Acquire::Held),
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
        let mut script = scripts::FILL.key(names.data(key));
        script.arg(&held(token)[..]).arg(&encode(&entry)?[..]).arg(millis(ttl));
        script.arg(&names.channel).arg(lease_ended(key));
        self.inner.lane.invoke("filling", &script).await
    }

    async fn release(&self, key: &Key, token: Token) -> Result<(), TierError> {
        let names = self.inner.names();
        let mut script = scripts::RELEASE.key(names.data(key));
        script.arg(&held(token)[..]).arg(&names.channel).arg(lease_ended(key));
        self.inner.lane.invoke("releasing a lease", &script).await
    }

    async fn put(&self, key: &Key, entry: Entry, ttl: Duration, record: &Record) -> Result<Appended, TierError> {
        let names = self.inner.names();
        let mut script = scripts::PUT.key(&names.journal);
        script.key(names.data(key));
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        let last_moment = self.inner.server_clock.in_millis(self.inner.response_timeout);
        script.arg(&encode(&entry)?[..]).arg(millis(ttl)).arg(last_moment.unwrap_or(i64::MAX));
        let (previous, position) = self.inner.lane.invoke("storing with a record", &script).await?;
        appended(previous, position, Vec::new())
    }

    async fn invalidate(&self, keys: &[Key], record: &Record) -> Result<Appended, TierError> {
        let names = self.inner.names();
        let mut script = scripts::INVALIDATE.key(&names.journal);
        script.key(&names.rules);
        for key in keys {
            script.key(names.data(key));
        }
        script.arg(record.to_string()).arg(&names.channel).arg(self.inner.journal_max_records);
        for field in rules::fields(&record.change) {
            script.arg(field);
        }
        let (previous, position, removed): (String, String, Vec<i64>) =
            self.inner.lane.invoke("invalidating", &script).await?;
        appended(previous, position, removed.into_iter().map(|count| count != 0).collect())
    }

    async fn read_after(&self, after: Position, limit: usize) -> Result<JournalPage, TierError> {
        let query = journal::read_after(&self.inner.names().journal, after, limit);
        journal::page(self.inner.lane.query_all("reading the journal", &query).await?)
    }

    async fn swept(&self, pattern: &Pattern, position: Position) -> Result<(), TierError> {
        let names = self.inner.names();
        let mut script = scripts::SWEPT.key(&names.rules);
        script.arg(rules::pattern_field(pattern)).arg(position.to_string());
        script.arg(&names.channel).arg(message::swept(pattern, position));
        self.inner.lane.invoke("forgetting a rule", &script).await
    }

    fn bus(&self) -> &dyn Bus {
        self
    }
}

/// What a key holds while the lease with `token` is on it, up to the flag.
fn held(token: Token) -> Bytes {
    frame::encode_lease(token).slice(..FLAG_AT)
}

fn appended(previous: String, position: String, removed: Vec<bool>) -> Result<Appended, TierError> {
    let read = |text: String| text.parse::<Position>().map_err(|error| TierError::unavailable(error.to_string()));
    Ok(Appended { previous: read(previous)?, position: read(position)?, removed })
}

fn unexpected(action: &str) -> TierError {
    TierError::unavailable(format!("{action} failed: the answer was not understood"))
}
