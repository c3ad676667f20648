//! The keys, and the order in which they are asked for.

use rand::rngs::SmallRng;
use rand::{RngExt, SeedableRng};
use rand_distr::Zipf;

use crate::caches::Keys;

/// How keys are asked for.
#[derive(Clone, Copy)]
pub(crate) struct Workload {
    pub(crate) name: &'static str,
    pub(crate) keys: usize,
    /// How many calls a turn is long: so many that what the others left in the processor's caches does not count.
    pub(crate) calls: usize,
    /// The exponent of the distribution, or evenly.
    zipf: Option<f64>,
}

/// How many look-ups an order is long: it is gone through again and again.
const LENGTH: usize = 1 << 18;

impl Workload {
    pub(crate) const ONE: Self = Self { name: "one key", keys: 1, calls: 4_000, zipf: None };
    pub(crate) const ZIPF: Self =
        Self { name: "Zipf(0.99) over 10,000 keys", keys: 10_000, calls: 100_000, zipf: Some(0.99) };
    pub(crate) const UNIFORM: Self =
        Self { name: "uniform over 100,000 keys", keys: 100_000, calls: LENGTH, zipf: None };
    pub(crate) const ALL: [Self; 3] = [Self::ONE, Self::ZIPF, Self::UNIFORM];

    pub(crate) fn key_names(&self) -> Keys {
        (0..self.keys).map(|number| format!("user:tenant-1:{number}")).collect()
    }

    pub(crate) fn order(&self, seed: u64) -> anyhow::Result<Order> {
        let mut random = SmallRng::seed_from_u64(seed);
        let places = match self.zipf {
            Some(exponent) => {
                let ranks = Zipf::new(self.keys as f64, exponent)?;
                (0..LENGTH).map(|_| random.sample(ranks) as u32 - 1).collect()
            }
            None => (0..LENGTH).map(|_| random.random_range(0..self.keys as u32)).collect(),
        };
        Ok(Order(places))
    }
}

/// Places of keys, one look-up after the other.
pub(crate) struct Order(Vec<u32>);

impl Order {
    /// So many look-ups for a round: the same for all in it, and others in the next.
    pub(crate) fn turn(&self, round: usize, calls: usize) -> &[u32] {
        let from = if calls < self.0.len() { round * calls % (self.0.len() - calls) } else { 0 };
        &self.0[from..from + calls.min(self.0.len())]
    }
}
