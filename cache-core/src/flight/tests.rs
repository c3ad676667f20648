use super::*;

const BIRTH: Birth = Birth { applied: Position::new(1, 0), at: Timestamp::from_millis(100) };

type Load = Role<u32, std::io::Error>;

fn key(text: &str) -> Key {
    Key::new(text).unwrap()
}

fn join(flights: &Arc<Flights>, name: &str) -> Load {
    flights.join(&key(name), Access::ALL, BIRTH, Timestamp::ZERO)
}

fn lead(flights: &Arc<Flights>, name: &str) -> Leader<u32, std::io::Error> {
    match join(flights, name) {
        Role::Leads(leader) => leader,
        Role::Follows(_) => panic!("{name} is in flight already"),
    }
}

fn follow(flights: &Arc<Flights>, name: &str) -> Follower<u32, std::io::Error> {
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
    assert_eq!(*leader.end(Ok(Some(Arc::new(7)))).unwrap().unwrap(), 7);
    for follower in followers {
        assert_eq!(*follower.wait().await.unwrap().unwrap().unwrap(), 7);
    }
    assert!(is_empty(&flights));
}

#[test]
fn a_leader_without_followers_has_its_error_for_itself() {
    let flights = Arc::new(Flights::new());
    let Err(LoadError::Source(error)) =
        lead(&flights, "k").end(Err(LoadError::Source(Arc::new(std::io::Error::other("x")))))
    else {
        panic!("the error")
    };
    assert!(Arc::try_unwrap(error).is_ok());
}

#[tokio::test]
async fn a_leader_that_goes_away_frees_the_key() {
    let flights = Arc::new(Flights::new());
    let leader = lead(&flights, "k");
    let follower = follow(&flights, "k");
    drop(leader);
    assert!(follower.wait().await.is_none());
    drop(lead(&flights, "k"));
    assert!(is_empty(&flights));
}

#[tokio::test]
async fn a_late_caller_does_not_join_a_detached_flight() {
    let flights = Arc::new(Flights::new());
    let old = lead(&flights, "k");
    let waiting = follow(&flights, "k");
    flights.detach("k", None);
    let new = lead(&flights, "k");
    drop(old.end(Ok(Some(Arc::new(1)))));
    assert_eq!(*waiting.wait().await.unwrap().unwrap().unwrap(), 1);
    let late = follow(&flights, "k");
    drop(new.end(Ok(Some(Arc::new(2)))));
    assert_eq!(*late.wait().await.unwrap().unwrap().unwrap(), 2);
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
fn callers_with_other_types_do_not_share() {
    let flights = Arc::new(Flights::new());
    let _leader = lead(&flights, "k");
    assert!(matches!(
        flights.join::<u64, std::io::Error>(&key("k"), Access::ALL, BIRTH, Timestamp::ZERO),
        Role::Leads(_)
    ));
    assert!(matches!(
        flights.join::<u32, std::fmt::Error>(&key("k"), Access::ALL, BIRTH, Timestamp::ZERO),
        Role::Leads(_)
    ));
}

#[tokio::test]
async fn a_flight_that_is_too_old_is_not_joined_and_still_ends() {
    let flights = Arc::new(Flights::new());
    let old = lead(&flights, "k");
    let waiting = follow(&flights, "k");
    let later = Birth { at: Timestamp::from_millis(200), ..BIRTH };
    let Role::Leads(new) =
        flights.join::<u32, std::io::Error>(&key("k"), Access::ALL, later, Timestamp::from_millis(101))
    else {
        panic!("it joined the old one")
    };
    drop(old.end(Ok(Some(Arc::new(1)))));
    assert_eq!(*waiting.wait().await.unwrap().unwrap().unwrap(), 1);
    let late = follow(&flights, "k");
    drop(new.end(Ok(Some(Arc::new(2)))));
    assert_eq!(*late.wait().await.unwrap().unwrap().unwrap(), 2);
}
