//! This project: a service with a near tier alone, asked by a `&str`.

use std::convert::Infallible;
use std::hint::black_box;
use std::sync::Arc;

use cache_aside::{CachingService, LocalTier, Policy, cached};

use super::{ASIDE, Cache, Call, Keys, Peer, Record, TTL, capacity, now};

pub(super) const PEER: Peer =
    Peer { name: ASIDE, calls: &[Call::Get, Call::GetOrLoad], fill: |keys| Ok(Box::new(Aside::filled(keys)?)) };

/// The service of the process, which annotated functions find by themselves.
pub(super) const GLOBAL: Peer = Peer {
    name: ASIDE,
    calls: &[Call::Get, Call::GetOrLoad, Call::Annotated],
    fill: |keys| {
        let filled = Aside::filled(keys)?;
        filled.service.clone().install_global()?;
        Ok(Box::new(filled))
    },
};

struct Aside {
    service: CachingService,
    keys: Keys,
}

impl Aside {
    fn filled(keys: Keys) -> anyhow::Result<Self> {
        let tier = LocalTier::new(capacity(&keys) as u64);
        let builder = CachingService::builder().local(tier).default_policy(Policy::new(TTL));
        let service = now(builder.build())?;
        for (key, number) in keys.iter().zip(0..) {
            now(service.set::<Record>(key, number));
        }
        Ok(Self { service, keys })
    }
}

/// The key is that of the other calls.
#[cached(key = "user:{tenant}:{id}", ttl = "1h")]
async fn find_user(tenant: &str, id: u64) -> Arc<Record> {
    unreachable!("{tenant} {id} is there")
}

impl Cache for Aside {
    fn hits(&self, call: Call, places: &[u32]) -> usize {
        now(async {
            let mut hits = 0;
            match call {
                Call::Get => {
                    for place in places {
                        let key = self.keys[*place as usize].as_str();
                        hits += usize::from(black_box(self.service.get::<Record>(black_box(key)).await).is_some());
                    }
                }
                Call::GetOrLoad => {
                    let load = || async { unreachable!("a hit loads nothing") };
                    for place in places {
                        let key = self.keys[*place as usize].as_str();
                        let found = self.service.get_or_load::<Record, Infallible, _, _>(black_box(key), load).await;
                        hits += usize::from(black_box(found).is_ok());
                    }
                }
                Call::Annotated => {
                    for place in places {
                        black_box(find_user(black_box("tenant-1"), black_box(u64::from(*place))).await);
                        hits += 1;
                    }
                }
            }
            hits
        })
    }
}
