//! What a loader gives.

use std::sync::Arc;

/// A loaded value, and whether it may be stored.
pub(crate) struct Loaded<T> {
    pub(crate) value: Arc<T>,
    /// If not, only the callers that wait for this load get it.
    pub(crate) kept: bool,
}

impl<T> From<T> for Loaded<T> {
    fn from(value: T) -> Self {
        Self { value: Arc::new(value), kept: true }
    }
}
