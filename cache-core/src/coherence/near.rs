//! What the near tier may give, and what may go into it.
//!
//! No read of the near tier goes around [`Coherence::inspect`] and [`Coherence::look_up`], which hold it against what is yet to
//! be freed, and nothing goes into it but under the lock of its key's stripe.

use std::sync::Arc;
use std::time::Duration;

use super::sweeps::{Older, Sweep};
use super::{Change, Coherence, Insertion, Position, Ticket};
use crate::clock::Timestamp;
use crate::entry::{Entry, Token};
use crate::key::Key;

impl Coherence {
    /// Runs `look` on the entry of the near tier under `key`, unless that is void and has yet to be freed. This is the hit
    /// path.
    #[inline]
    pub(crate) fn inspect(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        let Some(near) = &self.near else { return };
        // Before the look-up: see `look_up`.
        if self.sweeps.mark().is_clean() {
            near.inspect(key, look);
        } else {
            self.inspect_listed(key, look);
        }
    }

    /// As [`Coherence::inspect`], while something has yet to be freed.
    #[cold]
    fn inspect_listed(&self, key: &str, look: &mut dyn FnMut(&Entry)) {
        if let Some(entry) = self.look_up(key) {
            look(&entry);
        }
    }

    /// The entry of the near tier under `key`, unless it is void and has yet to be freed.
    pub(crate) fn look_up(&self, key: &str) -> Option<Entry> {
        let near = self.near.as_ref()?;
        loop {
            // Before the look-up: what is void by a pass that ended in between is in no list any more.
            let mark = self.sweeps.mark();
            let entry = near.look_up(key)?;
            if mark.is_clean() {
                return Some(entry);
            }
            if let Some(void) = self.sweeps.void(key, &entry, mark) {
                return (!void).then_some(entry);
            }
        }
    }

    /// Voids what `change` covers in the near tier, if there is one, and is older.
    pub(super) fn list(&self, change: &Change, older: impl FnOnce() -> Older) -> Option<Arc<Sweep>> {
        self.near.is_some().then(|| self.sweeps.add(change, older(), || self.rules.advance()))
    }

    /// Frees what is void in the near tier, in a thread where that may take its time.
    pub(crate) async fn sweep_beside(self: &Arc<Self>) {
        let Some(turn) = self.sweeps.turn().await else { return };
        let coherence = Arc::clone(self);
        let pass = tokio::task::spawn_blocking(move || {
            coherence.sweep();
            drop(turn);
        });
        // It fails if the runtime ends, and then there is nobody to be told.
        let _ = pass.await;
    }

    /// Frees what is void in the near tier, whenever there is something, for ever.
    pub(crate) async fn sweep_whenever_asked(self: &Arc<Self>) {
        loop {
            self.sweeps.asked().await;
            self.sweep_beside().await;
        }
    }

    /// Frees what is void in the near tier. It takes as long as the near tier is large.
    pub(crate) fn sweep(&self) {
        if let Some(near) = &self.near {
            self.sweeps.pass(&**near);
        }
    }

    /// Whether an entry of the near tier may be served at `now`.
    pub(crate) fn may_serve(&self, entry: &Entry, now: Timestamp) -> bool {
        entry.expires > now && self.is_trusted(entry, now)
    }

    /// Whether nothing has voided an entry of the near tier that has not run out at `now`, as far as trust and tags go.
    #[inline]
    pub(crate) fn is_trusted(&self, entry: &Entry, now: Timestamp) -> bool {
        // As a rule neither has to look at the entry, whose other end is in another line of the processor's cache.
        (self.trust.covers_all(now) || self.trust.covers(entry.as_of, now))
            && (self.rules.no_tag_moved() || !self.rules.tags_moved(&entry.tags, entry.tag_sequence))
    }

    /// Whether `entry`, which was read from a far tier with `ticket`, may be used as far as rules go.
    pub(crate) fn may_read(&self, key: &str, entry: &Entry, ticket: Ticket) -> bool {
        // What does not say when it was made may be what a scan under way has yet to come to. Clears and tags are carried as
        // scans to a tier that keeps such entries.
        let void = match entry.birth {
            Position::UNKNOWN => self.rules.covers(key),
            birth => self.rules.void(key, &entry.tags, birth),
        };
        !void && !self.rules.forgot(ticket.rules)
    }

    /// Whether `entry`, which was read with `ticket`, may still be stored.
    pub(crate) fn may_store(&self, key: &str, entry: &Entry, ticket: Ticket) -> bool {
        self.epochs.holds(ticket, ticket.birth_of(entry)) && !self.is_ruled_out(key, entry, ticket)
    }

    /// Runs `insert` if `entry`, which was read with `ticket`, may still be stored in the near tier, and tells whether it
    /// was. The entry must carry the ticket's tag sequence: a tag that is invalidated after this check is seen at the hit.
    pub(crate) fn insert(
        &self,
        key: &str,
        entry: &Entry,
        ticket: Ticket,
        insertion: Insertion,
        insert: impl FnOnce(),
    ) -> bool {
        !self.is_ruled_out(key, entry, ticket) && self.epochs.insert_if_good(ticket, entry.birth, insertion, insert)
    }

    fn is_ruled_out(&self, key: &str, entry: &Entry, ticket: Ticket) -> bool {
        self.rules.tags_moved(&entry.tags, ticket.rules.tag_sequence) || self.rules.void(key, &entry.tags, entry.birth)
    }

    /// Puts a value that another node sent with its record into the near tier, unless there is something younger, or a change
    /// of this node is under way, which `changing` tells: of that nobody knows whether it comes before or after.
    pub(crate) fn insert_replica(
        &self,
        key: &Key,
        entry: &Entry,
        position: Position,
        ttl: Duration,
        changing: impl FnOnce() -> bool,
    ) {
        let Some(near) = self.near.as_ref().filter(|_| !ttl.is_zero()) else { return };
        // Before the question, so that a change that comes after it is seen by the epoch.
        let ticket = self.note(key.as_str());
        if changing() {
            return;
        }
        if entry.birth != position || self.is_ruled_out(key.as_str(), entry, ticket) || ticket.fenced {
            return;
        }
        let now = self.clock.now();
        // Not now: the record may have been on its way for long, and another behind it.
        let (as_of, tag_sequence) = (self.trust.heard_until(now), ticket.rules.tag_sequence);
        let expires = entry.expires.min(now + ttl);
        let (fresh_until, settled_until) = (entry.fresh_until.min(expires), entry.settled_until.min(expires));
        let entry = Entry { as_of, tag_sequence, fresh_until, settled_until, expires, ..entry.clone() };
        self.epochs.insert_if_newest(ticket, position, || {
            if !near.has(key.as_str(), |there| there.birth >= position) {
                near.insert(key, entry, ttl);
                self.counters.replicas_received.increment();
            }
        });
    }

    /// Runs `insert` if `entry` is still what the near tier has under `key`: it is about to get another form. Not while
    /// anything there is yet to be freed, which the new form might come behind.
    pub(crate) fn replace(&self, key: &str, entry: &Entry, insert: impl FnOnce()) {
        let Some(near) = &self.near else { return };
        self.sweeps.if_clean(|| {
            self.epochs.locked(key, || {
                if near.has(key, |there| there.is_same(entry)) {
                    insert();
                }
            });
        });
    }

    /// Removes the entry with this token from the near tier: its far entry is gone.
    pub(crate) fn drop_entry(&self, key: &str, token: Token) {
        let Some(near) = &self.near else { return };
        self.epochs.locked(key, || {
            if near.has(key, |there| there.token == token) {
                near.remove(key);
            }
        });
    }
}
