//! No near entry outlives the far entry that it was copied from, however it came to be copied.

use std::collections::HashMap;
use std::time::Duration;

use cache_aside::clock::{Clock, ManualClock, Timestamp};
use cache_aside::{CacheTier, CachingService, Entry, Key, Namespace, NearTier, Policy, RedisTier};
use cache_testing::{FaultProxy, RedisServer};

use super::shown::Shown;
use super::support::{eventually, hears_invalidations, node_builder};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// How the value is stored: by the node that loads it.
fn policies() -> [Policy; 5] {
    let policy = Policy::new(MINUTE).jitter(0.0);
    let stale = |policy: Policy| policy.stale_while_revalidate(MINUTE).stale_if_error(MINUTE * 5);
    [
        policy.clone(),
        policy.clone().local_ttl(SECOND * 50),
        policy.clone().jitter(0.5).local_ttl(MINUTE),
        stale(policy.clone()).local_ttl(MINUTE),
        stale(policy).jitter(0.5),
    ]
}

/// How another node comes by it.
#[derive(Clone, Copy, Debug)]
enum Way {
    Get,
    Load,
    GetMany,
    LoadMany,
    Keyspace,
    KeyspaceMany,
    Preload,
    PreloadMatching,
}

const WAYS: [Way; 8] = [
    Way::Get,
    Way::Load,
    Way::GetMany,
    Way::LoadMany,
    Way::Keyspace,
    Way::KeyspaceMany,
    Way::Preload,
    Way::PreloadMatching,
];

impl Way {
    /// Reads with a policy that would keep the value for a day, and a source that is down.
    async fn read(self, node: &CachingService) {
        let key = "k:1";
        let greedy = greedy();
        let one = || async { Err::<String, _>("down") };
        let many = |_: Vec<String>| async { Err::<HashMap<String, String>, _>("down") };
        let keyspace = || {
            let builder = node.keyspace::<u32, String>("k").policy(greedy.clone());
            builder.loader(|_| async { Err::<String, _>("down") }).build().unwrap()
        };
        match self {
            Self::Get => drop(node.entry(key).policy(greedy).get::<String>().await),
            Self::Load => drop(node.entry(key).policy(greedy).get_or_load(one).await),
            Self::GetMany => drop(node.batch().policy(greedy).get::<String>(&[key]).await),
            Self::LoadMany => drop(node.batch().policy(greedy).get_or_load(&[key], many).await),
            Self::Keyspace => drop(keyspace().get(&1).await),
            Self::KeyspaceMany => drop(keyspace().get_many(&[1]).await),
            Self::Preload => drop(keyspace().preload([1]).run().await),
            Self::PreloadMatching => drop(keyspace().preload_all().run().await),
        }
    }
}

/// As long as can be, in the near tier as well.
fn greedy() -> Policy {
    Policy::new(DAY).jitter(0.0).local_ttl(DAY).stale_while_revalidate(DAY).stale_if_error(DAY).error_throttle(SECOND)
}

struct Setting {
    clock: ManualClock,
    link: FaultProxy,
    writer: CachingService,
    writer_near: Shown,
    reader: CachingService,
    reader_near: Shown,
    far: RedisTier,
}

impl Setting {
    async fn new(redis: &RedisServer, namespace: &str, policy: Policy) -> Self {
        let (clock, link) = (ManualClock::new(), FaultProxy::start(redis.address()));
        let node = async |url: &str, near: &Shown| {
            // Whether the nodes hear of each other is not what is tested.
            let builder = node_builder(url).heartbeat_timeout(DAY).isolated_ttl(DAY);
            let builder = builder.local(near.clone()).namespace(namespace).clock(clock.clone());
            let node = builder.default_policy(policy.clone()).build().await.unwrap();
            hears_invalidations(&node).await;
            node
        };
        let (writer_near, reader_near) = (Shown::default(), Shown::default());
        let writer = node(&redis.url(), &writer_near).await;
        let reader = node(&redis.url_at(link.port()), &reader_near).await;
        let far = RedisTier::new(redis.url()).unwrap();
        far.bind(&Namespace::new(namespace).unwrap()).unwrap();
        Self { clock, link, writer, writer_near, reader, reader_near, far }
    }

    async fn far_entry(&self) -> Entry {
        self.far.get(&Key::new("k:1").unwrap()).await.unwrap().unwrap()
    }

    fn pass_until(&self, time: Timestamp) {
        self.clock.advance(time.since(self.clock.now()));
    }

    /// Checks the near entry against the far one, and that it is gone when that is.
    async fn check(self, near: &Shown, what: &str) {
        let far = self.far_entry().await;
        let entry = near.0.look_up("k:1").unwrap_or_else(|| panic!("{what}: nothing was copied"));
        assert!(entry.expires <= far.expires, "{what}: kept until {}, past {}", entry.expires, far.expires);
        assert!(
            entry.fresh_until <= far.fresh_until,
            "{what}: fresh until {}, past {}",
            entry.fresh_until,
            far.fresh_until
        );
        self.pass_until(far.expires);
        let entry = self.reader.entry("k:1").policy(greedy().local_only());
        let served = entry.get_or_load(|| async { Err::<String, _>("down") }).await;
        assert!(served.is_err(), "{what}: served past the end of the far entry");
    }
}

#[tokio::test]
async fn an_entry_that_is_copied_late_ends_with_the_one_that_it_is_a_copy_of() {
    let redis = RedisServer::start();
    for (number, policy) in policies().into_iter().enumerate() {
        for way in WAYS {
            // Two seconds before the value is fresh no more, and before it can be served no more.
            for late_in_stale in [false, true] {
                let what = format!("{number}-{way:?}-{late_in_stale}");
                let setting = Setting::new(&redis, &what, policy.clone()).await;
                let load = || async { Ok::<_, &str>("value".to_owned()) };
                setting.writer.get_or_load("k:1", load).await.unwrap();
                let far = setting.far_entry().await;
                let end = if late_in_stale { far.expires } else { far.fresh_until };
                setting.pass_until(end.before(SECOND * 2));
                way.read(&setting.reader).await;
                let near = setting.reader_near.clone();
                setting.check(&near, &what).await;
            }
        }
    }
}

#[tokio::test]
async fn what_the_loading_or_setting_node_keeps_itself_ends_with_what_it_stored() {
    let redis = RedisServer::start();
    for (number, policy) in policies().into_iter().enumerate() {
        for set in [false, true] {
            let what = format!("{number}-{set}");
            let setting = Setting::new(&redis, &what, policy.clone()).await;
            if set {
                setting.writer.set("k:1", "value".to_owned()).await;
            } else {
                let load = || async { Ok::<_, &str>("value".to_owned()) };
                setting.writer.get_or_load("k:1", load).await.unwrap();
            }
            let near = setting.writer_near.clone();
            setting.check(&near, &what).await;
        }
    }
}

#[tokio::test]
async fn a_value_that_another_node_sends_ends_with_the_one_in_the_shared_tier_also_if_it_comes_late() {
    let redis = RedisServer::start();
    for (number, policy) in policies().into_iter().enumerate() {
        let what = format!("{number}");
        let setting = Setting::new(&redis, &what, policy.clone()).await;
        let held = setting.link.hold_replies();
        setting.writer.entry("k:1").replicate().set("value".to_owned()).await;
        let far = setting.far_entry().await;
        setting.pass_until(far.fresh_until.before(SECOND * 2));
        held.release();
        eventually("the value has come", || async { setting.reader_near.0.look_up("k:1").is_some() }).await;
        let near = setting.reader_near.clone();
        setting.check(&near, &what).await;
    }
}

/// A tier between the near and the shared one is held to the same.
#[tokio::test]
async fn an_entry_that_is_copied_into_a_tier_in_between_ends_with_the_one_that_it_is_a_copy_of() {
    let redis = RedisServer::start();
    for (number, policy) in policies().into_iter().enumerate() {
        let what = format!("{number}");
        let setting = Setting::new(&redis, &what, policy).await;
        setting.writer.get_or_load("k:1", || async { Ok::<_, &str>("value".to_owned()) }).await.unwrap();
        setting.pass_until(setting.far_entry().await.fresh_until.before(SECOND * 2));
        let between = Shown::default();
        let builder = CachingService::builder().tier(between.clone()).remote(RedisTier::new(redis.url()).unwrap());
        let builder = builder.heartbeat_timeout(DAY).isolated_ttl(DAY).tier_timeout(SECOND * 10);
        let node = builder.namespace(&what).clock(setting.clock.clone()).build().await.unwrap();
        hears_invalidations(&node).await;
        node.entry("k:1").policy(greedy()).get::<String>().await.unwrap();
        setting.check(&between, &what).await;
    }
}

/// And it hears of what other nodes change, before it is read again.
#[tokio::test]
async fn a_tier_in_between_keeps_nothing_that_another_node_has_changed() {
    let redis = RedisServer::start();
    let (writer, between) = (node_builder(&redis.url()).build().await.unwrap(), Shown::default());
    let builder = CachingService::builder().tier(between.clone()).remote(RedisTier::new(redis.url()).unwrap());
    let node = builder.build().await.unwrap();
    hears_invalidations(&writer).await;
    hears_invalidations(&node).await;
    let read = async || node.get::<String>("k:1").await.map(|value| String::clone(&value));
    for change in 0..5 {
        writer.entry("k:1").tags(["t"]).set("old".to_owned()).await;
        eventually("it is copied", || async {
            read().await.is_some_and(|value| value == "old") && between.0.look_up("k:1").is_some()
        })
        .await;
        let heard = node.stats().invalidations_received;
        match change {
            0 => drop(writer.invalidate("k:1").await),
            1 => drop(writer.invalidate_pattern("k:*").await.unwrap()),
            2 => drop(writer.invalidate_tags(["t"]).await),
            3 => drop(writer.clear().await),
            _ => drop(writer.set("k:1", "new".to_owned()).await),
        }
        eventually("it has heard of it", || async { node.stats().invalidations_received > heard }).await;
        assert_eq!(read().await.as_deref(), (change == 4).then_some("new"), "{change}");
    }
}

/// It has heard of no more than its node has.
#[tokio::test]
async fn a_tier_in_between_is_read_no_longer_than_the_near_one_while_nothing_is_heard() {
    let redis = RedisServer::start();
    let (clock, link) = (ManualClock::new(), FaultProxy::start(redis.address()));
    let writer = node_builder(&redis.url()).clock(clock.clone()).build().await.unwrap();
    let builder = CachingService::builder().tier(Shown::default());
    let builder = builder.remote(RedisTier::new(redis.url_at(link.port())).unwrap()).clock(clock.clone());
    let node = builder.build().await.unwrap();
    hears_invalidations(&writer).await;
    hears_invalidations(&node).await;
    let read = async || node.get::<String>("k:1").await.map(|value| String::clone(&value));
    writer.set("k:1", "old".to_owned()).await;
    assert_eq!(read().await.as_deref(), Some("old"));
    link.cut().await;
    writer.invalidate("k:1").await;
    assert_eq!(read().await.as_deref(), Some("old"), "nobody can have told it");
    clock.advance(node.staleness_bound());
    assert_eq!(read().await, None);
    assert_eq!(node.get_many::<String>(&["k:1"]).await, [None]);
    let loaded = node.get_or_load("k:1", || async { Ok::<_, &str>("new".to_owned()) }).await;
    assert_eq!(*loaded.unwrap(), "new");
}

/// The clock of the node that copies is years behind that of the one that stored.
#[tokio::test]
async fn a_copy_lives_no_longer_than_the_value_was_to_live_whatever_the_clocks_show() {
    let redis = RedisServer::start();
    let (early, late) = (ManualClock::new(), ManualClock::new());
    late.advance(DAY);
    let node = async |clock: &ManualClock| {
        let builder = node_builder(&redis.url()).heartbeat_timeout(DAY * 9).isolated_ttl(DAY * 9).clock(clock.clone());
        let node = builder.default_policy(Policy::new(MINUTE).jitter(0.0)).build().await.unwrap();
        hears_invalidations(&node).await;
        node
    };
    let (writer, reader) = (node(&late).await, node(&early).await);
    writer.set("k:1", "value".to_owned()).await;
    let near = async || reader.entry("k:1").local_only().get::<String>().await.is_some();
    assert!(reader.entry("k:1").policy(greedy()).get::<String>().await.is_some());
    assert!(near().await);
    early.advance(MINUTE);
    assert!(!near().await);
}
