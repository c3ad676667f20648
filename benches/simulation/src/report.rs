//! What is measured, and how it is shown.

use std::fmt;
use std::sync::Mutex;

use crate::cache::Kind;
use crate::fleet::{Setting, Shares, replay};
use crate::trace::Trace;

/// Sizes of the near tier of one instance, as shares of all keys.
const SIZES: [f64; 7] = [0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4];
/// Numbers of instances, each with a near tier of this share of all keys, over a shared tier of that share.
const NODES: [usize; 7] = [1, 2, 4, 8, 16, 32, 64];
const NEAR: f64 = 0.05;
const FAR: f64 = 0.5;

/// One cell of a table.
#[derive(Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) setting: Setting,
    pub(crate) shares: Shares,
}

pub(crate) struct Report {
    pub(crate) trace: String,
    pub(crate) accesses: usize,
    pub(crate) keys: usize,
    /// One instance, by the size of its near tier; each row has a cell for each kind.
    pub(crate) by_size: Vec<(f64, Vec<Cell>)>,
    /// The same near tier, by the number of instances.
    pub(crate) by_nodes: Vec<(usize, Vec<Cell>)>,
}

impl Report {
    pub(crate) fn measure(trace: &Trace) -> Self {
        let far = trace.share(FAR);
        let row = |nodes, near| Kind::ALL.map(|kind| Setting { kind, nodes, near, far });
        let sizes = SIZES.iter().flat_map(|size| row(1, trace.share(*size)));
        let nodes = NODES.iter().flat_map(|nodes| row(*nodes, trace.share(NEAR)));
        let cells = replay_all(trace, sizes.chain(nodes).collect());
        let (by_size, by_nodes) = cells.split_at(SIZES.len() * Kind::ALL.len());
        let rows = |cells: &[Cell]| cells.chunks(Kind::ALL.len()).map(<[Cell]>::to_vec).collect::<Vec<_>>();
        Self {
            trace: trace.name.clone(),
            accesses: trace.accesses.len(),
            keys: trace.keys,
            by_size: SIZES.into_iter().zip(rows(by_size)).collect(),
            by_nodes: NODES.into_iter().zip(rows(by_nodes)).collect(),
        }
    }

    /// Where the near tier is worse than moka alone by more than `allowed`.
    pub(crate) fn losses(&self, allowed: f64) -> Vec<String> {
        let rows = self.by_size.iter().map(|row| &row.1).chain(self.by_nodes.iter().map(|row| &row.1));
        let share = |row: &[Cell], kind| row.iter().find(|cell| cell.setting.kind == kind).map(|cell| cell.shares.near);
        rows.filter_map(|row| {
            let (aside, moka) = (share(row, Kind::Aside)?, share(row, Kind::Moka)?);
            let Setting { nodes, near, .. } = row.first()?.setting;
            (aside < moka - allowed).then(|| {
                let (aside, moka) = (aside * 100.0, moka * 100.0);
                format!("{}: {nodes} nodes of {near} entries: {aside:.2} % against {moka:.2} % of moka", self.trace)
            })
        })
        .collect()
    }
}

/// Replays the settings on all cores.
fn replay_all(trace: &Trace, settings: Vec<Setting>) -> Vec<Cell> {
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let waiting = Mutex::new(settings.iter().copied().enumerate());
    let done = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let Some((at, setting)) = waiting.lock().expect("no replay panics").next() else { return };
                    let cell = Cell { setting, shares: replay(trace, setting) };
                    done.lock().expect("no replay panics").push((at, cell));
                }
            });
        }
    });
    let mut cells = done.into_inner().expect("no replay panics");
    cells.sort_by_key(|(at, _)| *at);
    cells.into_iter().map(|(_, cell)| cell).collect()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Kind::ALL.map(Kind::name).join(" | ");
        let rule = "---|".repeat(Kind::ALL.len() + 1);
        writeln!(f, "## {}: {} accesses of {} keys\n", self.trace, self.accesses, self.keys)?;
        writeln!(f, "L1 hits of one instance, in % of all accesses, by the size of L1:\n")?;
        writeln!(f, "| entries, of all keys | {names} |\n|{rule}")?;
        for (size, row) in &self.by_size {
            writeln!(f, "| {:.1} % |{} |", size * 100.0, near_hits(row))?;
        }
        writeln!(
            f,
            "\nBy the number of instances, each with an L1 of {:.0} % of all keys, over an L2 of {:.0} %:\n",
            NEAR * 100.0,
            FAR * 100.0
        )?;
        writeln!(f, "| instances | {names} | L2, of all accesses | loads, of all accesses |\n|{rule}---|---|")?;
        for (nodes, row) in &self.by_nodes {
            let shares = row[0].shares;
            let (far, loads) = (shares.far * 100.0, shares.loads() * 100.0);
            writeln!(f, "| {nodes} |{} | {far:.1} | {loads:.1} |", near_hits(row))?;
        }
        writeln!(f)
    }
}

fn near_hits(row: &[Cell]) -> String {
    let cells: Vec<String> = row.iter().map(|cell| format!(" {:.1}", cell.shares.near * 100.0)).collect();
    cells.join(" |")
}
