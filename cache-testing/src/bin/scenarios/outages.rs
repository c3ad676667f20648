//! Redis killed, hung, or not there: what calls cost, and that invalidations are not lost.

use std::time::{Duration, Instant};

use cache_testing::RedisServer;

use crate::node::{Node, load, near, node};
use crate::options::Options;
use crate::table::{Cell, median, shown};
use crate::{Failure, Heading};

/// Loads cold keys one after the other for as long as an outage lasts: how long each call took, and how many failed.
async fn call(node: &Node, outage: Duration) -> (Vec<Duration>, usize) {
    let (mut times, mut failed) = (Vec::new(), 0);
    let began = Instant::now();
    while began.elapsed() < outage {
        let called = Instant::now();
        match load(node, &format!("cold:{}", times.len()), "value").await {
            Ok(_) => times.push(called.elapsed()),
            Err(_) => failed += 1,
        }
    }
    (times, failed)
}

/// Redis is killed.
pub(crate) mod killed {
    use super::*;

    pub(crate) const HEADING: Heading = ("Redis killed 4 s: calls answered / failed, median", "13 / 0, 339 ms");

    const OTHERS_ANSWERED: usize = 13;
    const OTHERS_MEDIAN: Duration = Duration::from_millis(339);

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        let node = node(&redis.url()).await?;
        redis.kill();
        let (times, failed) = call(&node, options.outage()).await;
        let (answered, median) = (times.len(), median(times));
        let good = answered >= OTHERS_ANSWERED && failed == 0 && median <= OTHERS_MEDIAN;
        Ok(Cell::new(good, format!("{answered} / {failed}, {}", shown(median))))
    }
}

/// Redis accepts connections and answers nothing.
pub(crate) mod hung {
    use super::*;

    pub(crate) const HEADING: Heading = ("Redis hung 4 s: median of a call (slowest)", "0.5 s");

    const OTHERS_MEDIAN: Duration = Duration::from_millis(500);

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        let node = node(&redis.url()).await?;
        redis.stop();
        // Long enough for the first calls, which wait, to be few among all.
        let (times, failed) = call(&node, options.outage().max(Duration::from_secs(2))).await;
        redis.resume();
        let slowest = times.iter().max().copied().unwrap_or_default();
        let median = median(times);
        let good = failed == 0 && median <= OTHERS_MEDIAN;
        Ok(Cell::new(good, format!("{} ({}), {failed} failed", shown(median), shown(slowest))))
    }
}

/// Redis is not there when the service starts.
pub(crate) mod down_at_start {
    use cache_local::LocalTier;

    use super::*;
    use crate::node::builder;

    pub(crate) const HEADING: Heading = ("Redis down at start", "starts, first call 18.9 s");

    const OTHERS_FIRST_CALL: Duration = Duration::from_millis(18_900);

    pub(crate) async fn run(_: &Options) -> Result<Cell, Failure> {
        let redis = RedisServer::start();
        redis.kill();
        let began = Instant::now();
        let node = builder(&redis.url())?.local(LocalTier::new(100)).build().await?;
        let built = began.elapsed();
        let called = Instant::now();
        load(&node, "k", "value").await?;
        let first_call = called.elapsed();
        let text = format!("starts in {}, first call {}", shown(built), shown(first_call));
        Ok(Cell::new(built + first_call <= OTHERS_FIRST_CALL, text))
    }
}

/// A value is invalidated while Redis is away, and comes back with it.
pub(crate) mod queued {
    use cache_core::Delivery;

    use super::*;

    pub(crate) const HEADING: Heading =
        ("invalidation while Redis is away for 4 s: time in the call, other node old from its start", "4.3 s, 4.7 s");

    const OLD_AFTER: Duration = Duration::from_secs(15);

    /// With an outage of 4 s, from the start of the call: 4.3 s in the call and 0.4 s after it.
    const OTHERS_AFTER_OUTAGE: Duration = Duration::from_millis(700);

    pub(crate) async fn run(options: &Options) -> Result<Cell, Failure> {
        let (mut calls, mut old_for) = (Vec::new(), Vec::new());
        for _ in 0..options.choose(5, 1) {
            let (call, old) = round(options.outage()).await?;
            calls.push(call);
            old_for.push(old);
        }
        let worst = old_for.iter().max().copied().unwrap_or_default();
        let (call, old_for) = (median(calls), median(old_for));
        if worst >= OLD_AFTER {
            return Ok(Cell::new(false, format!("{}, old value kept", shown(call))));
        }
        let good = old_for <= options.outage() + OTHERS_AFTER_OUTAGE;
        Ok(Cell::new(good, format!("{}, {} (worst {})", shown(call), shown(old_for), shown(worst))))
    }

    /// How long the invalidation takes its caller, and for how long the other node is old.
    async fn round(outage: Duration) -> Result<(Duration, Duration), Failure> {
        let redis = RedisServer::builder().append_only().start();
        let (a, b) = (node(&redis.url()).await?, node(&redis.url()).await?);
        a.set("k", "old".to_owned()).await;
        b.get::<String>("k").await.ok_or("the value is there to be read")?;
        redis.kill();
        let (began, restart) = (Instant::now(), tokio::time::sleep(outage));
        let receipt = a.invalidate("k").await;
        let call = began.elapsed();
        if receipt.delivery != Delivery::Queued {
            return Err(format!("delivered without Redis: {receipt:?}").into());
        }
        restart.await;
        tokio::task::block_in_place(|| redis.restart());
        while near(&b, "k").await.is_some() && began.elapsed() < OLD_AFTER {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok((call, began.elapsed()))
    }
}
