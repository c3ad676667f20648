//! A key that nobody has: what it costs to find that out, to load and to store.

use std::convert::Infallible;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use cache_aside::{BusStatus, CachingService, LocalTier, RedisTier};
use cache_testing::proxy::{Direction, Flow};
use cache_testing::{FaultProxy, RedisServer};
use redis::aio::MultiplexedConnection;
use tokio::runtime::Runtime;

use super::{Effort, VALUE_BYTES};
use crate::plots::figure;
use crate::report::{Report, Section};
use crate::rounds::{Taken, take_turns};

const ASIDE: &str = "cache-aside, `get_or_load`";
const PLAIN: &str = "redis-rs, GET and SET";
const TRIP: &str = "redis-rs, GET";
/// How many misses a turn has, over loopback and over a distant link.
const NEAR: usize = 200;
const DISTANT: usize = 5;
/// One way, of the distant link. Long enough for what timers and processors add to be small beside it.
const ONE_WAY: Duration = Duration::from_millis(15);

/// How often a loader ran.
static LOADS: AtomicUsize = AtomicUsize::new(0);

enum Subject {
    Aside(CachingService),
    Plain(MultiplexedConnection),
    Trip(MultiplexedConnection),
}

pub(super) fn measure(
    runtime: &Runtime,
    effort: Effort,
    server: &RedisServer,
    report: &mut Report,
) -> anyhow::Result<()> {
    let near = runtime.block_on(subjects(&server.url()))?;
    let mut fresh = 0;
    let micros = turns(runtime, effort.rounds, &near, NEAR, &mut fresh);
    let commands = runtime.block_on(commands_of_a_miss(server, &near, &mut fresh))?;
    let (distant, _proxy) = runtime.block_on(async {
        let proxy = FaultProxy::start(server.address());
        let subjects = subjects(&server.url_at(proxy.port())).await?;
        for direction in [Direction::ToServer, Direction::ToClient] {
            proxy.set(direction, Flow::Delay(ONE_WAY));
        }
        anyhow::Ok((subjects, proxy))
    })?;
    let waits = turns(runtime, effort.rounds.div_ceil(3), &distant, DISTANT, &mut fresh);
    let trips = |name| waits.ratio(name, TRIP, 0);
    // What timers add is a few hundredths of a round trip.
    report.at_most(
        "cold miss and fill: round trips more than GET + SET",
        ((trips(ASIDE) - trips(PLAIN)) * 10.0).round() / 10.0,
        1.0,
    );
    let row = |(name, commands): (&'static str, String)| {
        let ratio = format!("{:.2}", micros.ratio(name, PLAIN, 0));
        vec![name.to_owned(), format!("{:.2}", trips(name)), ratio, figure(micros.median(name, 0)), commands]
    };
    report.add(Section {
        title: "Cold miss and fill".to_owned(),
        text: format!(
            "One task, keys that are new, a loader that answers at once, L1 and L2. Round trips are how long a call waits over \
             a link of {} ms there and back, by the time of one GET over it. The commands are those that the server counts \
             for one miss, those in scripts included.",
            2 * ONE_WAY.as_millis()
        ),
        columns: ["", "round trips", "time on loopback, against GET + SET", "us on loopback", "commands"]
            .map(str::to_owned)
            .to_vec(),
        rows: commands.into_iter().map(row).collect(),
        plot: None,
    });
    Ok(())
}

async fn subjects(url: &str) -> anyhow::Result<Vec<(&'static str, Subject)>> {
    let (near, far) = (LocalTier::new(1_000_000), RedisTier::new(url)?);
    let service = CachingService::builder().namespace("misses").local(near).remote(far).build().await?;
    while service.status().await.bus != BusStatus::Healthy {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let connection = redis::Client::open(url)?.get_multiplexed_async_connection().await?;
    Ok(vec![
        (ASIDE, Subject::Aside(service)),
        (PLAIN, Subject::Plain(connection.clone())),
        (TRIP, Subject::Trip(connection)),
    ])
}

/// Microseconds a miss.
fn turns(
    runtime: &Runtime,
    rounds: usize,
    subjects: &[(&'static str, Subject)],
    misses: usize,
    fresh: &mut usize,
) -> Taken<1> {
    take_turns(rounds, subjects, |_, subject| {
        let began = Instant::now();
        runtime.block_on(turn(subject, misses, fresh)).expect("the server serves");
        [began.elapsed().as_secs_f64() * 1e6 / misses as f64]
    })
}

async fn turn(subject: &Subject, misses: usize, fresh: &mut usize) -> anyhow::Result<()> {
    for _ in 0..misses {
        *fresh += 1;
        let (key, value) = (format!("new:{fresh}"), "x".repeat(VALUE_BYTES));
        match subject {
            Subject::Aside(service) => {
                let loads = LOADS.load(Ordering::Relaxed);
                let load = move || async move {
                    LOADS.fetch_add(1, Ordering::Relaxed);
                    Ok::<_, Infallible>(value)
                };
                service.get_or_load(&key, load).await?;
                anyhow::ensure!(LOADS.load(Ordering::Relaxed) > loads, "{key} was there");
            }
            Subject::Plain(connection) => {
                let mut connection = connection.clone();
                let found: Option<Vec<u8>> = redis::cmd("GET").arg(&key).query_async(&mut connection).await?;
                anyhow::ensure!(found.is_none(), "{key} was there");
                let mut set = redis::cmd("SET");
                set.arg(&key).arg(&value).arg("PX").arg(3_600_000).exec_async(&mut connection).await?;
            }
            Subject::Trip(connection) => {
                let mut connection = connection.clone();
                let found: Option<Vec<u8>> = redis::cmd("GET").arg(&key).query_async(&mut connection).await?;
                anyhow::ensure!(found.is_none(), "{key} was there");
            }
        }
    }
    Ok(())
}

/// For each subject what the server ran for one miss, in words.
async fn commands_of_a_miss(
    server: &RedisServer,
    subjects: &[(&'static str, Subject)],
    fresh: &mut usize,
) -> anyhow::Result<Vec<(&'static str, String)>> {
    let mut described = Vec::new();
    for (name, subject) in subjects {
        server.command(&["CONFIG", "RESETSTAT"]).context("cannot reset the server's counters")?;
        turn(subject, NEAR, fresh).await?;
        let statistics = server.cli(&["INFO", "commandstats"]);
        let mut commands: Vec<_> = statistics.lines().filter_map(counted).collect();
        commands.sort_by_key(|command| std::cmp::Reverse(command.1));
        let commands = commands.into_iter().filter(|(_, calls)| *calls >= NEAR / 2);
        let commands: Vec<_> =
            commands.map(|(command, calls)| format!("{command} {:.1}", calls as f64 / NEAR as f64)).collect();
        described.push((*name, commands.join(", ")));
    }
    Ok(described)
}

/// The name and the number of calls of a line such as `cmdstat_get:calls=21,usec=175,..`.
fn counted(line: &str) -> Option<(String, usize)> {
    let (name, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
    Some((name.to_uppercase(), rest.split(',').next()?.parse().ok()?))
}
