//! What a run has to say.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::check::{Evidence, Staleness, Violation, deliveries, newest_delivered};
use super::history::Place;
use super::injector::Incident;
use super::moment::Moment;
use super::run::{ALLOWANCE, DELIVERY, Outcome};
use super::stalls::NOTED_STALL;

/// Of one promise, more violations than this are counted, and not listed.
const LISTED: usize = 15;

/// The report. Its last line says it all.
pub fn report(outcome: &Outcome) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_report(&mut text, outcome);
    text
}

fn write_report(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    write_counts(text, outcome)?;
    write_faults(text, outcome)?;
    write_staleness(text, "all", &outcome.verdict.staleness)?;
    write_staleness(text, "while all was well", &outcome.verdict.healthy_staleness)?;
    if let Some(worst) = outcome.verdict.staleness.last() {
        writeln!(text, "worst: {}", describe_staleness(outcome, worst))?;
    }
    let worst_stall = outcome.history.stalls.iter().map(|stall| stall.duration).max();
    writeln!(
        text,
        "worst stall of a process: {} (allowed for: {})",
        worst_stall.map_or_else(|| format!("below {}", millis(NOTED_STALL)), millis),
        millis(ALLOWANCE)
    )?;
    writeln!(
        text,
        "allowed while all was well: {} and the longest stall of a process in that stretch of time, at the most {}",
        millis(DELIVERY),
        millis(deliveries(&outcome.history, DELIVERY).into_iter().max().unwrap_or(DELIVERY))
    )?;
    write_violations(text, outcome)?;
    writeln!(text, "{}", summary(outcome))
}

fn write_counts(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let settings = &outcome.settings;
    let total = |count: fn(&super::message::Health) -> u64| -> u64 {
        outcome.nodes.iter().filter_map(|node| node.health).map(|(_, health)| count(&health)).sum()
    };
    writeln!(
        text,
        "seed {}, {:?}, {} nodes, {} keys",
        settings.seed, settings.duration, settings.nodes, settings.keys
    )?;
    writeln!(
        text,
        "reads: {} ({} each second), and {} without a value; read in Redis itself: {}",
        grouped(outcome.history.reads()),
        grouped(outcome.history.reads_per_second()),
        grouped(outcome.nodes.iter().map(|node| node.without_value).sum()),
        grouped(outcome.probed)
    )?;
    writeln!(
        text,
        "hits: {} in the process, {} in Redis; loads: {}, of which {} failed; {} shared the load of another",
        grouped(total(|health| health.near_hits)),
        grouped(total(|health| health.far_hits)),
        grouped(total(|health| health.loads)),
        grouped(total(|health| health.load_failures)),
        grouped(total(|health| health.coalesced))
    )?;
    writeln!(
        text,
        "fills fenced off: {}; replays of the journal: {}; near tiers emptied: {}; processes: {}",
        grouped(total(|health| health.fenced_fills)),
        grouped(total(|health| health.replays)),
        grouped(total(|health| health.resets)),
        outcome.nodes.len()
    )?;
    write_writes(text, outcome)
}

fn write_writes(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let writes = &outcome.history.writes;
    let mut kinds: BTreeMap<_, u64> = BTreeMap::new();
    writes.iter().for_each(|write| *kinds.entry(write.kind).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind:?} {count}")).collect();
    let lost = writes.iter().filter(|write| write.lost).count();
    let exempt = newest_delivered(&outcome.history).iter().zip(&outcome.history.current).filter(|(d, c)| d < c).count();
    writeln!(
        text,
        "writes: {} ({}); Done {}, Queued {}, lost with their node {lost}; keys whose newest write was lost: {exempt}",
        grouped(writes.len() as u64),
        kinds.join(", "),
        outcome.done,
        outcome.queued
    )?;
    let fenced = || writes.iter().filter(|write| outcome.history.fenced(write).is_some());
    writeln!(
        text,
        "written around under a fence that held: {}, of which {} by a node that was gone before it said so",
        fenced().count(),
        fenced().filter(|write| write.lost).count()
    )
}

fn write_faults(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let mut kinds: BTreeMap<_, u64> = BTreeMap::new();
    outcome.incidents.iter().for_each(|incident| *kinds.entry(incident.fault.kind).or_default() += 1);
    let kinds: Vec<String> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
    writeln!(text, "faults: {} ({})", outcome.incidents.len(), kinds.join(", "))?;
    for incident in &outcome.incidents {
        writeln!(text, "    {}", describe_incident(incident))?;
    }
    let healthy = outcome.history.healthy.iter().map(|stretch| stretch.to.since(stretch.from)).sum::<Duration>();
    writeln!(text, "all was well for {:.1} s", healthy.as_secs_f64())
}

fn write_staleness(text: &mut String, when: &str, sorted: &[Staleness]) -> std::fmt::Result {
    let at = |fraction: f64| percentile(sorted, fraction).map_or_else(|| "-".to_owned(), millis);
    let stale = sorted.iter().filter(|sample| !sample.duration.is_zero()).count();
    writeln!(
        text,
        "staleness, {when}: {} samples (write, key, node), {} of them stale at all; p50 {}, p99 {}, p99.9 {}, worst {}",
        grouped(sorted.len() as u64),
        grouped(stale as u64),
        at(0.5),
        at(0.99),
        at(0.999),
        at(1.0)
    )
}

/// The value that this fraction of the samples does not exceed.
fn percentile(sorted: &[Staleness], fraction: f64) -> Option<Duration> {
    let last = sorted.len().checked_sub(1)?;
    let rank = (sorted.len() as f64 * fraction).ceil() as usize;
    Some(sorted[rank.saturating_sub(1).min(last)].duration)
}

fn describe_staleness(outcome: &Outcome, staleness: &Staleness) -> String {
    let write = &outcome.history.writes[staleness.write];
    let Staleness { node, key, duration, .. } = staleness;
    let mut text = format!(
        "{} on node {node}, key {key}, after {:?} on node {}, delivered {}",
        millis(*duration),
        write.kind,
        write.node,
        write.delivered.unwrap_or_default()
    );
    if let Some(delivered) = write.delivered {
        append_incidents(&mut text, outcome, delivered, delivered + *duration);
    }
    text
}

/// The faults between two moments, which are what explains most.
fn append_incidents(text: &mut String, outcome: &Outcome, from: Moment, to: Moment) {
    for incident in &outcome.incidents {
        let stretch = incident.stretch;
        if stretch.from <= to && from <= stretch.to {
            let _ = write!(text, "\n    {}", describe_incident(incident));
        }
    }
}

fn describe_incident(incident: &Incident) -> String {
    let (fault, stretch) = (incident.fault, incident.stretch);
    format!("{} of {:?} from {} to {}", fault.kind, fault.target, stretch.from, stretch.to)
}

fn write_violations(text: &mut String, outcome: &Outcome) -> std::fmt::Result {
    let mut listed: BTreeMap<_, usize> = BTreeMap::new();
    for violation in &outcome.verdict.violations {
        let description = describe(outcome, violation);
        let promise = description.split_once(':').map_or("", |(promise, _)| promise).to_owned();
        let count = listed.entry(promise).or_default();
        *count += 1;
        if *count <= LISTED {
            writeln!(text, "VIOLATION {description}")?;
        }
    }
    for (promise, count) in listed.iter().filter(|(_, count)| **count > LISTED) {
        writeln!(text, "VIOLATION {promise}: {} more", count - LISTED)?;
    }
    Ok(())
}

fn describe(outcome: &Outcome, violation: &Violation) -> String {
    match violation {
        Violation::StaleInRedis(evidence) => format!("G1: {}", describe_evidence(outcome, evidence)),
        Violation::StaleBeyondBound(evidence) => format!("G2: {}", describe_evidence(outcome, evidence)),
        Violation::StaleWhileWell(evidence) => format!("G2 while well: {}", describe_evidence(outcome, evidence)),
        Violation::StaleOnOwnNode(evidence) => format!("G3: {}", describe_evidence(outcome, evidence)),
        Violation::StaleAfterStrict(evidence) => format!("strict: {}", describe_evidence(outcome, evidence)),
        Violation::StaleInAudit { node, key, version, delivered } => {
            format!("audit: node {node} read version {version} of key {key}, of which {delivered} had been delivered")
        }
        Violation::MissingInAudit { node, key } => format!("audit: node {node} could not read key {key}"),
        Violation::NeverDelivered { write } => {
            let write = &outcome.history.writes[*write];
            format!("G6: {:?} of {:?} on node {} was never delivered", write.kind, write.versions, write.node)
        }
        Violation::Died { node } => {
            format!("died: node {node} (place {}) is gone, and nobody killed it", place_of(outcome, *node))
        }
        Violation::Invented { place, key, version } => {
            format!("invented: {place:?} read version {version} of key {key}, which the source never had")
        }
    }
}

fn describe_evidence(outcome: &Outcome, evidence: &Evidence) -> String {
    let (sight, seen) = (evidence.sight, evidence.seen);
    let write = &outcome.history.writes[evidence.write];
    let newer = write.versions.iter().find(|(key, _)| *key == sight.key).map_or(0, |(_, version)| *version);
    let place = match sight.place {
        Place::Node(node) => format!("node {node} (place {})", place_of(outcome, node)),
        Place::Redis => "Redis".to_owned(),
    };
    let mut text = format!(
        "{place} had version {} of key {} {} after version {newer} was told by {:?} on node {} (begun {}, returned {}, \
         delivered {}); {} reads of it, the first at {}, the last at {}",
        sight.version,
        sight.key,
        millis(evidence.staleness()),
        write.kind,
        write.node,
        write.begun,
        write.returned.unwrap_or_default(),
        write.delivered.unwrap_or_default(),
        seen.reads,
        seen.first_start,
        seen.last_start
    );
    append_incidents(&mut text, outcome, write.begun.before(outcome.bound), seen.last_start);
    text
}

fn place_of(outcome: &Outcome, node: u32) -> usize {
    outcome.nodes.get(node as usize).map_or(0, |view| view.slot)
}

/// One line, for a README.
fn summary(outcome: &Outcome) -> String {
    let settings = &outcome.settings;
    let violations = &outcome.verdict.violations;
    let count = |is: fn(&Violation) -> bool| violations.iter().filter(|violation| is(violation)).count();
    let kinds: std::collections::BTreeSet<_> = outcome.incidents.iter().map(|incident| incident.fault.kind).collect();
    let worst = |sorted: &[Staleness]| percentile(sorted, 1.0).map_or_else(|| "-".to_owned(), millis);
    format!(
        "checker: seed {}, {} s, {} nodes: {} reads, {} writes, {} faults of {} kinds; stale reads beyond {}: {}, beyond a \
         delivery while all was well: {}, on the node that invalidated: {}, after a strict \
         invalidation: {}, in Redis: {}, in the final audit: {}, other violations: {}; worst staleness {} ({} while all was well)",
        settings.seed,
        settings.duration.as_secs(),
        settings.nodes,
        grouped(outcome.history.reads()),
        grouped(outcome.history.writes.len() as u64),
        outcome.incidents.len(),
        kinds.len(),
        millis(outcome.bound),
        count(|violation| matches!(violation, Violation::StaleBeyondBound(_))),
        count(|violation| matches!(violation, Violation::StaleWhileWell(_))),
        count(|violation| matches!(violation, Violation::StaleOnOwnNode(_))),
        count(|violation| matches!(violation, Violation::StaleAfterStrict(_))),
        count(|violation| matches!(violation, Violation::StaleInRedis(_))),
        count(|violation| matches!(violation, Violation::StaleInAudit { .. })),
        count(is_other),
        worst(&outcome.verdict.staleness),
        worst(&outcome.verdict.healthy_staleness)
    )
}

const fn is_other(violation: &Violation) -> bool {
    matches!(
        violation,
        Violation::MissingInAudit { .. }
            | Violation::NeverDelivered { .. }
            | Violation::Died { .. }
            | Violation::Invented { .. }
    )
}

fn millis(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1_000.0)
}

/// `1234567` as `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for (index, digit) in digits[first..].chars().enumerate() {
        if index % 3 == 0 && !text.is_empty() {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
