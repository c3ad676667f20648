//! What the parts of a service share: its tiers by name and place, the tasks that keep them coherent, and how all of it is.

use std::sync::Arc;
use std::time::Duration;

use super::{Inner, Plan};
use crate::codec::Place;
use crate::coherence::{Debts, Listener};
use crate::event::Event;
use crate::far::Far;
use crate::key::Key;
use crate::policy::Policy;
use crate::selection::{Access, Tier};
use crate::stats::Stats;
use crate::status::{Status, TierState, TierStatus};

impl Inner {
    pub(super) fn plan(&self) -> Plan {
        Plan::new(self.policy.clone(), self.access)
    }

    /// How a call with this policy is made.
    pub(super) fn plan_of(&self, policy: Policy) -> Plan {
        let access = self.access_of(&policy);
        Plan::new(policy, access)
    }

    /// The tiers that `policy` chooses.
    pub(super) fn access_of(&self, policy: &Policy) -> Access {
        policy.selection().access(self.near_name(), self.far_names())
    }

    pub(super) fn near_name(&self) -> Option<&'static str> {
        self.near.as_ref().map(|near| near.name())
    }

    pub(super) fn far_names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.far.iter().map(|far| far.tier.name())
    }

    /// The place of the tier of this name.
    pub(super) fn tier_named(&self, name: &str) -> Option<Tier> {
        let near = self.near_name().map(|name| (Tier::NEAR, name)).into_iter();
        near.chain(Tier::far().zip(self.far_names())).find(|(_, known)| *known == name).map(|(tier, _)| tier)
    }

    pub(super) fn tier_names(&self) -> impl Iterator<Item = &'static str> {
        self.near_name().into_iter().chain(self.far_names())
    }

    /// Where the value of `key` is stored, for a codec.
    pub(super) fn place<'a>(&'a self, key: &'a str) -> Place<'a> {
        Place::new(self.namespace.as_str(), key)
    }

    /// The far tier that nodes share.
    pub(super) fn shared(&self) -> Option<&Arc<Far>> {
        self.far.iter().find(|far| far.shared().is_some())
    }

    /// The far tier that nodes share, where `plan` stores values in it.
    pub(super) fn shared_to_fill(&self, plan: &Plan) -> Option<(Tier, &Arc<Far>)> {
        let stored_in = |(tier, far): &(Tier, &Arc<Far>)| far.shared().is_some() && plan.access.writes(*tier);
        Tier::far().zip(&self.far).find(stored_in)
    }

    /// The far tiers that are not shared and that `plan` stores values in, nearest first, with their depths.
    pub(super) fn unshared_to_fill(&self, plan: &Plan) -> impl DoubleEndedIterator<Item = (usize, &Arc<Far>)> {
        let access = plan.access;
        let stored_in =
            move |(depth, far): &(usize, &Arc<Far>)| far.shared().is_none() && access.writes(Tier::far_at(*depth));
        self.far.iter().enumerate().filter(stored_in)
    }

    /// Starts the tasks that keep the tiers coherent, unless they run. `connected` is told when the first attempt to reach
    /// the bus has ended.
    pub(super) fn start(&self, connected: Option<tokio::sync::oneshot::Sender<()>>) {
        let Some(running) = self.tasks.start() else { return };
        for far in &self.far {
            let (far, coherence) = (Arc::clone(far), Arc::clone(&self.coherence));
            self.tasks.spawn_forever(&running, "recovery", async move { far.recover(&coherence).await });
        }
        #[cfg(feature = "metrics")]
        self.tasks.spawn_forever(&running, "metrics", self.publishes());
        if self.near.is_some() {
            let coherence = Arc::clone(&self.coherence);
            self.tasks.spawn_forever(&running, "sweep", async move { coherence.sweep_whenever_asked().await });
        }
        if let Some(far) = self.shared() {
            let far = Arc::clone(far);
            let debts = Arc::clone(&far) as Arc<dyn Debts>;
            let listener = Listener { coherence: Arc::clone(&self.coherence), debts };
            self.tasks.spawn_forever(&running, "bus", async move {
                if let Some(shared) = far.shared() {
                    listener.run(shared.bus(), connected).await;
                }
            });
        }
    }

    /// Takes note that a value of `key` is not stored, because it was invalidated.
    pub(super) fn note_fenced(&self, key: &Key) {
        self.counters.fenced_fills.increment();
        self.events.emit(Event::FillFenced { key: key.clone() });
    }

    /// Takes note of an invalid key, and tells of it once per second at the most.
    pub(super) fn note_invalid_key(&self, key: &str) {
        self.counters.invalid_keys.increment();
        if let Err(error) = Key::check(key) {
            self.invalid_key_trace.run(self.clock.now(), || self.events.emit(Event::InvalidKey { error }));
        }
    }

    pub(super) async fn status(&self) -> Status {
        let mut tiers = Vec::with_capacity(1 + self.far.len());
        if let Some(near) = &self.near {
            tiers.push(TierStatus {
                name: near.name(),
                state: TierState::Up,
                since: self.started,
                last_error: None,
                latency: Some(Duration::ZERO),
            });
        }
        tiers.extend(futures_util::future::join_all(self.far.iter().map(|far| far.status())).await);
        let queued_invalidations = self.far.iter().map(|far| far.queued()).sum();
        Status { tiers, bus: self.coherence.trust.status(self.clock.now()), queued_invalidations }
    }

    pub(super) fn stats(&self) -> Stats {
        let near = self.near.iter().map(|near| self.near_counters.snapshot(near.name(), near.usage()));
        let far = self.far.iter().map(|far| far.counters.snapshot(far.tier.name(), far.tier.usage()));
        let keyspaces = self.keyspaces.snapshot(self.near_name(), self.far_names());
        self.counters.snapshot(near.chain(far).collect(), keyspaces)
    }

    /// Ends the service. Whoever calls meanwhile waits for the first: two would take from each other what is to be delivered.
    pub(super) async fn shutdown(&self) {
        self.ended.get_or_init(|| self.end()).await;
    }

    async fn end(&self) {
        // First, so that nobody else delivers at the same time.
        self.tasks.close().await;
        #[cfg(feature = "metrics")]
        self.publish_metrics();
        self.coherence.trust.end();
        for far in &self.far {
            far.settle(&self.coherence).await;
            if let Some(shared) = far.shared() {
                far.ask(shared.leave(self.coherence.node)).await;
            }
            far.tier.close().await;
        }
    }
}
