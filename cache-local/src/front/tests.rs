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
fn keys_that_meet_share_a_set_until_it_is_full() {
    let front = Front::new(1);
    let kept: Vec<_> = (0..=WAYS).map(|n| kept(&format!("k{n}"))).collect();
    let admit = |kept: &Arc<Kept<u32>>, evict: fn() -> bool| {
        let at = front.at(kept.key.as_str());
        front.admit(at, front.version(at), kept, evict);
    };
    let found = || kept.iter().filter(|kept| finds(&front, kept.key.as_str())).count();
    (0..2).for_each(|_| kept.iter().for_each(|kept| admit(kept, ROOM)));
    assert_eq!(found(), WAYS);
    assert!(!finds(&front, "k6"), "it took the place of another");
    assert!(kept[..WAYS].iter().all(|kept| Arc::strong_count(kept) == 2), "one has two slots");
    admit(&kept[WAYS], || true);
    assert!(found() == WAYS && finds(&front, "k6"));
    assert_eq!(kept.iter().map(Arc::strong_count).sum::<usize>(), kept.len() + WAYS);
}

#[test]
fn no_slot_is_kept_from_those_that_come_later() {
    let front = Front::new(1);
    let all: Vec<_> = (0..500).map(|n| kept(&format!("k{n}"))).collect();
    for kept in &all {
        let at = front.at(kept.key.as_str());
        front.admit(at, front.version(at), kept, || true);
    }
    assert!(all[..WAYS].iter().all(|kept| Arc::strong_count(kept) == 1), "one of the first is still there");
}

#[test]
fn what_is_outdated_makes_room() {
    let (front, all) = (Front::new(1), (0..=WAYS).map(|n| kept(&format!("k{n}"))).collect::<Vec<_>>());
    let at = |kept: &Kept<u32>| front.at(kept.key.as_str());
    all[..WAYS].iter().for_each(|kept| front.admit(at(kept), front.version(at(kept)), kept, ROOM));
    front.moved(at(&all[0]));
    let last = &all[WAYS];
    front.admit(at(last), front.version(at(last)), last, ROOM);
    assert!(finds(&front, "k6"));
    front.release(last);
    assert!(!finds(&front, "k6") && Arc::strong_count(last) == 1);
}

#[test]
fn it_has_no_more_sets_than_it_may() {
    for (entries, sets) in [(0, 1), (1, 1), (4, 1), (5, 2), (1_000, 256), (u64::MAX, MOST_SETS)] {
        assert_eq!(Front::<u32>::new(entries).sets.len(), sets);
    }
    assert_eq!(size_of::<Set<u32>>(), 64);
}
