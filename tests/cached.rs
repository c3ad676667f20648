//! `#[cached]` on the functions that people write, over a service with a near tier only.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

use std::borrow::Cow;
use std::fmt::Display;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
use std::time::Duration;

use cache_aside::{CacheKey, CachingService, KeyWriter, LocalTier, Policy, cached};
use serde::{Deserialize, Serialize};

#[path = "cached/arguments.rs"]
mod arguments;
#[path = "cached/errors.rs"]
mod errors;
#[path = "cached/instrumented.rs"]
mod instrumented;
#[path = "cached/keys.rs"]
mod keys;
#[path = "cached/methods.rs"]
mod methods;
#[path = "cached/policies.rs"]
mod policies;
#[path = "cached/shapes.rs"]
mod shapes;
#[path = "cached/writes.rs"]
mod writes;

/// Runs `future` with a service of its own in the place of the global one.
async fn scoped<F: Future>(future: F) -> F::Output {
    service().await.scope(future).await
}

async fn service() -> CachingService {
    CachingService::builder().local(LocalTier::new(1_000)).build().await.unwrap()
}

/// Polls `future` once.
async fn is_pending<F: Future + Unpin>(future: &mut F) -> bool {
    poll_fn(|context| Poll::Ready(Pin::new(&mut *future).poll(context).is_pending())).await
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct User {
    id: u64,
    version: u64,
}

/// Counts how often bodies ran, per test: each test passes its own.
#[derive(Clone, Default)]
struct Source {
    runs: Arc<AtomicU64>,
}

impl Source {
    /// The user in its next version.
    fn find(&self, id: u64) -> User {
        User { id, version: self.runs.fetch_add(1, Ordering::SeqCst) + 1 }
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }
}

/// A user.
#[cached(key = "user:{id}", ttl = "5m", skip(source))]
async fn find_user(source: Source, id: u64) -> User {
    source.find(id)
}

#[tokio::test]
async fn the_body_runs_once_per_key() {
    let source = Source::default();
    scoped(async {
        for _ in 0..3 {
            assert_eq!(find_user(source.clone(), 7).await, User { id: 7, version: 1 });
        }
        assert_eq!(find_user(source.clone(), 8).await, User { id: 8, version: 2 });
    })
    .await;
    assert_eq!(source.runs(), 2);
}

#[tokio::test]
async fn the_companion_has_key_get_put_invalidate_refresh_and_uncached() {
    let source = Source::default();
    scoped(async {
        assert_eq!(find_user::key(7), "user:7");
        assert_eq!(find_user::get(7).await, None);

        assert_eq!(find_user(source.clone(), 7).await.version, 1);
        assert_eq!(find_user::get(7).await.as_deref(), Some(&User { id: 7, version: 1 }));

        assert_eq!(find_user::uncached(source.clone(), 7).await.version, 2);
        assert_eq!(find_user(source.clone(), 7).await.version, 1, "uncached stores nothing");

        assert_eq!(find_user::refresh(source.clone(), 7).await.version, 3);
        assert_eq!(find_user(source.clone(), 7).await.version, 3);

        find_user::put(7, User { id: 7, version: 99 }).await;
        assert_eq!(find_user(source.clone(), 7).await.version, 99);

        find_user::invalidate(7).await;
        assert_eq!(find_user::get(7).await, None);
        assert_eq!(find_user(source.clone(), 7).await.version, 4);
    })
    .await;
}

#[tokio::test]
async fn other_readers_of_the_key_find_the_value() {
    let service = service().await;
    service.clone().scope(find_user(Source::default(), 7)).await;
    assert_eq!(service.get::<User>("user:7").await.as_deref(), Some(&User { id: 7, version: 1 }));
    service.set("user:8", User { id: 8, version: 50 }).await;
    assert_eq!(service.scope(find_user(Source::default(), 8)).await.version, 50);
}

#[tokio::test]
async fn a_caller_that_goes_away_cancels_nothing_if_arguments_are_owned() {
    #[cached(key = "slow:{id}", skip(source, gate))]
    async fn slow(source: Source, gate: Arc<tokio::sync::Semaphore>, id: u64) -> User {
        gate.acquire().await.unwrap().forget();
        source.find(id)
    }
    let (source, gate) = (Source::default(), Arc::new(tokio::sync::Semaphore::new(0)));
    scoped(async {
        let mut gone = Box::pin(slow(source.clone(), gate.clone(), 1));
        assert!(is_pending(&mut gone).await);
        drop(gone);
        let waiting = slow(source.clone(), gate.clone(), 1);
        gate.add_permits(1);
        assert_eq!(waiting.await.version, 1);
    })
    .await;
}

#[tokio::test]
async fn when_decides_from_the_arguments_whether_to_use_the_cache() {
    #[cached(key = "when:{id}", when = id > 10 && !fresh, skip(source, fresh))]
    async fn find(source: &Source, id: u64, fresh: bool) -> User {
        source.find(id)
    }
    let source = Source::default();
    scoped(async {
        find(&source, 1, false).await;
        find(&source, 1, false).await;
        find(&source, 20, true).await;
        assert_eq!(source.runs(), 3);
        find(&source, 20, false).await;
        find(&source, 20, false).await;
        assert_eq!(source.runs(), 4);
    })
    .await;
}

#[tokio::test]
async fn cache_names_another_service() {
    struct Context {
        cache: CachingService,
    }
    #[cached(key = "cache:{id}", cache = context.cache, skip(source))]
    async fn find(source: &Source, context: &Context, id: u64) -> User {
        source.find(id)
    }
    #[cached(key = "owned:{id}", cache = context.cache, skip(source))]
    async fn find_owned(source: Source, context: Arc<Context>, id: u64) -> User {
        source.find(id)
    }
    let (source, context) = (Source::default(), Arc::new(Context { cache: service().await }));
    find(&source, &context, 1).await;
    find(&source, &context, 1).await;
    assert_eq!(find::get(&context, 1).await.as_deref(), context.cache.get::<User>("cache:1").await.as_deref());
    find::invalidate(&context, 1).await;
    assert_eq!(context.cache.get::<User>("cache:1").await, None);

    find_owned(source.clone(), context.clone(), 1).await;
    find_owned(source.clone(), context.clone(), 1).await;
    assert_eq!(source.runs(), 2);
}

#[tokio::test]
async fn policies_are_durations_expressions_or_a_whole_policy() {
    static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy::new(Duration::from_secs(60)).schema(1));

    #[cached(key = "schema:{id}", policy = POLICY.clone(), ttl = Duration::from_secs(seconds), schema = version,
        skip(source, version, seconds))]
    async fn find(source: &Source, id: u64, version: u32, seconds: u64) -> User {
        source.find(id)
    }
    let source = Source::default();
    scoped(async {
        assert_eq!(find(&source, 1, 1, 60).await.version, 1);
        assert_eq!(find(&source, 1, 1, 60).await.version, 1);
        assert_eq!(find(&source, 1, 2, 60).await.version, 2, "a raised schema is a miss");
        assert_eq!(find::get(1, 1, 60).await, None);
        assert_eq!(find::get(1, 2, 60).await.map(|user| user.version), Some(2));
    })
    .await;
}

/// How often a hit of `find` allocates, which must answer at once what the first call did. The near tier keeps house now and then,
/// and allocates for it: not for every hit, and not because of it.
async fn allocations_of_a_hit<R: std::fmt::Debug + PartialEq>(find: impl AsyncFn() -> R) -> u64 {
    let loaded = Poll::Ready(find().await);
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    let mut allocated = Vec::with_capacity(100);
    for _ in 0..100 {
        let mut hit = std::pin::pin!(find());
        let mut found = Poll::Pending;
        let allocations = allocation_counter::measure(|| found = hit.as_mut().poll(&mut context));
        assert_eq!(found, loaded);
        allocated.push(allocations.count_total);
    }
    // At least 90 of the 100 allocate no more than this.
    allocated.sort_unstable();
    allocated[89]
}

#[tokio::test]
async fn a_hit_of_a_shared_value_does_not_allocate() {
    #[cached(key = "shared:{tenant}:{id}", ttl = "5m")]
    async fn find(tenant: &str, id: u64) -> Result<Arc<User>, String> {
        Ok(Arc::new(User { id, version: tenant.len() as u64 }))
    }
    #[cached(key = "shared:{tenant}:{id}:by schema", ttl = "5m", schema = 2, tags = ["tenant:{tenant}"])]
    async fn find_by_schema(tenant: &str, id: u64) -> Result<Arc<User>, String> {
        Ok(Arc::new(User { id, version: tenant.len() as u64 }))
    }
    scoped(async {
        assert_eq!(allocations_of_a_hit(async || find("a:b", 7).await).await, 0);
        assert_eq!(allocations_of_a_hit(async || find_by_schema("a:b", 7).await).await, 0);
    })
    .await;
}

#[tokio::test]
async fn a_hit_of_a_value_by_itself_is_one_clone_and_a_key_longer_than_128_bytes_is_allocated() {
    #[cached(key = "plain:{name}", cache = cache)]
    async fn find(cache: &CachingService, name: &str) -> String {
        name.to_owned()
    }
    let cache = service().await;
    for (length, allocations) in [(128, 1), (129, 2)] {
        let name = "n".repeat(length - "plain:".len());
        assert_eq!(find::key(&name).len(), length);
        assert_eq!(allocations_of_a_hit(async || find(&cache, &name).await).await, allocations);
    }
}

#[tokio::test]
async fn a_hit_of_a_cached_absence_does_not_allocate() {
    #[cached(key = "absent:{name}", ttl = "5m", negative_ttl = "1m")]
    async fn find(name: &str) -> Option<User> {
        let _ = name;
        None
    }
    #[cached(key = "absent:{id}:by schema", ttl = "5m", negative_ttl = "1m", schema = 2)]
    async fn find_by_schema(id: u64) -> Result<Option<Arc<User>>, String> {
        let _ = id;
        Ok(None)
    }
    let service = service().await;
    let counted = service.clone();
    service
        .scope(async {
            assert_eq!(allocations_of_a_hit(async || find("nobody").await).await, 0);
            assert_eq!(allocations_of_a_hit(async || find_by_schema(7).await).await, 0);
        })
        .await;
    let near = &counted.stats().tiers[0];
    assert_eq!((near.hits, near.misses), (200, 2), "each call is counted once");
}
