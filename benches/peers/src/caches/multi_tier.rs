//! multi-tier-cache: a `CacheSystem` whose one tier is its moka, so that a hit asks nothing else. It holds bytes: `get` hands
//! them out, `get_typed` and `get_or_compute_typed` decode them with its default serializer (JSON) at every hit.

use std::hint::black_box;
use std::sync::Arc;

use multi_tier_cache::error::CacheError;
use multi_tier_cache::{Bytes, CacheStrategy, CacheSystem, CacheSystemBuilder, L1Cache, MokaCacheConfig, TierConfig};

use super::{Cache, Call, Keys, MULTI_TIER, Peer, Record, TTL, capacity, now};

pub(super) const TYPED: Peer = Peer {
    name: MULTI_TIER,
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| Ok(Box::new(MultiTier { system: system(&keys)?, keys, typed: true })),
};

pub(super) const BYTES: Peer = Peer {
    name: "multi-tier-cache, bytes",
    calls: &[Call::Get, Call::GetOrLoad],
    fill: |keys| Ok(Box::new(MultiTier { system: system(&keys)?, keys, typed: false })),
};

struct MultiTier {
    system: CacheSystem,
    keys: Keys,
    typed: bool,
}

fn system(keys: &[String]) -> anyhow::Result<CacheSystem> {
    let config = MokaCacheConfig { max_capacity: capacity(keys) as u64, time_to_live: TTL, time_to_idle: TTL };
    let tier = Arc::new(L1Cache::new(config)?);
    let system = now(CacheSystemBuilder::new().with_tier(tier, TierConfig::as_l1()).build())?;
    for (key, number) in keys.iter().zip(0_u64..) {
        let value = Bytes::from(number.to_string());
        now(system.cache_manager().set_with_strategy(key, value, CacheStrategy::Custom(TTL)))?;
    }
    Ok(system)
}

impl Cache for MultiTier {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        let manager = self.system.cache_manager();
        let strategy = CacheStrategy::Custom(TTL);
        now(async {
            let mut hits = 0;
            for place in places {
                let key = black_box(self.keys[*place as usize].as_str());
                hits += usize::from(match (call, self.typed) {
                    (Call::Get, false) => matches!(black_box(manager.get(key).await), Ok(Some(_))),
                    (Call::Get, true) => matches!(black_box(manager.get_typed::<Record>(key).await), Ok(Some(_))),
                    (_, false) => {
                        let load = || async { Err(CacheError::InternalError(String::new())) };
                        black_box(manager.get_or_compute_with(key, strategy.clone(), load).await).is_ok()
                    }
                    (_, true) => {
                        let load = || async { Err(CacheError::InternalError(String::new())) };
                        let found = manager.get_or_compute_typed::<Record, _, _>(key, strategy.clone(), load).await;
                        black_box(found).is_ok()
                    }
                });
            }
            hits
        })
    }
}
