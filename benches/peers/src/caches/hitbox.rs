//! hitbox: an annotated function over its moka backend. Values are encoded: with bincode, which its documentation recommends for
//! general purposes over the default (JSON). No concurrency manager, which is its default and its fastest way.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};

use hitbox_backend::format::BincodeFormat;
use hitbox_fn::Cache as Memo;
use hitbox_fn::prelude::*;
use hitbox_moka::MokaBackend;

use super::{Cache, Call, HITBOX, Peer, Record, TTL, capacity, now};

type Backend = MokaBackend<BincodeFormat>;

pub(super) const PEER: Peer = Peer {
    name: HITBOX,
    calls: &[Call::GetOrLoad, Call::Annotated],
    fill: |keys| {
        let backend = MokaBackend::builder().max_entries(capacity(&keys) as u64).value_format(BincodeFormat).build();
        let memo = Memo::builder().backend(backend).policy(PolicyConfig::builder().ttl(TTL).build()).build();
        for id in 0..keys.len() as u64 {
            now(async { find_user("tenant-1".to_owned(), id).cache(&memo).await });
        }
        Ok(Box::new(Hitbox { memo }))
    },
};

/// How often the body ran.
static LOADS: AtomicUsize = AtomicUsize::new(0);

#[cached(prefix = "user")]
async fn find_user(tenant: String, id: u64) -> Record {
    LOADS.fetch_add(1, Ordering::Relaxed);
    id + tenant.len() as u64
}

struct Hitbox {
    memo: Memo<Backend>,
}

impl Cache for Hitbox {
    fn hits(&self, _: Call, places: &[u32]) -> usize {
        let loads = LOADS.load(Ordering::Relaxed);
        now(async {
            for place in places {
                let call = find_user(black_box("tenant-1").to_owned(), black_box(u64::from(*place)));
                black_box(call.cache(&self.memo).await);
            }
        });
        places.len() - (LOADS.load(Ordering::Relaxed) - loads)
    }
}
