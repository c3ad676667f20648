//! What a second thread adds.

use std::hint::black_box;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use futures_util::FutureExt;

use crate::data::{Record, Workload};
use crate::limits::Limits;
use crate::rounds::median;
use crate::subjects;

/// How many calls each thread makes in a round.
const CALLS: usize = 200_000;

pub(crate) fn measure(rounds: usize, limits: &mut Limits) -> anyhow::Result<()> {
    println!(
        "\n### two threads, in calls a second against one\n\n| | cache-aside | moka | quick_cache | cloning one `Arc` |\n|---|---|---|---|---|"
    );
    for workload in [Workload::ONE, Workload::ZIPF] {
        let keys = workload.key_names();
        let (one, other) = (workload.order(1)?, workload.order(2)?);
        let orders = [one.as_slice(), other.as_slice()];
        let (ours, moka, quick) = (subjects::ours(&keys)?, subjects::moka(&keys), subjects::quick_cache(&keys));
        let all: Vec<Arc<Record>> = keys.iter().map(|_| Arc::new(1)).collect();
        let (keys, all) = (&keys, &all);
        let gain = gains(
            rounds,
            orders,
            [
                &|at| drop(black_box(ours.get::<Record>(keys[at].as_str()).now_or_never())),
                &|at| drop(black_box(moka.get(keys[at].as_str()))),
                &|at| drop(black_box(quick.get(keys[at].as_str()))),
                &|at| drop(black_box(Arc::clone(&all[at]))),
            ],
        );
        println!("| {} | {:.2} | {:.2} | {:.2} | {:.2} |", workload.name, gain[0], gain[1], gain[2], gain[3]);
        limits.at_least(&format!("two threads against one, {}", workload.name), gain[0], 1.8);
    }
    Ok(())
}

/// The medians of the gains by a second thread.
fn gains<const N: usize>(rounds: usize, orders: [&[u32]; 2], asks: [&(dyn Fn(usize) + Sync); N]) -> [f64; N] {
    let mut gains = asks.map(|_| Vec::new());
    for _ in 0..rounds {
        for (ask, gains) in asks.iter().zip(&mut gains) {
            let alone = run(&orders[..1], *ask);
            let together = run(&orders, *ask);
            gains.push(2.0 * alone.as_secs_f64() / together.as_secs_f64());
        }
    }
    gains.map(median)
}

/// The time from when all threads have begun until all have ended.
fn run(orders: &[&[u32]], ask: &(dyn Fn(usize) + Sync)) -> Duration {
    let (begin, end) = (Barrier::new(orders.len() + 1), Barrier::new(orders.len() + 1));
    thread::scope(|scope| {
        for order in orders {
            scope.spawn(|| {
                begin.wait();
                order.iter().take(CALLS).for_each(|at| ask(*at as usize));
                end.wait();
            });
        }
        begin.wait();
        let began = Instant::now();
        end.wait();
        began.elapsed()
    })
}
