//! The table of what was found.

use std::fmt;
use std::time::Duration;

use crate::Heading;

/// What one scenario gave.
pub(crate) struct Cell {
    pub(crate) text: String,
    /// Whether it is as good as the best cell of the others, or better.
    pub(crate) good: bool,
}

impl Cell {
    pub(crate) fn new(good: bool, text: impl Into<String>) -> Self {
        Self { text: text.into(), good }
    }
}

#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<[String; 4]>,
    worse: usize,
}

impl Table {
    pub(crate) fn add(&mut self, (scenario, others): Heading, cell: Cell) {
        let verdict = if cell.good { "yes" } else { "NO" };
        self.worse += usize::from(!cell.good);
        self.rows.push([scenario.to_owned(), cell.text, others.to_owned(), verdict.to_owned()]);
    }

    /// Whether no cell is worse than the best of the others.
    pub(crate) fn is_good(&self) -> bool {
        self.worse == 0
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["scenario", "this cache", "best of the others", "better or equal"].map(str::to_owned);
        let lines: Vec<&[String; 4]> = std::iter::once(&heading).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths = [width(0), width(1), width(2), width(3)];
        for (number, line) in lines.iter().enumerate() {
            for (text, width) in line.iter().zip(widths) {
                write!(f, "| {text:<width$} ")?;
            }
            writeln!(f, "|")?;
            if number == 0 {
                widths.iter().try_for_each(|width| write!(f, "|{:-<1$}", "", width + 2))?;
                writeln!(f, "|")?;
            }
        }
        Ok(())
    }
}

/// A duration as the table shows it.
pub(crate) fn shown(duration: Duration) -> String {
    match duration.as_micros() {
        micros @ 0..1_000 => format!("{micros} us"),
        micros @ 1_000..10_000 => format!("{:.1} ms", micros as f64 / 1e3),
        micros @ 10_000..1_000_000 => format!("{} ms", micros / 1_000),
        micros => format!("{:.1} s", micros as f64 / 1e6),
    }
}

/// The value below which this part of `sorted` lies. Zero when there is none.
pub(crate) fn percentile(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * part).round() as usize).copied().unwrap_or_default()
}

pub(crate) fn median(mut durations: Vec<Duration>) -> Duration {
    durations.sort_unstable();
    percentile(&durations, 0.5)
}
