//! Several instances behind a load balancer, each with a near tier of its own, over one shared tier.

use crate::cache::{Cache, Kind, Lru};
use crate::trace::Trace;

/// The load balancer's choices are the same in every run.
const SEED: u64 = 2026;

/// How many entries the tiers keep.
#[derive(Clone, Copy)]
pub(crate) struct Setting {
    pub(crate) kind: Kind,
    pub(crate) nodes: usize,
    pub(crate) near: usize,
    pub(crate) far: usize,
}

/// Where accesses were answered, as shares of all of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shares {
    pub(crate) near: f64,
    pub(crate) far: f64,
}

impl Shares {
    pub(crate) fn loads(self) -> f64 {
        1.0 - self.near - self.far
    }
}

pub(crate) fn replay(trace: &Trace, setting: Setting) -> Shares {
    let mut balancer = fastrand::Rng::with_seed(SEED);
    let routes: Vec<u8> = trace.accesses.iter().map(|_| balancer.usize(0..setting.nodes) as u8).collect();
    let next = match setting.kind {
        Kind::Optimum => next_uses(&trace.accesses, &routes, setting.nodes, trace.keys),
        Kind::Aside | Kind::AsideLru | Kind::Moka | Kind::Lru => vec![0; trace.accesses.len()],
    };
    let mut near: Vec<Box<dyn Cache>> = (0..setting.nodes).map(|_| setting.kind.build(setting.near, trace)).collect();
    let mut far = Lru::new(setting.far, trace.keys);
    let (mut near_hits, mut far_hits) = (0, 0);
    for ((&key, &node), &next) in trace.accesses.iter().zip(&routes).zip(&next) {
        if near[usize::from(node)].access(key, next) {
            near_hits += 1;
        } else if far.access(key, next) {
            far_hits += 1;
        }
    }
    let all = trace.accesses.len() as f64;
    Shares { near: f64::from(near_hits) / all, far: f64::from(far_hits) / all }
}

/// For each access, at which later one the same node wants the same key; the largest number where it never does.
pub(crate) fn next_uses(accesses: &[u32], routes: &[u8], nodes: usize, keys: usize) -> Vec<u32> {
    let mut seen = vec![u32::MAX; nodes * keys];
    let mut next = vec![u32::MAX; accesses.len()];
    for (at, (&key, &node)) in accesses.iter().zip(routes).enumerate().rev() {
        let seen = &mut seen[usize::from(node) * keys + key as usize];
        next[at] = std::mem::replace(seen, at as u32);
    }
    next
}
