//! Each policy as an argument: that it does in a function what it does in a `Policy`. The jitter is off where time counts.

use super::*;
use cache_aside::clock::ManualClock;
use cache_aside::{RedisTier, SharedError};
use cache_testing::RedisServer;
use tokio::sync::Semaphore;

const MINUTE: Duration = Duration::from_secs(60);

async fn timed(clock: &ManualClock) -> CachingService {
    let policy = Policy::new(MINUTE * 60).jitter(0.0);
    let builder = CachingService::builder().local(LocalTier::new(1_000)).clock(clock.clone()).default_policy(policy);
    builder.build().await.unwrap()
}

/// Runs `future` with a service whose time stands still until the test moves it.
async fn at<F: Future>(clock: &ManualClock, future: F) -> F::Output {
    timed(clock).await.scope(future).await
}

/// Lets the tasks of the service run that are ready.
async fn settle() {
    for _ in 0..10 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn ttl_and_local_ttl_end_what_is_stored() {
    #[cached(key = "ttl:{id}", ttl = "2m", skip(source))]
    async fn short(source: &Source, id: u64) -> User {
        source.find(id)
    }
    #[cached(key = "local-ttl:{id}", local_ttl = "1m", skip(source))]
    async fn shorter(source: &Source, id: u64) -> User {
        source.find(id)
    }
    let (clock, source) = (ManualClock::new(), Source::default());
    at(&clock, async {
        let both = async || (short(&source, 1).await.version, shorter(&source, 1).await.version);
        assert_eq!(both().await, (1, 2));
        clock.advance(MINUTE / 2);
        assert_eq!(both().await, (1, 2));
        clock.advance(MINUTE / 2);
        assert_eq!(both().await, (1, 3));
        clock.advance(MINUTE);
        assert_eq!(both().await, (4, 5));
    })
    .await;
}

#[tokio::test]
async fn jitter_spreads_the_ends() {
    #[cached(key = "jitter:{id}", ttl = "100s", jitter = 0.5, skip(source))]
    async fn spread(source: &Source, id: u64) -> User {
        source.find(id)
    }
    #[cached(key = "no-jitter:{id}", ttl = "100s", jitter = 0.0, skip(source))]
    async fn together(source: &Source, id: u64) -> User {
        source.find(id)
    }
    let (clock, source) = (ManualClock::new(), Source::default());
    at(&clock, async {
        for id in 0..100 {
            spread(&source, id).await;
            together(&source, id).await;
        }
        clock.advance(Duration::from_secs(99));
        let (mut left, mut whole) = (0, 0);
        for id in 0..100 {
            left += u64::from(spread::get(id).await.is_some());
            whole += u64::from(together::get(id).await.is_some());
        }
        assert_eq!(whole, 100);
        // Each is left with a chance of a half, or of none where the jitter only shortens: 100 of 100 is no chance.
        assert!(left < 100, "{left}");
        clock.advance(Duration::from_secs(52));
        assert!(spread::get(0).await.is_none());
    })
    .await;
}

#[tokio::test]
async fn a_stale_value_is_served_while_it_is_loaded_anew() {
    #[cached(key = "swr:{id}", ttl = "1m", stale_while_revalidate = "1m", skip(source))]
    async fn find(source: Source, id: u64) -> User {
        source.find(id)
    }
    let (clock, source) = (ManualClock::new(), Source::default());
    at(&clock, async {
        find(source.clone(), 1).await;
        clock.advance(MINUTE + MINUTE / 2);
        assert_eq!(find(source.clone(), 1).await.version, 1, "the stale value at once");
        settle().await;
        assert_eq!((find(source.clone(), 1).await.version, source.runs()), (2, 2));
        clock.advance(MINUTE * 2);
        assert_eq!(find(source.clone(), 1).await.version, 3, "beyond the window its caller waits");
    })
    .await;
}

#[tokio::test]
async fn a_stale_value_covers_errors_and_the_source_is_spared_for_the_throttle() {
    #[cached(key = "sie:{id}", ttl = "1m", stale_if_error = "1h", error_throttle = "10s", skip(source, fails))]
    async fn find(source: Source, id: u64, fails: bool) -> Result<User, String> {
        let user = source.find(id);
        if fails { Err("down".to_owned()) } else { Ok(user) }
    }
    let (clock, source) = (ManualClock::new(), Source::default());
    at(&clock, async {
        let version = async |fails| find(source.clone(), 1, fails).await.map(|user| user.version);
        assert_eq!(version(false).await, Ok(1));
        clock.advance(MINUTE * 2);
        assert_eq!((version(true).await, source.runs()), (Ok(1), 2));
        assert_eq!((version(true).await, source.runs()), (Ok(1), 2), "not asked again within the throttle");
        clock.advance(Duration::from_secs(11));
        assert_eq!((version(true).await, source.runs()), (Ok(1), 3));
        clock.advance(MINUTE * 60);
        assert_eq!(version(true).await, Err("down".to_owned()), "beyond the window");
    })
    .await;
}

#[tokio::test]
async fn a_soft_timeout_serves_the_stale_value_and_the_load_goes_on() {
    #[cached(key = "soft:{id}", ttl = "1m", stale_if_error = "1h", soft_timeout = "5s", skip(source, gate))]
    async fn find(source: Source, gate: Arc<Semaphore>, id: u64) -> User {
        gate.acquire().await.unwrap().forget();
        source.find(id)
    }
    let (clock, source, gate) = (ManualClock::new(), Source::default(), Arc::new(Semaphore::new(1)));
    at(&clock, async {
        let call = || Box::pin(find(source.clone(), gate.clone(), 1));
        assert_eq!(call().await.version, 1);
        clock.advance(MINUTE * 2);
        let mut waiting = call();
        assert!(is_pending(&mut waiting).await);
        settle().await;
        clock.advance(Duration::from_secs(6));
        assert_eq!(waiting.await.version, 1);
        gate.add_permits(1);
        settle().await;
        assert_eq!((find::get(1).await.map(|user| user.version), source.runs()), (Some(2), 2));
    })
    .await;
}

#[tokio::test]
async fn a_load_timeout_is_an_error_of_the_function() {
    #[cached(key = "limit:{id}", load_timeout = "2s", skip(gate))]
    async fn find(gate: Arc<Semaphore>, id: u64) -> anyhow::Result<u64> {
        gate.acquire().await?.forget();
        Ok(id)
    }
    let (clock, gate) = (ManualClock::new(), Arc::new(Semaphore::new(0)));
    at(&clock, async {
        let mut waiting = Box::pin(find(gate.clone(), 1));
        assert!(is_pending(&mut waiting).await);
        settle().await;
        clock.advance(Duration::from_secs(3));
        let error = waiting.await.unwrap_err();
        assert!(error.downcast_ref::<SharedError>().is_some_and(SharedError::is_timeout), "{error}");
        gate.add_permits(1);
        assert_eq!(find(gate.clone(), 1).await.unwrap(), 1, "the key is free again");
    })
    .await;
}

#[tokio::test]
async fn refresh_ahead_loads_before_the_end() {
    /// Takes a second, so that there is a cost to be ahead of, and draws early with near certainty: the chance that a hit
    /// 30 s before the end loads is `exp(-30 / 1000)` for a beta of 1,000.
    #[cached(key = "ahead:{id}", ttl = "1m", refresh_ahead = 1_000, skip(source, clock))]
    async fn find(source: Source, clock: ManualClock, id: u64) -> User {
        clock.advance(Duration::from_secs(1));
        source.find(id)
    }
    #[cached(key = "not-ahead:{id}", ttl = "1m", refresh_ahead = false, skip(source, clock))]
    async fn punctual(source: Source, clock: ManualClock, id: u64) -> User {
        clock.advance(Duration::from_secs(1));
        source.find(id)
    }
    let (clock, source, other) = (ManualClock::new(), Source::default(), Source::default());
    at(&clock, async {
        find(source.clone(), clock.clone(), 1).await;
        punctual(other.clone(), clock.clone(), 1).await;
        clock.advance(Duration::from_secs(30));
        // That none of ten hits draws early has a chance of 10^-15.
        for _ in 0..10 {
            find(source.clone(), clock.clone(), 1).await;
            punctual(other.clone(), clock.clone(), 1).await;
            settle().await;
        }
        assert!(source.runs() > 1, "{}", source.runs());
        assert_eq!(other.runs(), 1);
    })
    .await;
}

/// What a node has in each of its tiers, and what another node finds.
struct Nodes {
    redis: RedisServer,
    cache: CachingService,
}

impl Nodes {
    async fn start() -> Self {
        let redis = RedisServer::start();
        let cache = Self::node(&redis).await;
        Self { redis, cache }
    }

    async fn node(redis: &RedisServer) -> CachingService {
        let patience = Duration::from_secs(10);
        let remote = RedisTier::builder(redis.url()).connect_timeout(patience).response_timeout(patience).build();
        let builder = CachingService::builder().local(LocalTier::new(1_000)).remote(remote.unwrap());
        let cache = builder.tier_timeout(patience).build().await.unwrap();
        // Until the connection stands reads go to the loader.
        let connected = async {
            while cache.status().await.bus != cache_aside::BusStatus::Healthy {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), connected).await.unwrap();
        cache
    }

    async fn near(&self, key: &str) -> bool {
        self.cache.entry(key).local_only().get::<User>().await.is_some()
    }

    fn far(&self, key: &str) -> bool {
        self.redis.cli(&["EXISTS", &format!("cache:{key}")]) == "1"
    }
}

#[tokio::test]
async fn tiers_are_chosen_for_each_function() {
    #[cached(key = "local:{id}", local_only)]
    async fn local(id: u64) -> User {
        User { id, version: 1 }
    }
    #[cached(key = "remote:{id}", remote_only = true)]
    async fn remote(id: u64) -> User {
        User { id, version: 1 }
    }
    #[cached(key = "unread:{id}", skip_read = "redis", skip(source))]
    async fn unread(source: &Source, id: u64) -> User {
        source.find(id)
    }
    #[cached(key = "unread-near:{id}", skip_read = ["local"], skip(source))]
    async fn unread_near(source: &Source, id: u64) -> User {
        source.find(id)
    }
    #[cached(key = "unwritten:{id}", skip_write = ["local", "redis"], skip(source))]
    async fn unwritten(source: &Source, id: u64) -> User {
        source.find(id)
    }
    #[cached(key = "small:{size}", max_value_bytes = 100)]
    async fn small(size: usize) -> String {
        "x".repeat(size)
    }
    let (nodes, source) = (Nodes::start().await, Source::default());
    let other = Nodes::node(&nodes.redis).await;
    let scoped = nodes.cache.clone().scope(async {
        local(1).await;
        remote(1).await;
        assert_eq!((nodes.near("local:1").await, nodes.far("local:1")), (true, false));
        assert_eq!((nodes.near("remote:1").await, nodes.far("remote:1")), (false, true));

        other.set("unread:1", User { id: 1, version: 50 }).await;
        other.set("unread-near:1", User { id: 1, version: 50 }).await;
        assert_eq!(unread(&source, 1).await.version, 1, "what Redis has is not read");
        assert_eq!(unread_near(&source, 1).await.version, 50);
        nodes.redis.cli(&["DEL", "cache:unread-near:1"]);
        assert_eq!(unread_near(&source, 1).await.version, 2, "what is near is not read");

        unwritten(&source, 1).await;
        unwritten(&source, 1).await;
        assert_eq!((source.runs(), nodes.near("unwritten:1").await, nodes.far("unwritten:1")), (4, false, false));

        small(10).await;
        small(1_000).await;
        let found = async |size| other.get::<String>(&small::key(size)).await.is_some();
        assert_eq!((found(10).await, found(1_000).await), (true, false));
        assert!(small::get(1_000).await.is_none());
    });
    scoped.await;
}
