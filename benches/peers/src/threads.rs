//! What a second thread adds.

use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use crate::caches::{ALL, ASIDE, Cache, Call, MOKA};
use crate::data::{Order, Workload};
use crate::plots::figure;
use crate::report::{Report, Section};
use crate::rounds::take_turns;

/// How many calls each thread makes in a turn.
const CALLS: usize = 50_000;
/// The figures of a turn: the gain by the second thread, the calls a second of one thread, and those of two.
const GAIN: usize = 0;
const ALONE: usize = 1;
const BOTH: usize = 2;

pub(crate) fn measure(rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    for workload in [Workload::ONE, Workload::ZIPF] {
        let keys = workload.key_names();
        let orders = [workload.order(1)?, workload.order(2)?];
        let peers = ALL.iter().filter(|peer| peer.calls.contains(&Call::Get));
        let filled = peers
            .map(|peer| Ok((peer.name, (peer.fill)(keys.clone())?)))
            .collect::<anyhow::Result<Vec<(&'static str, Box<dyn Cache>)>>>()?;
        let taken = take_turns(rounds, &filled, |round, cache| {
            let one = run(&orders[..1], round, &**cache);
            let two = run(&orders, round, &**cache) / 2.0;
            [one / two, 1.0 / one, 1.0 / two]
        });
        report.at_least(format!("two threads against one, {}", workload.name), taken.median(ASIDE, GAIN), 1.8);
        let row = |(name, _): &(&'static str, _)| {
            let columns = [format!("{:.2}", taken.median(name, GAIN)), format!("{:.2}", taken.ratio(name, MOKA, BOTH))];
            let calls = [ALONE, BOTH].map(|figures| figure(taken.median(name, figures)));
            std::iter::once((*name).to_owned()).chain(columns).chain(calls).collect()
        };
        report.add(Section {
            title: format!("Two threads, `get`, {}", workload.name),
            text: "Calls a second, by the clock; more is better.".to_owned(),
            columns: [
                "",
                "two threads against one",
                "two threads, against moka::sync",
                "one thread, calls/s",
                "two threads, calls/s",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: filled.iter().map(row).collect(),
            plot: None,
        });
    }
    Ok(())
}

/// The seconds from when all threads have begun until all have ended, by the calls of one thread.
fn run(orders: &[Order], round: usize, cache: &dyn Cache) -> f64 {
    let (begin, end) = (Barrier::new(orders.len() + 1), Barrier::new(orders.len() + 1));
    thread::scope(|scope| {
        for order in orders {
            scope.spawn(|| {
                let places = order.turn(round, CALLS);
                begin.wait();
                let hits = cache.hits(Call::Get, places);
                end.wait();
                assert_eq!(hits, places.len(), "every look-up is a hit");
            });
        }
        begin.wait();
        let began = Instant::now();
        end.wait();
        began.elapsed().as_secs_f64() / CALLS as f64
    })
}
