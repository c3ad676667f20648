//! One thread that finds what it asks for.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use cache_aside::cached;

use crate::data::{Record, Workload};
use crate::limits::Limits;
use crate::rounds::{Turn, take_turns};
use crate::subjects::{self, MOKA, OURS, QUICK};

/// A place in an order of keys, from which each turn goes on.
struct Walk<'a> {
    order: &'a [u32],
    at: usize,
}

impl Walk<'_> {
    fn next(&mut self) -> usize {
        self.at = if self.at + 1 == self.order.len() { 0 } else { self.at + 1 };
        self.order[self.at] as usize
    }
}

pub(crate) fn measure(workload: &Workload, rounds: usize, limits: &mut Limits) -> anyhow::Result<()> {
    let (keys, order) = (workload.key_names(), workload.order(7)?);
    let (ours, moka, quick) = (subjects::ours(&keys)?, subjects::moka(&keys), subjects::quick_cache(&keys));
    let walk = || Walk { order: &order, at: 0 };
    let (mut a, mut b, mut c) = (walk(), walk(), walk());
    let turns = vec![
        Turn::new(MOKA, |calls| {
            for _ in 0..calls {
                black_box(moka.get(black_box(keys[a.next()].as_str())));
            }
        }),
        Turn::new(QUICK, |calls| {
            for _ in 0..calls {
                black_box(quick.get(black_box(keys[b.next()].as_str())));
            }
        }),
        Turn::of_async(OURS, async |calls| {
            for _ in 0..calls {
                black_box(ours.get::<Record>(black_box(keys[c.next()].as_str())).await);
            }
        }),
    ];
    let taken = take_turns(rounds, workload.calls, turns);
    taken.print(workload.name, MOKA);
    let limit = match workload.name {
        name if name == Workload::ONE.name => 0.25,
        name if name == Workload::ZIPF.name => 0.45,
        _ => 1.1,
    };
    limits.at_most(&format!("get, {}, against moka", workload.name), taken.ratio(OURS, MOKA), limit);
    if workload.keys == 1 {
        limits.at_most("get, one key, against quick_cache", taken.ratio(OURS, QUICK), 1.2);
    }
    Ok(())
}

#[cached(key = "user:{tenant}:{id}", ttl = "1h")]
async fn find_user(tenant: &str, id: u64) -> Arc<Record> {
    Arc::new(id + tenant.len() as u64)
}

/// The other calls that a hit can be made by, against `get`.
pub(crate) fn measure_calls(rounds: usize, limits: &mut Limits) -> anyhow::Result<()> {
    let key = find_user::key("tenant-1", 4_711);
    let ours = subjects::ours(std::slice::from_ref(&key))?;
    ours.clone().install_global()?;
    let load = || async { Ok::<Record, Infallible>(1) };
    let turns = vec![
        Turn::of_async("get", async |calls| {
            for _ in 0..calls {
                black_box(ours.get::<Record>(black_box(key.as_str())).await);
            }
        }),
        Turn::of_async("get_or_load", async |calls| {
            for _ in 0..calls {
                let _ = black_box(ours.get_or_load(black_box(key.as_str()), load).await);
            }
        }),
        Turn::of_async("#[cached]", async |calls| {
            for _ in 0..calls {
                black_box(find_user(black_box("tenant-1"), black_box(4_711)).await);
            }
        }),
    ];
    let taken = take_turns(rounds, Workload::ONE.calls, turns);
    taken.print("one annotated key", "get");
    limits.at_most("get_or_load against get", taken.ratio("get_or_load", "get"), 1.2);
    limits.at_most("#[cached] with a key of two arguments against get", taken.ratio("#[cached]", "get"), 1.5);
    Ok(())
}
