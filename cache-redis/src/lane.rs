//! The hot path: one connection to a place that all callers share.
//!
//! A task, the keeper, makes the connection and replaces it when it breaks. Callers wait for it only until the first
//! attempt to connect has ended; from then on they either get a connection at once or an error at once.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use cache_core::TierError;
use deadpool_redis::Connection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::counters::Counts;
use crate::error::tier_error;
use crate::scripts::Call;
use crate::topology::{Place, SharedConnection};

/// So many commands in a row without an answer mean that the connection is dead, though nobody said so.
const TIMEOUTS_TO_BREAK: u32 = 3;

/// The waits between attempts to connect, each with up to as much again as jitter: 50 to 500 ms. Redis bears four
/// attempts a second of each node, and what is queued should not wait for long.
const BACKOFF: ExponentialBuilder = ExponentialBuilder::new()
    .with_min_delay(Duration::from_millis(50))
    .with_max_delay(Duration::from_millis(250))
    .without_max_times()
    .with_jitter();

/// A connection that held for so long was no fluke, so the next attempt after it comes at once.
const STABLE_AFTER: Duration = Duration::from_secs(2);

pub(crate) struct Lane {
    place: Arc<Place>,
    connect_timeout: Duration,
    counts: Arc<Counts>,
    state: Arc<watch::Sender<State>>,
    /// At most one task; it ends with the lane.
    keeper: Mutex<JoinSet<()>>,
}

enum State {
    /// There is no keeper.
    Idle,
    /// The keeper's first attempt to connect is under way.
    Connecting,
    Connected(Connected),
    /// The keeper is trying to connect again; the last attempt or the connection failed with this.
    Broken(Arc<str>),
    Closed,
}

#[derive(Clone)]
struct Connected {
    connection: SharedConnection,
    /// Commands in a row that were not answered in time. Its address identifies the connection.
    timeouts: Arc<AtomicU32>,
}

impl Lane {
    pub(crate) fn new(place: Place, connect_timeout: Duration, counts: Arc<Counts>) -> Self {
        let state = Arc::new(watch::Sender::new(State::Idle));
        Self { place: Arc::new(place), connect_timeout, counts, state, keeper: Mutex::new(JoinSet::new()) }
    }

    /// Where it leads to.
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    /// Sends one command. `action` names it in errors.
    pub(crate) async fn query<T: FromRedisValue>(&self, action: &str, command: &Cmd) -> Result<T, TierError> {
        let mut used = self.connected().await?;
        let result = command.query_async(&mut used.connection).await;
        self.judge(&used, action, result)
    }

    /// Sends several commands at once.
    pub(crate) async fn query_all<T: FromRedisValue>(&self, action: &str, batch: &Pipeline) -> Result<T, TierError> {
        let mut used = self.connected().await?;
        let result = batch.query_async(&mut used.connection).await;
        self.judge(&used, action, result)
    }

    /// Runs a script; the server is sent its text when it does not know it yet.
    pub(crate) async fn invoke<T: FromRedisValue>(&self, action: &str, script: &Call) -> Result<T, TierError> {
        let mut used = self.connected().await?;
        let result = script.invoke_async(&mut used.connection).await;
        self.judge(&used, action, result)
    }

    /// Makes a request whose failure the caller has to tell apart. The outer error says that there is no connection.
    #[cfg(feature = "cluster")]
    pub(crate) async fn request<T>(
        &self,
        request: impl AsyncFnOnce(&mut SharedConnection) -> RedisResult<T>,
    ) -> Result<RedisResult<T>, TierError> {
        let mut used = self.connected().await?;
        let result = request(&mut used.connection).await;
        if let Err(error) = &result {
            self.note(&used, error, || tier_error("a command", error));
        } else {
            used.answered();
        }
        Ok(result)
    }

    /// Takes a connection for exclusive use, unless it is known that there is none to be had.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        self.connected().await?;
        self.place.check_out().await
    }

    /// Ends the keeper and lets go of the connection.
    pub(crate) fn close(&self) {
        let mut keeper = self.keeper();
        self.state.send_replace(State::Closed);
        keeper.abort_all();
        self.place.close();
    }

    async fn connected(&self) -> Result<Connected, TierError> {
        if let Some(known) = self.known() {
            return known;
        }
        let mut changes = self.state.subscribe();
        self.start_keeper()?;
        let settled = changes.wait_for(|state| !matches!(state, State::Idle | State::Connecting));
        let limit = self.connect_timeout;
        // Only the outcome of the wait matters here: what it came to is read below.
        let _ = tokio::time::timeout(limit, settled).await;
        self.known().unwrap_or_else(|| {
            Err(TierError::timed_out(format!("connecting to {} took more than {limit:?}", self.place.shown())))
        })
    }

    /// The connection or why there is none; `None` before the first attempt to connect has ended.
    fn known(&self) -> Option<Result<Connected, TierError>> {
        match &*self.state.borrow() {
            State::Connected(connected) => Some(Ok(connected.clone())),
            State::Broken(reason) => Some(Err(TierError::unavailable(format!(
                "no connection to {}, reconnecting; last error: {reason}",
                self.place.shown()
            )))),
            State::Closed => Some(Err(TierError::unavailable("the tier is closed"))),
            State::Idle | State::Connecting => None,
        }
    }

    fn start_keeper(&self) -> Result<(), TierError> {
        let runtime = Handle::try_current()
            .map_err(|_| TierError::unavailable("no Tokio runtime; call from within a Tokio runtime"))?;
        // Held until the task is stored, so that closing cannot miss it.
        let mut keeper = self.keeper();
        let was_idle = self.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle);
            if idle {
                *state = State::Connecting;
            }
            idle
        });
        if was_idle {
            let task = Keeper {
                place: Arc::clone(&self.place),
                counts: Arc::clone(&self.counts),
                state: Arc::clone(&self.state),
            };
            *keeper = JoinSet::new();
            keeper.spawn_on(task.run(), &runtime);
        }
        Ok(())
    }

    fn keeper(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Learns from the outcome of a command whether its connection is still good.
    fn judge<T>(&self, used: &Connected, action: &str, result: RedisResult<T>) -> Result<T, TierError> {
        result.inspect(|_| used.answered()).map_err(|error| {
            let meaning = tier_error(action, &error);
            self.note(used, &error, || meaning.clone());
            meaning
        })
    }

    fn note(&self, used: &Connected, error: &RedisError, meaning: impl FnOnce() -> TierError) {
        if error.is_timeout() {
            if used.timeouts.fetch_add(1, Ordering::Relaxed) + 1 >= TIMEOUTS_TO_BREAK {
                self.break_off(used, &meaning());
            }
        } else if error.is_unrecoverable_error() || is_demoted(error) {
            self.break_off(used, &meaning());
        } else {
            used.answered();
        }
    }

    /// Has the connection replaced, if it is still the one in use.
    fn break_off(&self, used: &Connected, reason: &TierError) {
        let broken = self.state.send_if_modified(|state| match state {
            State::Connected(current) if Arc::ptr_eq(&current.timeouts, &used.timeouts) => {
                *state = State::Broken(reason.to_string().into());
                true
            }
            _ => false,
        });
        if broken {
            tracing::warn!(target: "cache_aside", server = self.place.shown(), %reason, "the connection to redis broke, reconnecting");
        }
    }
}

impl fmt::Debug for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lane").field("server", &self.place.shown()).finish_non_exhaustive()
    }
}

/// Whether the server is a primary no more: another connection may lead to the one that is.
fn is_demoted(error: &RedisError) -> bool {
    error.kind() == ServerErrorKind::ReadOnly.into()
}

impl Connected {
    fn answered(&self) {
        // Nearly always zero already: then all callers share the cache line without writing to it.
        if self.timeouts.load(Ordering::Relaxed) != 0 {
            self.timeouts.store(0, Ordering::Relaxed);
        }
    }
}

/// The task that makes the connection and replaces it.
struct Keeper {
    place: Arc<Place>,
    counts: Arc<Counts>,
    state: Arc<watch::Sender<State>>,
}

impl Keeper {
    async fn run(self) {
        let mut changes = self.state.subscribe();
        let mut delays = BACKOFF.build();
        loop {
            match self.place.open_shared().await {
                Ok(connection) => {
                    let since = Instant::now();
                    self.connected(connection);
                    // An error is impossible while this task holds a sender.
                    let _ = changes.wait_for(|state| !matches!(state, State::Connected(_))).await;
                    if since.elapsed() >= STABLE_AFTER {
                        delays = BACKOFF.build();
                        continue;
                    }
                }
                Err(error) => self.enter(State::Broken(error.to_string().into())),
            }
            wait(&mut delays).await;
        }
    }

    fn connected(&self, connection: SharedConnection) {
        self.counts.connected();
        tracing::debug!(target: "cache_aside", server = self.place.shown(), "connected to redis");
        self.enter(State::Connected(Connected { connection, timeouts: Arc::default() }));
    }

    fn enter(&self, next: State) {
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = next;
            }
            open
        });
    }
}

impl Drop for Keeper {
    /// The keeper ends with the lane, or with its runtime. In the second case the connection's own task has ended too, and
    /// the next call starts anew on the runtime that it runs on.
    fn drop(&mut self) {
        self.enter(State::Idle);
    }
}

async fn wait(delays: &mut ExponentialBackoff) {
    if let Some(delay) = delays.next() {
        tokio::time::sleep(delay).await;
    }
}
