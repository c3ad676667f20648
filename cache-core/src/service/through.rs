//! Writes of the source whose value goes into the tiers.
//!
//! The key is fenced as for a write around the cache, and then leased under the fence. Whatever happens to the key during
//! the write takes the lease away: an invalidation, or another fence. So the value is stored only if nobody else can have
//! changed the source meanwhile.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;

use super::around::Around;
use super::read::Wanted;
use super::store::{Encoded, Origin};
use super::{Cacheable, Inner, Plan};
use crate::coherence::{Insertion, Position, Record};
use crate::entry::{Entry, Token, Value};
use crate::erased::{AnyValue, ValueType};
use crate::far::{Far, Owed, acknowledge_in};
use crate::key::Key;
use crate::tier::{Put, PutOutcome};

/// A lease under a fence.
struct Held<'a> {
    far: &'a Arc<Far>,
    lease: Token,
}

impl Inner {
    pub(super) async fn write_through<T, R, E, F, Fut>(
        self: &Arc<Self>,
        key: &str,
        value: T,
        plan: &Plan,
        write: F,
    ) -> Result<R, E>
    where
        T: Cacheable,
        F: FnOnce(Arc<T>) -> Fut,
        Fut: Future<Output = Result<R, E>>,
    {
        let value = Arc::new(value);
        let Ok(key) = Key::new(key) else {
            self.note_invalid_key(key);
            return write(value).await;
        };
        self.start(None);
        let around = Around::begin(self, [key.clone()].into()).await;
        let held = self.hold(&key, &around).await;
        let origin = self.origin(&key);
        let mut write = pin!(write(Arc::clone(&value)));
        let result = tokio::select! {
            biased;
            result = &mut write => result,
            never = around.keep() => match never {},
            never = self.keep_held(&key, held.as_ref()) => match never {},
        };
        let stored = result.is_ok() && self.store_written(&key, plan, &around, held, origin, value).await;
        if stored {
            around.concluded()
        } else {
            around.end().await
        }
        result
    }

    async fn hold(&self, key: &Key, around: &Around) -> Option<Held<'_>> {
        let far = self.shared()?;
        let lease = Token::random();
        let held = far.ask(far.shared()?.enclose(key, around.token(), lease, self.lease_ttl)).await;
        (held == Some(true)).then_some(Held { far, lease })
    }

    async fn keep_held(&self, key: &Key, held: Option<&Held<'_>>) -> Infallible {
        loop {
            self.clock.sleep(self.lease_ttl / 3).await;
            if let Some(Held { far, lease }) = held
                && let Some(shared) = far.shared()
            {
                // One that is lost is noticed at the end.
                far.ask(shared.extend(key, *lease, self.lease_ttl)).await;
            }
        }
    }

    /// Stores what was written, if nobody else can have changed the source meanwhile. False when it was not, and the fence
    /// still stands.
    async fn store_written<T: Cacheable>(
        &self,
        key: &Key,
        plan: &Plan,
        around: &Around,
        held: Option<Held<'_>>,
        origin: Origin,
        value: Arc<T>,
    ) -> bool {
        let life = plan.policy.draw_life(Some(None), self.max_ttl);
        if life.is_none() {
            return false;
        }
        let wanted = Wanted { key, plan, of: ValueType::of::<T>() };
        let value: AnyValue = value;
        let mut entry = self.entry_of(plan, origin, Token::random(), Value::Typed(Arc::clone(&value)), life);
        let mut keeps_near = true;
        if self.shared().is_some() {
            // What may not lie in the shared tier is left to be loaded, since only there it shows whether another has written.
            let Some(held) = held.filter(|_| self.shared_to_fill(plan).is_some()) else { return false };
            let Encoded::As(encoded) = self.encode(wanted, Some(&value)) else { return false };
            entry = self.entry_of(plan, origin, entry.token, encoded, life);
            let birth = entry.birth;
            let Some((concluded, previous)) = self.conclude(key, &held, around, entry).await else { return false };
            entry = concluded;
            // Behind its record, nothing near shows any more that a pattern or a clear came during the write, of which the scan has yet
            // to come to the key. In the shared tier the rule does.
            let rules = &self.coherence.rules;
            keeps_near = self.coherence.applied() >= Some(previous)
                && !rules.void(key.as_str(), &entry.tags, birth)
                && !rules.forgot(origin.ticket.rules);
        } else if self.coherence.epochs.writes(key.as_str()) > 1
            || plan.policy.is_bounded() && matches!(self.encode(wanted, Some(&value)), Encoded::TooLarge)
        {
            return false;
        }
        self.coherence.flights.detach(key.as_str(), None);
        let near_ttl = plan.near_ttl(life.total());
        let inserted =
            keeps_near && self.insert_near(wanted, &entry, Some(value), origin.ticket, near_ttl, Insertion::Set);
        // The shared tier has compared it with the writes of others. Without one, only the near tier shows that there were any.
        inserted || self.shared().is_some()
    }

    /// Replaces lease and fence by the entry. Gives the entry as it may be kept near, and the position of the record before its
    /// own; `None` when it was not stored.
    async fn conclude(&self, key: &Key, held: &Held<'_>, around: &Around, entry: Entry) -> Option<(Entry, Position)> {
        let (far, shared) = (held.far, held.far.shared()?);
        let change = around.change();
        // A conclusion that was given up may still run, and the invalidation must come after it.
        let owed = Owed::in_place_of_write(far, &self.coherence, &change);
        let put = Put::new(entry.clone(), entry.expires.since(self.clock.now()), far.timeout());
        let record = Record::new(self.coherence.node, change.clone());
        let concluding = async {
            let outcome = shared.conclude(key, put, &record, around.token(), held.lease).await?;
            match &outcome {
                PutOutcome::Stored(appended) | PutOutcome::Fenced(appended) => {
                    acknowledge_in(&self.coherence, &change, appended)?;
                }
                PutOutcome::Superseded => {}
            }
            Ok(outcome)
        };
        let outcome = match far.try_ask(concluding).await {
            Ok(outcome) => outcome,
            Err(error) => {
                owed.failed(&error);
                return None;
            }
        };
        owed.delivered();
        match outcome {
            PutOutcome::Stored(appended) => {
                Some((Entry { birth: entry.birth.max(appended.position), ..entry }, appended.previous))
            }
            PutOutcome::Fenced(_) | PutOutcome::Superseded => None,
        }
    }
}
