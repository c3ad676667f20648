use std::sync::Arc;

use super::{Direction, Flow, Shared};

/// Holds one direction of a proxy until it is released or dropped.
#[derive(Debug)]
#[must_use = "a gate opens again when it is dropped"]
pub struct Gate {
    shared: Arc<Shared>,
    direction: Direction,
}

impl Gate {
    pub(super) fn close(shared: Arc<Shared>, direction: Direction) -> Self {
        shared.flow(direction).send_replace(Flow::Hold);
        Self { shared, direction }
    }

    /// Waits until at least this many bytes are held, on all connections together. Cancel safe.
    ///
    /// # Panics
    ///
    /// When that takes more than a minute.
    pub async fn wait_until_held(&self, bytes: u64) {
        let held = format!("{bytes} held bytes");
        self.shared.wait_for(&held, |state| state.held(self.direction) >= bytes).await;
    }

    /// Waits until one connection holds these bytes, which tells the message meant from others such as heartbeats.
    /// Cancel safe.
    ///
    /// # Panics
    ///
    /// When `bytes` is empty, or that takes more than a minute.
    pub async fn wait_until_holding(&self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        let held = format!("{:?} to be held", String::from_utf8_lossy(bytes));
        self.shared.wait_for(&held, |state| state.holds(self.direction, bytes)).await;
    }

    /// Lets what is held pass, and what follows.
    pub fn release(self) {}
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.shared.flow(self.direction).send_replace(Flow::Pass);
    }
}
