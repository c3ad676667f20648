//! What the command line may ask for.

use std::time::Duration;

use crate::Failure;

pub(crate) struct Options {
    pub(crate) quick: bool,
    rounds: Option<usize>,
    only: Option<String>,
}

impl Options {
    pub(crate) fn parse(arguments: impl IntoIterator<Item = String>) -> Result<Self, Failure> {
        let mut options = Self { quick: false, rounds: None, only: None };
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--quick" => options.quick = true,
                "--rounds" => options.rounds = Some(value()?.parse()?),
                "--only" => options.only = Some(value()?),
                _ => return Err(format!("unknown argument {argument}; use --quick, --rounds N, --only TEXT").into()),
            }
        }
        if options.rounds == Some(0) {
            return Err("--rounds is 0; give it at least 1".into());
        }
        Ok(options)
    }

    pub(crate) fn includes(&self, scenario: &str) -> bool {
        self.only.as_ref().is_none_or(|only| scenario.contains(only.as_str()))
    }

    /// How often the race of a load that ends as its invalidation returns is run.
    pub(crate) fn rounds(&self) -> usize {
        self.rounds.unwrap_or_else(|| self.choose(1_000, 100))
    }

    /// How long an outage lasts.
    pub(crate) fn outage(&self) -> Duration {
        self.choose(Duration::from_secs(4), Duration::from_secs(1))
    }

    pub(crate) fn choose<T>(&self, whole: T, quick: T) -> T {
        if self.quick { quick } else { whole }
    }
}
