//! Types that panic when they are written or read: their callers are served all the same.

use std::convert::Infallible;

use cache_testing::RedisServer;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::support::{eventually, node};

/// A text that panics when it is written or read, if it says so.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Touchy(&'static str);

impl Serialize for Touchy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert_ne!(self.0, "unwritable", "a panic that is asked for");
        serializer.serialize_str(self.0)
    }
}

impl<'de> Deserialize<'de> for Touchy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        assert_ne!(text, "unreadable", "a panic that is asked for");
        Ok(Self("readable"))
    }
}

#[tokio::test]
async fn a_value_whose_reading_panics_is_loaded_anew() {
    let redis = RedisServer::start();
    let (a, b) = (node(&redis.url()).await, node(&redis.url()).await);
    for key in ["one", "many"] {
        a.set(key, Touchy("unreadable")).await;
    }
    let load = || async { Ok::<_, Infallible>(Touchy("loaded")) };
    assert_eq!(*b.get_or_load("one", load).await.unwrap(), Touchy("loaded"));
    assert_eq!(b.stats().undecodable, 1);
    assert_eq!(b.get_many::<Touchy>(&["many"]).await, [None]);
    assert_eq!(b.stats().undecodable, 2);
    // What was loaded has taken its place.
    assert_eq!(node(&redis.url()).await.get::<Touchy>("one").await.as_deref(), Some(&Touchy("readable")));
}

#[tokio::test]
async fn a_value_whose_writing_panics_is_handed_out_and_kept_near_only() {
    let redis = RedisServer::start();
    let a = node(&redis.url()).await;
    let load = || async { Ok::<_, Infallible>(Touchy("unwritable")) };
    assert_eq!(*a.get_or_load("k", load).await.unwrap(), Touchy("unwritable"));
    assert_eq!(a.entry("k").local_only().get::<Touchy>().await.as_deref(), Some(&Touchy("unwritable")));
    assert_eq!(a.stats().unencodable, 1);
    eventually("its lease is given back", || async { redis.cli(&["EXISTS", "cache:k"]) == "0" }).await;
}
