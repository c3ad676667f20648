//! When a value that is not fresh any more is served, and what callers wait for.

use std::pin::pin;
use std::sync::Arc;

use tokio::sync::watch;

use super::Inner;
use super::read::Wanted;
use crate::clock::Timestamp;
use crate::coherence::AtHand;
use crate::entry::Value;
use crate::erased::{AnyOutcome, AnyValue};
use crate::event::Event;
use crate::flight::End;
use crate::key::Key;

/// Why a caller would take what is at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// It would rather not wait for a load.
    AtOnce,
    /// There is nothing better: the load failed, takes long, or is not to be tried yet.
    Fallback,
}

impl Inner {
    /// Waits for the end of a load for as long as `wanted` has it, then takes what is at hand. `None` when there was no load
    /// after all, and the caller should try again.
    pub(super) async fn wait(
        &self,
        wanted: Wanted<'_>,
        mut offers: watch::Receiver<Option<AtHand>>,
        end: impl Future<Output = Option<End>> + Send,
    ) -> Option<AnyOutcome> {
        let patience = async {
            match wanted.plan.policy.soft_limit() {
                Some(limit) => self.clock.sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        let (mut end, mut patience, mut need) = (pin!(end), pin!(patience), Need::AtOnce);
        loop {
            let at_hand = offers.borrow_and_update().clone();
            if let Some(value) = self.serve(wanted, at_hand.as_ref(), need) {
                return Some(Ok(Some(value)));
            }
            tokio::select! {
                biased;
                end = &mut end => return self.settle(wanted, offers.borrow().clone().as_ref(), end?),
                Ok(()) = offers.changed() => {}
                () = &mut patience, if need == Need::AtOnce => need = Need::Fallback,
            }
        }
    }

    /// What a caller gets out of the end of a load.
    pub(super) fn settle(&self, wanted: Wanted<'_>, at_hand: Option<&AtHand>, end: End) -> Option<AnyOutcome> {
        match end {
            End::Value(value) => Some(Ok(value)),
            End::Failed(error) => {
                let stale = self.serve(wanted, at_hand, Need::Fallback);
                Some(stale.map_or(Err(error), |value| Ok(Some(value))))
            }
            End::Withheld => self.serve(wanted, at_hand, Need::Fallback).map(|value| Ok(Some(value))),
        }
    }

    /// The value at hand, if it may be served. A stale one is counted.
    fn serve(&self, wanted: Wanted<'_>, at_hand: Option<&AtHand>, need: Need) -> Option<AnyValue> {
        let value = self.servable(wanted, at_hand, need)?;
        if let Some(AtHand { entry, .. }) = at_hand {
            self.note_stale(wanted.key, entry.fresh_until);
        }
        Some(value)
    }

    /// Takes note that a caller is given a value that was fresh until then, if that is over.
    pub(super) fn note_stale(&self, key: &Key, fresh_until: Timestamp) {
        let now = self.clock.now();
        if fresh_until <= now {
            self.counters.stale_served.increment();
            self.measure_staleness(now.since(fresh_until));
            self.events.emit(Event::StaleServed { key: key.clone(), by: now.since(fresh_until) });
        }
    }

    /// The value at hand, if it may be served.
    pub(super) fn servable(&self, wanted: Wanted<'_>, at_hand: Option<&AtHand>, need: Need) -> Option<AnyValue> {
        let (at_hand, now) = (at_hand?, self.clock.now());
        let window = match need {
            Need::AtOnce => wanted.plan.policy.revalidate_window(),
            Need::Fallback => wanted.plan.policy.stale_window(),
        };
        let in_time = now < at_hand.entry.fresh_until || now < at_hand.entry.fresh_until + window;
        match &at_hand.entry.value {
            Value::Typed(value) if in_time && self.coherence.stands(wanted.key.as_str(), at_hand, now) => {
                Some(Arc::clone(value))
            }
            _ => None,
        }
    }
}
