//! No entry is lost to a tag that it does not have, and none lives on: against an exact model, beside any number of
//! invalidations of other tags.

use crate::support::{Random, Scene, assert_valid, bytes};
use crate::{DEAD, FRESH, STALE, found_by, outdate_tag, put_tagged, remove_tag, set, small};
use cache_machine_core::{Cache, Eviction, Invalidation, Write};

/// Invalidates `count` tags that no other call of this process has, one after the other.
fn invalidate_others(cache: &Cache, count: u64) {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    for _ in 0..count {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        cache.invalidate_tags(&[cache.tag(&format!("other {number}"))], Invalidation::Remove).unwrap();
    }
}

/// The states of the entries of 64 keys.
fn states(cache: &Cache, name: &str) -> Vec<[Option<bool>; 4]> {
    (0..64).map(|i| found_by(cache, &format!("{name} {i}"))).collect()
}

fn put_64(cache: &Cache, name: &str) {
    (0..64).for_each(|i| put_tagged(cache, &format!("{name} {i}"), &[name, "all"]));
}

#[test]
fn an_entry_keeps_its_state_beside_100_000_invalidations_of_other_tags() {
    for size in [2 << 20, 64 << 20] {
        let scene = Scene::sized("others", size);
        let cache = scene.open();
        ["mine", "outdated", "removed"].iter().for_each(|name| put_64(&cache, name));
        outdate_tag(&cache, "outdated");
        remove_tag(&cache, "removed");
        invalidate_others(&cache, 100_000);
        assert_eq!(states(&cache, "mine"), [FRESH; 64], "{size}");
        assert_eq!(states(&cache, "outdated"), [STALE; 64], "{size}");
        assert_eq!(states(&cache, "removed"), [DEAD; 64], "{size}");
        outdate_tag(&cache, "mine");
        invalidate_others(&cache, 3000);
        assert_eq!(states(&cache, "mine"), [STALE; 64], "{size}");
        remove_tag(&cache, "all");
        invalidate_others(&cache, 3000);
        assert_eq!(states(&cache, "mine"), [DEAD; 64], "{size}");
        assert_eq!((cache.stats().tags_unjudged, cache.stats().total.evictions), (0, 0));
        assert_valid(&cache);
    }
}

#[test]
fn one_call_with_more_tags_than_there_are_records_invalidates_them_and_no_others() {
    let scene = small("one-call");
    let cache = scene.open();
    let names: Vec<String> = (0..5000).map(|i| format!("tag {i}")).collect();
    names.iter().for_each(|name| put_tagged(&cache, name, &[name]));
    put_64(&cache, "mine");
    let tags: Vec<u64> = names.iter().map(|name| cache.tag(name)).collect();
    assert!(tags.len() > 4 * cache.geometry().tag_records());
    cache.invalidate_tags(&tags, Invalidation::Remove).unwrap();
    assert!(names.iter().all(|name| found_by(&cache, name) == DEAD));
    assert_eq!(states(&cache, "mine"), [FRESH; 64]);
    names.iter().for_each(|name| put_tagged(&cache, name, &[name]));
    cache.invalidate_tags(&tags, Invalidation::Outdate).unwrap();
    assert!(names.iter().all(|name| found_by(&cache, name) == STALE));
    assert_eq!((cache.stats().tags_unjudged, cache.stats().total.evictions), (0, 0));
    assert_valid(&cache);
}

/// One tag per item, as with a tag per user, product or page.
#[test]
fn a_catalogue_of_20_000_items_loses_only_the_items_that_were_invalidated() {
    const ITEMS: u64 = 20_000;
    let scene = Scene::sized("catalogue", 64 << 20);
    let cache = scene.open();
    let key = |n: u64| format!("item {n}");
    let put_item = |n: u64| put_tagged(&cache, &key(n), &[&format!("product {n}")]);
    (0..ITEMS).for_each(put_item);
    let mut random = Random(11);
    // What the cache should find: fresh, stale or dead.
    let mut expected = vec![FRESH; ITEMS as usize];
    for _ in 0..120_000 {
        let n = random.below(ITEMS);
        match random.below(3) {
            0 => {
                let mode = if n.is_multiple_of(4) { Invalidation::Outdate } else { Invalidation::Remove };
                cache.invalidate_tags(&[cache.tag(&format!("product {n}"))], mode).unwrap();
                let ended = if mode == Invalidation::Outdate { STALE } else { DEAD };
                expected[n as usize] = if expected[n as usize] == DEAD { DEAD } else { ended };
            }
            1 => {
                put_item(n);
                expected[n as usize] = FRESH;
            }
            _ => assert_eq!(found_by(&cache, &key(n)), expected[n as usize], "item {n}"),
        }
    }
    (0..ITEMS).for_each(|n| assert_eq!(found_by(&cache, &key(n)), expected[n as usize], "item {n}"));
    assert_eq!((cache.stats().tags_unjudged, cache.stats().total.evictions), (0, 0));
    assert_valid(&cache);
}

#[test]
fn a_load_is_kept_beside_fewer_invalidations_of_other_tags_than_there_are_records() {
    for (size, during) in [(2 << 20, 950), (64 << 20, 1200), (64 << 20, 20_000)] {
        let scene = Scene::sized("load", size);
        let cache = scene.open();
        assert!(during < cache.geometry().tag_records() as u64, "{size}");
        let tags = [cache.tag("mine")];
        // Records are reused all the time.
        invalidate_others(&cache, 2 * cache.geometry().tag_records() as u64);
        let begun = cache.tag_clock();
        invalidate_others(&cache, during);
        let late = Write { tags: &tags, made_at: Some(begun), ..bytes(b"late") };
        let kept = |key: &str| {
            set(&cache, key, &late);
            found_by(&cache, key)
        };
        assert_eq!(kept("x"), FRESH, "{size}, {during}");
        // It has an age as if it had been stored at once.
        invalidate_others(&cache, 2 * cache.geometry().tag_records() as u64);
        assert_eq!(found_by(&cache, "x"), FRESH, "{size}, {during}");
        remove_tag(&cache, "mine");
        assert_eq!(found_by(&cache, "x"), DEAD, "{size}, {during}");
        assert_eq!(cache.stats().tags_unjudged, 0);
    }
}

#[test]
fn a_load_that_began_before_an_invalidation_of_its_tag_is_never_served_as_fresh() {
    let scene = small("late");
    let cache = scene.open();
    let late = |begun: u64, during: u64, key: &str| {
        let tags = [cache.tag("mine")];
        set(&cache, key, &Write { tags: &tags, made_at: Some(begun), ..bytes(b"late") });
        let at_once = found_by(&cache, key);
        invalidate_others(&cache, during);
        (at_once, found_by(&cache, key))
    };
    // However many records are used between the invalidation, the store and the read.
    for before in [0, 100, 950, 2000, 5000] {
        for after in [0, 300, 3000] {
            let begun = cache.tag_clock();
            remove_tag(&cache, "mine");
            invalidate_others(&cache, before);
            assert_eq!(late(begun, after, "removed"), (DEAD, DEAD), "{before}, {after}");
            let begun = cache.tag_clock();
            outdate_tag(&cache, "mine");
            invalidate_others(&cache, before);
            let expected = if before < 990 { STALE } else { DEAD };
            assert_eq!(late(begun, after, "outdated"), (expected, expected), "{before}, {after}");
        }
    }
    // Those that were begun too long ago could not be judged.
    assert_eq!(cache.stats().tags_unjudged, 2 * 2 * 3);
    assert_valid(&cache);
}

/// Invalid values that were stored late take room until they are swept, also without eviction.
#[test]
fn a_value_that_was_stored_too_late_makes_room_again() {
    let mut scene = small("room");
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    let value = vec![7; 100_000];
    let begun = cache.tag_clock();
    remove_tag(&cache, "mine");
    let tags = [cache.tag("mine")];
    for i in 0..200 {
        set(&cache, &format!("late {i}"), &Write { tags: &tags, made_at: Some(begun), ..bytes(&value) });
    }
    assert_valid(&cache);
}

/// The index is divided several times, and its lines are judged meanwhile.
#[test]
fn an_index_that_grows_loses_no_tagged_entry_and_keeps_no_dead_one() {
    let scene = Scene::sized("grows", 8 << 20);
    let cache = scene.open();
    let mut random = Random(3);
    let mut expected = Vec::new();
    for n in 0..25_000u64 {
        put_tagged(&cache, &format!("key {n}"), &[&format!("tag {}", n % 500), "all"]);
        expected.push(FRESH);
        if n % 2 == 0 {
            let tag = random.below(500);
            let (mode, ended) =
                if tag.is_multiple_of(2) { (Invalidation::Remove, DEAD) } else { (Invalidation::Outdate, STALE) };
            cache.invalidate_tags(&[cache.tag(&format!("tag {tag}"))], mode).unwrap();
            expected.iter_mut().skip(tag as usize).step_by(500).for_each(|state| *state = ended);
            invalidate_others(&cache, 3);
        }
    }
    for (n, expected) in expected.iter().enumerate() {
        assert_eq!(found_by(&cache, &format!("key {n}")), *expected, "key {n}");
    }
    assert_eq!((cache.stats().tags_unjudged, cache.stats().total.evictions), (0, 0));
    assert_valid(&cache);
}

/// Entries that are replaced, and so keep their tags and their age, are as old as their first value.
#[test]
fn a_counter_keeps_its_tags_beside_any_number_of_invalidations() {
    let scene = small("counter");
    let cache = scene.open();
    put_tagged(&cache, "n", &["mine"]);
    for _ in 0..20 {
        invalidate_others(&cache, 700);
        let write = Write { keep_tags: true, ..bytes(b"again") };
        set(&cache, "n", &write);
        assert_eq!(found_by(&cache, "n"), FRESH);
    }
    assert!(cache.touch(b"n", 0).unwrap());
    remove_tag(&cache, "mine");
    assert_eq!(found_by(&cache, "n"), DEAD);
    assert_eq!(cache.stats().tags_unjudged, 0);
    assert_valid(&cache);
}
