//! How a batch is loaded.

use std::collections::HashMap;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

/// What a batch loader gives, by key.
pub(crate) type Loading<T, E> = BoxFuture<'static, Result<HashMap<String, T>, E>>;

/// Loads the keys that nobody has.
pub(crate) trait BatchLoader<T, E>: Send + 'static {
    /// What begins a load of `keys`; `None` when there is no further one.
    fn loads(&mut self, keys: Vec<String>) -> Option<Box<dyn FnOnce() -> Loading<T, E> + Send>>;
}

/// A loader that can be called but once.
pub(crate) struct Once<F>(pub(crate) Option<F>);

impl<T, E, F, Fut> BatchLoader<T, E> for Once<F>
where
    F: FnOnce(Vec<String>) -> Fut + Send + 'static,
    Fut: Future<Output = Result<HashMap<String, T>, E>> + Send + 'static,
{
    fn loads(&mut self, keys: Vec<String>) -> Option<Box<dyn FnOnce() -> Loading<T, E> + Send>> {
        let load = self.0.take()?;
        Some(Box::new(move || load(keys).boxed()))
    }
}

/// A loader that can be called again.
pub(crate) struct Again<F>(pub(crate) F);

impl<T, E, F> BatchLoader<T, E> for Again<F>
where
    F: Fn(Vec<String>) -> Loading<T, E> + Clone + Send + 'static,
{
    fn loads(&mut self, keys: Vec<String>) -> Option<Box<dyn FnOnce() -> Loading<T, E> + Send>> {
        let load = self.0.clone();
        Some(Box::new(move || load(keys)))
    }
}
