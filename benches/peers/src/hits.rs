//! One thread that finds what it asks for.

use crate::caches::{ALL, AMALGAM, ANNOTATED, ASIDE, Cache, Call, HITBOX, MOKA, MULTI_TIER, Peer, QUICK};
use crate::data::Workload;
use crate::plots::{Plot, figure};
use crate::report::{Report, Section};
use crate::rounds::{Subject, Taken, nanos_of_hits};

/// A hit by a key, with every cache and every order of keys.
pub(crate) fn measure(call: Call, rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    let (title, file) = match call {
        Call::Get => ("L1 hit, `get`", "l1-get.svg"),
        _ => ("L1 hit, `get_or_load`", "l1-get-or-load.svg"),
    };
    let mut by_workload = Vec::new();
    for workload in Workload::ALL {
        let peers = ALL.into_iter().filter(|peer| peer.calls.contains(&call));
        let filled = fill(peers, &workload)?;
        let subjects = filled.iter().map(|(name, cache)| Subject { name, cache: &**cache, call }).collect();
        let taken = nanos_of_hits(rounds, &workload, &workload.order(7)?, subjects);
        by_workload.push((workload.name, taken));
    }
    if call == Call::Get {
        state_limits(&by_workload, report);
    } else {
        let (_, one) = &by_workload[0];
        report.at_least("L1 hit, `get_or_load` of one key: times as fast as hitbox", one.ratio(HITBOX, ASIDE, 0), 3.0);
    }
    report.add(section(title, file, MOKA, &by_workload));
    Ok(())
}

fn fill(peers: impl Iterator<Item = Peer>, workload: &Workload) -> anyhow::Result<Vec<(&'static str, Box<dyn Cache>)>> {
    let keys = workload.key_names();
    peers.map(|peer| Ok((peer.name, (peer.fill)(keys.clone())?))).collect()
}

fn state_limits(by_workload: &[(&'static str, Taken<1>)], report: &mut Report) {
    for ((name, taken), limit) in by_workload.iter().zip([0.25, 0.45, 1.1]) {
        report.at_most(format!("L1 hit, `get`, {name}: time against moka"), taken.ratio(ASIDE, MOKA, 0), limit);
    }
    let (_, one) = &by_workload[0];
    report.at_most("L1 hit, `get`, one key: time against quick_cache", one.ratio(ASIDE, QUICK, 0), 1.2);
    for peer in [AMALGAM, MULTI_TIER] {
        report.at_least(format!("L1 hit, `get`, one key: times as fast as {peer}"), one.ratio(peer, ASIDE, 0), 3.0);
    }
}

/// Annotated functions, and the other calls of this project beside its own.
pub(crate) fn measure_annotated(rounds: usize, report: &mut Report) -> anyhow::Result<()> {
    const GET: &str = "cache-aside, `get`";
    const LOAD: &str = "cache-aside, `get_or_load`";
    const CACHED: &str = "cache-aside, `#[cached]`";
    let filled = fill(ANNOTATED.into_iter(), &Workload::ZIPF)?;
    let mut by_workload = Vec::new();
    for workload in [Workload::ONE, Workload::ZIPF] {
        let ours = filled.iter().filter(|(name, _)| *name == ASIDE).flat_map(|(_, cache)| {
            let calls = [(GET, Call::Get), (LOAD, Call::GetOrLoad), (CACHED, Call::Annotated)];
            calls.map(|(name, call)| Subject { name, cache: &**cache, call })
        });
        let others = filled.iter().filter(|(name, _)| *name != ASIDE);
        let others = others.map(|(name, cache)| Subject { name, cache: &**cache, call: Call::Annotated });
        let subjects = ours.chain(others).collect();
        by_workload.push((workload.name, nanos_of_hits(rounds, &workload, &workload.order(7)?, subjects)));
    }
    let (_, one) = &by_workload[0];
    report.at_most("`get_or_load` against `get`, one key", one.ratio(LOAD, GET, 0), 1.2);
    report.at_most("`#[cached]` with a key of two arguments against `get`, one key", one.ratio(CACHED, GET, 0), 1.5);
    report.at_least("`#[cached]`, one key: times as fast as hitbox", one.ratio(HITBOX, CACHED, 0), 3.0);
    report.add(section("L1 hit, annotated functions", "l1-annotated.svg", CACHED, &by_workload));
    Ok(())
}

fn section(title: &str, file: &'static str, to: &str, by_workload: &[(&'static str, Taken<1>)]) -> Section {
    let names = by_workload[0].1.names();
    let ratios = by_workload.iter().map(|(workload, _)| format!("{workload}, against {to}"));
    let nanos = by_workload.iter().map(|(workload, _)| format!("{workload}, ns"));
    let rows = names.iter().map(|name| {
        let ratios = by_workload.iter().map(|(_, taken)| format!("{:.2}", taken.ratio(name, to, 0)));
        let nanos = by_workload.iter().map(|(_, taken)| figure(taken.median(name, 0)));
        std::iter::once((*name).to_owned()).chain(ratios).chain(nanos).collect()
    });
    let bars = names
        .iter()
        .map(|name| ((*name).to_owned(), by_workload.iter().map(|(_, taken)| taken.median(name, 0)).collect()));
    Section {
        title: title.to_owned(),
        text: "The processor time of one thread for one call; less is better.".to_owned(),
        columns: std::iter::once(String::new()).chain(ratios).chain(nanos).collect(),
        rows: rows.collect(),
        plot: Some(Plot {
            file,
            title: title.replace('`', ""),
            unit: "ns a call (less is better)",
            series: by_workload.iter().map(|(workload, _)| (*workload).to_owned()).collect(),
            bars: bars.collect(),
        }),
    }
}
