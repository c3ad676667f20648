//! The way to the servers: one lane, or those of a cluster.

use std::sync::Arc;

use cache_core::TierError;
use redis::{Cmd, FromRedisValue, Pipeline, Value};

#[cfg(feature = "cluster")]
use crate::cluster::{Cluster, slot_of_command};
use crate::gets::Gets;
use crate::lane::Lane;
use crate::scripts::Call;
#[cfg(feature = "cluster")]
use crate::slot::slot_of;
use crate::topology::Server;

/// Sends commands to the server that has their keys.
pub(crate) enum Lanes {
    /// All keys are on one server.
    One(Gets),
    /// They are spread over several.
    #[cfg(feature = "cluster")]
    Cluster(Box<Cluster>),
}

impl Lanes {
    /// Sends one command. `action` names it in errors.
    pub(crate) async fn query<T: FromRedisValue>(&self, action: &str, command: &Cmd) -> Result<T, TierError> {
        match self {
            Self::One(gets) => gets.lane().query(action, command).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => read(
                action,
                cluster.send(slot_of_command(command), command).await.map_err(|f| f.into_tier_error(action))?,
            ),
        }
    }

    /// Sends several commands at once, whose keys are in one slot.
    pub(crate) async fn query_all<T: FromRedisValue>(&self, action: &str, batch: &Pipeline) -> Result<T, TierError> {
        match self {
            Self::One(gets) => gets.lane().query_all(action, batch).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let commands: Vec<Cmd> = batch.cmd_iter().cloned().collect();
                let slot = commands.first().map_or(0, slot_of_command);
                let values = cluster.send_all(slot, &commands).await.map_err(|f| f.into_tier_error(action))?;
                read(action, Value::Array(values))
            }
        }
    }

    /// Runs a script whose keys are in one slot.
    pub(crate) async fn invoke<T: FromRedisValue>(&self, action: &str, script: &Call) -> Result<T, TierError> {
        match self {
            Self::One(gets) => gets.lane().invoke(action, script).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let slot = slot_of_command(&script.by_hash());
                cluster.invoke(slot, script).await.map_err(|failure| failure.into_tier_error(action))
            }
        }
    }

    /// What is under `name`. Many calls at once are gathered into batches, except in a cluster, where few keys are in one
    /// slot.
    pub(crate) async fn value(&self, name: String) -> Result<Value, TierError> {
        match self {
            Self::One(gets) => gets.get(name).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let slot = slot_of(name.as_bytes());
                let mut command = redis::cmd("GET");
                command.arg(name);
                cluster.send(slot, &command).await.map_err(|failure| failure.into_tier_error("GET"))
            }
        }
    }

    /// What is under each name, in order. In a cluster a server that fails, while another answers, costs its own names alone.
    pub(crate) async fn values(&self, names: &[String]) -> Result<Vec<Result<Value, TierError>>, TierError> {
        match self {
            Self::One(gets) => {
                let mut command = redis::cmd("MGET");
                command.arg(names);
                let values: Vec<Value> = gets.lane().query("MGET", &command).await?;
                Ok(values.into_iter().map(Ok).collect())
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let get = |name: &String| {
                    let mut command = redis::cmd("GET");
                    command.arg(name);
                    (slot_of(name.as_bytes()), command)
                };
                let commands: Vec<_> = names.iter().map(get).collect();
                let answers = cluster.scatter(&commands).await.map_err(|failure| failure.into_tier_error("GET"))?;
                let answers =
                    answers.into_iter().map(|answer| answer.map_err(|failure| failure.into_tier_error("GET")));
                values_or_failure(answers.collect())
            }
        }
    }

    /// Sends several commands of one key each, at once.
    pub(crate) async fn set_all(&self, commands: Vec<Cmd>) -> Result<(), TierError> {
        match self {
            Self::One(gets) => {
                let mut batch = Pipeline::with_capacity(commands.len());
                commands.into_iter().for_each(|command| {
                    batch.add_command(command).ignore();
                });
                gets.lane().query_all("SET", &batch).await
            }
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => {
                let commands: Vec<_> =
                    commands.into_iter().map(|command| (slot_of_command(&command), command)).collect();
                cluster.scatter_all(&commands).await.map(drop).map_err(|failure| failure.into_tier_error("SET"))
            }
        }
    }

    /// Answers when the server does, or one of a cluster that has keys.
    pub(crate) async fn ping(&self) -> Result<(), TierError> {
        match self {
            Self::One(gets) => gets.lane().query("PING", &redis::cmd("PING")).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.ping().await,
        }
    }

    /// The lane of each server that has keys.
    pub(crate) async fn primaries(&self) -> Result<Vec<Arc<Lane>>, TierError> {
        match self {
            Self::One(gets) => Ok(vec![Arc::clone(gets.lane())]),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.primaries().await,
        }
    }

    /// The server that has the journal, to which the bus is connected.
    pub(crate) async fn journal_server(&self, journal: &str) -> Result<Arc<Server>, TierError> {
        let _ = journal;
        match self {
            Self::One(gets) => gets.lane().place().server().await,
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.owner_now(slot_of(journal.as_bytes())).await?.place().server().await,
        }
    }

    /// Has all commands go to `server`, to which the bus has been connected. In a cluster they go by the map.
    ///
    /// # Errors
    /// They still go to where they went before.
    pub(crate) async fn follow_bus(&self, server: &Arc<Server>) -> Result<(), TierError> {
        match self {
            Self::One(gets) => gets.lane().renew(server).await,
            #[cfg(feature = "cluster")]
            Self::Cluster(_) => Ok(()),
        }
    }

    /// Lets go of the connections.
    pub(crate) fn close(&self) {
        match self {
            Self::One(gets) => gets.lane().close(),
            #[cfg(feature = "cluster")]
            Self::Cluster(cluster) => cluster.close(),
        }
    }

    /// Whether the keys are spread over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        !matches!(self, Self::One(_))
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn cluster(&self) -> Option<&Cluster> {
        match self {
            Self::One(_) => None,
            Self::Cluster(cluster) => Some(cluster),
        }
    }
}

/// The answers, where a failed one costs no other: an error only where there are no others.
#[cfg(feature = "cluster")]
fn values_or_failure(answers: Vec<Result<Value, TierError>>) -> Result<Vec<Result<Value, TierError>>, TierError> {
    if answers.iter().any(Result::is_ok) {
        return Ok(answers);
    }
    answers.into_iter().map(|answer| answer.map(Ok)).collect()
}

#[cfg(feature = "cluster")]
fn read<T: FromRedisValue>(action: &str, value: Value) -> Result<T, TierError> {
    redis::from_redis_value(value).map_err(|error| crate::error::tier_error(action, &error.into()))
}
