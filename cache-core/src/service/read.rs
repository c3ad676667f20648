//! Reads of far tiers: what is accepted, and how it is copied into nearer ones.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, debug_span};

use super::near::Near;
use super::{Cacheable, Inner, Plan};
use crate::codec;
use crate::coherence::{Insertion, PAGE, Ticket};
use crate::entry::{Entry, Token, Value};
use crate::event::Event;
use crate::far::Far;
use crate::key::Key;
use crate::selection::Tier;

/// What the far tiers say of a key.
pub(super) enum FarRead<T> {
    /// A value, or a cached absence.
    Found(Option<Arc<T>>),
    /// Nothing that can be used.
    Missing(Missing),
}

/// What is known of a key for which there is nothing that can be used.
#[derive(Clone, Copy, Default)]
pub(super) struct Missing {
    /// On the shared tier a fill may replace the entry with this token.
    pub(super) over: Option<Token>,
    /// The shared tier was asked and could not answer: a load that waited for it once does not do so again.
    pub(super) shared_failed: bool,
}

impl Inner {
    pub(super) async fn get<T: Cacheable>(&self, key: &str, plan: &Plan) -> Option<Arc<T>> {
        if !plan.access.reads_far() {
            return None;
        }
        let Ok(key) = Key::new(key) else {
            self.note_invalid_key(key);
            return None;
        };
        self.start(None);
        match self.read_far(&key, plan).await {
            FarRead::Found(value) => value,
            FarRead::Missing(_) => None,
        }
    }

    pub(super) async fn get_many<T: Cacheable>(&self, keys: &[impl AsRef<str>], plan: &Plan) -> Vec<Option<Arc<T>>> {
        let mut values: Vec<Option<Arc<T>>> = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_ref();
            values.push(None);
            match self.look_near_as(key, plan) {
                Near::Hit(value) => values[index] = Some(value),
                Near::Absent => {}
                Near::Miss => match Key::new(key) {
                    Ok(key) => missing.push((index, key)),
                    Err(_) => self.note_invalid_key(key),
                },
            }
        }
        let keys: Vec<Key> = missing.iter().map(|(_, key)| key.clone()).collect();
        for ((index, _), read) in missing.iter().zip(self.read_far_many(&keys, plan).await) {
            if let FarRead::Found(value) = read {
                values[*index] = value;
            }
        }
        values
    }

    /// Asks the far tiers for `key`, nearest first.
    pub(super) async fn read_far<T: Cacheable>(&self, key: &Key, plan: &Plan) -> FarRead<T> {
        let ticket = self.coherence.note(key.as_str());
        let mut missing = Missing::default();
        for (depth, (tier, far)) in Tier::far().zip(&self.far).enumerate() {
            if !plan.access.reads(tier) {
                continue;
            }
            let as_of = self.clock.now();
            let name = far.tier.name();
            let span = debug_span!(target: "cache_aside", "cache.far.get", tier = name, %key);
            let Some(found) = far.read(|| far.tier.get(key)).instrument(span).await else {
                missing.shared_failed |= far.shared().is_some();
                continue;
            };
            let found = if found.is_some() && !self.consult_journal(far).await { None } else { found };
            let Some(entry) = found else {
                far.counters.misses.increment();
                continue;
            };
            let entry = Entry { as_of, ..entry };
            let Some(value) = self.accept(key, &entry, ticket, plan) else {
                far.counters.misses.increment();
                missing.over = Some(entry.token);
                continue;
            };
            far.counters.hits.increment();
            self.promote(key, &entry, value.clone(), ticket, plan, depth).await;
            return FarRead::Found(value);
        }
        FarRead::Missing(missing)
    }

    /// Asks the far tiers for `keys`: one call to each for all that the nearer ones do not have.
    pub(super) async fn read_far_many<T: Cacheable>(&self, keys: &[Key], plan: &Plan) -> Vec<FarRead<T>> {
        let tickets: Vec<Ticket> = keys.iter().map(|key| self.coherence.note(key.as_str())).collect();
        let mut reads: Vec<FarRead<T>> = keys.iter().map(|_| FarRead::Missing(Missing::default())).collect();
        if !plan.access.reads_far() || keys.is_empty() {
            return reads;
        }
        self.start(None);
        for (depth, (tier, far)) in Tier::far().zip(&self.far).enumerate() {
            if !plan.access.reads(tier) {
                continue;
            }
            let open: Vec<usize> = (0..keys.len()).filter(|&at| matches!(reads[at], FarRead::Missing(_))).collect();
            if open.is_empty() {
                break;
            }
            let asked: Vec<Key> = open.iter().map(|&at| keys[at].clone()).collect();
            let as_of = self.clock.now();
            let name = far.tier.name();
            let span = debug_span!(target: "cache_aside", "cache.far.get_many", tier = name, keys = asked.len());
            let Some(found) = far.read(|| far.tier.get_many(&asked)).instrument(span).await else {
                let failed = Missing { shared_failed: far.shared().is_some(), over: None };
                open.iter().for_each(|&at| reads[at] = FarRead::Missing(failed));
                continue;
            };
            if !self.consult_journal(far).await {
                continue;
            }
            for (at, entry) in open.into_iter().zip(found) {
                let Some(entry) = entry.map(|entry| Entry { as_of, ..entry }) else {
                    far.counters.misses.increment();
                    continue;
                };
                if let Some(value) = self.accept(&keys[at], &entry, tickets[at], plan) {
                    far.counters.hits.increment();
                    self.promote(&keys[at], &entry, value.clone(), tickets[at], plan, depth).await;
                    reads[at] = FarRead::Found(value);
                } else {
                    far.counters.misses.increment();
                    reads[at] = FarRead::Missing(Missing { over: Some(entry.token), shared_failed: false });
                }
            }
        }
        reads
    }

    /// While records do not reach this node, asks the journal itself, so that what was just read from the shared tier is
    /// held against every rule. False when the journal cannot say, or lacks what this node knows: then a server has taken
    /// over that may lack removals as well.
    async fn consult_journal(&self, far: &Far) -> bool {
        let Some(shared) = far.shared().filter(|_| self.coherence.trust.is_isolated(self.clock.now())) else {
            return true;
        };
        let Some(applied) = self.coherence.applied() else { return false };
        let known = self.coherence.known();
        let mut from = applied;
        loop {
            let Some(page) = far.read(|| shared.read_after(from.previous(), PAGE)).await else { return false };
            if !self.coherence.replay(from, &page) {
                return false;
            }
            from = page.records.last().map_or(from, |(newest, _)| *newest);
            if page.records.len() < PAGE {
                return from >= known;
            }
        }
    }

    /// The value of an entry that an acquisition found, if it may be used. It is copied into the near tier.
    pub(super) async fn accept_found<T: Cacheable>(
        &self,
        far: &Far,
        key: &Key,
        entry: &Entry,
        ticket: Ticket,
        plan: &Plan,
    ) -> Option<Option<Arc<T>>> {
        if !self.consult_journal(far).await {
            return None;
        }
        let value = self.accept(key, entry, ticket, plan)?;
        far.counters.hits.increment();
        self.promote(key, entry, value.clone(), ticket, plan, 0).await;
        Some(value)
    }

    /// The value of a far entry, if it may be used: alive, of the right schema, not void, and decodable.
    fn accept<T: Cacheable>(&self, key: &Key, entry: &Entry, ticket: Ticket, plan: &Plan) -> Option<Option<Arc<T>>> {
        let usable = entry.expires > self.clock.now()
            && entry.schema == plan.policy.schema_version()
            && self.coherence.may_read(key.as_str(), entry, ticket);
        match &entry.value {
            _ if !usable => None,
            Value::Absent => plan.optional.then_some(None),
            Value::Encoded { bytes, .. } if !self.admits(key, plan, bytes.len() as u64) => None,
            Value::Encoded { bytes, codec } => match self.decode(key, bytes, *codec) {
                Some(value) => Some(Some(Arc::new(value))),
                None => {
                    self.counters.undecodable.increment();
                    self.events.emit(Event::Undecodable { key: key.clone(), codec: *codec });
                    None
                }
            },
            Value::Typed(value) => Arc::clone(value).downcast().ok().map(Some),
        }
    }

    fn decode<T: Cacheable>(&self, key: &Key, bytes: &[u8], written_by: u8) -> Option<T> {
        let codec = self.codec.as_deref().filter(|codec| codec.id() == written_by)?;
        codec::decode(codec, self.place(key.as_str()), bytes).ok()
    }

    /// Copies what the far tier at `depth` had into the tiers before it.
    async fn promote<T: Cacheable>(
        &self,
        key: &Key,
        entry: &Entry,
        value: Option<Arc<T>>,
        ticket: Ticket,
        plan: &Plan,
        depth: usize,
    ) {
        let left = entry.expires.since(self.clock.now());
        for (_, far) in self.unshared_to_fill(plan).take_while(|(at, _)| *at < depth) {
            self.store_unfenced(far, key, entry.clone(), left, ticket).await;
        }
        self.insert_near(key, entry, value, ticket, plan.near_ttl(left), Insertion::Fill);
    }

    /// Puts a value into the near tier, unless something has voided it since `ticket` was taken.
    pub(super) fn insert_near<T: Cacheable>(
        &self,
        key: &Key,
        entry: &Entry,
        value: Option<Arc<T>>,
        ticket: Ticket,
        ttl: Duration,
        insertion: Insertion,
    ) -> bool {
        let Some(near) = self.near.as_ref().filter(|_| !ttl.is_zero()) else { return true };
        let value = value.map_or(Value::Absent, |value| Value::Typed(value));
        let expires = entry.expires.min(self.clock.now() + ttl);
        let entry = Arc::new(Entry { expires, tag_sequence: ticket.rules.tag_sequence, ..entry.with_value(value) });
        let insert = || near.insert(key, Arc::clone(&entry), ttl);
        let inserted = self.coherence.insert(key.as_str(), &entry, ticket, insertion, insert);
        if !inserted {
            self.note_fenced(key);
        }
        inserted
    }
}
