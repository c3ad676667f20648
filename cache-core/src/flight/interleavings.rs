//! The real flights in every order that the scheduler of [`crate::sync`] comes to.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use shuttle::future::block_on;
use shuttle::thread;

use super::*;
use crate::clock::ManualClock;
use crate::sync::explore;

const BIRTH: Birth = Birth { applied: Position::new(1, 0), at: Timestamp::from_millis(100), overdue: Timestamp::MAX };

fn end_with(number: u64) -> End {
    End::Value(Some(Arc::new(number)))
}

fn number(end: End) -> u64 {
    let End::Value(Some(value)) = end else { panic!("it ended without a value") };
    *value.downcast().unwrap()
}

fn key() -> Key {
    Key::new("k").unwrap()
}

/// The flights of a key, and who is on them. The numbers are the test's own, and no step to the scheduler.
struct Airport {
    flights: Arc<Flights>,
    leaders: AtomicU64,
    loads: AtomicU64,
    given_up: AtomicU64,
}

impl Airport {
    fn new() -> Self {
        let [leaders, loads, given_up] = [0; 3].map(AtomicU64::new);
        Self { flights: Arc::new(Flights::new()), leaders, loads, given_up }
    }

    fn join(&self) -> Role {
        let kind = Kind { types: TypeId::of::<u64>(), access: Access::ALL };
        self.flights.join(&key(), kind, BIRTH, Timestamp::ZERO)
    }

    /// The outcome that a caller gets, if the load that it leads is `number`.
    fn call(&self) -> u64 {
        loop {
            match self.join() {
                Role::Leads(leader) => {
                    assert_eq!(self.leaders.fetch_add(1, SeqCst), 0, "another leads this flight");
                    let number = self.loads.fetch_add(1, SeqCst) + 1;
                    thread::yield_now();
                    self.leaders.fetch_sub(1, SeqCst);
                    drop(leader.end(end_with(number)));
                    return number;
                }
                Role::Follows(follower) => match block_on(follower.wait(&ManualClock::new())) {
                    Some(end) => return self::number(end),
                    None => assert_ne!(self.given_up.load(SeqCst), 0, "its flight had an outcome"),
                },
            }
        }
    }

    /// A caller that goes away if it leads.
    fn give_up(&self, go: impl FnOnce(Leader)) {
        if let Role::Leads(leader) = self.join() {
            assert_eq!(self.leaders.fetch_add(1, SeqCst), 0, "another leads this flight");
            thread::yield_now();
            self.leaders.fetch_sub(1, SeqCst);
            self.given_up.fetch_add(1, SeqCst);
            go(leader);
        }
    }

    fn assert_empty(&self) {
        assert!(self.flights.shards.iter().all(|shard| lock(shard).is_empty()), "a flight is left");
    }
}

#[test]
fn every_caller_gets_the_outcome_of_its_flight() {
    explore(|| {
        let airport = Airport::new();
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| assert_ne!(airport.call(), 0));
            }
        });
        airport.assert_empty();
    });
}

#[test]
fn a_follower_takes_over_from_a_leader_that_goes_away() {
    explore(|| {
        let airport = Airport::new();
        thread::scope(|scope| {
            scope.spawn(|| airport.give_up(drop));
            scope.spawn(|| airport.give_up(drop));
            scope.spawn(|| airport.call());
            scope.spawn(|| airport.call());
        });
        airport.assert_empty();
    });
}

#[test]
fn a_follower_takes_over_from_a_leader_that_panics() {
    explore(|| {
        let airport = Airport::new();
        let panic = |leader: Leader| {
            let unwound = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                let _leader = leader;
                std::panic::resume_unwind(Box::new("the loader"));
            }));
            assert!(unwound.is_err());
        };
        thread::scope(|scope| {
            scope.spawn(|| airport.give_up(panic));
            scope.spawn(|| airport.call());
            scope.spawn(|| airport.call());
        });
        airport.assert_empty();
    });
}

#[test]
fn the_end_of_a_detached_flight_leaves_the_next_one_alone() {
    explore(|| {
        let airport = Airport::new();
        let Role::Leads(old) = airport.join() else { panic!("it is in flight") };
        airport.flights.detach("k", None);
        thread::scope(|scope| {
            scope.spawn(|| drop(old.end(end_with(0))));
            for _ in 0..3 {
                scope.spawn(|| assert_ne!(airport.call(), 0, "it came after the detachment"));
            }
        });
        airport.assert_empty();
    });
}

#[test]
fn a_caller_that_comes_after_a_detachment_is_not_given_an_earlier_load() {
    explore(|| {
        let airport = Airport::new();
        let source = shuttle::sync::atomic::AtomicU64::new(0);
        let read = || loop {
            match airport.join() {
                Role::Leads(leader) => {
                    return number(leader.end(end_with(source.load(SeqCst))));
                }
                Role::Follows(follower) => {
                    if let Some(end) = block_on(follower.wait(&ManualClock::new())) {
                        return number(end);
                    }
                }
            }
        };
        thread::scope(|scope| {
            scope.spawn(read);
            scope.spawn(read);
            scope.spawn(|| {
                source.store(1, SeqCst);
                airport.flights.detach_matching(|key| key == "k", None);
                assert_eq!(read(), 1);
            });
            scope.spawn(|| airport.flights.detach("k", Some(BIRTH.applied)));
        });
        airport.assert_empty();
    });
}

#[test]
fn a_leader_whose_followers_never_came_has_its_error_for_itself() {
    explore(|| {
        let airport = Airport::new();
        let followed = AtomicU64::new(0);
        let error = || End::Failed(LoadError::Source(Arc::new(std::io::Error::other("x"))));
        let call = || match airport.join() {
            Role::Leads(leader) => {
                thread::yield_now();
                let End::Failed(LoadError::Source(error)) = leader.end(error()) else { panic!("the error") };
                let error: Arc<std::io::Error> = error.downcast().unwrap();
                assert!(followed.load(SeqCst) > 0 || Arc::try_unwrap(error).is_ok(), "nobody else could have it");
            }
            Role::Follows(follower) => {
                followed.fetch_add(1, SeqCst);
                assert!(matches!(
                    block_on(follower.wait(&ManualClock::new())),
                    Some(End::Failed(LoadError::Source(_)))
                ));
            }
        };
        thread::scope(|scope| {
            scope.spawn(call);
            scope.spawn(call);
        });
        airport.assert_empty();
    });
}
