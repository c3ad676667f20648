//! The hot path: one connection to a place that all callers share.
//!
//! A task, the keeper, makes the connection and replaces it when it breaks. Callers wait for it only until the first
//! attempt to connect has ended; from then on they either get a connection at once or an error at once.
//!
//! A connection that nobody has closed and nobody answers on is known by commands that time out. A caller that is less patient
//! than the connection gives its command up before that, so the keeper then asks on its own behalf.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use cache_core::TierError;
use deadpool_redis::Connection;
use redis::{Cmd, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
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

/// The time between two questions of the keeper whether the connection is still good. Callers that always give up early, as those
/// that race two tiers do, should not cost a PING each.
const ASK_INTERVAL: Duration = Duration::from_millis(100);

/// A connection that held for so long was no fluke, so the next attempt after it comes at once.
const STABLE_AFTER: Duration = Duration::from_secs(2);

pub(crate) struct Lane {
    shared: Arc<Shared>,
    connect_timeout: Duration,
    /// At most one task; it ends with the lane.
    keeper: Mutex<JoinSet<()>>,
}

/// What the lane and its keeper have in common.
struct Shared {
    place: Place,
    counts: Arc<Counts>,
    state: watch::Sender<State>,
    /// A command was given up before it was answered.
    given_up: Notify,
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
        let shared = Shared { place, counts, state: watch::Sender::new(State::Idle), given_up: Notify::new() };
        Self { shared: Arc::new(shared), connect_timeout, keeper: Mutex::new(JoinSet::new()) }
    }

    /// Where it leads to.
    pub(crate) fn place(&self) -> &Place {
        &self.shared.place
    }

    /// Sends one command. `action` names it in errors.
    pub(crate) async fn query<T: FromRedisValue>(&self, action: &str, command: &Cmd) -> Result<T, TierError> {
        let mut used = self.connected().await?;
        let result = self.answer(command.query_async(&mut used.connection)).await;
        self.shared.judge(&used, action, result)
    }

    /// Sends several commands at once.
    pub(crate) async fn query_all<T: FromRedisValue>(&self, action: &str, batch: &Pipeline) -> Result<T, TierError> {
        let mut used = self.connected().await?;
        let result = self.answer(batch.query_async(&mut used.connection)).await;
        self.shared.judge(&used, action, result)
    }

    /// Runs a script; the server is sent its text when it does not know it yet.
    pub(crate) async fn invoke<T: FromRedisValue>(&self, action: &str, script: &Call) -> Result<T, TierError> {
        let mut used = self.connected().await?;
        let result = self.answer(script.invoke_async(&mut used.connection)).await;
        self.shared.judge(&used, action, result)
    }

    /// Makes a request whose failure the caller has to tell apart. The outer error says that there is no connection.
    #[cfg(feature = "cluster")]
    pub(crate) async fn request<T>(
        &self,
        request: impl AsyncFnOnce(&mut SharedConnection) -> RedisResult<T>,
    ) -> Result<RedisResult<T>, TierError> {
        let mut used = self.connected().await?;
        let result = self.answer(request(&mut used.connection)).await;
        if let Err(error) = &result {
            self.shared.note(&used, error, || tier_error("a command", error));
        } else {
            used.answered();
        }
        Ok(result)
    }

    /// Whether there is a connection, and the last command on it was answered.
    #[cfg(feature = "cluster")]
    pub(crate) fn answers(&self) -> bool {
        let state = self.shared.state.borrow();
        matches!(&*state, State::Connected(connected) if connected.timeouts.load(Ordering::Relaxed) == 0)
    }

    /// Takes a connection for exclusive use, unless it is known that there is none to be had.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        self.connected().await?;
        self.shared.place.check_out().await
    }

    /// Ends the keeper and lets go of the connection.
    pub(crate) fn close(&self) {
        let mut keeper = self.keeper();
        self.shared.state.send_replace(State::Closed);
        keeper.abort_all();
        self.shared.place.close();
    }

    /// Waits for an answer. When it is dropped before there is one, the keeper hears of it.
    async fn answer<T>(&self, answer: impl Future<Output = T>) -> T {
        let mut waiting = Waiting(Some(&self.shared.given_up));
        let answer = answer.await;
        waiting.0 = None;
        answer
    }

    async fn connected(&self) -> Result<Connected, TierError> {
        if let Some(known) = self.shared.known() {
            return known;
        }
        let mut changes = self.shared.state.subscribe();
        self.start_keeper()?;
        let settled = changes.wait_for(|state| !matches!(state, State::Idle | State::Connecting));
        let limit = self.connect_timeout;
        // Only the outcome of the wait matters here: what it came to is read below.
        let _ = tokio::time::timeout(limit, settled).await;
        self.shared.known().unwrap_or_else(|| {
            Err(TierError::timed_out(format!("connecting to {} took more than {limit:?}", self.shared.place.shown())))
        })
    }

    fn start_keeper(&self) -> Result<(), TierError> {
        let runtime = Handle::try_current()
            .map_err(|_| TierError::unavailable("no Tokio runtime; call from within a Tokio runtime"))?;
        // Held until the task is stored, so that closing cannot miss it.
        let mut keeper = self.keeper();
        let was_idle = self.shared.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle);
            if idle {
                *state = State::Connecting;
            }
            idle
        });
        if was_idle {
            *keeper = JoinSet::new();
            keeper.spawn_on(Keeper(Arc::clone(&self.shared)).run(), &runtime);
        }
        Ok(())
    }

    fn keeper(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.keeper.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A caller that waits for an answer.
struct Waiting<'a>(Option<&'a Notify>);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(given_up) = self.0 {
            given_up.notify_one();
        }
    }
}

impl Shared {
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
        f.debug_struct("Lane").field("server", &self.shared.place.shown()).finish_non_exhaustive()
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
struct Keeper(Arc<Shared>);

impl Keeper {
    async fn run(self) {
        let mut changes = self.0.state.subscribe();
        let mut delays = BACKOFF.build();
        loop {
            match self.0.place.open_shared().await {
                Ok(connection) => {
                    let since = Instant::now();
                    let connected = self.connected(connection);
                    tokio::select! {
                        // An error is impossible while this task holds a sender.
                        _ = changes.wait_for(|state| !matches!(state, State::Connected(_))) => {}
                        () = self.watch(connected) => {}
                    }
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

    fn connected(&self, connection: SharedConnection) -> Connected {
        self.0.counts.connected();
        tracing::debug!(target: "cache_aside", server = self.0.place.shown(), "connected to redis");
        let connected = Connected { connection, timeouts: Arc::default() };
        self.enter(State::Connected(connected.clone()));
        connected
    }

    /// Asks whether the connection is still good whenever a command was given up, until it is not.
    async fn watch(&self, mut connected: Connected) {
        let ping = redis::cmd("PING");
        loop {
            self.0.given_up.notified().await;
            loop {
                let answer: RedisResult<Value> = ping.query_async(&mut connected.connection).await;
                // One that was not in time is not enough, and nobody else may ask.
                let again = answer.as_ref().is_err_and(RedisError::is_timeout);
                let _ = self.0.judge(&connected, "PING", answer);
                if !again {
                    break;
                }
            }
            tokio::time::sleep(ASK_INTERVAL).await;
        }
    }

    fn enter(&self, next: State) {
        self.0.state.send_if_modified(|state| {
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
