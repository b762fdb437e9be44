//! Quotas of namespaces: room that others cannot take, a maximum, a policy of their own.

use crate::support::damage::reopen_suspect;
use crate::support::permits::{ONE, token};
use crate::support::{PLAIN, Random, Scene, assert_valid, bytes, put};
use cache_machine_core::{Cache, CacheError, Eviction, Invalidation, Keyspace, QuotaSetting, ReadMode, Write};
use std::collections::{BTreeMap, BTreeSet};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn scene(test: &str, size: usize, eviction: Eviction) -> Scene {
    let mut scene = Scene::sized(test, size);
    scene.options.eviction = eviction;
    scene
}

fn reserve(bytes: u64) -> QuotaSetting {
    QuotaSetting { reserve: Some(bytes), ..QuotaSetting::default() }
}

fn size(bytes: u64) -> QuotaSetting {
    QuotaSetting { size: Some(bytes), ..QuotaSetting::default() }
}

fn policy(eviction: Eviction) -> QuotaSetting {
    QuotaSetting { eviction: Some(eviction), ..QuotaSetting::default() }
}

fn namespace(root: &Cache, name: &str, setting: QuotaSetting) -> Cache {
    let own = root.in_namespace(name).unwrap();
    own.set_quota(&setting).unwrap();
    own
}

fn has(cache: &Cache, key: &str) -> bool {
    cache.get(key.as_bytes(), ReadMode::Peek, &mut Vec::new()).unwrap().is_some()
}

/// Whether the write was stored.
fn try_put(cache: &Cache, key: &str, value: &[u8]) -> bool {
    cache.set(key.as_bytes(), &bytes(value)).unwrap().is_some()
}

fn kept(cache: &Cache, name: &str, count: u64) -> usize {
    (0..count).filter(|number| has(cache, &format!("{name} {number}"))).count()
}

fn put_all(cache: &Cache, name: &str, count: u64, value: &[u8]) -> usize {
    (0..count).filter(|number| try_put(cache, &format!("{name} {number}"), value)).count()
}

/// 500 sessions of 6 KiB with a heavy traffic of pages beside them. Returns the number of sessions left.
fn sessions_beside_pages(eviction: Eviction, setting: QuotaSetting) -> usize {
    let scene = scene("sessions", 16 << 20, eviction);
    let root = scene.open();
    let sessions = root.in_namespace("sessions").unwrap();
    sessions.set_quota(&setting).unwrap();
    assert_eq!(put_all(&sessions, "session", 500, &[1; 6000]), 500);
    let pages = root.in_namespace("pages").unwrap();
    for number in 0..100_000u64 {
        let key = format!("page {number}");
        let stored = try_put(&pages, &key, &[2; 2000]);
        assert!(stored || eviction == Eviction::None, "{key} was refused");
        for _ in 0..2 {
            let _ = pages.get(key.as_bytes(), ReadMode::Use, &mut Vec::new()).unwrap();
        }
    }
    assert_valid(&root);
    let left = kept(&sessions, "session", 500);
    assert_eq!(sessions.tallies().evicted_for_others, 500 - left as u64);
    left
}

#[test]
fn five_hundred_sessions_with_a_reserve_outlive_a_hundred_thousand_pages() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru, Eviction::None] {
        assert_eq!(sessions_beside_pages(eviction, reserve(4 * MIB)), 500, "{eviction:?}");
    }
}

#[test]
fn without_a_reserve_no_session_is_left() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        assert_eq!(sessions_beside_pages(eviction, QuotaSetting::default()), 0, "{eviction:?}");
    }
}

#[test]
fn a_reserve_that_is_set_later_keeps_the_entries_that_are_there() {
    let scene = scene("later", 16 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let sessions = root.in_namespace("sessions").unwrap();
    assert_eq!(put_all(&sessions, "session", 500, &[1; 6000]), 500);
    sessions.set_quota(&reserve(4 * MIB)).unwrap();
    put_all(&root, "page", 20_000, &[2; 2000]);
    assert_eq!(kept(&sessions, "session", 500), 500);
    assert_valid(&root);
    // Without its reserve it is as others are.
    sessions.set_quota(&reserve(0)).unwrap();
    put_all(&root, "more", 20_000, &[2; 2000]);
    assert!(kept(&sessions, "session", 500) < 500);
    assert_valid(&root);
}

#[test]
fn room_within_a_reserve_is_there_although_others_filled_the_segment() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru, Eviction::None] {
        let scene = scene("room", 16 << 20, eviction);
        let root = scene.open();
        let sessions = namespace(&root, "sessions", reserve(4 * MIB));
        let stored = put_all(&root, "page", 20_000, &[2; 2000]);
        assert!(stored > 4000, "{eviction:?}: {stored} pages");
        assert_eq!(put_all(&sessions, "session", 600, &[1; 6000]), 600, "{eviction:?}");
        assert_eq!(kept(&sessions, "session", 600), 600, "{eviction:?}");
        assert_valid(&root);
    }
}

#[test]
fn room_within_a_reserve_is_there_beside_a_namespace_that_never_evicts() {
    let scene = scene("beside", 16 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let sessions = namespace(&root, "sessions", reserve(4 * MIB));
    let jobs = namespace(&root, "jobs", policy(Eviction::None));
    let stored = (0..).take_while(|number| try_put(&jobs, &format!("job {number}"), &[2; 2000])).count() as u64;
    assert!(stored * 2000 > 9 * MIB, "{stored} jobs");
    assert_eq!(put_all(&sessions, "session", 600, &[1; 6000]), 600);
    put_all(&root, "page", 5000, &[2; 2000]);
    assert_eq!((kept(&sessions, "session", 600), kept(&jobs, "job", stored)), (600, stored as usize));
    assert_eq!(jobs.tallies().evictions, 0);
    assert_valid(&root);
}

#[test]
fn a_namespace_stays_within_its_size_and_evicts_its_own_entries_for_that() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru, Eviction::None] {
        let scene = scene("size", 16 << 20, Eviction::S3Fifo);
        let root = scene.open();
        put_all(&root, "other", 1000, &[3; 1000]);
        let pages = namespace(&root, "pages", QuotaSetting { eviction: Some(eviction), ..size(2 * MIB) });
        for number in 0..5000u64 {
            let stored = try_put(&pages, &format!("page {number}"), &[2; 1000]);
            let used = pages.tallies().bytes;
            assert!(used <= 2 * MIB, "{eviction:?}: {used} bytes");
            assert!(stored || used > 2 * MIB - 1200, "{eviction:?}: refused at {used} bytes");
        }
        let tallies = pages.tallies();
        let evicts = eviction != Eviction::None;
        assert_eq!((tallies.evictions > 0, tallies.evicted_for_others), (evicts, 0), "{eviction:?}");
        assert_eq!(tallies.evicted_for_size, tallies.evictions);
        assert_eq!((tallies.maximum_bytes, tallies.guaranteed_bytes), (2 * MIB, 0));
        assert_eq!(kept(&root, "other", 1000), 1000, "{eviction:?}");
        assert_valid(&root);
        // A larger one.
        pages.set_quota(&size(4 * MIB)).unwrap();
        assert_eq!(put_all(&pages, "more", 1000, &[2; 1000]), 1000);
        assert!(pages.tallies().bytes > 3 * MIB - 64 * KIB);
        assert_valid(&root);
    }
}

#[test]
fn a_size_that_becomes_lower_is_reached_by_the_writes_after_it() {
    let scene = scene("lower", 16 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let pages = namespace(&root, "pages", size(4 * MIB));
    put_all(&pages, "page", 5000, &[2; 1000]);
    pages.set_quota(&size(MIB)).unwrap();
    assert!(pages.tallies().bytes > 3 * MIB);
    (0..100).take_while(|number| !try_put(&pages, &format!("new {number}"), &[2; 1000])).count();
    assert!(pages.tallies().bytes <= MIB);
    assert!(try_put(&pages, "last", &[2; 1000]));
    // No maximum any more.
    pages.set_quota(&size(u64::MAX)).unwrap();
    assert_eq!(pages.tallies().maximum_bytes, root.geometry().capacity() as u64);
    put_all(&pages, "page", 5000, &[2; 1000]);
    assert!(pages.tallies().bytes > 4 * MIB);
    assert_valid(&root);
}

#[test]
fn a_namespace_of_few_large_entries_gets_room_from_its_other_shards() {
    let scene = scene("large", 64 << 20, Eviction::S3Fifo);
    let root = scene.open();
    assert!(root.geometry().shards > 1);
    let large = namespace(&root, "large", size(2 * MIB));
    for number in 0..200u64 {
        let key = format!("large {number}");
        assert!(try_put(&large, &key, &vec![2; 700_000]), "{key} was refused");
        assert!(has(&large, &key));
        assert!(large.tallies().bytes <= 2 * MIB);
        assert_eq!(large.incr(format!("count {}", number % 5).as_bytes(), 1.0, &PLAIN).unwrap() as u64, {
            // A counter may have been evicted.
            1.max(large.incr(format!("count {}", number % 5).as_bytes(), 0.0, &PLAIN).unwrap() as u64)
        });
    }
    let before = large.len();
    assert!(!try_put(&large, "larger than all", &vec![2; 2_200_000]));
    assert_eq!(large.len(), before, "evicted in vain");
    assert_valid(&root);
}

#[test]
fn a_large_entry_takes_the_place_of_many_small_ones() {
    let scene = scene("many", 16 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let pages = namespace(&root, "pages", size(2 * MIB));
    put_all(&pages, "page", 20_000, &[2; 100]);
    assert!(pages.len() > 8000);
    assert!(try_put(&pages, "large", &vec![2; 1_500_000]));
    assert!(has(&pages, "large") && pages.len() > 1000 && pages.tallies().bytes <= 2 * MIB);
    assert_valid(&root);
}

#[test]
fn a_namespace_that_never_evicts_loses_nothing_and_refuses() {
    let scene = scene("none", 8 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let none = QuotaSetting { eviction: Some(Eviction::None), reserve: Some(MIB), size: Some(2 * MIB) };
    let jobs = namespace(&root, "jobs", none);
    let stored = (0..).take_while(|number| try_put(&jobs, &format!("job {number}"), &[2; 1000])).count() as u64;
    assert!(stored * 1088 > 2 * MIB - 1088, "{stored} jobs");
    put_all(&root, "page", 20_000, &[2; 2000]);
    assert_eq!(kept(&jobs, "job", stored), stored as usize);
    assert!(matches!(jobs.incr(b"count", 1.0, &PLAIN), Ok(_) | Err(CacheError::NoSpace(_))));
    let refused = (0..100).find(|number| jobs.incr(format!("count {number}").as_bytes(), 1.0, &PLAIN).is_err());
    let again = jobs.incr(format!("count {}", refused.unwrap()).as_bytes(), 1.0, &PLAIN);
    assert!(matches!(again, Err(CacheError::NoSpace(_))), "{again:?}");
    // An entry of the same length has room.
    assert!(try_put(&jobs, "job 0", &[3; 1000]));
    assert!(jobs.delete(b"job 1", 0).unwrap());
    assert!(try_put(&jobs, "new", &[3; 1000]));
    assert_valid(&root);
}

#[test]
fn an_evicting_namespace_in_a_segment_without_eviction_makes_room_for_others() {
    let scene = scene("reverse", 8 << 20, Eviction::None);
    let root = scene.open();
    let pages = namespace(&root, "pages", policy(Eviction::S3Fifo));
    assert_eq!(put_all(&pages, "page", 10_000, &[2; 2000]), 10_000);
    assert!(try_put(&root, "kept", &[1; 5000]));
    assert!(pages.tallies().evicted_for_others > 0);
    assert!(put_all(&root, "root", 10_000, &[2; 2000]) > 2000);
    assert!(has(&root, "kept") && kept(&root, "root", 2000) == 2000);
    assert_eq!(root.tallies().evictions, 0);
    assert_valid(&root);
}

#[test]
fn settings_that_cannot_hold_are_refused_and_change_nothing() {
    let scene = scene("refused", 8 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let limit = root.geometry().capacity() as u64 / 4 * 3;
    assert!(matches!(root.set_quota(&reserve(MIB)), Err(CacheError::InvalidArgument(_))));
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    let refused = |cache: &Cache, setting: QuotaSetting| {
        let before = cache.tallies();
        let error = cache.set_quota(&setting).unwrap_err();
        assert_eq!(cache.tallies(), before);
        error
    };
    assert!(matches!(refused(&a, reserve(limit + 64)), CacheError::NoSpace(_)));
    assert!(matches!(refused(&a, reserve(u64::MAX)), CacheError::NoSpace(_)));
    a.set_quota(&reserve(4 * MIB)).unwrap();
    assert!(matches!(refused(&b, reserve(4 * MIB)), CacheError::NoSpace(_)));
    assert!(matches!(refused(&a, size(MIB)), CacheError::InvalidArgument(_)), "below the reserve that is set");
    b.set_quota(&reserve(MIB / 2)).unwrap();
    // A new setting replaces the old one, and others stay.
    a.set_quota(&QuotaSetting { reserve: Some(MIB), ..size(2 * MIB) }).unwrap();
    a.set_quota(&QuotaSetting::default()).unwrap();
    assert_eq!((a.tallies().guaranteed_bytes, a.tallies().maximum_bytes), (MIB, 2 * MIB));
    a.set_quota(&policy(Eviction::Lru)).unwrap();
    assert_eq!((a.tallies().guaranteed_bytes, a.tallies().maximum_bytes), (MIB, 2 * MIB));
    assert_eq!(root.stats().total.guaranteed_bytes, MIB + MIB / 2);
    // Another handle and another process see it: it is in the segment.
    let again = scene.open().in_namespace("a").unwrap();
    assert_eq!((again.tallies().guaranteed_bytes, again.tallies().maximum_bytes), (MIB, 2 * MIB));
    for number in 2..62 {
        namespace(&root, &format!("n{number}"), size(MIB));
    }
    let last = namespace(&root, "last", size(MIB));
    let many = root.in_namespace("many").unwrap();
    assert!(matches!(refused(&many, size(MIB)), CacheError::NoSpace(_)), "63 namespaces have a quota");
    last.set_quota(&size(2 * MIB)).unwrap();
    assert!(put_all(&last, "k", 100, &[1; 1000]) == 100 && put_all(&many, "k", 100, &[1; 1000]) == 100);
    assert_valid(&root);
}

#[test]
fn entries_that_a_clear_ended_count_for_nothing_and_go_first() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let scene = scene("cleared", 16 << 20, eviction);
        let root = scene.open();
        let quota = QuotaSetting { reserve: Some(4 * MIB), size: Some(5 * MIB), eviction: None };
        let sessions = namespace(&root, "sessions", quota);
        for round in 0..4 {
            assert_eq!(put_all(&sessions, "session", 600, &[round; 6000]), 600);
            assert_eq!(kept(&sessions, "session", 600), 600, "round {round}");
            put_all(&root, "page", 10_000, &[2; 2000]);
            assert_eq!(kept(&sessions, "session", 600), 600, "round {round}");
            assert_eq!(sessions.tallies().evictions, 0, "round {round}");
            if round % 2 == 0 {
                sessions.clear().unwrap()
            } else {
                root.clear().unwrap()
            }
            assert_eq!(sessions.tallies().bytes, 0);
        }
        assert_valid(&root);
    }
}

#[test]
fn entries_that_have_ended_go_before_live_entries_of_the_namespace() {
    let scene = scene("ended", 8 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let quota = QuotaSetting { reserve: Some(MIB), size: Some(2 * MIB), eviction: None };
    let sessions = namespace(&root, "sessions", quota);
    let mortal = Write { ttl_ms: 1000, ..bytes(&[1; 2000]) };
    let tags = [sessions.tag("t")];
    let tagged = Write { tags: &tags, ..bytes(&[1; 2000]) };
    for number in 0..300 {
        let write = if number % 2 == 0 { &mortal } else { &tagged };
        assert!(sessions.set(format!("old {number}").as_bytes(), write).unwrap().is_some());
    }
    assert_eq!(put_all(&sessions, "kept", 400, &[1; 2000]), 400);
    root.advance_clock(1000).unwrap();
    sessions.invalidate_tags(&tags, Invalidation::Remove).unwrap();
    // The sweeps of the writes go around the index before the size is reached.
    for number in 0..250 {
        assert!(try_put(&sessions, &format!("new {number}"), &[2; 2000]));
    }
    assert_eq!((kept(&sessions, "kept", 400), kept(&sessions, "new", 250)), (400, 250));
    assert_valid(&root);
}

#[test]
fn records_have_their_room_beside_reserves() {
    let scene = scene("records", 4 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let capacity = root.geometry().capacity() as u64;
    let jobs = QuotaSetting { eviction: Some(Eviction::None), ..reserve(capacity / 4 * 3 - 256) };
    let jobs = namespace(&root, "jobs", jobs);
    let stored = (0..).take_while(|number| try_put(&jobs, &format!("job {number}"), &[2; 1000])).count() as u64;
    assert!(stored * 1088 > capacity / 2, "{stored} jobs");
    for number in 0..50 {
        let key = format!("lock {number}");
        let token = token(root.acquire(Keyspace::Locks, key.as_bytes(), &ONE).unwrap());
        assert!(root.release(Keyspace::Locks, key.as_bytes(), token, 1).unwrap(), "{key}");
    }
    assert_eq!(kept(&jobs, "job", stored), stored as usize);
    assert_valid(&root);
}

#[test]
fn a_rebuild_recounts_the_units_and_keeps_the_queues() {
    let scene = scene("rebuilt", 8 << 20, Eviction::S3Fifo);
    let root = scene.open();
    let sessions =
        namespace(&root, "sessions", QuotaSetting { reserve: Some(2 * MIB), size: Some(3 * MIB), eviction: None });
    let jobs = namespace(&root, "jobs", policy(Eviction::None));
    put_all(&sessions, "session", 300, &[1; 6000]);
    put_all(&jobs, "job", 300, &[1; 1000]);
    put_all(&root, "page", 300, &[1; 1000]);
    // Its entries are in the queues of others until a search or the rebuild moves them.
    let late = root.in_namespace("late").unwrap();
    put_all(&late, "late", 100, &[1; 1000]);
    late.set_quota(&reserve(MIB / 2)).unwrap();
    let before = (sessions.tallies().bytes, jobs.tallies().bytes, root.tallies().bytes);
    assert!(before.0 > 300 * 6000 && before.1 > 300_000 && before.2 > 300_000);
    drop((sessions, jobs, late));
    let root = reopen_suspect(&scene, root);
    let [sessions, jobs, late] = ["sessions", "jobs", "late"].map(|name| root.in_namespace(name).unwrap());
    put(&root, "repairs", b"");
    assert!(root.stats().repairs > 0);
    root.delete(b"repairs", 0).unwrap();
    assert_eq!((sessions.tallies().bytes, jobs.tallies().bytes, root.tallies().bytes), before);
    assert_valid(&root);
    put_all(&root, "more", 20_000, &[2; 2000]);
    assert_eq!((kept(&sessions, "session", 300), kept(&jobs, "job", 300), kept(&late, "late", 100)), (300, 300, 100));
    assert_valid(&root);
}

/// What a namespace of the random mix promises.
struct Promise {
    cache: Cache,
    reserve: u64,
    size: u64,
    evicts: bool,
    keys: BTreeSet<String>,
}

impl Promise {
    fn count(&self) -> usize {
        self.keys.iter().filter(|key| has(&self.cache, key)).count()
    }
}

/// Writes of all sizes into five namespaces with random quotas. After each write the promises are checked: no namespace lost an
/// entry to another while it was within its reserve, none is above its size, and what is never evicted is there.
#[test]
fn a_long_random_mix_keeps_every_promise() {
    for (seed, shards, eviction) in [
        (1, 1, Eviction::S3Fifo),
        (2, 2, Eviction::S3Fifo),
        (3, 2, Eviction::Lru),
        (4, 1, Eviction::None),
        (5, 2, Eviction::None),
    ] {
        let mut scene = scene("mix", shards * (2 << 20), eviction);
        scene.options.max_entry = Some(200_000);
        let root = scene.open();
        let mut random = Random(seed * 77 + 1);
        let capacity = root.geometry().capacity() as u64;
        let mut all: Vec<Promise> = (0..5)
            .map(|n| {
                let cache = if n == 0 { root.clone() } else { root.in_namespace(&format!("n{n}")).unwrap() };
                let evicts = eviction != Eviction::None;
                Promise { cache, reserve: 0, size: u64::MAX, evicts, keys: BTreeSet::new() }
            })
            .collect();
        let mut refused = BTreeMap::new();
        for round in 0..30_000u64 {
            let n = random.below(5) as usize;
            if n > 0 && random.below(3000) == 0 {
                // The sum of four reserves is within three quarters.
                let reserve = random.below(capacity * 3 / 16) / 64 * 64;
                let size =
                    if random.below(2) == 0 { u64::MAX } else { (reserve + 64 + random.below(capacity / 4)) / 64 * 64 };
                let policies = [Eviction::S3Fifo, Eviction::Lru, Eviction::None];
                let chosen = policies[random.below(3) as usize];
                let setting = QuotaSetting { reserve: Some(reserve), size: Some(size), eviction: Some(chosen) };
                all[n].cache.set_quota(&setting).unwrap();
                (all[n].reserve, all[n].size, all[n].evicts) = (reserve, size, chosen != Eviction::None);
            }
            let key = format!("{}", random.below(3000));
            let before: Vec<(u64, usize)> =
                all.iter().map(|p| (p.cache.tallies().bytes, p.cache.len() as usize)).collect();
            match random.below(40) {
                0 => {
                    all[n].cache.delete(key.as_bytes(), 0).unwrap();
                    all[n].keys.remove(&key);
                }
                1 if random.below(100) == 0 => {
                    all[n].cache.clear().unwrap();
                    if n == 0 {
                        all.iter_mut().for_each(|p| p.keys.clear());
                    } else {
                        all[n].keys.clear();
                    }
                    continue;
                }
                2 => {
                    let _ = all[n].cache.touch(key.as_bytes(), 0).unwrap();
                }
                op => {
                    let longest = if op == 3 { 60_000 } else { 800 };
                    let value = vec![n as u8; random.below(longest) as usize];
                    if try_put(&all[n].cache, &key, &value) {
                        all[n].keys.insert(key.clone());
                        assert!(has(&all[n].cache, &key), "{seed} {round}: {key} is not there");
                        let used = all[n].cache.tallies().bytes;
                        assert!(used <= all[n].size, "{seed} {round}: {used} bytes above the size of {n}");
                    } else {
                        *refused.entry(n).or_insert(0) += 1;
                    }
                }
            }
            for (i, promise) in all.iter().enumerate() {
                if i == n {
                    continue;
                }
                let (bytes, entries) = before[i];
                let now = promise.cache.tallies().bytes;
                let lost = entries - (promise.cache.len() as usize).min(entries);
                assert!(
                    bytes > promise.reserve || lost == 0,
                    "{seed} {round}: {n} took {lost} entries of {i} within its reserve"
                );
                assert!(now >= promise.reserve.min(bytes), "{seed} {round}: {n} took guaranteed bytes of {i}");
                assert!(promise.evicts || lost == 0, "{seed} {round}: {i} is never evicted");
            }
            if round % 3000 == 0 {
                assert_valid(&root);
                for promise in &all {
                    assert_eq!(promise.count(), promise.cache.len() as usize, "{seed} {round}");
                }
            }
        }
        assert!(root.stats().total.evictions > 1000 || eviction == Eviction::None, "{seed}: {refused:?}");
        assert_valid(&root);
    }
}
