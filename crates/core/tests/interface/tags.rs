//! Tags: invalidation, the tag clock, and what an entry keeps of its tags.

use crate::support::{PLAIN, Scene, assert_valid, bytes, get, put};
use crate::{DEAD, FRESH, STALE, all_keys, found_by, outdate_tag, put_tagged, remove_tag, set, tag_numbers};
use cache_machine_core::{CacheError, Increment, Invalidation, MAX_TAGS, Write, kind};
use cache_machine_shm::Header;
use std::os::unix::fs::FileExt;
use std::time::Duration;

#[test]
fn a_removed_tag_removes_the_entries_that_carry_it_and_no_others() {
    let scene = Scene::new("tags");
    let cache = scene.open();
    put_tagged(&cache, "x", &["red"]);
    put_tagged(&cache, "xy", &["blue", "red"]);
    put_tagged(&cache, "y", &["blue"]);
    put(&cache, "untagged", b"1");
    remove_tag(&cache, "red");
    assert_eq!(["x", "xy", "y", "untagged"].map(|key| found_by(&cache, key)), [DEAD, DEAD, FRESH, FRESH]);
    assert!(!cache.touch(b"x", 0).unwrap());
    assert!(!cache.delete(b"x", 0).unwrap());
    put_tagged(&cache, "x", &["red"]);
    assert_eq!(found_by(&cache, "x"), FRESH);
    // Several at once, one of them twice, and one that no entry carries.
    cache.invalidate_tags(&tag_numbers(&cache, &["blue", "none", "red", "red"]), Invalidation::Remove).unwrap();
    assert_eq!(["x", "xy", "y", "untagged"].map(|key| found_by(&cache, key)), [DEAD, DEAD, DEAD, FRESH]);
    cache.invalidate_tags(&[], Invalidation::Remove).unwrap();
    assert_eq!(found_by(&cache, "untagged"), FRESH);
    assert_eq!(cache.stats().tags_unjudged, 0);
    assert_valid(&cache);
}

#[test]
fn a_walk_over_tags_meets_the_entries_that_carry_one_of_them() {
    let scene = Scene::new("tagged-walk");
    let cache = scene.open();
    for n in 0..500 {
        let tags: &[&str] = [&["red"][..], &["blue"], &["blue", "red"], &[]][n % 4];
        if tags.is_empty() {
            put(&cache, &format!("k{n}"), b"1");
        } else {
            put_tagged(&cache, &format!("k{n}"), tags);
        }
    }
    let count = |tags: &[&str], prefix: &[u8]| {
        let numbers = tag_numbers(&cache, tags);
        let (mut cursor, mut met) = (Some(0), 0);
        while let Some(at) = cursor {
            let page = cache.tagged_keys(at, prefix, &numbers, 10).unwrap();
            met += page.keys.len();
            cursor = page.next;
        }
        met
    };
    assert_eq!([count(&["red"], b""), count(&["blue"], b""), count(&["blue", "red"], b"")], [250, 250, 375]);
    assert_eq!(count(&["none"], b""), 0);
    assert_eq!(count(&["red"], b"k1"), (0..500).filter(|n| n % 2 == 0 && n.to_string().starts_with('1')).count());
    remove_tag(&cache, "red");
    assert_eq!([count(&["red"], b""), count(&["blue"], b"")], [0, 125]);
}

#[test]
fn an_outdated_tag_leaves_its_entries_to_reads_of_stale_values() {
    let scene = Scene::new("outdated");
    let cache = scene.open();
    put_tagged(&cache, "x", &["red"]);
    outdate_tag(&cache, "red");
    assert_eq!(found_by(&cache, "x"), STALE);
    assert!(all_keys(&cache, b"", 10).is_empty());
    assert!(!cache.touch(b"x", 0).unwrap());
    assert_eq!(cache.version_of(b"x").unwrap(), None);
    put_tagged(&cache, "y", &["red", "blue"]);
    assert_eq!(found_by(&cache, "y"), FRESH);
    outdate_tag(&cache, "blue");
    outdate_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "y"), STALE);
    // A removal holds in either order.
    remove_tag(&cache, "red");
    outdate_tag(&cache, "red");
    assert_eq!(["x", "y"].map(|key| found_by(&cache, key)), [DEAD, DEAD]);
    put_tagged(&cache, "x", &["red"]);
    assert_eq!(found_by(&cache, "x"), FRESH);
    assert_valid(&cache);
}

#[test]
fn a_tag_belongs_to_its_namespace() {
    let scene = Scene::new("scoped");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    let is_fresh = || [&root, &a, &b].map(|cache| found_by(cache, "x")[0].is_some());
    [&root, &a, &b].into_iter().for_each(|cache| put_tagged(cache, "x", &["red"]));
    remove_tag(&a, "red");
    assert_eq!(is_fresh(), [true, false, true]);
    remove_tag(&root, "red");
    assert_eq!(is_fresh(), [false, false, true]);
    put_tagged(&a, "x", &["red"]);
    b.clear().unwrap();
    assert_eq!(is_fresh(), [false, true, false]);
    assert_ne!(a.tag("red"), b.tag("red"));
}

#[test]
fn the_age_of_a_value_counts_from_its_making() {
    let scene = Scene::new("made");
    let cache = scene.open();
    let tags = [cache.tag("red")];
    let begun = cache.tag_clock();
    remove_tag(&cache, "red");
    // Made before the invalidation, so invalid from the start.
    let write = Write { tags: &tags, made_at: Some(begun), ..bytes(b"old") };
    set(&cache, "x", &write);
    assert_eq!(found_by(&cache, "x"), DEAD);
    let begun = cache.tag_clock();
    set(&cache, "x", &Write { made_at: Some(begun), ..write });
    assert_eq!(found_by(&cache, "x"), FRESH);
    outdate_tag(&cache, "red");
    set(&cache, "x", &Write { made_at: Some(begun), ..write });
    assert_eq!(found_by(&cache, "x"), STALE);
    // The invalidation of another tag does not matter.
    let begun = cache.tag_clock();
    remove_tag(&cache, "blue");
    set(&cache, "x", &Write { made_at: Some(begun), ..write });
    assert_eq!(found_by(&cache, "x"), FRESH);
    // Nothing outdates a value without tags.
    set(&cache, "y", &Write { made_at: Some(0), ..bytes(b"1") });
    assert_eq!(found_by(&cache, "y"), FRESH);
}

/// A load that began in a segment that was destroyed meanwhile carries the clock of that segment. Such a value outlived
/// every invalidation until the clock of the new segment had come as far.
#[test]
fn a_value_made_in_the_future_counts_as_made_now() {
    let scene = Scene::new("future");
    let cache = scene.open();
    set(&cache, "x", &Write { tags: &[cache.tag("red")], made_at: Some(1 << 40), ..bytes(b"1") });
    assert_eq!(found_by(&cache, "x"), FRESH);
    remove_tag(&cache, "red");
    assert_eq!(found_by(&cache, "x"), DEAD);
}

/// Offset of the tag clock, behind the words of the header that every layout has.
const TAG_CLOCK: u64 = Header::CACHE as u64 + 192;

#[test]
fn the_next_invalidation_finishes_the_odd_clock_of_a_dead_invalidator() {
    let scene = Scene::new("odd");
    let cache = scene.open();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(cache.path()).unwrap();
    let leave = |clock: u64| file.write_all_at(&clock.to_le_bytes(), TAG_CLOCK).unwrap();
    remove_tag(&cache, "red");
    let before = cache.tag_clock();
    put_tagged(&cache, "before", &["red"]);
    leave(before + 1);
    assert_eq!(cache.tag_clock(), before + 1);
    put_tagged(&cache, "between", &["red"]);
    // The invalidator died before its record, so nothing is invalid.
    assert_eq!(["before", "between"].map(|key| found_by(&cache, key)), [FRESH, FRESH]);
    outdate_tag(&cache, "blue");
    assert_eq!(cache.tag_clock(), before + 4);
    assert_eq!(["before", "between"].map(|key| found_by(&cache, key)), [FRESH, FRESH]);
    leave(before + 5);
    put_tagged(&cache, "after", &["red"]);
    remove_tag(&cache, "red");
    assert_eq!(cache.tag_clock(), before + 8);
    assert_eq!(["before", "between", "after"].map(|key| found_by(&cache, key)), [DEAD; 3]);
    // Without another invalidation the background thread finishes the clock, within a second or two.
    leave(before + 9);
    let start = std::time::Instant::now();
    while cache.tag_clock() % 2 == 1 {
        assert!(start.elapsed().as_secs() < 30, "the clock stays odd");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert_eq!(cache.tag_clock(), before + 12);
}

#[test]
fn touch_and_incr_keep_the_tags_and_the_time_of_making() {
    let scene = Scene::new("keep");
    let cache = scene.open();
    let tags = tag_numbers(&cache, &["red", "blue"]);
    let number = Write { tags: &tags, stale_ms: 50, ttl_ms: 100, ..Write::new(kind::NUMBER, &[0; 8]) };
    let begun = cache.tag_clock();
    remove_tag(&cache, "green");
    set(&cache, "n", &Write { made_at: Some(begun), ..number });
    assert_eq!(cache.incr(b"n", 2.0, &PLAIN).unwrap(), 2.0);
    assert!(cache.touch(b"n", 200).unwrap());
    assert_eq!(cache.incr(b"n", 2.0, &Increment { ttl_ms: 1, init: 100.0, ..PLAIN }).unwrap(), 4.0);
    cache.advance_clock(200).unwrap();
    assert_eq!(found_by(&cache, "n"), STALE);
    cache.advance_clock(50).unwrap();
    assert_eq!(found_by(&cache, "n"), DEAD);
    // A new entry takes nothing from an old one that is dead or stale.
    assert_eq!(cache.incr(b"n", 1.0, &PLAIN).unwrap(), 1.0);
    remove_tag(&cache, "red");
    assert_eq!(found_by(&cache, "n"), FRESH);
    // An increment makes the entry no younger: an invalidation since the making counts, even one before the increment.
    let begun = cache.tag_clock();
    outdate_tag(&cache, "blue");
    let tags = tag_numbers(&cache, &["red", "other"]);
    set(&cache, "n", &Write { made_at: Some(begun), tags: &tags, ..number });
    cache.incr(b"n", 1.0, &PLAIN).unwrap();
    cache.touch(b"n", 0).unwrap();
    assert_eq!(found_by(&cache, "n"), FRESH);
    set(&cache, "n", &Write { tags: &[cache.tag("blue")], keep_tags: true, ..number });
    outdate_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "n"), FRESH, "the new tags replaced the old ones");
    outdate_tag(&cache, "other");
    assert_eq!(found_by(&cache, "n"), STALE);
    // Without a fresh entry, or without tags, there is nothing to keep.
    set(&cache, "n", &Write { tags: &[cache.tag("blue")], keep_tags: true, ..number });
    remove_tag(&cache, "other");
    assert_eq!(found_by(&cache, "n"), FRESH);
    remove_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "n"), DEAD);
    put(&cache, "n", b"untagged");
    set(&cache, "n", &Write { tags: &[cache.tag("blue")], keep_tags: true, ..number });
    remove_tag(&cache, "blue");
    assert_eq!(found_by(&cache, "n"), DEAD);
    // Without `keep_tags` a new value does not have the old tags.
    put_tagged(&cache, "m", &["red"]);
    put(&cache, "m", b"untagged");
    remove_tag(&cache, "red");
    assert_eq!(found_by(&cache, "m"), FRESH);
    assert_valid(&cache);
}

#[test]
fn an_entry_has_at_most_128_tags_and_each_of_them_counts() {
    let scene = Scene::new("128");
    let cache = scene.open();
    let names: Vec<String> = (0..=MAX_TAGS).map(|i| format!("tag {i}")).collect();
    let tags: Vec<u64> = names.iter().map(|name| cache.tag(name)).collect();
    assert_eq!(MAX_TAGS, 128);
    assert!(matches!(cache.set(b"x", &Write { tags: &tags, ..bytes(b"1") }), Err(CacheError::InvalidArgument(_))));
    assert!(!cache.has(b"x").unwrap());
    for i in [0, 1, 63, 126, 127] {
        for how in [Invalidation::Remove, Invalidation::Outdate] {
            set(&cache, "x", &Write { tags: &tags[..128], ttl_ms: 1000, stale_ms: 1000, ..bytes(&[7; 100]) });
            assert_eq!(get(&cache, "x").unwrap(), [7; 100]);
            cache.invalidate_tags(&[tags[i]], how).unwrap();
            assert_eq!(found_by(&cache, "x"), if how == Invalidation::Remove { DEAD } else { STALE }, "{i}");
        }
    }
    // Tags take room like bytes of the value.
    let limit = cache.geometry().max_entry;
    let value = vec![1; limit - 1 - 128 * 8 + 1];
    let write = Write { tags: &tags[..128], ..bytes(&value) };
    assert!(matches!(cache.set(b"y", &write), Err(CacheError::ValueTooLarge { .. })));
    let whole = Write { stale_ms: 10, ttl_ms: 10, ..Write { value: &value[1..], ..write } };
    set(&cache, "y", &whole);
    assert_eq!(get(&cache, "y").unwrap(), value[1..]);
    // Kept tags do not count against the maximum size of a value.
    let value = vec![2; limit - 1];
    set(&cache, "y", &Write { keep_tags: true, keep_ttl: true, ..bytes(&value) });
    assert_eq!(get(&cache, "y").unwrap(), value);
    cache.invalidate_tags(&tags[127..128], Invalidation::Remove).unwrap();
    assert_eq!(found_by(&cache, "y"), DEAD);
    assert_valid(&cache);
}
