//! The service that annotated functions use: the installed one, overridden within a scope.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use super::{Backends, CachingService, Inner};
use crate::error::Error;

static GLOBAL: OnceLock<Arc<Inner>> = OnceLock::new();

/// Whether there has ever been a scope: most programs have none, and need not ask for theirs at each hit.
static HAS_SCOPES: AtomicBool = AtomicBool::new(false);

tokio::task_local! {
    static SCOPED: Arc<Inner>;
}

impl<B: Backends> CachingService<B> {
    /// The service of this scope (see [`CachingService::scope`]); else the installed one; else one made from the
    /// environment, once, as by [`CachingService::from_env`]; else, if a variable is bad, one with a near tier only (the
    /// error is traced).
    ///
    /// It does not wait for a connection: until the first one stands, reads go to the loader.
    #[must_use]
    pub fn global() -> Self {
        if let Ok(inner) = SCOPED.try_with(Arc::clone) {
            return Self::from_inner(inner);
        }
        Self::from_inner(Arc::clone(GLOBAL.get_or_init(|| Self::assemble_from_env().inner)))
    }

    /// Makes this the service that [`CachingService::global`] gives.
    ///
    /// # Errors
    /// There is one already: installed before, or made from the environment by an earlier call of `global`. Install at
    /// the start of `main`.
    pub fn install_global(self) -> Result<(), Error> {
        GLOBAL.set(self.inner).map_err(|_| {
            Error::configuration(
                "install_global: a global service is in place already; call it once, at the start of main, before any \
                 cached function runs (in tests, use scope instead)",
            )
        })
    }

    /// Runs `future` with this service in the place of the global one, also in the loads that it starts. Tasks that
    /// `future` spawns by itself see the global one.
    pub async fn scope<F: Future>(self, future: F) -> F::Output {
        // A task that is within a scope has stored this itself, or was handed over by one that had.
        HAS_SCOPES.store(true, Ordering::Relaxed);
        SCOPED.scope(self.inner, future).await
    }
}

/// The service that [`CachingService::global`] would give, if there is one by now.
pub(crate) enum Current {
    /// Not a reference of its own, whose count all threads share.
    Installed(&'static Inner),
    Scoped(Arc<Inner>),
}

impl Current {
    #[inline]
    pub(crate) fn find() -> Option<Self> {
        if HAS_SCOPES.load(Ordering::Relaxed)
            && let Some(inner) = scoped()
        {
            return Some(Self::Scoped(inner));
        }
        GLOBAL.get().map(|inner| Self::Installed(inner))
    }
}

#[cold]
fn scoped() -> Option<Arc<Inner>> {
    SCOPED.try_with(Arc::clone).ok()
}

/// Carries the scope of the caller over into a task.
pub(super) fn in_scope<F: Future + Send>(future: F) -> impl Future<Output = F::Output> + Send {
    let scoped = SCOPED.try_with(Arc::clone).ok();
    async move {
        match scoped {
            Some(inner) => SCOPED.scope(inner, future).await,
            None => future.await,
        }
    }
}
