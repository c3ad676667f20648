//! How loads go: most are quick, some are slow enough to straddle invalidations, some fail.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Node;
use crate::checker::history::{KeyNumber, Version};

/// How one load is to go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Temper {
    /// Before it asks the source.
    before: Duration,
    /// After the source has answered: what it carries grows old meanwhile.
    after: Duration,
    end: End,
}

#[derive(Debug, Clone, Copy)]
enum End {
    Value,
    Error,
    Panic,
}

/// The load failed on purpose.
#[derive(Debug)]
pub(super) struct LoadFailed;

impl Temper {
    pub(super) const CALM: Self = Self { before: Duration::ZERO, after: Duration::ZERO, end: End::Value };

    pub(super) fn draw(random: &mut fastrand::Rng) -> Self {
        let end = match random.u32(..100) {
            0 | 1 => End::Error,
            2 => End::Panic,
            _ => End::Value,
        };
        Self { before: pause(random), after: pause(random), end }
    }
}

/// One in a hundred is longer than a load may take.
fn pause(random: &mut fastrand::Rng) -> Duration {
    let millis = match random.u32(..100) {
        0..60 => 0,
        60..85 => random.u64(1..20),
        85..96 => random.u64(20..200),
        96..99 => random.u64(200..1_500),
        _ => random.u64(1_500..2_500),
    };
    Duration::from_millis(millis)
}

impl Node {
    pub(super) async fn load(self: Arc<Self>, key: KeyNumber, temper: Temper) -> Result<Version, LoadFailed> {
        let temper = if self.calm.load(Ordering::Acquire) { Temper::CALM } else { temper };
        sleep(temper.before).await;
        let version = self.link.read_source(key).await.ok_or(LoadFailed)?;
        sleep(temper.after).await;
        match temper.end {
            End::Value => Ok(version),
            End::Error => Err(LoadFailed),
            // Unlike `panic!`, it leaves the terminal alone.
            End::Panic => std::panic::resume_unwind(Box::new(LoadFailed)),
        }
    }
}

async fn sleep(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}
