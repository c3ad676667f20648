//! Reads of far tiers: what is accepted, and how it is copied into nearer ones.

use std::sync::Arc;
use std::time::Duration;

use tracing::{Instrument, debug_span};

use super::near::Near;
use super::refresh;
use super::{Cacheable, Inner, Plan};
use crate::clock::Timestamp;
use crate::codec::{self, Codec};
use crate::coherence::{AtHand, Insertion, PAGE, Ticket};
use crate::entry::{Entry, Token, Value};
use crate::erased::{self, AnyValue, ValueType};
use crate::event::Event;
use crate::far::Far;
use crate::key::Key;
use crate::selection::Tier;

/// What a caller wants: the value of a key, as a type, in the way that a plan says.
#[derive(Clone, Copy)]
pub(super) struct Wanted<'a> {
    pub(super) key: &'a Key,
    pub(super) plan: &'a Plan,
    pub(super) of: &'static ValueType,
}

/// What the far tiers say of a key.
pub(super) enum FarRead {
    /// A value, or a cached absence.
    Found(Option<AnyValue>),
    /// Nothing that is fresh enough.
    Missing(Missing),
}

/// What is known of a key for which there is nothing that is fresh enough.
#[derive(Clone, Default)]
pub(super) struct Missing {
    /// The shared tier has an entry with this token, which a fill may replace.
    pub(super) over: Option<Token>,
    /// The freshest value that may be used still, if there is one. When it is that of the shared tier it is left there until
    /// it is replaced, for the other nodes.
    pub(super) at_hand: Option<AtHand>,
    /// The shared tier was asked and could not answer: a load that waited for it once does not do so again.
    pub(super) shared_failed: bool,
    /// In a read of many: the shared tier may have a value. It could not say, for this key at least, or may not be believed.
    pub(super) unread: bool,
}

/// Which entries are to be replaced, though they are fresh.
pub(super) type Due<'a> = &'a (dyn Fn(&Entry) -> bool + Send + Sync);

/// What is known when a far tier is asked, against which its answer is held.
#[derive(Clone, Copy)]
pub(super) struct Asked {
    /// When what it gives was current.
    pub(super) as_of: Timestamp,
    recoveries: u64,
}

/// A read of far tiers under way.
pub(super) struct Reading<'a> {
    wanted: Wanted<'a>,
    ticket: Ticket,
    due: Due<'a>,
    pub(super) missing: Missing,
}

impl Inner {
    /// The value of `key`, if a far tier has one that is fresh: without a loader nobody could make good for one that is not.
    pub(super) async fn get(&self, key: &str, plan: &Plan, of: &'static ValueType) -> Option<AnyValue> {
        if !plan.access.reads_far() {
            return None;
        }
        let Ok(key) = Key::new(key) else {
            self.note_invalid_key(key);
            return None;
        };
        self.start(None);
        match self.read_far(Wanted { key: &key, plan, of }, &|_| false).await {
            FarRead::Found(value) => value,
            FarRead::Missing(_) => None,
        }
    }

    pub(super) async fn get_many<T: Cacheable>(&self, keys: &[impl AsRef<str>], plan: &Plan) -> Vec<Option<Arc<T>>> {
        self.get_many_told(keys, plan).await.0
    }

    /// The values of `keys`, and of how many of them the shared tier may have a value that could not be read.
    pub(super) async fn get_many_told<T: Cacheable>(
        &self,
        keys: &[impl AsRef<str>],
        plan: &Plan,
    ) -> (Vec<Option<Arc<T>>>, u64) {
        let mut values: Vec<Option<Arc<T>>> = Vec::with_capacity(keys.len());
        let mut missing = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            let key = key.as_ref();
            values.push(None);
            let near = self.look_near_as(key, plan);
            plan.count_near(&near);
            match near {
                Near::Hit(value) | Near::Due(value, _) => values[index] = Some(value),
                Near::Absent => {}
                Near::Miss => match Key::new(key) {
                    Ok(key) => missing.push((index, key)),
                    Err(_) => self.note_invalid_key(key),
                },
            }
        }
        let keys: Vec<Key> = missing.iter().map(|(_, key)| key.clone()).collect();
        let mut unread = 0;
        for ((index, _), read) in missing.iter().zip(self.read_far_many(&keys, plan, ValueType::of::<T>()).await) {
            match read {
                FarRead::Found(value) => values[*index] = value.map(erased::value),
                FarRead::Missing(what) => unread += u64::from(what.unread),
            }
        }
        (values, unread)
    }

    /// Asks the far tiers for `key`, nearest first, for a value that is fresh, and not to be replaced for another reason.
    pub(super) async fn read_far(&self, wanted: Wanted<'_>, due: Due<'_>) -> FarRead {
        let mut reading = self.reading(wanted, due);
        for (depth, (tier, far)) in Tier::far().zip(&self.far).enumerate() {
            if !wanted.plan.access.reads(tier) {
                continue;
            }
            let asked = self.asked(far);
            let (name, key) = (far.tier.name(), wanted.key);
            let span = debug_span!(target: "cache_aside", "cache.far.get", tier = name, %key);
            let Some(found) = far.read(|| far.tier.get(key)).instrument(span).await else {
                reading.missing.shared_failed |= far.shared().is_some();
                continue;
            };
            let found = if found.is_some() && !self.is_current(far, asked).await { None } else { found };
            let found = found.map(|entry| Entry { as_of: asked.as_of, ..entry });
            if let Some(value) = self.take_in(&mut reading, far, depth, found).await {
                return FarRead::Found(value);
            }
        }
        FarRead::Missing(reading.missing)
    }

    /// Asks the far tiers for `keys`: one call to each for all that the nearer ones do not have.
    pub(super) async fn read_far_many(&self, keys: &[Key], plan: &Plan, of: &'static ValueType) -> Vec<FarRead> {
        let mut readings: Vec<Reading<'_>> =
            keys.iter().map(|key| self.reading(Wanted { key, plan, of }, &|_| false)).collect();
        let mut found: Vec<Option<Option<AnyValue>>> = vec![None; keys.len()];
        if plan.access.reads_far() && !keys.is_empty() {
            self.start(None);
        }
        for (depth, (tier, far)) in Tier::far().zip(&self.far).enumerate() {
            let open: Vec<usize> = (0..keys.len()).filter(|&at| found[at].is_none()).collect();
            if !plan.access.reads(tier) || open.is_empty() {
                continue;
            }
            let missing: Vec<Key> = open.iter().map(|&at| keys[at].clone()).collect();
            let asked = self.asked(far);
            let name = far.tier.name();
            let span = debug_span!(target: "cache_aside", "cache.far.get_many", tier = name, keys = missing.len());
            let shared = far.shared().is_some();
            let Some(entries) = far.read(|| far.tier.get_each(&missing)).instrument(span).await else {
                for at in open {
                    readings[at].missing.shared_failed |= shared;
                    readings[at].missing.unread |= shared;
                }
                continue;
            };
            if !self.is_current(far, asked).await {
                open.iter().for_each(|&at| readings[at].missing.unread |= shared);
                continue;
            }
            for (at, entry) in open.into_iter().zip(entries) {
                readings[at].missing.unread |= shared && entry.is_err();
                let entry = entry.ok().flatten().map(|entry| Entry { as_of: asked.as_of, ..entry });
                found[at] = self.take_in(&mut readings[at], far, depth, entry).await;
            }
        }
        let reads = found.into_iter().zip(readings);
        reads.map(|(found, reading)| found.map_or(FarRead::Missing(reading.missing), FarRead::Found)).collect()
    }

    /// To be made before any tier is asked.
    pub(super) fn reading<'a>(&self, wanted: Wanted<'a>, due: Due<'a>) -> Reading<'a> {
        let ticket = self.coherence.note(wanted.key.as_str());
        Reading { wanted, ticket, due, missing: Missing::default() }
    }

    /// What comes of the answer of the far tier at `depth`. An entry is copied into the nearer tiers if it may be used, and its
    /// value given if it is fresh enough.
    pub(super) async fn take_in(
        &self,
        reading: &mut Reading<'_>,
        far: &Far,
        depth: usize,
        found: Option<Entry>,
    ) -> Option<Option<AnyValue>> {
        let Reading { wanted, ticket, due, ref mut missing } = *reading;
        let value = found.as_ref().and_then(|entry| self.accept(wanted, entry, ticket));
        if let (Some(entry), Some(value)) = (&found, &value) {
            self.promote(wanted, entry, value.clone(), ticket, depth).await;
            if entry.fresh_until > self.clock.now() && !(value.is_some() && due(entry)) {
                self.count_far(wanted.plan, far, true);
                return Some(value.clone());
            }
        }
        self.count_far(wanted.plan, far, false);
        let entry = found?;
        if far.shared().is_some() {
            missing.over = Some(entry.token);
        }
        if let Some(Some(value)) = value {
            let at_hand = AtHand { entry: Arc::new(entry.with_value(Value::Typed(value))), ticket };
            missing.at_hand = Some(at_hand.fresher(missing.at_hand.take()));
        }
        None
    }

    fn count_far(&self, plan: &Plan, far: &Far, hit: bool) {
        if hit {
            far.counters.hits.increment()
        } else {
            far.counters.misses.increment()
        }
        if let Some(look_ups) = &plan.look_ups
            && let Some(depth) = self.far.iter().position(|known| std::ptr::eq(Arc::as_ptr(known), far))
        {
            look_ups.count_far(depth, hit);
        }
    }

    /// To be noted before `far` is asked. A tier that is not shared has heard of what this node has heard of.
    pub(super) fn asked(&self, far: &Far) -> Asked {
        let (now, trust) = (self.clock.now(), &self.coherence.trust);
        let as_of = if far.shared().is_some() { now } else { trust.heard_until(now) };
        Asked { as_of, recoveries: trust.recoveries() }
    }

    /// Whether what `far` has just given may be used. Not if the bus was lost and has come back since: it may lead to another server
    /// now than the one that has answered, which then is none to believe.
    pub(super) async fn is_current(&self, far: &Far, asked: Asked) -> bool {
        let trust = &self.coherence.trust;
        if far.shared().is_some() {
            self.consult_journal(far).await && asked.recoveries == trust.recoveries()
        } else {
            trust.covers(asked.as_of, self.clock.now())
        }
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
                // What is known to be missing may stand before what was applied.
                return from >= known && !self.coherence.has_lost();
            }
        }
    }

    /// The value of a far entry, if it may be used: not run out, of the right schema, not void, and decodable.
    fn accept(&self, wanted: Wanted<'_>, entry: &Entry, ticket: Ticket) -> Option<Option<AnyValue>> {
        let Wanted { key, plan, of } = wanted;
        let usable = entry.expires > self.clock.now()
            && entry.schema == plan.policy.schema_version()
            && self.coherence.may_read(key.as_str(), entry, ticket);
        match &entry.value {
            _ if !usable => None,
            Value::Absent => plan.optional.then_some(None),
            Value::Encoded { bytes, .. } if !self.admits(key, plan, bytes.len() as u64) => None,
            Value::Encoded { bytes, codec } => {
                let value = self.decode(wanted, bytes, *codec);
                if value.is_none() {
                    self.counters.undecodable.increment();
                    self.events.emit(Event::Undecodable { key: key.clone(), codec: *codec });
                }
                value.map(Some)
            }
            Value::Typed(value) => of.is_type_of(value).then(|| Some(Arc::clone(value))),
        }
    }

    fn decode(&self, wanted: Wanted<'_>, bytes: &[u8], written_by: u8) -> Option<AnyValue> {
        let ours = |codec: &&dyn Codec| codec.id() == written_by || written_by == codec::UNKNOWN;
        let codec = self.codec.as_deref().filter(ours)?;
        wanted.of.decode(codec, self.place(wanted.key.as_str()), bytes).ok()
    }

    /// Copies what the far tier at `depth` had into the tiers before it.
    async fn promote(&self, wanted: Wanted<'_>, entry: &Entry, value: Option<AnyValue>, ticket: Ticket, depth: usize) {
        let Wanted { key, plan, .. } = wanted;
        // No longer than it was to live at all, also by a clock that is far behind that of the node which stored it.
        let left = entry.expires.since(self.clock.now()).min(entry.expires.since(entry.created));
        for (_, far) in self.unshared_to_fill(plan).take_while(|(at, _)| *at < depth) {
            self.store_unfenced(far, key, entry.clone(), left, ticket).await;
        }
        self.insert_near(wanted, entry, value, ticket, plan.near_ttl(left), Insertion::Fill);
    }

    /// Puts a value into the near tier, unless something has voided it since `ticket` was taken, or a later load is there.
    pub(super) fn insert_near(
        &self,
        wanted: Wanted<'_>,
        entry: &Entry,
        value: Option<AnyValue>,
        ticket: Ticket,
        ttl: Duration,
        insertion: Insertion,
    ) -> bool {
        let Wanted { key, plan, .. } = wanted;
        let Some(near) = self.near.as_ref().filter(|_| !ttl.is_zero()) else { return true };
        let now = self.clock.now();
        let expires = entry.expires.min(now + ttl);
        let fresh_until = entry.fresh_until.min(expires);
        let entry = Entry {
            expires,
            fresh_until,
            settled_until: refresh::settled_until(&plan.policy, fresh_until, entry.cost),
            tag_sequence: ticket.rules.tag_sequence,
            birth: ticket.birth_of(entry),
            ..entry.with_value(value.map_or(Value::Absent, Value::Typed))
        };
        let insert = || {
            // A refresh voids nothing, so a read that it overtook must not put the old value back.
            let there = self.coherence.look_up(key.as_str()).filter(|_| insertion == Insertion::Fill);
            if there.is_none_or(|there| there.created <= entry.created || !self.coherence.may_serve(&there, now)) {
                near.insert(key, entry.clone(), ttl);
            }
        };
        let inserted = self.coherence.insert(key.as_str(), &entry, ticket, insertion, insert);
        if !inserted {
            self.note_fenced(key);
        }
        inserted
    }
}
