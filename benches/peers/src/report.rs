//! What was measured, as Markdown, and whether it keeps to what the project states.

use std::fmt;
use std::process::ExitCode;

use crate::plots::Plot;

/// A table with what is said about it, and the picture that goes with it.
pub(crate) struct Section {
    pub(crate) title: String,
    pub(crate) text: String,
    pub(crate) columns: Vec<String>,
    pub(crate) rows: Vec<Vec<String>>,
    pub(crate) plot: Option<Plot>,
}

struct Limit {
    what: String,
    measured: f64,
    limit: f64,
    most: bool,
}

#[derive(Default)]
pub(crate) struct Report {
    pub(crate) sections: Vec<Section>,
    limits: Vec<Limit>,
}

impl Report {
    /// Adds a section, and says that it is done.
    pub(crate) fn add(&mut self, section: Section) {
        eprintln!("{section}");
        self.sections.push(section);
    }

    pub(crate) fn at_most(&mut self, what: impl Into<String>, measured: f64, limit: f64) {
        self.limits.push(Limit { what: what.into(), measured, limit, most: true });
    }

    pub(crate) fn at_least(&mut self, what: impl Into<String>, measured: f64, limit: f64) {
        self.limits.push(Limit { what: what.into(), measured, limit, most: false });
    }

    /// Whether every limit is met.
    pub(crate) fn outcome(&self) -> ExitCode {
        if self.limits.iter().all(Limit::is_met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

impl Limit {
    fn is_met(&self) -> bool {
        if self.most { self.measured <= self.limit } else { self.measured >= self.limit }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for section in &self.sections {
            writeln!(f, "{section}")?;
        }
        writeln!(f, "## What the project states\n\n| | measured | limit | |\n|---|---|---|---|")?;
        for limit in &self.limits {
            let bound = if limit.most { "at most" } else { "at least" };
            let met = if limit.is_met() { "met" } else { "**missed**" };
            writeln!(f, "| {} | {:.2} | {bound} {} | {met} |", limit.what, limit.measured, limit.limit)?;
        }
        Ok(())
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n{}\n", self.title, self.text)?;
        writeln!(f, "| {} |\n|{}", self.columns.join(" | "), "---|".repeat(self.columns.len()))?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.join(" | "))?;
        }
        if let Some(plot) = &self.plot {
            writeln!(f, "\n![{}]({})", plot.title, plot.file)?;
        }
        Ok(())
    }
}
