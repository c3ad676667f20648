//! Reads of many keys by one call.

use std::time::{Duration, Instant};

use tokio::runtime::Runtime;

use super::{Client, Effort, RAW, SERVICE, TIER};
use crate::plots::figure;
use crate::report::{Report, Section};
use crate::rounds::take_turns;

/// How many keys a batch has.
const MANY: usize = 100;
/// The same keys by as many calls of the raw client, one after the other.
const IN_TURN: &str = "redis-rs, 100 GETs one after the other";

pub(super) fn measure(runtime: &Runtime, effort: Effort, clients: &[(&'static str, Client)], report: &mut Report) {
    let raw = clients.iter().filter(|(name, _)| *name == RAW).map(|(_, client)| (IN_TURN, (client.clone(), false)));
    let batches = clients.iter().map(|(name, client)| (*name, (client.clone(), true)));
    let subjects: Vec<_> = batches.chain(raw).collect();
    let taken = take_turns(effort.rounds, &subjects, |_, (client, batch)| {
        [runtime.block_on(turn(client.clone(), *batch, effort.turn))]
    });
    report.at_least("`get_many` of 100: batches a second against MGET", taken.ratio(TIER, RAW, 0), 0.9);
    report.at_least("`get_many` of 100: times as fast as 100 GETs in turn", taken.ratio(TIER, IN_TURN, 0), 10.0);
    report.at_least(
        "`get_many` of 100, service: times as fast as 100 GETs in turn",
        taken.ratio(SERVICE, IN_TURN, 0),
        10.0,
    );
    let row = |name: &&'static str| {
        let ratios = [RAW, IN_TURN].map(|to| format!("{:.2}", taken.ratio(name, to, 0)));
        let micros = figure(1e6 / taken.median(name, 0));
        std::iter::once((*name).to_owned()).chain(ratios).chain([micros]).collect()
    };
    report.add(Section {
        title: "L2 read, 100 keys".to_owned(),
        text: "One task; batches a second as ratios, more is better.".to_owned(),
        columns: ["", "against MGET by redis-rs", "against 100 GETs in turn", "us for 100 keys"]
            .map(str::to_owned)
            .to_vec(),
        rows: taken.names().iter().map(row).collect(),
        plot: None,
    });
}

/// Batches a second.
async fn turn(mut client: Client, batch: bool, lasts: Duration) -> f64 {
    let (began, mut batches) = (Instant::now(), 0);
    while began.elapsed() < lasts {
        if batch {
            client.get_many(batches * MANY, MANY).await.expect("the server serves");
        } else {
            for at in 0..MANY {
                client.get(batches * MANY + at).await.expect("the server serves");
            }
        }
        batches += 1;
    }
    batches as f64 / began.elapsed().as_secs_f64()
}
