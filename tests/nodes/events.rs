//! What the handler of events is told, and what goes to `tracing`.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cache_aside::{CachingService, Event, LoadError, LoadFailure, LocalTier, RedisTier};
use cache_testing::RedisServer;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Metadata, Subscriber};

use super::support::{GatedLoad, hears_invalidations};

/// What a service tells.
struct Heard(UnboundedReceiver<Event>);

impl Heard {
    /// The next event of this name; those before it are passed over.
    async fn next(&mut self, name: &str) -> Event {
        let found = async {
            loop {
                let event = self.0.recv().await.unwrap();
                if event.name() == name {
                    return event;
                }
            }
        };
        tokio::time::timeout(Duration::from_secs(20), found).await.unwrap_or_else(|_| panic!("never: {name}"))
    }

    fn so_far(&mut self) -> Vec<&'static str> {
        std::iter::from_fn(|| self.0.try_recv().ok()).map(|event| event.name()).collect()
    }
}

async fn node_heard(redis: &RedisServer) -> (CachingService, Heard) {
    let (sender, receiver) = unbounded_channel();
    let handler = move |event: &Event| drop(sender.send(event.clone()));
    let builder = CachingService::builder().local(LocalTier::new(100)).remote(RedisTier::new(redis.url()).unwrap());
    let cache = builder.on_event(handler).build().await.unwrap();
    hears_invalidations(&cache).await;
    (cache, Heard(receiver))
}

#[tokio::test]
async fn a_tier_that_is_down_at_the_start_is_told_of() {
    let redis = RedisServer::start();
    redis.kill();
    let (sender, receiver) = unbounded_channel();
    let handler = move |event: &Event| drop(sender.send(event.clone()));
    let builder = CachingService::builder().local(LocalTier::new(100)).remote(RedisTier::new(redis.url()).unwrap());
    let _cache = builder.on_event(handler).build().await.unwrap();
    let mut heard = Heard(receiver);
    let Event::TierDown { tier, error, .. } = heard.next("cache.tier.down").await else { unreachable!() };
    assert!(tier == "redis" && error.is_outage(), "{error}");
    redis.restart();
    heard.next("cache.tier.up").await;
    assert!(!heard.so_far().contains(&"cache.tier.down"));
}

#[tokio::test]
async fn an_outage_is_told_from_its_first_failure_to_the_last_delivery() {
    let redis = RedisServer::start();
    let (cache, mut heard) = node_heard(&redis).await;
    cache.set("k", 1_u32).await;
    heard.next("cache.bus.connected").await;
    redis.kill();
    heard.next("cache.bus.isolated").await;
    for n in 0..4 {
        cache.invalidate(format!("k{n}")).await;
    }
    let Event::InvalidationQueued { tier, .. } = heard.next("cache.invalidation.queued").await else {
        panic!("queued")
    };
    assert_eq!(tier, "redis");
    cache.get::<u32>("other").await;
    let (mut down, mut probed) = (false, false);
    while !(down && probed) {
        let event = heard.0.recv().await.unwrap();
        down |= matches!(event, Event::TierDown { tier: "redis", .. });
        probed |= matches!(event, Event::TierProbed { tier: "redis", answered: false, .. });
    }
    redis.restart();
    let mut left = BTreeSet::from(["cache.invalidation.delivered", "cache.tier.up", "cache.bus.connected"]);
    while !left.is_empty() {
        let event = heard.0.recv().await.unwrap();
        left.remove(event.name());
    }
    assert_eq!(cache.stats().handler_panics, 0);
}

#[tokio::test]
async fn what_befalls_a_value_is_told_with_its_key() {
    let redis = RedisServer::start();
    let (cache, mut heard) = node_heard(&redis).await;
    heard.so_far();

    let load = GatedLoad::start(&cache, "fenced", "old").await;
    cache.invalidate("fenced").await;
    load.end().await;
    assert!(matches!(heard.next("cache.fill.fenced").await, Event::FillFenced { key, .. } if key.as_str() == "fenced"));

    cache.entry("large").max_value_bytes(3).set("large".to_owned()).await;
    assert!(matches!(heard.next("cache.value.too_large").await, Event::TooLarge { bytes: 7, .. }));
    cache.set("unencodable", BTreeMap::from([(vec![1_u8], 1_u8)])).await;
    heard.next("cache.value.unencodable").await;
    cache.set("text", "secret".to_owned()).await;
    assert!(cache.get::<u32>("text").await.is_none());
    assert!(matches!(heard.next("cache.value.undecodable").await, Event::Undecodable { codec: 1, .. }));
    cache.get::<u32>("").await;
    assert!(matches!(heard.next("cache.key.invalid").await, Event::InvalidKey { .. }));

    let limit = Duration::from_millis(1);
    let failed = cache.get_or_load("f", || async { Err::<u32, _>(std::io::Error::other("no")) }).await;
    assert!(matches!(failed, Err(LoadError::Source(_))));
    let panicked =
        cache.get_or_load("f", || async { if true { panic!("no") } else { Ok::<u32, Infallible>(1) } }).await;
    assert!(matches!(panicked, Err(LoadError::Panicked)));
    let hung = cache.entry("f").load_timeout(limit).get_or_load(pending::<Result<u32, Infallible>>).await;
    assert!(matches!(hung, Err(LoadError::TimedOut)));
    for expected in [LoadFailure::Error, LoadFailure::Panicked, LoadFailure::TimedOut] {
        let Event::LoadFailed { key, failure, .. } = heard.next("cache.load.failed").await else { panic!("failed") };
        assert_eq!((key.unwrap().as_str(), failure), ("f", expected));
    }
}

#[tokio::test]
async fn hits_tell_nothing_and_a_handler_that_panics_fails_no_call() {
    let redis = RedisServer::start();
    let (cache, mut heard) = node_heard(&redis).await;
    cache.set("k", 1_u32).await;
    heard.so_far();
    assert_eq!(*cache.get::<u32>("k").await.unwrap(), 1);
    assert_eq!(*cache.get_or_load("k", || async { Ok::<_, Infallible>(2_u32) }).await.unwrap(), 1);
    assert_eq!(heard.so_far(), [""; 0]);

    let builder = CachingService::builder().local(LocalTier::new(100)).on_event(|_| panic!("a handler's own fault"));
    let cache = builder.build().await.unwrap();
    assert!(cache.get::<u32>("").await.is_none());
    assert_eq!(cache.stats().handler_panics, 1);
}

/// Keeps the names of spans and events, and everything that they show.
#[derive(Clone, Default)]
struct Traces(Arc<Mutex<(BTreeSet<String>, String)>>);

impl Traces {
    fn note(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut dyn Visit)) {
        let mut traces = self.0.lock().unwrap();
        if metadata.target() == "cache_aside" {
            traces.0.insert(metadata.name().to_owned());
        }
        record(&mut Shown(&mut traces.1));
    }
}

struct Shown<'a>(&'a mut String);

impl Visit for Shown<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.0.push_str(&format!("{field}={value:?} "));
    }
}

impl Subscriber for Traces {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.note(span.metadata(), |visit| span.record(visit));
        Id::from_u64(1)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        self.note(event.metadata(), |visit| event.record(visit));
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn traces_have_the_names_of_the_documentation_and_show_no_value() {
    let traces = Traces::default();
    let _default = tracing::subscriber::set_default(traces.clone());
    let redis = RedisServer::start();
    let url = redis.url().replace("redis://", "redis://:hidden@");
    redis.cli(&["CONFIG", "SET", "requirepass", "hidden"]);
    let builder = CachingService::builder().local(LocalTier::new(100)).remote(RedisTier::new(url).unwrap());
    let cache = builder.build().await.unwrap();
    hears_invalidations(&cache).await;
    cache.get_or_load("k", || async { Ok::<_, Infallible>("secret".to_owned()) }).await.unwrap();
    assert!(cache.get::<u32>("k").await.is_none(), "not a number");
    cache.get_many::<String>(&["a", "b"]).await;
    cache.get::<u32>("\n").await;
    redis.kill();
    cache.get::<u32>("other").await;
    cache.shutdown().await;

    let (names, shown) = &*traces.0.lock().unwrap();
    let documented = include_str!("../../docs/observability.md");
    for name in names.iter().filter(|name| name.starts_with("cache.")) {
        assert!(documented.contains(&format!("`{name}`")), "{name} is not documented");
    }
    for name in ["cache.far.get", "cache.far.get_many", "cache.load", "cache.value.undecodable", "cache.key.invalid"] {
        assert!(names.contains(name), "{name} is missing from {names:?}");
    }
    assert!(!shown.contains("secret") && !shown.contains("hidden"), "{shown}");
}
