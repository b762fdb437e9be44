//! Walks under a lock have bounds. The tests count visits, never time.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Cache, Eviction, Invalidation, META_AT, NoSink, QuotaSetting, ReadMode, Write, kind};
use cache_machine_shm::steps::take_visits;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};
use support::damage::{file, reopen_suspect};
use support::listeners::Deaf;
use support::{Scene, assert_valid, bytes, put};

/// Entries that one change may pass over; see `MAX_SPARED` in `shard/eviction.rs`.
const MAX_SPARED: u64 = 128;
/// Visits for one eviction when no entry may be passed over any more: the entry that is replaced, and the victim.
const PER_EVICTION: u64 = 2;

fn scene(test: &str, eviction: Eviction) -> Scene {
    let mut scene = Scene::sized(test, 8 << 20);
    scene.options.eviction = eviction;
    scene
}

/// Sets new keys until an entry was evicted. Returns the number of the next key.
fn fill(cache: &Cache, value: &[u8]) -> u64 {
    (0..)
        .find(|number| {
            put(cache, &format!("old {number}"), value);
            cache.stats().total.evictions > 0
        })
        .unwrap()
        + 1
}

/// Reads every entry three times, so that it has the highest use mark.
fn read_all(cache: &Cache, keys: u64) {
    for number in 0..keys {
        for _ in 0..3 {
            let _ = cache.get(format!("old {number}").as_bytes(), ReadMode::Use, &mut NoSink).unwrap();
        }
    }
}

/// Evictions and visits of entries since the last call.
fn walked(cache: &Cache, before: &mut u64) -> (u64, u64) {
    let evictions = cache.stats().total.evictions;
    let evicted = evictions - *before;
    *before = evictions;
    (evicted, take_visits("candidate"))
}

#[test]
fn a_set_beside_hot_entries_visits_a_bounded_number_of_entries() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("hot", eviction);
        let cache = scene.open();
        let keys = fill(&cache, &[7; 100]);
        assert!(cache.len() > 10_000, "too few entries to show a walk");
        read_all(&cache, keys);
        let mut evictions = 0;
        walked(&cache, &mut evictions);
        let mut total = 0;
        for number in 0..2000 {
            put(&cache, &format!("new {number}"), &[7; 100]);
            let (evicted, visited) = walked(&cache, &mut evictions);
            assert!(
                visited <= MAX_SPARED + evicted * PER_EVICTION,
                "{eviction:?}, set {number}: {visited} entries visited for {evicted} evictions"
            );
            total += visited;
        }
        assert!(total > keys, "{eviction:?}: only {total} entries visited, so none was hot");
        assert_valid(&cache);
    }
}

#[test]
fn a_large_value_visits_entries_in_proportion_to_the_entries_that_it_evicts() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("large", eviction);
        let cache = scene.open();
        let keys = fill(&cache, &[7; 100]);
        read_all(&cache, keys);
        let mut evictions = 0;
        walked(&cache, &mut evictions);
        let large = vec![7; cache.geometry().max_entry / 2];
        put(&cache, "large", &large);
        let (evicted, visited) = walked(&cache, &mut evictions);
        assert!(evicted > 1000, "{eviction:?}: only {evicted} evictions");
        assert!(visited <= MAX_SPARED + evicted * PER_EVICTION, "{eviction:?}: {visited} visited for {evicted}");
        assert_valid(&cache);
    }
}

#[test]
fn an_entry_that_grows_beside_hot_entries_is_not_evicted_itself() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("grows", eviction);
        let cache = scene.open();
        let keys = fill(&cache, &[7; 100]);
        read_all(&cache, keys);
        let mut evictions = 0;
        walked(&cache, &mut evictions);
        // The oldest entries, so that the search meets the entry that it must leave.
        for number in 0..500 {
            let key = format!("old {number}");
            let _ = cache.set(key.as_bytes(), &bytes(&[8; 1000])).unwrap().unwrap();
            let (evicted, visited) = walked(&cache, &mut evictions);
            assert!(visited <= MAX_SPARED + evicted * PER_EVICTION, "{eviction:?}: {visited} visited for {evicted}");
            assert!(cache.get(key.as_bytes(), ReadMode::Peek, &mut NoSink).unwrap().is_some(), "{key} was evicted");
        }
        assert_valid(&cache);
    }
}

/// Visits of classes for one search for room, and for each eviction: a look for cleared entries, a choice, a sum.
const CLASSES: u64 = 64;
/// Entries that one change may move into the queues of their class; see `MAX_MOVED` in `shard/eviction.rs`.
const MAX_MOVED: u64 = 512;

fn kept_by(cache: &Cache, keys: u64) -> u64 {
    (0..keys).filter(|number| cache.has(format!("kept {number}").as_bytes()).unwrap()).count() as u64
}

/// Fills all but a hundredth of a segment with entries of a namespace that no write of another may evict.
fn guard(root: &Cache, own: &Cache) -> u64 {
    let capacity = root.geometry().capacity() as u64;
    let size = QuotaSetting { size: Some(capacity / 100 * 99), eviction: Some(Eviction::None), reserve: None };
    own.set_quota(&size).unwrap();
    let is_stored = |number: &u64| own.set(format!("kept {number}").as_bytes(), &bytes(&[7; 100])).unwrap().is_some();
    (0..).take_while(is_stored).count() as u64
}

#[test]
fn a_set_beside_a_shard_that_is_almost_all_guarded_visits_a_bounded_number_of_entries() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("guarded", eviction);
        let root = scene.open();
        for number in 1..63 {
            let other = root.in_namespace(&format!("n{number}")).unwrap();
            other.set_quota(&QuotaSetting { reserve: Some(64), ..QuotaSetting::default() }).unwrap();
        }
        let own = root.in_namespace("own").unwrap();
        let keys = guard(&root, &own);
        assert!(keys > 30_000, "{eviction:?}: {keys} guarded entries");
        let (mut evictions, mut stored) = (0, 0);
        for number in 0..2000 {
            walked(&root, &mut evictions);
            take_visits("class");
            let key = format!("page {number}");
            stored += u64::from(root.set(key.as_bytes(), &bytes(&[7; 300])).unwrap().is_some());
            let (evicted, visited) = walked(&root, &mut evictions);
            let classes = take_visits("class");
            let text = format!("{eviction:?}, set {number}: {visited} entries, {classes} classes, {evicted} evictions");
            assert!(visited <= MAX_SPARED + evicted * PER_EVICTION, "{text}");
            assert!(classes <= 3 * CLASSES * (2 + evicted), "{text}");
        }
        assert!(stored > 1000 && evictions > 500, "{eviction:?}: {stored} stored, {evictions} evicted");
        assert_eq!(kept_by(&own, keys), keys, "{eviction:?}");
        assert_valid(&root);
    }
}

#[test]
fn entries_that_were_there_before_their_quota_move_in_bounded_steps() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("moves", eviction);
        let root = scene.open();
        let own = root.in_namespace("own").unwrap();
        let keys = 30_000;
        (0..keys).for_each(|number| {
            put(&own, &format!("kept {number}"), &[7; 100]);
        });
        own.set_quota(&QuotaSetting { eviction: Some(Eviction::None), ..QuotaSetting::default() }).unwrap();
        let mut evictions = 0;
        let mut refused = 0;
        for number in 0..3000 {
            walked(&root, &mut evictions);
            let stored = root.set(format!("page {number}").as_bytes(), &bytes(&[7; 500])).unwrap().is_some();
            let (evicted, visited) = walked(&root, &mut evictions);
            assert!(visited <= MAX_MOVED + MAX_SPARED + evicted * PER_EVICTION, "{eviction:?}: {visited} visited");
            refused += u64::from(!stored);
        }
        assert_eq!(kept_by(&own, keys), keys, "{eviction:?}");
        assert!(refused <= keys / MAX_MOVED + 1, "{eviction:?}: {refused} sets refused");
        assert_valid(&root);
    }
}

#[test]
fn a_set_beyond_the_size_of_its_namespace_visits_a_bounded_number_of_entries() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("own", Eviction::S3Fifo);
        let root = scene.open();
        let own = root.in_namespace("own").unwrap();
        let quota = QuotaSetting { size: Some(4 << 20), eviction: Some(eviction), reserve: None };
        own.set_quota(&quota).unwrap();
        (0..15_000).for_each(|number| {
            put(&root, &format!("page {number}"), &[7; 100]);
        });
        let keys = fill(&own, &[7; 100]);
        read_all(&own, keys);
        let mut evictions = 0;
        for number in 0..2000 {
            walked(&own, &mut evictions);
            put(&own, &format!("new {number}"), &[7; 100]);
            let (evicted, visited) = walked(&own, &mut evictions);
            assert!(visited <= MAX_SPARED + evicted * PER_EVICTION, "{eviction:?}: {visited} visited for {evicted}");
        }
        // A lower maximum is reached in bounded steps.
        own.set_quota(&QuotaSetting { size: Some(1 << 20), ..quota }).unwrap();
        walked(&own, &mut evictions);
        let stored = own.set(b"next", &bytes(&[7; 100])).unwrap();
        let (evicted, visited) = walked(&own, &mut evictions);
        assert!(stored.is_none() && evicted > 32 && visited <= MAX_SPARED + evicted * PER_EVICTION, "{visited}");
        assert_valid(&root);
    }
}

/// Entries that a set of a small value looks at in sweeps: 512 to make room, see `MAX_SWEPT` in `change/room.rs`; up to 16
/// for the units that it needs; those of the last 8 lines; and one line with every eighth write.
const MAX_SWEPT: u64 = 512 + 16 + 8 * 7 + 7;
/// The same for lines, if they are empty.
const MAX_LINES: u64 = 8192 + 16 * 16 + 8 + 1;

/// Sets keys with these options until one is refused. Returns their number.
fn fill_for(cache: &Cache, name: &str, write: &Write<'_>) -> usize {
    (0..).find(|number| cache.set(format!("{name} {number}").as_bytes(), write).unwrap().is_none()).unwrap()
}

/// Sets new keys until `sets` of them were refused or one was stored. Returns the number of entries that the sweeps of each
/// refused set found, and whether one was stored.
fn refused_sets(cache: &Cache, sets: usize) -> (Vec<u64>, bool) {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let mut swept = Vec::new();
    take_visits("swept entry");
    take_visits("line");
    for _ in 0..sets {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let stored = cache.set(format!("new {number}").as_bytes(), &bytes(&[7; 100])).unwrap().is_some();
        let entries = take_visits("swept entry");
        let lines = take_visits("line");
        assert!(lines <= MAX_LINES, "set {number} swept {lines} lines");
        assert!(entries <= MAX_SWEPT, "set {number} swept {entries} entries");
        if stored {
            return (swept, true);
        }
        swept.push(entries);
    }
    (swept, false)
}

/// A number of refused sets after which the whole index was swept twice.
fn two_passes(cache: &Cache) -> usize {
    cache.geometry().capacity() / 64 / 512 * 2
}

#[test]
fn a_refused_set_sweeps_no_entry_before_the_first_deadline() {
    let scene = scene("before", Eviction::None);
    let cache = scene.open();
    cache.set(b"first", &Write { ttl_ms: 1000, ..bytes(&[7; 100]) }).unwrap().unwrap();
    fill_for(&cache, "old", &Write { ttl_ms: 5000, ..bytes(&[7; 100]) });
    cache.advance_clock(999).unwrap();
    assert_eq!(refused_sets(&cache, 100), (vec![0; 100], false));
    assert_valid(&cache);
}

#[test]
fn a_refused_set_sweeps_a_bounded_number_of_entries_and_the_sets_after_it_go_on() {
    let scene = scene("one", Eviction::None);
    let cache = scene.open();
    // The only entry that expires.
    cache.set(b"first", &Write { ttl_ms: 1000, ..bytes(&[7; 100]) }).unwrap().unwrap();
    let kept = fill_for(&cache, "old", &Write { ttl_ms: 5000, ..bytes(&[7; 100]) });
    assert!(kept > 10_000, "too few entries to show a sweep");
    cache.advance_clock(1000).unwrap();
    let (swept, stored) = refused_sets(&cache, two_passes(&cache));
    assert!(stored, "refused although an entry has expired");
    assert!(swept.iter().all(|entries| *entries > 0), "a refused set swept nothing");
    assert_valid(&cache);
    // Nothing is left that has expired: after a whole pass no set sweeps.
    refused_sets(&cache, two_passes(&cache));
    assert_eq!(refused_sets(&cache, 100), (vec![0; 100], false));
    // The rest expires.
    cache.advance_clock(4000).unwrap();
    assert!(refused_sets(&cache, 1).1, "refused although all entries have expired");
    assert_valid(&cache);
}

#[test]
fn a_deadline_that_moved_to_a_later_time_costs_refused_sets_at_most_two_passes() {
    let scene = scene("moved", Eviction::None);
    let cache = scene.open();
    cache.set(b"moved", &Write { ttl_ms: 1000, ..bytes(&[7; 100]) }).unwrap().unwrap();
    fill_for(&cache, "old", &Write { ttl_ms: 9000, ..bytes(&[7; 100]) });
    assert!(cache.touch(b"moved", 9000).unwrap());
    cache.advance_clock(1000).unwrap();
    refused_sets(&cache, two_passes(&cache));
    assert_eq!(refused_sets(&cache, 100), (vec![0; 100], false));
    // An earlier deadline counts again.
    assert!(cache.touch(b"moved", 500).unwrap());
    assert_eq!(refused_sets(&cache, 10), (vec![0; 10], false));
    cache.advance_clock(500).unwrap();
    assert!(refused_sets(&cache, two_passes(&cache)).1, "refused although an entry has expired");
    assert_valid(&cache);
}

#[test]
fn entries_that_may_still_be_served_as_stale_are_not_swept_for() {
    let scene = scene("stale", Eviction::None);
    let cache = scene.open();
    fill_for(&cache, "old", &Write { ttl_ms: 1000, stale_ms: 1000, ..bytes(&[7; 100]) });
    cache.advance_clock(1999).unwrap();
    assert_eq!(refused_sets(&cache, 100), (vec![0; 100], false));
    cache.advance_clock(1).unwrap();
    assert!(refused_sets(&cache, 1).1, "refused although all entries have ended");
    assert_valid(&cache);
}

#[test]
fn cleared_and_invalidated_entries_make_room_for_the_sets_after_a_refused_one() {
    for how in ["clear", "invalidate"] {
        let scene = scene(how, Eviction::None);
        let cache = scene.open();
        let own = cache.in_namespace("own").unwrap();
        let tags = [own.tag("t")];
        own.set(b"ends", &Write { tags: &tags, ..bytes(&[7; 100]) }).unwrap().unwrap();
        fill_for(&cache, "old", &bytes(&[7; 100]));
        assert_eq!(refused_sets(&cache, 10), (vec![0; 10], false));
        match how {
            "clear" => own.clear().unwrap(),
            _ => own.invalidate_tags(&tags, Invalidation::Remove).unwrap(),
        }
        assert!(refused_sets(&cache, two_passes(&cache)).1, "{how}: refused although an entry has ended");
        refused_sets(&cache, two_passes(&cache));
        assert_eq!(refused_sets(&cache, 10), (vec![0; 10], false));
        assert_valid(&cache);
    }
}

#[test]
fn a_change_with_eviction_sweeps_a_bounded_number_of_entries() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("evicts", eviction);
        let cache = scene.open();
        let mortal = Write { ttl_ms: 1000, ..bytes(&[7; 100]) };
        for number in 0.. {
            cache.set(format!("old {number}").as_bytes(), &mortal).unwrap().unwrap();
            if cache.stats().total.evictions > 0 {
                break;
            }
        }
        let large = vec![7; cache.geometry().max_entry / 2];
        let units = large.len() as u64 / 64;
        take_visits("swept entry");
        put(&cache, "large", &large);
        assert_eq!(take_visits("swept entry"), 0, "{eviction:?}: a sweep before the first deadline");
        put(&cache, "small", b"1");
        cache.advance_clock(1000).unwrap();
        take_visits("swept entry");
        put(&cache, "large too", &large);
        let swept = take_visits("swept entry");
        assert!((1..=MAX_SWEPT + units * 8 / 7).contains(&swept), "{eviction:?}: {swept} entries swept");
        assert_valid(&cache);
    }
}

#[test]
fn a_repair_finds_the_first_deadline_again() {
    /// Where the times of the first end are in the control block of the first shard.
    const FIRST_ENDS: u64 = META_AT as u64 + 168;
    let scene = scene("repair", Eviction::None);
    let cache = scene.open();
    cache.set(b"first", &Write { ttl_ms: 1000, ..bytes(&[7; 100]) }).unwrap().unwrap();
    fill_for(&cache, "old", &Write { ttl_ms: 5000, ..bytes(&[7; 100]) });
    file(&cache).write_all_at(&[0x7F; 16], FIRST_ENDS).unwrap();
    assert_ne!(cache.validate().unwrap(), Vec::<String>::new());
    let cache = reopen_suspect(&scene, cache);
    // A repair sweeps each line once, since entries may have ended by a clear.
    refused_sets(&cache, 1);
    assert_eq!(cache.stats().repairs, 1);
    assert_valid(&cache);
    refused_sets(&cache, two_passes(&cache));
    assert_eq!(refused_sets(&cache, 100), (vec![0; 100], false));
    assert_valid(&cache);
    cache.advance_clock(1000).unwrap();
    assert!(refused_sets(&cache, two_passes(&cache)).1, "refused although an entry has expired");
    assert_valid(&cache);
}

/// Records that a search reads on average in a table that has room, and was full before.
const FEW_RECORDS: u64 = 4;

/// The records that a publish on a channel without subscribers reads.
fn records_read(cache: &Cache, channel: &[u8]) -> u64 {
    take_visits("subscription");
    assert_eq!(cache.publish(channel, kind::BUFFER, b"").unwrap(), 0);
    take_visits("subscription")
}

#[test]
fn a_publish_reads_few_records_after_the_table_of_subscriptions_was_full() {
    let scene = Scene::new("table");
    let cache = scene.open();
    let listener = cache.add_listener(Box::new(Deaf));
    let subscribe = |name: String| cache.subscribe(name.as_bytes(), false, 1, listener).unwrap();
    let streams: Vec<u64> = (0..4096).map(|number| subscribe(format!("channel {number}"))).collect();
    assert!(cache.subscribe(b"one more", false, 1, listener).is_err(), "the table is not full");
    assert!(records_read(&cache, b"nothing") >= 4096);
    // Every sixteenth stays.
    for (number, stream) in streams.iter().enumerate() {
        if number % 16 != 0 {
            cache.end_stream(*stream);
        }
    }
    for number in (0..4096).step_by(16) {
        let channel = format!("channel {number}");
        assert_eq!(cache.publish(channel.as_bytes(), kind::BUFFER, b"").unwrap(), 1, "{channel}");
    }
    let total: u64 = (0..1000).map(|number| records_read(&cache, format!("nothing {number}").as_bytes())).sum();
    assert!(total < 1000 * FEW_RECORDS, "{total} records read for 1,000 publishes beside 256 subscriptions");
    streams.iter().for_each(|stream| cache.end_stream(*stream));
    let total: u64 = (0..1000).map(|number| records_read(&cache, format!("nothing {number}").as_bytes())).sum();
    assert!(total < 1200, "{total} records read for 1,000 publishes in an empty table");
}

#[test]
fn a_publish_searches_for_no_prefix_of_a_length_that_has_no_subscription_any_more() {
    let scene = Scene::new("prefixes");
    let cache = scene.open();
    let listener = cache.add_listener(Box::new(Deaf));
    let channel = vec![b'c'; 300];
    let subscribe = |len: usize| cache.subscribe(&vec![b'p'; len], true, 1, listener).unwrap();
    let streams: Vec<u64> = (1..=200).map(subscribe).collect();
    let twice = subscribe(100);
    let kept = cache.subscribe(&channel[..50], true, 1, listener).unwrap();
    take_visits("prefix");
    assert_eq!(cache.publish(&channel, kind::BUFFER, b"").unwrap(), 1);
    assert_eq!(take_visits("prefix"), 200);
    streams.iter().for_each(|stream| cache.end_stream(*stream));
    assert_eq!(cache.publish(&channel, kind::BUFFER, b"").unwrap(), 1);
    assert_eq!(take_visits("prefix"), 2, "the lengths 50 and 100");
    cache.end_stream(twice);
    cache.end_stream(kept);
    assert_eq!(records_read(&cache, &channel), 1);
    assert_eq!(take_visits("prefix"), 0);
}

/// Lines of one page, and lines with deleted entries of one step of a deletion; see `reading/scan.rs`.
const MAX_WALKED: u64 = 1024;
/// Lines under one hold of a lock: the last hold of a step may exceed its bound.
const LINES_PER_HOLD: u64 = 16;
const WORDS_PER_LINE: u64 = 7;

#[test]
fn a_step_of_a_walk_reads_a_bounded_number_of_lines() {
    let scene = scene("walk", Eviction::S3Fifo);
    let cache = scene.open();
    const KEYS: u64 = 30_000;
    for number in 0..KEYS {
        put(&cache, &format!("k{number}"), b"1");
    }
    // A prefix without keys: only the lines end a page.
    let (mut cursor, mut pages) = (Some(0), 0);
    take_visits("walked line");
    while let Some(at) = cursor {
        let page = cache.keys(at, b"none", 256).unwrap();
        assert!(page.keys.is_empty());
        let lines = take_visits("walked line");
        assert!(lines <= MAX_WALKED, "a page read {lines} lines");
        cursor = page.next;
        pages += 1;
    }
    assert!(pages >= KEYS / WORDS_PER_LINE / MAX_WALKED, "only {pages} pages");
    for (prefix, deleted) in [(&b"none"[..], 0), (b"k", KEYS)] {
        let (mut cursor, mut total) = (Some(0), 0);
        take_visits("walked word");
        while let Some(at) = cursor {
            let step = cache.delete_prefix_from(at, prefix).unwrap();
            let lines = take_visits("walked word") / WORDS_PER_LINE;
            let last_hold = LINES_PER_HOLD * (1 + WORDS_PER_LINE);
            assert!(lines + step.deleted <= MAX_WALKED + last_hold, "{lines} lines, {} deleted", step.deleted);
            total += step.deleted;
            cursor = step.next;
        }
        assert_eq!(total, deleted);
    }
    assert_eq!(cache.len(), 0);
    assert_valid(&cache);
}

/// Lines that an invalidation judges at most for each tag that takes a new record: see `lines_per_record` in
/// `tables/tags.rs`, with which others may have left it behind.
fn max_judged(cache: &Cache) -> u64 {
    let geometry = cache.geometry();
    let lines_of_all = geometry.capacity() as u64 / 64 / 14 * 5 / 4 + 4096;
    4 * (2 * lines_of_all * (geometry.shards as u64 + 1) / geometry.shards as u64)
        .div_ceil(geometry.tag_records() as u64)
}

#[test]
fn an_invalidation_judges_a_bounded_number_of_lines_whatever_the_entries_and_tags() {
    for (size, entries) in [(2 << 20, 0), (2 << 20, 3000), (64 << 20, 100_000)] {
        let scene = Scene::sized("judged", size);
        let cache = scene.open();
        for number in 0..entries {
            let tags = [cache.tag(&format!("tag {}", number % 5000))];
            cache.set(format!("key {number}").as_bytes(), &Write { tags: &tags, ..bytes(&[7; 100]) }).unwrap().unwrap();
        }
        let records = cache.geometry().tag_records() as u64;
        let most = max_judged(&cache);
        let mut judged = 0;
        let _ = ["line", "tag record", "judged shard"].map(take_visits);
        for number in 0..2 * records {
            cache.invalidate_tags(&[cache.tag(&format!("other {number}"))], Invalidation::Remove).unwrap();
            let lines = take_visits("line");
            assert!(lines <= most, "{size}: invalidation {number} judged {lines} lines, at most {most}");
            assert!(take_visits("judged shard") <= 4);
            judged += lines;
        }
        assert!(judged > 0, "{size}: nothing was judged");
        assert_eq!(cache.stats().tags_unjudged, 0);
        // An invalidation of a tag with a young record judges nothing.
        let tag = cache.tag(&format!("other {}", 2 * records - 1));
        for _ in 0..1000 {
            cache.invalidate_tags(&[tag], Invalidation::Remove).unwrap();
        }
        assert_eq!(take_visits("line"), 0, "{size}");
        assert_valid(&cache);
    }
}

#[test]
fn a_read_searches_few_records_for_each_tag_while_all_records_are_used() {
    let scene = Scene::sized("chains", 8 << 20);
    let cache = scene.open();
    let tags: Vec<u64> = (0..10).map(|number| cache.tag(&format!("tag {number}"))).collect();
    // A tag that is invalidated all the time, so that its chain has several records of it.
    let hot = [cache.tag("hot")];
    for number in 0..2 * cache.geometry().tag_records() {
        cache.invalidate_tags(&[cache.tag(&format!("other {number}"))], Invalidation::Remove).unwrap();
        cache.invalidate_tags(&hot, Invalidation::Remove).unwrap();
    }
    let begun = cache.tag_clock();
    cache.invalidate_tags(&hot, Invalidation::Remove).unwrap();
    let mut searched = 0;
    for number in 0..1000 {
        let key = format!("key {number}");
        let tags: Vec<u64> = tags.iter().map(|tag| tag.wrapping_mul(2 * number + 1)).collect();
        let write = Write { tags: &tags, made_at: Some(begun), ..bytes(b"1") };
        cache.set(key.as_bytes(), &write).unwrap().unwrap();
        take_visits("tag record");
        assert!(cache.has(key.as_bytes()).unwrap());
        searched += take_visits("tag record");
    }
    // One record for each chain on average; a record of its own chain for each use of the hot tag at worst.
    assert!((1..10 * 1000 * 3).contains(&searched), "{searched} records read for 10,000 tags");
}
