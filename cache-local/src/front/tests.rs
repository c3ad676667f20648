//! What the front gives, step by step.

use super::*;

const ROOM: fn() -> bool = || false;

fn kept(key: &str) -> Arc<Kept<u32>> {
    Arc::new(Kept::new(Key::new(key).unwrap(), 7, Duration::MAX))
}

fn finds(front: &Front<u32>, key: &str) -> bool {
    front.find(front.at(key), key, |kept| kept.entry) == Some(7)
}

#[test]
fn it_gives_what_moka_was_seen_to_hold_until_something_moves() {
    let (front, kept) = (Front::new(1), kept("k"));
    let at = front.at("k");
    for moves in [Front::moved as fn(&Front<u32>, At), |front: &Front<u32>, _| front.all_moved()] {
        assert!(!finds(&front, "k"));
        front.admit(at, front.version(at), &kept, ROOM);
        assert!(finds(&front, "k") && !finds(&front, "other"));
        moves(&front, at);
        assert!(!finds(&front, "k"));
    }
}

#[test]
fn what_was_found_before_a_removal_is_not_given_after_it() {
    let (front, kept) = (Front::new(1), kept("k"));
    let at = front.at("k");
    let noted = front.version(at);
    // Here moka is asked and gives it; and here it is removed.
    front.moved(at);
    front.admit(at, noted, &kept, ROOM);
    assert!(!finds(&front, "k"));
}

#[test]
fn what_moka_let_go_of_is_let_go_of() {
    let (front, kept) = (Front::new(1), kept("k"));
    let at = front.at("k");
    front.admit(at, front.version(at), &kept, ROOM);
    assert_eq!(Arc::strong_count(&kept), 2);
    front.release(&kept);
    assert!(!finds(&front, "k") && Arc::strong_count(&kept) == 1);
    front.admit(at, front.version(at), &kept, ROOM);
    assert_eq!(Arc::strong_count(&kept), 1, "it came when it had gone");
}

#[test]
fn a_key_takes_the_place_of_another_only_when_told_to() {
    let (front, first, second) = (Front::new(1), kept("first"), kept("second"));
    let at = front.at("first");
    assert_eq!(at, front.at("second"));
    front.admit(at, front.version(at), &first, ROOM);
    front.admit(at, front.version(at), &second, ROOM);
    assert!(finds(&front, "first") && !finds(&front, "second"));
    front.admit(at, front.version(at), &second, || true);
    assert!(!finds(&front, "first") && finds(&front, "second"));
    assert_eq!(Arc::strong_count(&first), 1);
}

#[test]
fn it_has_no_more_slots_than_it_may() {
    for (entries, slots) in [(0, 1), (1, 1), (1_000, 2_048), (u64::MAX, MOST_SLOTS)] {
        assert_eq!(Front::<u32>::new(entries).places.len(), slots);
    }
}
