//! What the project states, held against what was measured.

use std::process::ExitCode;

#[derive(Default)]
pub(crate) struct Limits {
    checked: Vec<(String, bool)>,
}

impl Limits {
    pub(crate) fn at_most(&mut self, what: &str, measured: f64, limit: f64) {
        self.checked.push((format!("{what}: {measured:.2}, at most {limit}"), measured <= limit));
    }

    pub(crate) fn at_least(&mut self, what: &str, measured: f64, limit: f64) {
        self.checked.push((format!("{what}: {measured:.2}, at least {limit}"), measured >= limit));
    }

    pub(crate) fn report(&self) -> ExitCode {
        println!();
        for (what, met) in &self.checked {
            println!("{} {what}", if *met { "met   " } else { "MISSED" });
        }
        if self.checked.iter().all(|(_, met)| *met) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}
