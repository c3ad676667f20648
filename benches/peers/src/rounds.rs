//! Measuring in turns.

use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

use crate::caches::{Cache, Call};
use crate::data::{Order, Workload};

/// A way to look something up, to measure.
pub(crate) struct Subject<'a> {
    pub(crate) name: &'static str,
    pub(crate) cache: &'a dyn Cache,
    pub(crate) call: Call,
}

/// What was measured in each round, by subject: some figures for each.
pub(crate) struct Taken<const N: usize> {
    names: Vec<&'static str>,
    rounds: Vec<Vec<[f64; N]>>,
}

/// Measures every subject in every round, after some rounds that do not count; each round begins with another of them.
pub(crate) fn take_turns<S, const N: usize>(
    rounds: usize,
    subjects: &[(&'static str, S)],
    mut measure: impl FnMut(usize, &S) -> [f64; N],
) -> Taken<N> {
    let mut taken =
        Taken { names: subjects.iter().map(|(name, _)| *name).collect(), rounds: vec![Vec::new(); subjects.len()] };
    for round in 0..rounds + rounds.div_ceil(4) {
        for place in 0..subjects.len() {
            let place = (place + round) % subjects.len();
            let figures = measure(round, &subjects[place].1);
            if round >= rounds.div_ceil(4) {
                taken.rounds[place].push(figures);
            }
        }
    }
    taken
}

/// The processor time that a call takes this thread, in nanoseconds: other processes do not count.
///
/// # Panics
///
/// Where a look-up is not a hit.
pub(crate) fn nanos_of_hits(rounds: usize, workload: &Workload, order: &Order, subjects: Vec<Subject<'_>>) -> Taken<1> {
    let subjects: Vec<_> = subjects.into_iter().map(|subject| (subject.name, subject)).collect();
    take_turns(rounds, &subjects, |round, subject| {
        let places = order.turn(round, workload.calls);
        let mut hits = 0;
        let took = time(|| hits = subject.cache.hits(subject.call, places));
        assert_eq!(hits, places.len(), "{} missed keys that it was given", subject.name);
        [took.as_nanos() as f64 / places.len() as f64]
    })
}

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

impl<const N: usize> Taken<N> {
    pub(crate) fn names(&self) -> &[&'static str] {
        &self.names
    }

    /// The median of one of the figures.
    pub(crate) fn median(&self, name: &str, figure: usize) -> f64 {
        median(self.of(name).iter().map(|round| round[figure]).collect())
    }

    /// The median of the rounds' ratios of one to another: what disturbs a round disturbs both.
    pub(crate) fn ratio(&self, name: &str, to: &str, figure: usize) -> f64 {
        let rounds = self.of(name).iter().zip(self.of(to));
        median(rounds.map(|(one, other)| one[figure] / other[figure]).collect())
    }

    fn of(&self, name: &str) -> &[[f64; N]] {
        let at = self.names.iter().position(|known| *known == name);
        at.map_or(&[], |at| &self.rounds[at])
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
