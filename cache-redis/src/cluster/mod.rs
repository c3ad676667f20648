//! A cluster: many servers, each with a [`Lane`] of its own, and a map of who has which slot.
//!
//! The client library has cluster connections of its own. They hold every command back while they connect to a server that
//! hangs, do not learn of a failover from timeouts, and send ASKING apart from the command that it is for. Lanes know how
//! to fail fast, one shard at a time, so this is lanes and a map.
//!
//! The map is drawn again, in the background, whenever an answer shows that it is out of date; callers go by the answer
//! (MOVED, ASK) meanwhile.

mod failure;
mod map;
mod missed;
mod replaced;
mod scan;
pub(crate) mod split;
mod tracked;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use cache_core::TierError;
use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use redis::aio::ConnectionLike as _;
use redis::{Cmd, ConnectionInfo, FromRedisValue, RedisError, RedisResult, Value};
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::counters::Counts;
use crate::error::tier_error;
use crate::lane::Lane;
use crate::scripts::{self, Call};
use crate::slot::slot_of;
use crate::topology::{Limits, Place, Server, SharedConnection, at};
use failure::Direction;
pub(crate) use failure::Failure;
use map::{Address, Map};
use missed::Missed;
use replaced::Processes;
pub(crate) use tracked::Tracked;

/// How often a command follows an answer to another server, or waits for a slot that is moving.
const ATTEMPTS: u32 = 6;

/// The first wait for a slot of which some keys have moved and others have not; each further one is twice as long. All of them take
/// half of the response timeout at most: the caller, who is told of the slot then, may ask for one key after the other.
const SLOT_WAIT: Duration = Duration::from_millis(4);

/// The time between two drawings of the map at least.
const DRAW_INTERVAL: Duration = Duration::from_millis(50);

pub(crate) struct Cluster {
    inner: Arc<Inner>,
    /// At most one task, which draws the map; it ends with the cluster.
    drawer: Mutex<JoinSet<()>>,
    /// What scans have passed over.
    pub(crate) missed: Missed,
    processes: Processes,
}

struct Inner {
    seeds: Vec<ConnectionInfo>,
    limits: Limits,
    counts: Arc<Counts>,
    /// One for each server that the map names, and those that were asked for it.
    lanes: Mutex<HashMap<Address, Arc<Lane>>>,
    state: watch::Sender<State>,
    outdated: Notify,
}

enum State {
    /// Nobody has asked yet.
    Idle,
    /// The first map is being drawn.
    Drawing,
    Known(Arc<Map>),
    /// There was no map to be had so far.
    Unknown(TierError),
    Closed,
}

impl Cluster {
    pub(crate) fn new(seeds: Vec<ConnectionInfo>, limits: Limits, counts: Arc<Counts>) -> Self {
        let inner = Inner {
            seeds,
            limits,
            counts,
            lanes: Mutex::default(),
            state: watch::Sender::new(State::Idle),
            outdated: Notify::new(),
        };
        Self {
            inner: Arc::new(inner),
            drawer: Mutex::new(JoinSet::new()),
            missed: Missed::default(),
            processes: Processes::default(),
        }
    }

    /// Sends a command to the server that has `slot`.
    pub(crate) async fn send(&self, slot: u16, command: &Cmd) -> Result<Value, Failure> {
        let mut values = self.send_all(slot, std::slice::from_ref(command)).await?;
        values.pop().ok_or_else(|| Failure::Away(TierError::unavailable("a command got no answer")))
    }

    /// Sends commands to the server that has `slot`, one right after the other.
    pub(crate) async fn send_all(&self, slot: u16, commands: &[Cmd]) -> Result<Vec<Value>, Failure> {
        let limit = self.inner.limits.response_timeout;
        let sending = self.follow(slot, commands);
        tokio::time::timeout(limit, sending).await.unwrap_or_else(|_| {
            self.inner.outdated.notify_one();
            let failure = Failure::Away(TierError::timed_out(format!("no answer of the cluster within {limit:?}")));
            let map = self.inner.known().and_then(Result::ok);
            Err(self.weigh(map.as_deref().and_then(|map| map.owner(slot).ok()), failure))
        })
    }

    /// Runs a script on the server that has the slot of its first key.
    pub(crate) async fn invoke<T: FromRedisValue>(&self, slot: u16, call: &Call) -> Result<T, Failure> {
        let value = match self.send(slot, &call.by_hash()).await {
            Err(Failure::Answer(error)) if scripts::is_unknown(&error) => self.send(slot, &call.by_text()).await?,
            result => result?,
        };
        redis::from_redis_value(value).map_err(|error| Failure::Answer(error.into()))
    }

    /// Sends each command to the server that has its slot: one batch to each server. The answers are in the order of the
    /// commands; a server that fails costs those of its own keys, and a slot that nobody has those of its own.
    pub(crate) async fn scatter(&self, commands: &[(u16, Cmd)]) -> Result<Vec<Result<Value, Failure>>, Failure> {
        let map = self.map().await.map_err(Failure::Away)?;
        let mut shards: HashMap<&Address, Vec<usize>> = HashMap::new();
        let mut nobodys = Vec::new();
        for (index, (slot, _)) in commands.iter().enumerate() {
            match map.owner(*slot) {
                Ok(owner) => shards.entry(owner).or_default().push(index),
                Err(error) => nobodys.push((index, error)),
            }
        }
        let batches = shards.into_iter().map(|(address, indices)| self.batch(address, indices, commands));
        let mut answers: Vec<_> = commands.iter().map(|_| Ok(Value::Nil)).collect();
        for (index, answer) in join_all(batches).await.into_iter().flatten() {
            answers[index] = answer;
        }
        // Last, when it is known who answers.
        for (index, error) in nobodys {
            answers[index] = Err(self.nobodys(error));
        }
        Ok(answers)
    }

    /// As [`Cluster::scatter`], where each command has to be answered.
    pub(crate) async fn scatter_all(&self, commands: &[(u16, Cmd)]) -> Result<Vec<Value>, Failure> {
        self.scatter(commands).await?.into_iter().collect()
    }

    /// The batch of one server. What the server has no more is sent on by itself.
    async fn batch(
        &self,
        address: &Address,
        indices: Vec<usize>,
        commands: &[(u16, Cmd)],
    ) -> Vec<(usize, Result<Value, Failure>)> {
        let batch: Vec<&Cmd> = indices.iter().map(|index| &commands[*index].1).collect();
        let asked = match self.inner.lane(address) {
            Ok(lane) => lane.request(async |connection| exchange(connection, &batch, false).await).await,
            Err(error) => Err(error),
        };
        let answers = match self.judge(address, asked) {
            Ok(answers) => answers,
            Err(failure) => return indices.into_iter().map(|index| (index, Err(failure.clone()))).collect(),
        };
        let settled = indices.into_iter().zip(answers).map(async |(index, answer)| {
            let (slot, command) = &commands[index];
            let answer = match answer.extract_error() {
                Err(error) if Direction::of(&error, address).is_some() => self.send(*slot, command).await,
                answer => answer.map_err(|error| {
                    self.suspect(&error);
                    self.weigh(Some(address), Failure::Answer(error))
                }),
            };
            (index, answer)
        });
        join_all(settled).await
    }

    /// Answers when a primary does, once each has answered or failed: each server fails by itself.
    pub(crate) async fn ping(&self) -> Result<(), TierError> {
        let map = self.map().await?;
        let ping = redis::cmd("PING");
        let pings = map.primaries().map(async |address| {
            let lane = self.inner.lane(address)?;
            lane.query::<Value>("PING", &ping).await.inspect_err(|_| self.inner.outdated.notify_one())
        });
        let answers = join_all(pings).await;
        if answers.iter().any(Result::is_ok) {
            return Ok(());
        }
        answers.into_iter().next().unwrap_or_else(|| Err(TierError::unavailable("the cluster has no slots"))).map(drop)
    }

    /// The lane of the server that has `slot`, by a map that is drawn now.
    pub(crate) async fn owner_now(&self, slot: u16) -> Result<Arc<Lane>, TierError> {
        // The drawer only draws: callers that need the map of now draw it themselves.
        self.map().await?;
        let map = self.inner.draw().await?;
        let address = map.owner(slot)?;
        self.inner.lane(address)
    }

    /// The lane of each primary, and the map that they were taken from.
    async fn primaries_now(&self) -> Result<(Vec<Arc<Lane>>, Arc<Map>), TierError> {
        self.map().await?;
        let map = self.inner.draw().await?;
        let lanes = map.primaries().map(|address| self.inner.lane(address)).collect::<Result<_, _>>()?;
        Ok((lanes, map))
    }

    /// Ends the drawer and lets go of the connections.
    pub(crate) fn close(&self) {
        let mut drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner);
        self.inner.state.send_replace(State::Closed);
        drawer.abort_all();
        self.inner.lock().drain().for_each(|(_, lane)| lane.close());
    }

    async fn follow(&self, slot: u16, commands: &[Cmd]) -> Result<Vec<Value>, Failure> {
        let began = Instant::now();
        let commands: Vec<&Cmd> = commands.iter().collect();
        let map = self.map().await.map_err(Failure::Away)?;
        let owner = map.owner(slot).map_err(|error| self.nobodys(error))?;
        let (mut address, mut asking) = (owner.clone(), false);
        let (mut attempt, mut wait) = (1, SLOT_WAIT);
        loop {
            let lane = self.inner.lane(&address).map_err(Failure::Away)?;
            let asked = lane.request(async |connection| exchange(connection, &commands, asking).await).await;
            let values = self.judge(&address, asked)?;
            let refused = values.iter().find(|value| matches!(value, Value::ServerError(_)));
            let Some(error) = refused.and_then(|value| value.clone().extract_error().err()) else { return Ok(values) };
            match Direction::of(&error, &address) {
                Some(_) if attempt >= ATTEMPTS => return Err(Failure::Answer(error)),
                Some(Direction::Moved(to)) => {
                    self.inner.outdated.notify_one();
                    (address, asking) = (to, false);
                }
                Some(Direction::Ask(to)) => (address, asking) = (to, true),
                Some(Direction::Divided) => {
                    if began.elapsed() + wait > self.inner.limits.response_timeout / 2 {
                        return Err(Failure::Answer(error));
                    }
                    // Some keys have moved and others have not: back to where they came from, in a while.
                    tokio::time::sleep(wait).await;
                    wait *= 2;
                    (address, asking) = (owner.clone(), false);
                }
                None => {
                    self.suspect(&error);
                    return Err(self.weigh(Some(&address), Failure::Answer(error)));
                }
            }
            attempt += 1;
        }
    }

    fn judge<T>(&self, address: &Address, asked: Result<RedisResult<T>, TierError>) -> Result<T, Failure> {
        let failure = match asked {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(error)) => {
                self.suspect(&error);
                Failure::Answer(error)
            }
            Err(away) => {
                self.inner.outdated.notify_one();
                Failure::Away(away)
            }
        };
        Err(self.weigh(Some(address), failure))
    }

    /// The failure of a slot that nobody has by the map.
    fn nobodys(&self, error: TierError) -> Failure {
        self.inner.outdated.notify_one();
        self.weigh(None, Failure::Away(error))
    }

    /// What a failure says of the tier: that of the server at `address`, or of no server. One that fails while another answers
    /// must not have callers of all others turned away, and neither must a slot that nobody has.
    fn weigh(&self, address: Option<&Address>, failure: Failure) -> Failure {
        // Who says that nobody has a slot answers for others.
        let address = address.filter(|_| !failure.is_of_one_slot());
        if failure.is_of_a_part() && self.inner.answers_beside(address) {
            Failure::Partial(Box::new(failure))
        } else {
            failure
        }
    }

    /// Has the map drawn again if `error` can come from one that is out of date.
    fn suspect(&self, error: &RedisError) {
        if tier_error("", error).is_outage() {
            self.inner.outdated.notify_one();
        }
    }

    /// The map, or why there is none: after the first attempt to draw it, at once.
    async fn map(&self) -> Result<Arc<Map>, TierError> {
        if let Some(known) = self.inner.known() {
            return known;
        }
        let mut changes = self.inner.state.subscribe();
        self.start_drawer()?;
        let limit = self.inner.limits.connect_timeout;
        let settled = changes.wait_for(|state| !matches!(state, State::Idle | State::Drawing));
        // Only the outcome of the wait matters here: what it came to is read below.
        let _ = tokio::time::timeout(limit, settled).await;
        self.inner.known().unwrap_or_else(|| {
            Err(TierError::timed_out(format!("finding the servers of the cluster took more than {limit:?}")))
        })
    }

    fn start_drawer(&self) -> Result<(), TierError> {
        let runtime = Handle::try_current()
            .map_err(|_| TierError::unavailable("no Tokio runtime; call from within a Tokio runtime"))?;
        // Held until the task is stored, so that closing cannot miss it.
        let mut drawer = self.drawer.lock().unwrap_or_else(PoisonError::into_inner);
        let was_idle = self.inner.state.send_if_modified(|state| {
            let idle = matches!(state, State::Idle);
            if idle {
                *state = State::Drawing;
            }
            idle
        });
        if was_idle {
            *drawer = JoinSet::new();
            drawer.spawn_on(Drawer(Arc::clone(&self.inner)).run(), &runtime);
        }
        Ok(())
    }
}

/// Sends commands and tells what each was answered. After an ASK, each is announced as meant for this server.
async fn exchange(connection: &mut SharedConnection, commands: &[&Cmd], asking: bool) -> RedisResult<Vec<Value>> {
    if let ([command], false) = (commands, asking) {
        return Ok(vec![connection.req_packed_command(command).await?]);
    }
    let mut batch = redis::Pipeline::with_capacity(commands.len() * 2);
    for command in commands {
        if asking {
            batch.cmd("ASKING");
        }
        batch.add_command((*command).clone());
    }
    let count = batch.len();
    let answers = connection.req_packed_commands(&batch, 0, count).await?;
    let each = if asking { 2 } else { 1 };
    Ok(answers.into_iter().skip(each - 1).step_by(each).collect())
}

impl Inner {
    fn known(&self) -> Option<Result<Arc<Map>, TierError>> {
        match &*self.state.borrow() {
            State::Known(map) => Some(Ok(Arc::clone(map))),
            State::Unknown(reason) => Some(Err(reason.clone())),
            State::Closed => Some(Err(TierError::unavailable("the tier is closed"))),
            State::Idle | State::Drawing => None,
        }
    }

    /// Whether a primary answers, other than the one at `address`.
    fn answers_beside(&self, address: Option<&Address>) -> bool {
        let Some(Ok(map)) = self.known() else { return false };
        let lanes = self.lock();
        let mut others = map.primaries().filter(|primary| Some(*primary) != address);
        others.any(|primary| lanes.get(primary).is_some_and(|lane| lane.answers()))
    }

    /// The lane to the server at `address`. There is none to be had once the tier is closed: it would not end.
    fn lane(&self, address: &Address) -> Result<Arc<Lane>, TierError> {
        if let Some(lane) = self.lock().get(address) {
            return Ok(Arc::clone(lane));
        }
        let like = self.seeds.first().ok_or_else(|| TierError::unavailable("no server is known"))?;
        let login = like.clone().set_addr(at(like.addr(), address.0.clone(), address.1));
        let server = Server::new(&login, format!("{}:{}", address.0, address.1), self.limits)
            .map_err(|error| tier_error("connecting", &error))?;
        let lane = Lane::new(Place::Server(Arc::new(server)), self.limits.connect_timeout, Arc::clone(&self.counts));
        let mut lanes = self.lock();
        // Under the lock: who closes says so before the lanes are taken out.
        if matches!(*self.state.borrow(), State::Closed) {
            return Err(TierError::unavailable("the tier is closed"));
        }
        Ok(Arc::clone(lanes.entry(address.clone()).or_insert_with(|| Arc::new(lane))))
    }

    /// Asks the primaries that are known for a map, and if they do not tell, whoever else is known.
    async fn draw(&self) -> Result<Arc<Map>, TierError> {
        let known = self.known().and_then(Result::ok);
        let primaries: Vec<Address> = known.iter().flat_map(|map| map.primaries().cloned()).collect();
        let map = match self.ask(primaries).await {
            Ok(map) => map,
            Err(_) => {
                let replicas = known.iter().flat_map(|map| map.replicas().cloned());
                let seeds = self.seeds.iter().filter_map(|seed| map::address_of(seed.addr()));
                self.ask(replicas.chain(seeds).collect()).await?
            }
        };
        let map = Arc::new(map);
        self.lock().retain(|address, _| map.primaries().any(|primary| primary == address));
        self.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = State::Known(Arc::clone(&map));
            }
            open
        });
        Ok(map)
    }

    /// The first map of a server that is well; else that of any.
    async fn ask(&self, addresses: Vec<Address>) -> Result<Map, TierError> {
        let mut answers: FuturesUnordered<_> = addresses.iter().map(|address| self.ask_one(address)).collect();
        let mut result = Err(TierError::unavailable("no server of the cluster is known"));
        while let Some(answer) = answers.next().await {
            match answer {
                Ok((map, true)) => return Ok(map),
                Ok((map, false)) => result = Ok(map),
                Err(error) if result.is_err() => result = Err(error),
                Err(_) => {}
            }
        }
        result
    }

    /// What the server at `address` says, and whether it is in touch with the others.
    async fn ask_one(&self, address: &Address) -> Result<(Map, bool), TierError> {
        let lane = self.lane(address)?;
        let mut batch = redis::pipe();
        batch.cmd("CLUSTER").arg("SLOTS").cmd("CLUSTER").arg("INFO");
        let (slots, info): (Value, String) = lane.query_all("CLUSTER SLOTS", &batch).await?;
        let map = Map::read(slots, &address.0)
            .ok_or_else(|| TierError::unavailable("CLUSTER SLOTS was answered with something else"))?;
        Ok((map, info.contains("cluster_state:ok")))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Address, Arc<Lane>>> {
        // A panic under the lock leaves lanes that are each whole.
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The task that draws the map.
struct Drawer(Arc<Inner>);

impl Drawer {
    async fn run(self) {
        loop {
            match self.0.draw().await {
                Ok(_) => {
                    tokio::time::sleep(DRAW_INTERVAL).await;
                    self.0.outdated.notified().await;
                }
                Err(error) => {
                    self.0.state.send_if_modified(|state| {
                        let nothing = matches!(state, State::Drawing | State::Unknown(_));
                        if nothing {
                            *state = State::Unknown(error.clone());
                        }
                        nothing
                    });
                    tokio::time::sleep(DRAW_INTERVAL * 4).await;
                }
            }
        }
    }
}

impl Drop for Drawer {
    /// It ends with the cluster, or with its runtime. In the second case the next call starts anew.
    fn drop(&mut self) {
        self.0.state.send_if_modified(|state| {
            let open = !matches!(state, State::Closed);
            if open {
                *state = State::Idle;
            }
            open
        });
    }
}

/// The slot of the first key of a command, and of a script.
pub(crate) fn slot_of_command(command: &Cmd) -> u16 {
    let is_script =
        command.args_iter().next().is_some_and(|name| matches!(name, redis::Arg::Simple(b"EVAL" | b"EVALSHA")));
    match command.args_iter().nth(if is_script { 3 } else { 1 }) {
        Some(redis::Arg::Simple(key)) => slot_of(key),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo;

    use super::*;

    #[tokio::test]
    async fn a_call_that_goes_on_while_the_tier_is_closed_leaves_no_connection_behind() {
        let bound = Duration::from_secs(1);
        let limits = Limits { connect_timeout: bound, response_timeout: bound, pool_size: 1 };
        let seed = "redis://127.0.0.1:1".into_connection_info().unwrap();
        let cluster = Cluster::new(vec![seed], limits, Arc::default());
        let address = ("127.0.0.1".to_owned(), 1);
        cluster.inner.lane(&address).unwrap();
        cluster.close();
        assert!(cluster.inner.lane(&address).unwrap_err().to_string().contains("the tier is closed"));
        assert!(cluster.inner.lock().is_empty());
    }
}
