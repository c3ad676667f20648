use std::pin::pin;

use futures_util::poll;

use super::*;
use crate::clock::ManualClock;

const BIRTH: Birth = Birth { applied: Position::new(1, 0), at: Timestamp::from_millis(100), overdue: Timestamp::MAX };

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn kind<T: 'static>() -> Kind {
    Kind { types: TypeId::of::<T>(), access: Access::ALL }
}

fn join(flights: &Arc<Flights>, name: &str) -> Role {
    flights.join(&key(name), kind::<u32>(), BIRTH, Timestamp::ZERO)
}

fn end_with(number: u32) -> End {
    End::Value(Some(Arc::new(number)))
}

fn number(end: End) -> u32 {
    let End::Value(Some(value)) = end else { panic!("it ended without a value") };
    *value.downcast().unwrap()
}

fn lead(flights: &Arc<Flights>, name: &str) -> Leader {
    match join(flights, name) {
        Role::Leads(leader) => leader,
        Role::Follows(_) => panic!("{name} is in flight already"),
    }
}

fn follow(flights: &Arc<Flights>, name: &str) -> Follower {
    match join(flights, name) {
        Role::Follows(follower) => follower,
        Role::Leads(_) => panic!("{name} is not in flight"),
    }
}

fn is_empty(flights: &Flights) -> bool {
    flights.shards.iter().all(|shard| lock(shard).is_empty())
}

#[tokio::test]
async fn all_followers_get_what_the_leader_loaded() {
    let flights = Arc::new(Flights::new());
    let leader = lead(&flights, "k");
    let followers = [follow(&flights, "k"), follow(&flights, "k")];
    assert_eq!(number(leader.end(end_with(7))), 7);
    for follower in followers {
        assert_eq!(number(follower.wait(&ManualClock::new()).await.unwrap()), 7);
    }
    assert!(is_empty(&flights));
}

#[test]
fn a_leader_without_followers_has_its_error_for_itself() {
    let flights = Arc::new(Flights::new());
    let failed = End::Failed(LoadError::Source(Arc::new(std::io::Error::other("x"))));
    let End::Failed(LoadError::Source(error)) = lead(&flights, "k").end(failed) else { panic!("the error") };
    let error: Arc<std::io::Error> = error.downcast().unwrap();
    assert!(Arc::try_unwrap(error).is_ok());
}

#[tokio::test]
async fn a_leader_that_goes_away_frees_the_key() {
    let flights = Arc::new(Flights::new());
    let leader = lead(&flights, "k");
    let follower = follow(&flights, "k");
    drop(leader);
    assert!(follower.wait(&ManualClock::new()).await.is_none());
    drop(lead(&flights, "k"));
    assert!(is_empty(&flights));
}

#[tokio::test]
async fn a_leader_that_is_woken_and_not_polled_is_taken_over_from() {
    let (flights, manual) = (Arc::new(Flights::new()), ManualClock::new());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let leader = lead(&flights, "k");
    let (wake, woken) = tokio::sync::oneshot::channel::<()>();
    let mut load = Box::pin(leader.watch(&clock, woken));
    assert!(poll!(&mut load).is_pending());
    let mut waiting = pin!(follow(&flights, "k").wait(&manual));
    for _ in 0..3 {
        assert!(poll!(&mut waiting).is_pending(), "its source takes its time");
        manual.advance(STALLED);
    }
    wake.send(()).unwrap();
    assert!(poll!(&mut waiting).is_pending());
    manual.advance(STALLED);
    assert!(waiting.await.is_none());
    let other = lead(&flights, "k");
    assert!(load.await.is_ok(), "nothing is taken from it");
    drop(leader);
    follow(&flights, "k");
    drop(other);
    assert!(is_empty(&flights));
}

/// Such as one whose runtime is not driven any more: nothing wakes it, nor does its own timeout end it.
#[tokio::test]
async fn followers_do_not_wait_for_a_leader_that_is_overdue() {
    let (flights, manual) = (Arc::new(Flights::new()), ManualClock::new());
    let birth = Birth { overdue: manual.now() + STALLED * 5, ..BIRTH };
    let Role::Leads(leader) = flights.join(&key("k"), kind::<u32>(), birth, Timestamp::ZERO) else {
        panic!("nobody else leads")
    };
    let mut waiting = pin!(follow(&flights, "k").wait(&manual));
    for _ in 0..5 {
        assert!(poll!(&mut waiting).is_pending(), "it may take so long");
        manual.advance(STALLED);
    }
    assert!(waiting.await.is_none());
    drop(lead(&flights, "k"));
    leader.end(end_with(7));
    assert!(is_empty(&flights));
}

#[tokio::test]
async fn followers_notice_that_their_leader_has_gone_though_something_may_wake_it_still() {
    let (flights, manual) = (Arc::new(Flights::new()), ManualClock::new());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let leader = lead(&flights, "k");
    let (_wake, mut woken) = tokio::sync::mpsc::channel::<()>(1);
    let mut load = Box::pin(leader.watch(&clock, woken.recv()));
    assert!(poll!(&mut load).is_pending());
    let mut waiting = pin!(follow(&flights, "k").wait(&manual));
    assert!(poll!(&mut waiting).is_pending());
    // The channel keeps the waker.
    drop(load);
    drop(leader);
    assert!(matches!(poll!(&mut waiting), std::task::Poll::Ready(None)));
}

#[tokio::test]
async fn a_leader_that_is_polled_after_it_was_woken_keeps_its_followers() {
    let (flights, manual) = (Arc::new(Flights::new()), ManualClock::new());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let leader = lead(&flights, "k");
    let (wake, mut woken) = tokio::sync::mpsc::channel::<()>(1);
    let mut load = Box::pin(leader.watch(&clock, async {
        woken.recv().await;
        woken.recv().await
    }));
    let mut waiting = pin!(follow(&flights, "k").wait(&manual));
    assert!(poll!(&mut load).is_pending());
    wake.try_send(()).unwrap();
    manual.advance(STALLED / 2);
    assert!(poll!(&mut load).is_pending() && poll!(&mut waiting).is_pending());
    manual.advance(STALLED);
    assert!(poll!(&mut waiting).is_pending());
    wake.try_send(()).unwrap();
    assert!(load.await.is_some());
    leader.end(end_with(7));
    assert_eq!(number(waiting.await.unwrap()), 7);
}

#[tokio::test]
async fn a_late_caller_does_not_join_a_detached_flight() {
    let flights = Arc::new(Flights::new());
    let old = lead(&flights, "k");
    let waiting = follow(&flights, "k");
    flights.detach("k", None);
    let new = lead(&flights, "k");
    drop(old.end(end_with(1)));
    assert_eq!(number(waiting.wait(&ManualClock::new()).await.unwrap()), 1);
    let late = follow(&flights, "k");
    drop(new.end(end_with(2)));
    assert_eq!(number(late.wait(&ManualClock::new()).await.unwrap()), 2);
}

#[test]
fn a_record_detaches_only_flights_that_began_before_it() {
    let flights = Arc::new(Flights::new());
    let _leader = lead(&flights, "k");
    flights.detach("k", Some(Position::new(1, 0)));
    follow(&flights, "k");
    flights.detach_matching(|key| key == "other", None);
    follow(&flights, "k");
    flights.detach_matching(|key| key == "k", Some(Position::new(1, 1)));
    let _new = lead(&flights, "k");
}

#[test]
fn callers_with_other_types_or_another_choice_of_tiers_do_not_share() {
    let flights = Arc::new(Flights::new());
    let _leader = lead(&flights, "k");
    for kind in [kind::<u64>(), Kind { access: Access::ALL.without_far(), ..kind::<u32>() }] {
        assert!(matches!(flights.join(&key("k"), kind, BIRTH, Timestamp::ZERO), Role::Leads(_)));
    }
}

#[tokio::test]
async fn a_flight_that_is_too_old_is_not_joined_and_still_ends() {
    let flights = Arc::new(Flights::new());
    let old = lead(&flights, "k");
    let waiting = follow(&flights, "k");
    let later = Birth { at: Timestamp::from_millis(200), ..BIRTH };
    let Role::Leads(new) = flights.join(&key("k"), kind::<u32>(), later, Timestamp::from_millis(101)) else {
        panic!("it joined the old one")
    };
    drop(old.end(end_with(1)));
    assert_eq!(number(waiting.wait(&ManualClock::new()).await.unwrap()), 1);
    let late = follow(&flights, "k");
    drop(new.end(end_with(2)));
    assert_eq!(number(late.wait(&ManualClock::new()).await.unwrap()), 2);
}
