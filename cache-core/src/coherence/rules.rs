//! Rules: what a pattern, a tag or a clear voids, by its position in the journal.
//!
//! A rule takes effect at once, wherever an entry is read: what it covers and was born before it is void. The scan that
//! follows a pattern only frees memory. Rules are also kept on the shared tier, so that a node that joins knows them.
//!
//! A rule is forgotten when no live entry can match it: that of a pattern after its scan, all when a clear comes, and that
//! of a tag when every entry that is older has run out, since none may live longer than the service's longest time to live.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use tokio::sync::Notify;

use crate::coherence::Position;
use crate::pattern::Pattern;
use crate::sync::{self, AtomicBool, AtomicU64, Mutex, MutexGuard, OnceLock, Ordering, PoisonError};
use crate::tags::{TagSlot, Tags};

/// More patterns than this at once, still being scanned for, are rare; the oldest then counts as a clear, which is safe and
/// costs loads.
const PATTERNS: usize = 256;

/// How often, in changes of tag slots, it is looked which of them can be forgotten.
const TRIM_EVERY: usize = 1_024;

/// The rules of a journal, as the shared tier keeps them.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct RuleSet {
    /// Everything born before it is void: the last clear, or the moment from which on the rules are known to be whole.
    pub cleared: Position,
    /// Patterns whose scan has not ended.
    pub patterns: Vec<(Pattern, Position)>,
    /// The last record of each tag slot.
    pub tags: Vec<(TagSlot, Position)>,
}

impl RuleSet {
    /// Takes out the rules of tags that are older than any entry can be when the journal has come to `last`.
    pub(crate) fn take_outlived(&mut self, last: Position, lifetime: Duration) -> Vec<(TagSlot, Position)> {
        let outlived = outlived_at(last, lifetime);
        self.tags.extract_if(.., |(_, at)| *at < outlived).collect()
    }
}

/// Everything that was born before this has run out when the journal has come to `last`.
fn outlived_at(last: Position, lifetime: Duration) -> Position {
    let lifetime = u64::try_from(lifetime.as_millis()).unwrap_or(u64::MAX);
    Position::new(last.millis().saturating_sub(lifetime), 0)
}

pub(crate) struct Rules {
    /// No entry is there for longer after its birth.
    lifetime: Duration,
    any: AtomicBool,
    list: Mutex<List>,
    /// Counts what voids entries in this process by tag, by pattern and as a whole.
    sequence: AtomicU64,
    /// Counts how often patterns were forgotten: everything had been scanned for them, or the rules are those of another journal.
    forgotten: AtomicU64,
    /// Tells whoever waits that a slot has changed.
    moved: Notify,
    /// For each slot, the count at its last change. Made when the first tag is invalidated.
    changed: OnceLock<Box<[AtomicU64]>>,
}

/// How far the changes of the rules had come when a reader began.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RuleMark {
    pub(crate) tag_sequence: u64,
    forgotten: u64,
}

#[cfg(test)]
impl RuleMark {
    pub(crate) const NONE: Self = Self { tag_sequence: 0, forgotten: 0 };
}

#[derive(Default)]
struct List {
    cleared: Position,
    patterns: VecDeque<(Position, Pattern)>,
    tags: HashMap<TagSlot, Position>,
    /// How many changes of tag slots there were since the last look.
    untrimmed: usize,
}

impl Rules {
    /// No rules yet, for entries that are there for `lifetime` after their birth at the longest.
    pub(crate) fn new(lifetime: Duration) -> Self {
        Self {
            lifetime,
            any: AtomicBool::new(false),
            list: Mutex::default(),
            sequence: AtomicU64::new(0),
            forgotten: AtomicU64::new(0),
            moved: Notify::new(),
            changed: OnceLock::default(),
        }
    }

    pub(crate) const fn lifetime(&self) -> Duration {
        self.lifetime
    }

    /// Whether a value of `key` with `tags` that was born at `birth` is void.
    pub(crate) fn void(&self, key: &str, tags: &Tags, birth: Position) -> bool {
        if !self.any.load(Ordering::Acquire) {
            return false;
        }
        let list = self.lock();
        let tagged = |slot: &TagSlot| list.tags.get(slot).is_some_and(|at| birth < *at);
        birth < list.cleared
            || list.patterns.iter().any(|(at, pattern)| birth < *at && pattern.matches(key))
            || tags.slots().iter().any(tagged)
    }

    /// Whether a pattern that is still being scanned for covers `key`: then what was stored under it, and does not say when, may
    /// be void.
    pub(crate) fn covers(&self, key: &str) -> bool {
        self.any.load(Ordering::Acquire) && self.lock().patterns.iter().any(|(_, pattern)| pattern.matches(key))
    }

    /// To be noted before a value is read.
    pub(crate) fn mark(&self) -> RuleMark {
        let forgotten = self.forgotten.load(Ordering::Acquire);
        RuleMark { tag_sequence: self.sequence.load(Ordering::Acquire), forgotten }
    }

    /// Whether a pattern was forgotten since `mark`. What was read in between may be of before its scan, and is not known
    /// to be void any more. To be asked after [`Rules::void`].
    pub(crate) fn forgot(&self, mark: RuleMark) -> bool {
        self.forgotten.load(Ordering::Acquire) != mark.forgotten
    }

    /// Whether no tag has ever been invalidated. This is on the hit path.
    #[inline]
    pub(crate) fn no_tag_moved(&self) -> bool {
        self.changed.get().is_none()
    }

    /// Whether a tag was invalidated since `sequence`. This is on the hit path: it takes no lock.
    pub(crate) fn tags_moved(&self, tags: &Tags, sequence: u64) -> bool {
        let Some(changed) = self.changed.get() else { return false };
        tags.slots().iter().any(|slot| changed[usize::from(slot.number())].load(Ordering::Acquire) > sequence)
    }

    /// Counts on: every reader that has noted a mark so far has noted less.
    pub(crate) fn advance(&self) -> u64 {
        self.sequence.fetch_add(1, Ordering::AcqRel) + 1
    }

    /// Voids what has one of `tags` in this node, whatever its birth.
    pub(crate) fn move_tags(&self, tags: &Tags) {
        let changed =
            self.changed.get_or_init(|| (0..sync::slots(TagSlot::COUNT)).map(|_| AtomicU64::new(0)).collect());
        for slot in tags.slots() {
            let sequence = self.advance();
            changed[usize::from(slot.number())].fetch_max(sequence, Ordering::AcqRel);
        }
        self.moved.notify_waiters();
    }

    /// Completes when one of `tags` has been invalidated since `sequence`.
    pub(crate) async fn overtaken(&self, tags: &Tags, sequence: u64) {
        loop {
            let mut moved = pin!(self.moved.notified());
            moved.as_mut().enable();
            if self.tags_moved(tags, sequence) {
                return;
            }
            moved.await;
        }
    }

    /// Adds the rule of a record that voids `tags`. One that was known already changes nothing.
    pub(crate) fn add_tags(&self, position: Position, tags: &Tags) {
        let mut list = self.lock();
        let newer = |slot: &&TagSlot| list.tags.get(slot).is_none_or(|at| *at < position);
        let moved: Vec<TagSlot> = tags.slots().iter().filter(newer).copied().collect();
        list.tags.extend(moved.iter().map(|slot| (*slot, position)));
        list.trim(moved.len(), position, self.lifetime);
        self.any.store(true, Ordering::Release);
        drop(list);
        self.move_tags(&Tags::from_slots(moved));
    }

    pub(crate) fn add_clear(&self, position: Position) {
        let mut list = self.lock();
        list.clear_before(position);
        self.any.store(true, Ordering::Release);
    }

    pub(crate) fn add_pattern(&self, position: Position, pattern: &Pattern) {
        let mut list = self.lock();
        if list.patterns.iter().any(|(at, known)| *at >= position && known == pattern) {
            return;
        }
        list.patterns.retain(|(_, known)| known != pattern);
        list.patterns.push_back((position, pattern.clone()));
        if list.patterns.len() > PATTERNS
            && let Some((oldest, _)) = list.patterns.pop_front()
        {
            list.clear_before(oldest);
        }
        self.any.store(true, Ordering::Release);
    }

    /// Forgets a pattern that everything has been scanned for, unless it was given again since. One that matches everything
    /// does for all.
    pub(crate) fn swept(&self, position: Position, pattern: &Pattern) {
        let all = *pattern == Pattern::all();
        self.keep(|(at, known)| *at > position || !all && known != pattern);
    }

    /// Forgets the patterns up to `until` that everything has been scanned for, as what the shared tier `kept` shows.
    pub(crate) fn swept_but(&self, kept: &RuleSet, until: Position) {
        let stands =
            |at: Position, pattern: &Pattern| kept.patterns.iter().any(|(kept, since)| kept == pattern && *since >= at);
        self.keep(|(at, pattern)| *at > until || stands(*at, pattern));
    }

    /// The patterns that the shared tier `kept` up to `until` though everything had been scanned for as far as this node knows.
    pub(crate) fn returned(&self, kept: &RuleSet, until: Position) -> Vec<Pattern> {
        let list = self.lock();
        let known = |pattern: &Pattern, since: Position| {
            since <= list.cleared || list.patterns.iter().any(|(at, known)| known == pattern && *at >= since)
        };
        let returned = kept.patterns.iter().filter(|(pattern, since)| *since <= until && !known(pattern, *since));
        returned.map(|(pattern, _)| pattern.clone()).collect()
    }

    fn keep(&self, is_kept: impl Fn(&(Position, Pattern)) -> bool) {
        let mut list = self.lock();
        let before = list.patterns.len();
        list.patterns.retain(is_kept);
        if list.patterns.len() != before {
            // Under the lock, so that whoever does not find the rule any more finds this.
            self.forgotten.fetch_add(1, Ordering::AcqRel);
        }
    }

    /// Takes the rules of a journal in place of those of another that is gone. The caller voids what this node holds.
    pub(crate) fn restart(&self, rules: RuleSet) {
        let mut list = self.lock();
        *list = List { cleared: rules.cleared, ..List::default() };
        list.patterns.extend(rules.patterns.into_iter().map(|(pattern, at)| (at, pattern)));
        list.tags.extend(rules.tags);
        self.any.store(true, Ordering::Release);
        // As in `keep`: what was there may not be among them.
        self.forgotten.fetch_add(1, Ordering::AcqRel);
    }

    fn lock(&self) -> MutexGuard<'_, List> {
        // A panic under the lock leaves rules that are each whole.
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl List {
    /// Forgets now and then what can void nothing any more, after `changes` more of them.
    fn trim(&mut self, changes: usize, last: Position, lifetime: Duration) {
        self.untrimmed += changes;
        if self.untrimmed >= TRIM_EVERY {
            self.untrimmed = 0;
            let outlived = outlived_at(last, lifetime);
            self.tags.retain(|_, at| *at >= outlived);
        }
    }

    fn clear_before(&mut self, position: Position) {
        self.cleared = self.cleared.max(position);
        let cleared = self.cleared;
        self.patterns.retain(|(at, _)| *at > cleared);
        self.tags.retain(|_, at| *at > cleared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn at(n: u64) -> Position {
        Position::new(n, 0)
    }

    fn pattern(text: &str) -> Pattern {
        Pattern::new(text).unwrap()
    }

    #[test]
    fn a_pattern_voids_what_it_covers_and_was_born_before_it() {
        let rules = Rules::new(HOUR);
        assert!(!rules.void("user:1", &Tags::NONE, at(0)));
        rules.add_pattern(at(5), &pattern("user:*"));
        assert!(rules.void("user:1", &Tags::NONE, at(4)));
        assert!(!rules.void("user:1", &Tags::NONE, at(5)));
        assert!(!rules.void("order:1", &Tags::NONE, at(4)));
        let mark = rules.mark();
        rules.swept(at(4), &pattern("user:*"));
        assert!(!rules.forgot(mark));
        assert!(rules.void("user:1", &Tags::NONE, at(4)), "an older scan says nothing of it");
        rules.swept(at(5), &pattern("user:*"));
        assert!(rules.forgot(mark) && !rules.forgot(rules.mark()));
        assert!(!rules.void("user:1", &Tags::NONE, at(4)));
    }

    #[test]
    fn a_clear_voids_everything_born_before_it() {
        let rules = Rules::new(HOUR);
        rules.add_clear(at(5));
        assert!(rules.void("any", &Tags::NONE, at(4)) && !rules.void("any", &Tags::NONE, at(5)));
    }

    #[test]
    fn a_tag_voids_what_has_it_and_was_born_before_it() {
        let rules = Rules::new(HOUR);
        let (tagged, other) = (Tags::new(["a", "b"]), Tags::new(["c"]));
        let before = rules.mark().tag_sequence;
        rules.add_tags(at(5), &Tags::new(["a"]));
        assert!(rules.void("k", &tagged, at(4)) && !rules.void("k", &tagged, at(5)) && !rules.void("k", &other, at(4)));
        assert!(rules.tags_moved(&tagged, before) && !rules.tags_moved(&other, before));
        let after = rules.mark().tag_sequence;
        rules.add_tags(at(5), &Tags::new(["a"]));
        rules.add_tags(at(4), &Tags::new(["a"]));
        assert!(!rules.tags_moved(&tagged, after), "what is known already changes nothing");
        rules.move_tags(&Tags::new(["b"]));
        assert!(rules.tags_moved(&tagged, after));
    }

    #[test]
    fn the_same_pattern_again_replaces_the_older_rule() {
        let rules = Rules::new(HOUR);
        for position in [5, 7, 6] {
            rules.add_pattern(at(position), &pattern("a*"));
        }
        assert!(rules.void("a", &Tags::NONE, at(6)));
        assert_eq!(rules.lock().patterns.len(), 1);
    }

    #[test]
    fn on_overflow_the_oldest_pattern_counts_as_a_clear() {
        let rules = Rules::new(HOUR);
        for n in 1..=PATTERNS as u64 + 1 {
            rules.add_pattern(at(n * 10), &pattern(&format!("p{n}:*")));
        }
        assert!(rules.void("unrelated", &Tags::NONE, at(9)));
        assert!(!rules.void("unrelated", &Tags::NONE, at(10)));
        assert!(rules.void("p2:x", &Tags::NONE, at(19)) && !rules.void("p2:x", &Tags::NONE, at(20)));
    }

    #[test]
    fn a_node_that_joins_takes_the_rules_that_it_finds() {
        let rules = Rules::new(HOUR);
        rules.add_clear(at(100));
        let (patterns, tags) = (vec![(pattern("a*"), at(7))], vec![(TagSlot::of("t"), at(9))]);
        let mark = rules.mark();
        rules.restart(RuleSet { cleared: at(3), patterns, tags });
        assert!(rules.forgot(mark), "a reader that began before may miss those that stood");
        assert!(!rules.void("k", &Tags::NONE, at(3)) && rules.void("k", &Tags::NONE, at(2)));
        assert!(rules.void("abc", &Tags::NONE, at(6)) && rules.void("k", &Tags::new(["t"]), at(8)));
    }

    #[test]
    fn a_tags_rule_is_forgotten_when_every_older_entry_has_run_out() {
        let rules = Rules::new(HOUR);
        let slot = |n: usize| Tags::from_slots(vec![TagSlot::new(u16::try_from(n).unwrap())]);
        rules.add_tags(at(5), &slot(0));
        for n in 1..TRIM_EVERY - 1 {
            rules.add_tags(at(3_600_000), &slot(n));
        }
        assert!(rules.void("k", &slot(0), at(4)));
        rules.add_tags(at(3_600_006), &slot(TRIM_EVERY));
        assert_eq!(rules.lock().tags.len(), TRIM_EVERY - 1);
        let mut found =
            RuleSet { tags: vec![(TagSlot::new(1), at(5)), (TagSlot::new(2), at(7))], ..RuleSet::default() };
        assert_eq!(found.take_outlived(at(3_600_006), HOUR), [(TagSlot::new(1), at(5))]);
        assert_eq!(found.tags, [(TagSlot::new(2), at(7))]);
    }
}
