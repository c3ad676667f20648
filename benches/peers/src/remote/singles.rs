//! Reads of one key each, by many tasks at once.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{Client, Effort, FRED, POOL, RAW, SERVICE, TIER};
use crate::plots::{Plot, figure};
use crate::report::{Report, Section};
use crate::rounds::{Taken, take_turns};

/// The figures of a turn: calls a second, and percentiles in microseconds.
const RATE: usize = 0;
const P50: usize = 1;
const P99: usize = 2;

/// How many tasks, and how many times as many calls a second as the raw client must be made.
const TASKS: [(usize, f64); 4] = [(1, 0.95), (16, 0.95), (64, 1.15), (256, 1.4)];

pub(super) fn measure(runtime: &Runtime, effort: Effort, clients: &[(&'static str, Client)], report: &mut Report) {
    let taken = TASKS.map(|(tasks, _)| {
        take_turns(effort.rounds, clients, |_, client| runtime.block_on(turn(client, tasks, effort.turn)))
    });
    for ((tasks, limit), taken) in TASKS.iter().zip(&taken) {
        let rate = taken.ratio(TIER, RAW, RATE);
        report.at_least(format!("L2 GET, {tasks} tasks: calls a second against redis-rs"), rate, *limit);
        if *tasks >= 64 {
            let p99 = taken.ratio(TIER, RAW, P99);
            report.at_most(format!("L2 GET, {tasks} tasks: p99 against redis-rs"), p99, 1.0);
        }
    }
    let mut rows = Vec::new();
    for ((tasks, _), taken) in TASKS.iter().zip(&taken) {
        rows.extend(taken.names().iter().map(|name| row(*tasks, name, taken)));
    }
    let bars = [RAW, TIER, SERVICE, FRED, POOL]
        .map(|name| (name.to_owned(), taken.iter().map(|taken| taken.median(name, RATE)).collect()));
    report.add(Section {
        title: "L2 read, `GET`".to_owned(),
        text: "Tasks that read one key after the other, of 10,000. The service decodes what it reads, the others hand out bytes."
            .to_owned(),
        columns: ["tasks", "", "calls/s, against redis-rs", "p99, against redis-rs", "calls/s", "p50, us", "p99, us"]
            .map(str::to_owned)
            .to_vec(),
        rows,
        plot: Some(Plot {
            file: "l2-get.svg",
            title: "L2 read, GET".to_owned(),
            unit: "calls a second (more is better)",
            series: TASKS.map(|(tasks, _)| format!("{tasks} tasks")).to_vec(),
            bars: bars.to_vec(),
        }),
    });
}

fn row(tasks: usize, name: &'static str, taken: &Taken<3>) -> Vec<String> {
    let ratios = [RATE, P99].map(|at| format!("{:.2}", taken.ratio(name, RAW, at)));
    let figures = [RATE, P50, P99].map(|at| figure(taken.median(name, at)));
    [tasks.to_string(), name.to_owned()].into_iter().chain(ratios).chain(figures).collect()
}

/// So many tasks that each read one key after the other.
async fn turn(client: &Client, tasks: usize, lasts: Duration) -> [f64; 3] {
    let began = Instant::now();
    let callers: Vec<_> =
        (0..tasks).map(|task| tokio::spawn(caller(client.clone(), task * 7_919, began + lasts))).collect();
    let mut taken = Vec::new();
    for caller in callers {
        taken.extend(caller.await.expect("no reader panics"));
    }
    let rate = taken.len() as f64 / began.elapsed().as_secs_f64();
    taken.sort_unstable();
    let at = |percent: usize| taken[(taken.len() * percent / 100).min(taken.len() - 1)].as_secs_f64() * 1e6;
    [rate, at(50), at(99)]
}

async fn caller(mut client: Client, from: usize, end: Instant) -> Vec<Duration> {
    let (mut taken, mut at, mut now) = (Vec::new(), from, Instant::now());
    while now < end {
        client.get(at).await.expect("the server serves");
        let then = Instant::now();
        taken.push(then - now);
        (at, now) = (at + 1, then);
    }
    taken
}
