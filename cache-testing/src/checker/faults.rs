//! Which faults there are, and a schedule of them that follows from a seed.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FaultKind {
    /// A node is killed, and another started in its place.
    KillNode,
    /// A node stands still, and goes on.
    StopNode,
    /// The connections of a node are closed, and new ones refused.
    CutLink,
    /// The connections of a node are closed; new ones are accepted.
    SeverLink,
    /// A node hears nothing of what Redis says.
    DeafLink,
    /// Redis hears nothing of what a node says.
    MuteLink,
    /// Neither hears the other.
    BlackHole,
    /// What a node and Redis say takes its time, each way.
    SlowLink,
    /// The server stands still, and goes on.
    StopServer,
    /// The server is killed, and started again, empty.
    RestartServer,
    /// Every subscriber's connection is closed, again and again.
    KillSubscribers,
    /// Every other connection is closed.
    KillClients,
    /// `FLUSHALL`.
    Flush,
    /// The journal is deleted.
    DeleteJournal,
    /// The rules are deleted.
    DeleteRules,
    /// What keeps the position of the journal's last record is deleted.
    DeletePosition,
    /// The server is killed, and its replica takes its place, without what it had not been told yet.
    Failover,
    /// The server is killed, and started again with what it held some time before.
    RollBack,
}

/// What a fault befalls. Two faults of one target would undo each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Target {
    /// The process of a place.
    Process(usize),
    /// The link of a place to the server.
    Link(usize),
    /// The server.
    Server,
}

impl FaultKind {
    /// All kinds, each with how often it is drawn compared with the others.
    pub const WEIGHTS: [(Self, u32); 18] = [
        (Self::KillNode, 6),
        (Self::StopNode, 6),
        (Self::CutLink, 5),
        (Self::SeverLink, 5),
        (Self::DeafLink, 6),
        (Self::MuteLink, 6),
        (Self::BlackHole, 5),
        (Self::SlowLink, 8),
        (Self::StopServer, 4),
        (Self::RestartServer, 4),
        (Self::KillSubscribers, 5),
        (Self::KillClients, 4),
        (Self::Flush, 4),
        (Self::DeleteJournal, 4),
        (Self::DeleteRules, 4),
        (Self::DeletePosition, 4),
        (Self::Failover, 6),
        (Self::RollBack, 4),
    ];

    /// Its name in options and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Self::KillNode => "kill-node",
            Self::StopNode => "stop-node",
            Self::CutLink => "cut-link",
            Self::SeverLink => "sever-link",
            Self::DeafLink => "deaf-link",
            Self::MuteLink => "mute-link",
            Self::BlackHole => "black-hole",
            Self::SlowLink => "slow-link",
            Self::StopServer => "stop-server",
            Self::RestartServer => "restart-server",
            Self::KillSubscribers => "kill-subscribers",
            Self::KillClients => "kill-clients",
            Self::Flush => "flush",
            Self::DeleteJournal => "delete-journal",
            Self::DeleteRules => "delete-rules",
            Self::DeletePosition => "delete-position",
            Self::Failover => "failover",
            Self::RollBack => "roll-back",
        }
    }

    /// Whether the server comes back without its last writes. Such a fault comes only when it is asked for.
    pub const fn loses_writes(self) -> bool {
        matches!(self, Self::Failover | Self::RollBack)
    }

    /// Whether the server forgets something that it held.
    pub const fn loses_fences(self) -> bool {
        matches!(self, Self::RestartServer | Self::Flush | Self::DeleteJournal | Self::DeleteRules)
            || self.loses_writes()
    }

    /// The kind with this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::WEIGHTS.iter().map(|(kind, _)| *kind).find(|kind| kind.name() == name)
    }

    const fn target(self, slot: usize) -> Target {
        match self {
            Self::KillNode | Self::StopNode => Target::Process(slot),
            Self::CutLink | Self::SeverLink | Self::DeafLink | Self::MuteLink | Self::BlackHole | Self::SlowLink => {
                Target::Link(slot)
            }
            _ => Target::Server,
        }
    }

    const fn is_over_at_once(self) -> bool {
        matches!(
            self,
            Self::SeverLink
                | Self::KillClients
                | Self::Flush
                | Self::DeleteJournal
                | Self::DeleteRules
                | Self::DeletePosition
                | Self::RollBack
        )
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// One fault of an episode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault {
    /// What goes wrong.
    pub kind: FaultKind,
    /// What it befalls.
    pub target: Target,
    /// When, from the start of the episode.
    pub after: Duration,
    /// For how long.
    pub lasts: Duration,
    /// By how much a slow link is slow, or a replica behind, and a fifth of the age of a snapshot.
    pub delay: Duration,
}

/// Faults that overlap, and the quiet before them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Episode {
    /// For how long all is well first.
    pub quiet: Duration,
    /// What then goes wrong.
    pub faults: Vec<Fault>,
}

/// Episodes without end, the same ones for the same seed.
#[derive(Debug)]
pub struct Schedule {
    random: fastrand::Rng,
    slots: usize,
    kinds: Vec<(FaultKind, u32)>,
}

impl Schedule {
    /// A schedule for so many places, of faults of these kinds.
    pub fn new(seed: u64, slots: usize, kinds: &BTreeSet<FaultKind>) -> Self {
        let kinds = FaultKind::WEIGHTS.into_iter().filter(|(kind, _)| kinds.contains(kind)).collect();
        Self { random: fastrand::Rng::with_seed(seed), slots, kinds }
    }

    /// The next episode: of one to four faults, fewer where they would befall one target. Half of them befall one place,
    /// so that a node is killed while its link is cut.
    pub fn next_episode(&mut self) -> Episode {
        let quiet = self.millis(2_000..6_000);
        let unlucky = self.random.usize(0..self.slots);
        let mut faults: Vec<Fault> = Vec::new();
        for _ in 0..self.random.usize(1..=4) {
            let slot = if self.random.bool() { unlucky } else { self.random.usize(0..self.slots) };
            let fault = self.draw(slot);
            if let Some(fault) = fault.filter(|fault| faults.iter().all(|other| other.target != fault.target)) {
                faults.push(fault);
            }
        }
        Episode { quiet, faults }
    }

    fn draw(&mut self, slot: usize) -> Option<Fault> {
        let total: u32 = self.kinds.iter().map(|(_, weight)| weight).sum();
        let mut ticket = self.random.u32(0..total.max(1));
        let (kind, _) = *self.kinds.iter().find(|(_, weight)| {
            let drawn = ticket < *weight;
            ticket = ticket.saturating_sub(*weight);
            drawn
        })?;
        let (after, lasts) = (self.millis(0..2_000), self.lasting());
        let lasts = if kind.is_over_at_once() { Duration::ZERO } else { lasts };
        Some(Fault { kind, target: kind.target(slot), after, lasts, delay: self.millis(5..200) })
    }

    /// Mostly some seconds, which heartbeats notice or do not; now and then beyond the bound on staleness.
    fn lasting(&mut self) -> Duration {
        match self.random.u32(..10) {
            0..5 => self.millis(50..1_500),
            5..8 => self.millis(1_500..6_000),
            _ => self.millis(6_000..16_000),
        }
    }

    fn millis(&mut self, range: std::ops::Range<u64>) -> Duration {
        Duration::from_millis(self.random.u64(range))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all() -> BTreeSet<FaultKind> {
        FaultKind::WEIGHTS.iter().map(|(kind, _)| *kind).collect()
    }

    #[test]
    fn a_seed_gives_one_schedule() {
        let episodes = |seed| {
            let mut schedule = Schedule::new(seed, 3, &all());
            (0..50).map(|_| schedule.next_episode()).collect::<Vec<_>>()
        };
        assert_eq!(episodes(1), episodes(1));
        assert_ne!(episodes(1), episodes(2));
    }

    #[test]
    fn every_kind_comes_and_no_target_is_hit_twice_in_an_episode() {
        let mut schedule = Schedule::new(7, 3, &all());
        let mut drawn = BTreeSet::new();
        for _ in 0..300 {
            let faults = schedule.next_episode().faults;
            let targets: BTreeSet<Target> = faults.iter().map(|fault| fault.target).collect();
            assert_eq!(targets.len(), faults.len());
            drawn.extend(faults.iter().map(|fault| fault.kind));
        }
        assert_eq!(drawn, all());
    }

    #[test]
    fn only_the_kinds_asked_for_come() {
        let kinds = BTreeSet::from([FaultKind::Flush]);
        let mut schedule = Schedule::new(7, 3, &kinds);
        assert!((0..50).all(|_| schedule.next_episode().faults.iter().all(|fault| fault.kind == FaultKind::Flush)));
        assert!(Schedule::new(7, 3, &BTreeSet::new()).next_episode().faults.is_empty());
    }

    #[test]
    fn names_are_found() {
        assert!(all().into_iter().all(|kind| FaultKind::named(kind.name()) == Some(kind)));
        assert_eq!(FaultKind::named("rain"), None);
    }
}
