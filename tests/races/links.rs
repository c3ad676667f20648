//! A bus that goes silent without saying so, with the default timings: what the node serves meanwhile is bounded, and what
//! it missed is made up for.

use std::time::Duration;

use cache_aside::BusStatus;
use cache_aside::clock::Clock;
use cache_testing::proxy::{Direction, Flow};

use crate::setting::{NEW, OLD, Setting};
use crate::support::{eventually, near};

const ISOLATED_TTL: Duration = Duration::from_secs(10);
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(1);

/// Which way the bus of node a is silent.
async fn silent(directions: &[Direction]) {
    let setting = Setting::new().await;
    let (a, b) = (&setting.a, &setting.b);
    let began = setting.clock.now();
    for key in ["changed", "same"] {
        b.set(key, OLD.to_owned()).await;
        a.get::<String>(key).await.unwrap();
    }
    directions.iter().for_each(|direction| setting.bus.set(*direction, Flow::Hold));
    b.set("changed", NEW.to_owned()).await;
    if directions.contains(&Direction::ToClient) {
        assert_eq!(near(a, "changed").await.as_deref(), Some(OLD), "the record cannot come");
    } else {
        eventually("a mute node still hears", || async { near(a, "changed").await.is_none() }).await;
    }

    setting.clock.advance(HEARTBEAT_INTERVAL);
    let isolated = || async { matches!(a.status().await.bus, BusStatus::Isolated { since } if since <= began) };
    eventually("the heartbeat finds the silence", isolated).await;

    setting.clock.advance(ISOLATED_TTL - HEARTBEAT_INTERVAL - Duration::from_millis(1));
    assert_eq!(near(a, "same").await.as_deref(), Some(OLD), "the bound is not reached yet");
    setting.clock.advance(Duration::from_millis(1));
    assert_eq!((near(a, "changed").await, near(a, "same").await), (None, None), "isolated_ttl after they were read");
    assert_eq!(*a.get::<String>("changed").await.unwrap(), NEW, "commands pass");

    // Changed once more, where the node cannot hear of it.
    assert_eq!(near(a, "changed").await.as_deref(), Some(NEW));
    b.invalidate("changed").await;
    setting.bus.pass().await;
    eventually("the bus is back", || async {
        setting.clock.advance(HEARTBEAT_INTERVAL / 10);
        a.status().await.bus == BusStatus::Healthy
    })
    .await;
    assert_eq!(near(a, "changed").await, None, "what was missed has been made up for");
    assert_eq!(a.stats().resets, 0, "from the journal");
}

#[tokio::test]
async fn a_deaf_bus_is_found_and_bounded() {
    silent(&[Direction::ToClient]).await;
}

#[tokio::test]
async fn a_mute_bus_is_found_and_bounded() {
    silent(&[Direction::ToServer]).await;
}

#[tokio::test]
async fn a_bus_in_a_black_hole_is_found_and_bounded() {
    silent(&[Direction::ToServer, Direction::ToClient]).await;
}
