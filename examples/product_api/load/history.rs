//! Everything that was read and written, and the proof that no response was wrong.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

/// One API instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) number: usize,
    pub(crate) cached: bool,
}

/// One version of a product's page, by the digest of its bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Page {
    pub(crate) product: u32,
    pub(crate) version: u32,
    pub(crate) digest: u64,
}

/// A GET. Times count from the start of the run.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Read {
    pub(crate) page: Page,
    pub(crate) node: Node,
    pub(crate) sent: Duration,
    pub(crate) received: Duration,
}

/// A PUT: committed and invalidated somewhere between the two times.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Write {
    pub(crate) product: u32,
    pub(crate) version: u32,
    pub(crate) node: Node,
    pub(crate) sent: Duration,
    pub(crate) returned: Duration,
}

/// The reads and writes of the run, and the database's own answer for each version that was read.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) reads: Vec<Read>,
    pub(crate) writes: Vec<Write>,
    contents: HashMap<(u32, u32), u64>,
}

/// Why a response is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Wrong {
    /// Its bytes are not what the database has for the version that it names.
    Content,
    /// It names a version whose PUT was sent only after the response had arrived.
    Future,
    /// The node that answered had itself confirmed a newer version before the GET was sent.
    StaleOnSameNode,
    /// Another node had confirmed a newer version longer ago than a message may take.
    StaleOnOtherNode,
}

/// The outcome of a check.
#[derive(Debug, Default)]
pub(crate) struct Verdict {
    /// Reads per cause; empty when every response was right.
    pub(crate) wrong: BTreeMap<Wrong, usize>,
    /// Reads of a version that another node had replaced, within the bound for a message.
    pub(crate) before_delivery: usize,
    /// The oldest of these: how long after the other node's PUT returned the read was sent.
    pub(crate) slowest_delivery: Duration,
}

impl History {
    /// Records what the database says.
    pub(crate) fn learn(&mut self, page: Page) {
        self.contents.insert((page.product, page.version), page.digest);
    }

    /// Products that were read in a version which the database was not asked for yet.
    pub(crate) fn unknown_products(&self) -> Vec<u32> {
        let known = |page: &Page| self.contents.contains_key(&(page.product, page.version));
        let mut products: Vec<u32> =
            self.reads.iter().map(|read| read.page).filter(|page| !known(page)).map(|page| page.product).collect();
        products.sort_unstable();
        products.dedup();
        products
    }

    pub(crate) fn append(&mut self, other: Self) {
        self.reads.extend(other.reads);
        self.writes.extend(other.writes);
        self.contents.extend(other.contents);
    }

    /// Checks every read. A message from one cached node to another may take up to `delivery_bound`; nothing else may
    /// take any time at all.
    pub(crate) fn check(&self, delivery_bound: Duration) -> Verdict {
        let mut writes: HashMap<u32, Vec<&Write>> = HashMap::new();
        for write in &self.writes {
            writes.entry(write.product).or_default().push(write);
        }
        let mut verdict = Verdict::default();
        for read in &self.reads {
            let writes = writes.get(&read.page.product).map_or(&[][..], Vec::as_slice);
            verdict.judge(read, writes, self.contents.get(&(read.page.product, read.page.version)), delivery_bound);
        }
        verdict
    }
}

impl Verdict {
    fn judge(&mut self, read: &Read, writes: &[&Write], content: Option<&u64>, delivery_bound: Duration) {
        let mut causes = Vec::new();
        if content != Some(&read.page.digest) {
            causes.push(Wrong::Content);
        }
        if writes.iter().any(|write| write.version == read.page.version && write.sent > read.received) {
            causes.push(Wrong::Future);
        }
        let missed = writes.iter().filter(|write| write.version > read.page.version && write.returned < read.sent);
        let mut undelivered = Duration::ZERO;
        for write in missed {
            let age = read.sent - write.returned;
            if write.node == read.node {
                causes.push(Wrong::StaleOnSameNode);
            } else if age > delivery_bound || !(read.node.cached && write.node.cached) {
                causes.push(Wrong::StaleOnOtherNode);
            } else {
                undelivered = undelivered.max(age);
            }
        }
        self.before_delivery += usize::from(!undelivered.is_zero());
        self.slowest_delivery = self.slowest_delivery.max(undelivered);
        causes.sort_unstable();
        causes.dedup();
        for cause in causes {
            *self.wrong.entry(cause).or_default() += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUND: Duration = Duration::from_millis(50);
    const HERE: Node = Node { number: 0, cached: true };
    const THERE: Node = Node { number: 1, cached: true };

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// Version 2 written on `HERE` from 100 ms to 110 ms, and one read of `version`.
    fn history(version: u32, node: Node, sent: u64) -> History {
        let mut history = History::default();
        history.writes.push(Write { product: 7, version: 2, node: HERE, sent: at(100), returned: at(110) });
        for version in [1, 2] {
            history.learn(Page { product: 7, version, digest: u64::from(version) });
        }
        let page = Page { product: 7, version, digest: u64::from(version) };
        history.reads.push(Read { page, node, sent: at(sent), received: at(sent + 1) });
        history
    }

    fn wrong(history: &History) -> Vec<Wrong> {
        history.check(BOUND).wrong.into_keys().collect()
    }

    #[test]
    fn either_version_is_right_while_the_write_runs() {
        assert_eq!(wrong(&history(1, HERE, 105)), []);
        assert_eq!(wrong(&history(2, HERE, 105)), []);
    }

    #[test]
    fn the_old_version_is_wrong_on_the_same_node_once_the_write_returned() {
        assert_eq!(wrong(&history(1, HERE, 111)), [Wrong::StaleOnSameNode]);
    }

    #[test]
    fn the_old_version_is_right_on_another_node_for_one_message_delivery() {
        let verdict = history(1, THERE, 140).check(BOUND);
        assert_eq!((verdict.wrong.len(), verdict.before_delivery, verdict.slowest_delivery), (0, 1, at(30)));
        assert_eq!(wrong(&history(1, THERE, 161)), [Wrong::StaleOnOtherNode]);
    }

    #[test]
    fn without_caches_no_delivery_is_allowed_for() {
        let uncached = Node { cached: false, ..THERE };
        assert_eq!(wrong(&history(1, uncached, 111)), [Wrong::StaleOnOtherNode]);
    }

    #[test]
    fn a_version_from_the_future_is_wrong() {
        assert_eq!(wrong(&history(2, HERE, 90)), [Wrong::Future]);
    }

    #[test]
    fn content_of_another_version_is_wrong() {
        let mut history = history(2, HERE, 120);
        history.reads[0].page.digest = 1;
        assert_eq!(wrong(&history), [Wrong::Content]);
    }

    #[test]
    fn a_version_that_the_database_never_had_is_wrong() {
        let history = history(3, HERE, 120);
        assert_eq!(wrong(&history), [Wrong::Content]);
        assert_eq!(history.unknown_products(), [7]);
    }
}
