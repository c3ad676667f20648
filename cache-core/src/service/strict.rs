//! Invalidations that wait until no node can serve the old value any more.

use std::time::Duration;

use super::Inner;
use crate::coherence::{Change, Position};
use crate::far::Manner;
use crate::key::Key;
use crate::status::Receipt;

/// The shortest and the longest wait between two questions who has yet to hear. Most nodes have heard within a millisecond.
const WAITS: (Duration, Duration) = (Duration::from_millis(1), Duration::from_millis(50));

impl Inner {
    pub(super) async fn invalidate_strict(&self, key: &str) -> Receipt {
        let Ok(key) = Key::new(key) else {
            self.note_invalid_key(key);
            return Receipt::new(self.delivery(false));
        };
        let manner = Manner { acknowledge: true, lift: None };
        let (receipt, position) = self.invalidate(Change::Keys([key].into()), manner).await;
        if let Some(position) = position {
            self.heard_by_all(position).await;
        }
        receipt
    }

    /// Completes when every node has applied the record at `position`, or may not serve what is older.
    async fn heard_by_all(&self, position: Position) {
        let Some((far, shared)) = self.shared().and_then(|far| Some((far, far.shared()?))) else { return };
        // By then every node with the timings of this one has, whatever happened to it, so there is no need to be answered. Nodes
        // with others register with theirs.
        let bound = self.coherence.trust.timings().staleness_bound();
        let mut deadline = self.clock.now() + bound;
        let mut wait = WAITS.0;
        loop {
            let unheard = far.ask(shared.unheard(position, bound)).await;
            let now = self.clock.now();
            if let Some(unheard) = unheard {
                deadline = deadline.max(now + unheard);
            }
            let left = unheard.unwrap_or(Duration::MAX).min(deadline.since(now));
            if left.is_zero() {
                return;
            }
            self.clock.sleep(wait.min(left)).await;
            wait = (wait * 2).min(WAITS.1);
        }
    }
}
