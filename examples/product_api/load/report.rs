//! The figures, for the terminal.

use std::time::Duration;

use crate::load::bench::{Measured, With, Without};
use crate::load::history::{History, Verdict};
use crate::load::lookups::TierLookups;

pub(crate) fn print(without: &Without, with: &With) {
    let columns = [&without.measured, &with.cold, &with.warm];
    println!("\nOffered to each: {:.0} requests/s.\n", without.rate);
    row("", ["without cache", "cache, from cold", "cache, warm"].map(str::to_owned));
    row("requests", columns.map(|measured| measured.requests.to_string()));
    row("throughput", columns.map(|measured| format!("{:.0}/s", measured.throughput)));
    row("response time p50", columns.map(|measured| millis(measured.p50)));
    row("response time p99", columns.map(|measured| millis(measured.p99)));
    row("database queries", columns.map(|measured| measured.queries.to_string()));
    row("queries per request", columns.map(queries_per_request));
    row("L1 hit ratio", columns.map(|measured| ratio(measured.lookups.local)));
    row("L2 hit ratio", columns.map(|measured| ratio(measured.lookups.shared)));
    row("capacity", [format!("{:.0}/s", without.capacity), "".to_owned(), format!("{:.0}/s", with.capacity)]);
    print_sweep("without cache", &without.sweep);
    print_sweep("with cache", &with.sweep);
    let (before, after) = (&without.measured, &with.warm);
    println!(
        "\nWith the warm cache: p99 {:.1} times lower, {:.1} times fewer database queries, {:.1} times the capacity.",
        before.p99.as_secs_f64() / after.p99.as_secs_f64(),
        before.queries as f64 / after.queries as f64,
        with.capacity / without.capacity,
    );
}

pub(crate) fn print_verdict(history: &History, verdict: &Verdict, delivery_bound: Duration) {
    let wrong: usize = verdict.wrong.values().sum();
    println!(
        "{} responses compared with the database's own answers, {} changes meanwhile: {wrong} wrong.",
        history.reads.len(),
        history.writes.len(),
    );
    for (cause, count) in &verdict.wrong {
        println!("  {cause:?}: {count}");
    }
    println!(
        "{} responses of one node showed what another had replaced less than a message delivery before (at most {} here, {} allowed).",
        verdict.before_delivery,
        millis(verdict.slowest_delivery),
        millis(delivery_bound),
    );
}

fn print_sweep(name: &str, sweep: &[Measured]) {
    println!("\nResponse time against throughput, {name}:");
    for at in sweep {
        println!("  {:>7.0}/s   p50 {:>10}   p99 {:>10}", at.throughput, millis(at.p50), millis(at.p99));
    }
}

fn row(name: &str, values: [String; 3]) {
    let [without, cold, warm] = values;
    println!("{name:22}{without:>18}{cold:>18}{warm:>18}");
}

fn millis(time: Duration) -> String {
    format!("{:.2} ms", time.as_secs_f64() * 1_000.0)
}

fn queries_per_request(measured: &Measured) -> String {
    format!("{:.3}", measured.queries as f64 / measured.requests as f64)
}

fn ratio(lookups: TierLookups) -> String {
    match lookups.hits + lookups.misses {
        0 => "-".to_owned(),
        all => format!("{:.2} %", 100.0 * lookups.hits as f64 / all as f64),
    }
}
