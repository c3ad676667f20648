//! Measuring in turns.

use std::time::Duration;

use futures_util::FutureExt;
use rustix::time::{ClockId, clock_gettime};

/// Something to measure: makes so many calls.
pub(crate) struct Turn<'a> {
    pub(crate) name: &'static str,
    pub(crate) run: Box<dyn FnMut(usize) + 'a>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(name: &'static str, run: impl FnMut(usize) + 'a) -> Self {
        Self { name, run: Box::new(run) }
    }

    /// Of calls that are awaited, and never have to wait.
    pub(crate) fn of_async(name: &'static str, mut run: impl AsyncFnMut(usize) + 'a) -> Self {
        Self::new(name, move |calls| run(calls).now_or_never().unwrap_or_else(|| panic!("{name} had to wait")))
    }
}

/// What a call took in each round, by turn.
pub(crate) struct Taken {
    names: Vec<&'static str>,
    rounds: Vec<Vec<f64>>,
}

/// Each turn in each round, after some rounds that do not count.
pub(crate) fn take_turns(rounds: usize, calls: usize, mut turns: Vec<Turn<'_>>) -> Taken {
    let mut taken =
        Taken { names: turns.iter().map(|turn| turn.name).collect(), rounds: vec![Vec::new(); turns.len()] };
    for round in 0..rounds + rounds / 4 {
        for (turn, taken) in turns.iter_mut().zip(&mut taken.rounds) {
            let nanos = time(|| (turn.run)(calls)).as_nanos() as f64 / calls as f64;
            if round >= rounds / 4 {
                taken.push(nanos);
            }
        }
    }
    taken
}

/// The processor time of this thread that `call` takes: other processes do not count.
fn time(call: impl FnOnce()) -> Duration {
    let began = processor_time();
    call();
    processor_time().saturating_sub(began)
}

fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    // Neither is negative.
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

impl Taken {
    /// The median of what a call of this turn took, in nanoseconds.
    pub(crate) fn median(&self, name: &str) -> f64 {
        median(self.of(name).to_vec())
    }

    /// The median of the rounds' ratios of one turn to another: what disturbs a round disturbs both.
    pub(crate) fn ratio(&self, name: &str, to: &str) -> f64 {
        median(self.of(name).iter().zip(self.of(to)).map(|(one, other)| one / other).collect())
    }

    fn of(&self, name: &str) -> &[f64] {
        let at = self.names.iter().position(|known| *known == name);
        at.map_or(&[], |at| &self.rounds[at])
    }

    pub(crate) fn print(&self, title: &str, to: &str) {
        println!("\n### {title}\n\n| | ns a call | against {to} |\n|---|---|---|");
        for name in &self.names {
            println!("| {name} | {:.1} | {:.2} |", self.median(name), self.ratio(name, to));
        }
    }
}

pub(crate) fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
