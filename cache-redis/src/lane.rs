//! The hot path: one connection to a place that all callers share.
//!
//! A task, the keeper, makes the connection and replaces it when it breaks. Callers wait for it only until the first
//! attempt to connect has ended; from then on they either get a connection at once or an error at once.
//!
//! A connection that nobody has closed and nobody answers on is known by commands that time out. A caller that is less patient
//! than the connection gives its command up before that, so the keeper then asks on its own behalf.
//!
//! One on which a server answers may have to be left all the same, since another has taken over. So it is renewed whenever the
//! bus is connected anew, and used until the other is there.

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
use crate::topology::{Place, Server, SharedConnection};

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
    status: watch::Sender<Status>,
    /// A command was given up before it was answered.
    given_up: Notify,
}

struct Status {
    state: State,
    /// How often the connection was to be renewed.
    renewals: u64,
    /// Where the next connection is to lead to, if the bus has said so.
    target: Option<Arc<Server>>,
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
    /// How often the connection was to be renewed when this one began to be made.
    renewals: u64,
}

impl Lane {
    pub(crate) fn new(place: Place, connect_timeout: Duration, counts: Arc<Counts>) -> Self {
        let status = watch::Sender::new(Status { state: State::Idle, renewals: 0, target: None });
        let shared = Shared { place, counts, status, given_up: Notify::new() };
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
        let status = self.shared.status.borrow();
        matches!(&status.state, State::Connected(connected) if connected.timeouts.load(Ordering::Relaxed) == 0)
    }

    /// Takes a connection for exclusive use, unless it is known that there is none to be had.
    pub(crate) async fn check_out(&self) -> Result<Connection, TierError> {
        self.connected().await?;
        self.shared.place.check_out().await
    }

    /// Has the connection replaced by one to `server`, and returns when it is, or when there is none. What is under way on the one
    /// before ends there. Where there was none, the next is one that was not begun before.
    ///
    /// # Errors
    /// After the time for connecting, the one before is still in use.
    pub(crate) async fn renew(&self, server: &Arc<Server>) -> Result<(), TierError> {
        let mut changes = self.shared.status.subscribe();
        let mut renewals = 0;
        self.shared.status.send_modify(|status| {
            status.renewals += 1;
            status.target = Some(Arc::clone(server));
            renewals = status.renewals;
        });
        let renewed = changes.wait_for(|status| match &status.state {
            State::Connected(connected) => connected.renewals >= renewals,
            State::Connecting => false,
            State::Idle | State::Broken(_) | State::Closed => true,
        });
        let limit = self.connect_timeout;
        let shown = server.shown();
        tokio::time::timeout(limit, renewed).await.map(drop).map_err(|_| {
            TierError::timed_out(format!("replacing the connection by one to {shown} took more than {limit:?}"))
        })
    }

    /// Ends the keeper and lets go of the connection.
    pub(crate) fn close(&self) {
        let mut keeper = self.keeper();
        self.shared.status.send_modify(|status| status.state = State::Closed);
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
        let mut changes = self.shared.status.subscribe();
        self.start_keeper()?;
        let settled = changes.wait_for(|status| !matches!(status.state, State::Idle | State::Connecting));
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
        let was_idle = self.shared.status.send_if_modified(|status| {
            let idle = matches!(status.state, State::Idle);
            if idle {
                status.state = State::Connecting;
                // What the bus said may be long ago.
                status.target = None;
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
        match &self.status.borrow().state {
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
        let broken = self.status.send_if_modified(|status| match &status.state {
            State::Connected(current) if Arc::ptr_eq(&current.timeouts, &used.timeouts) => {
                status.state = State::Broken(reason.to_string().into());
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
        let mut changes = self.0.status.subscribe();
        let mut delays = BACKOFF.build();
        loop {
            let (renewals, target) = self.begin();
            match self.open(target.clone()).await {
                Ok(connection) => {
                    let Some(connected) = self.connected(connection, renewals) else { continue };
                    let since = Instant::now();
                    let replaced = |status: &Status| status.renewals != renewals;
                    let renewed = tokio::select! {
                        // An error is impossible while this task holds a sender.
                        status = changes.wait_for(|status| replaced(status) || !matches!(status.state, State::Connected(_))) => {
                            status.is_ok_and(|status| replaced(&status))
                        }
                        () = self.watch(connected) => false,
                    };
                    if renewed || since.elapsed() >= STABLE_AFTER {
                        delays = BACKOFF.build();
                        continue;
                    }
                }
                Err(error) => self.failed(renewals, target, &error),
            }
            wait(&mut delays).await;
        }
    }

    /// What is known of the connection that is made next.
    fn begin(&self) -> (u64, Option<Arc<Server>>) {
        let mut begun = (0, None);
        self.0.status.send_if_modified(|status| {
            begun = (status.renewals, status.target.take());
            false
        });
        begun
    }

    async fn open(&self, target: Option<Arc<Server>>) -> Result<SharedConnection, TierError> {
        let server = match target {
            Some(server) => server,
            None => self.0.place.server().await?,
        };
        server.open_shared().await
    }

    /// There is no connection to `target`, or to where the place is. The next attempt leads there as well, unless the bus has said
    /// something else since; a connection that was to be renewed is used on.
    fn failed(&self, renewals: u64, target: Option<Arc<Server>>, error: &TierError) {
        self.0.status.send_if_modified(|status| {
            if status.renewals == renewals {
                status.target = target;
            }
            let is_broken = !matches!(status.state, State::Connected(_) | State::Closed);
            if is_broken {
                status.state = State::Broken(error.to_string().into());
            }
            is_broken
        });
    }

    /// Has callers use `connection`, unless it is to be renewed already: it may lead to where the bus led before.
    fn connected(&self, connection: SharedConnection, renewals: u64) -> Option<Connected> {
        let connected = Connected { connection, timeouts: Arc::default(), renewals };
        let is_used = self.0.status.send_if_modified(|status| {
            let is_used = status.renewals == renewals && !matches!(status.state, State::Closed);
            if is_used {
                self.0.counts.connected();
                status.state = State::Connected(connected.clone());
            }
            is_used
        });
        if is_used {
            tracing::debug!(target: "cache_aside", server = self.0.place.shown(), "connected to redis");
        }
        is_used.then_some(connected)
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
        self.0.status.send_if_modified(|status| {
            let open = !matches!(status.state, State::Closed);
            if open {
                status.state = next;
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

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use cache_testing::{FaultProxy, RedisServer};
    use redis::IntoConnectionInfo;

    use super::*;
    use crate::topology::Limits;

    const PATIENCE: Duration = Duration::from_secs(10);

    fn server_at(url: String) -> Arc<Server> {
        let limits = Limits { connect_timeout: PATIENCE, response_timeout: PATIENCE, pool_size: 1 };
        Arc::new(Server::new(&url.as_str().into_connection_info().unwrap(), url, limits).unwrap())
    }

    fn lane_to(server: Arc<Server>) -> Lane {
        Lane::new(Place::Server(server), PATIENCE, Arc::default())
    }

    /// A server that says who it is.
    fn named(name: &str) -> RedisServer {
        let server = RedisServer::start();
        server.cli(&["SET", "name", name]);
        server
    }

    fn ask() -> Cmd {
        let mut get = redis::cmd("GET");
        get.arg("name");
        get
    }

    #[tokio::test]
    async fn a_connection_is_used_until_the_one_that_replaces_it_is_there() {
        let (before, after) = (named("before"), named("after"));
        let proxy = FaultProxy::start(after.address());
        proxy.pause();
        let (get, lane) = (ask(), lane_to(server_at(before.url())));
        assert_eq!(lane.query::<String>("GET", &get).await.unwrap(), "before");
        let next = server_at(after.url_at(proxy.port()));
        let mut renewal = pin!(lane.renew(&next));
        tokio::select! {
            biased;
            _ = &mut renewal => panic!("nobody answers there"),
            _ = proxy.wait_until(|counters| counters.accepted == 1) => {}
        }
        before.cli(&["SET", "name", "before still"]);
        assert_eq!(lane.query::<String>("GET", &get).await.unwrap(), "before still");
        let mut pop = redis::cmd("BLPOP");
        pop.arg("list").arg(0);
        let mut under_way = pin!(lane.query::<(String, String)>("BLPOP", &pop));
        let is_sent = async {
            while !before.cli(&["INFO", "clients"]).contains("blocked_clients:1") {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::select! {
            _ = &mut under_way => panic!("there is nothing in the list"),
            () = is_sent => {}
        }
        proxy.pass().await;
        renewal.await.unwrap();
        assert_eq!(lane.query::<String>("GET", &get).await.unwrap(), "after");
        assert_eq!(lane.shared.counts.read().connections, 2);
        before.cli(&["LPUSH", "list", "late"]);
        assert_eq!(under_way.await.unwrap().1, "late", "it ends where it was sent to");
    }

    #[tokio::test]
    async fn a_renewal_that_fails_takes_nothing_away_and_is_tried_again() {
        let before = named("before");
        let (get, lane) = (ask(), lane_to(server_at(before.url())));
        assert_eq!(lane.query::<String>("GET", &get).await.unwrap(), "before");
        let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let next = server_at(format!("redis://{}", nobody.local_addr().unwrap()));
        let mut renewal = pin!(lane.renew(&next));
        let hung_up = async {
            for _ in 0..3 {
                drop(nobody.accept().await.unwrap());
            }
        };
        tokio::select! {
            biased;
            _ = &mut renewal => panic!("nobody answers there"),
            () = hung_up => {}
        }
        assert_eq!(lane.query::<String>("GET", &get).await.unwrap(), "before");
    }

    #[tokio::test]
    async fn a_connection_that_began_to_be_made_before_the_renewal_is_not_used() {
        let (before, after) = (named("before"), named("after"));
        let proxy = FaultProxy::start(before.address());
        proxy.pause();
        let lane = lane_to(server_at(before.url_at(proxy.port())));
        let (get, next) = (ask(), server_at(after.url()));
        let mut call = pin!(lane.query::<String>("GET", &get));
        tokio::select! {
            biased;
            _ = &mut call => panic!("nobody answers there"),
            _ = proxy.wait_until(|counters| counters.accepted == 1) => {}
        }
        let mut renewal = pin!(lane.renew(&next));
        tokio::select! {
            biased;
            _ = &mut renewal => panic!("the first attempt is under way"),
            () = std::future::ready(()) => {}
        }
        proxy.pass().await;
        renewal.await.unwrap();
        assert_eq!(call.await.unwrap(), "after");
        assert_eq!(lane.shared.counts.read().connections, 1);
    }

    #[tokio::test]
    async fn without_a_connection_there_is_nothing_to_renew() {
        let (before, after) = (named("before"), named("after"));
        let lane = lane_to(server_at(before.url()));
        lane.renew(&server_at(after.url())).await.unwrap();
        assert_eq!(lane.shared.counts.read().connections, 0);
        assert_eq!(lane.query::<String>("GET", &ask()).await.unwrap(), "before");
        lane.close();
        lane.renew(&server_at(after.url())).await.unwrap();
    }
}
