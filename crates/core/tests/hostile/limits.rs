//! Numbers at their limits.

use crate::support::damage::{LOCK, file, mapped, reopen_suspect};
use crate::support::{assert_valid, bytes, get, put};
use crate::{TABLE_WORDS, TABLES, head_of, impatient, use_tables};
use cache_machine_core::{Invalidation, NoSink, ReadMode, Write, inspect, list};
use cache_machine_shm::Header;
use cache_machine_shm::atomic::Ordering;
use std::os::unix::fs::FileExt;
use std::time::Duration;

/// The generation of an index word has 32 bits, and wraps after its last value.
#[test]
fn a_generation_wraps_at_its_end() {
    let scene = impatient("generation");
    let cache = scene.open();
    let generation = || cache.get(b"k", ReadMode::Peek, &mut NoSink).unwrap().unwrap().depends.generation;
    mapped(&cache, |region| {
        // Behind the control block, where other words also count writes.
        let mut words: Vec<_> = (LOCK + 320..cache.geometry().len).step_by(8).map(|at| region.u64(at)).collect();
        for _ in 0..10 {
            put(&cache, "k", b"v");
            words.retain(|word| word.load(Ordering::Relaxed) >> 32 == u64::from(generation()));
        }
        assert_eq!(words.len(), 1);
        words[0].fetch_or(u64::from(u32::MAX) << 32, Ordering::Relaxed);
    });
    assert_eq!(generation(), u32::MAX);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
    for round in 0..3u32 {
        let version = cache.version_of(b"k").unwrap().unwrap();
        assert!(put(&cache, "k", format!("{round}").as_bytes()) > version);
        assert_eq!(generation(), round, "the generation did not wrap");
        assert_eq!(get(&cache, "k"), Some(format!("{round}").into_bytes()));
    }
    assert!(cache.delete(b"k", 0).unwrap());
    assert_eq!(get(&cache, "k"), None);
    assert_valid(&cache);
}

/// Damage can leave a number at its limit, where an overflow check would panic.
#[test]
fn counters_at_their_limits_block_no_call() {
    let scene = impatient("limits");
    let mut cache = scene.open();
    for i in 0..100 {
        put(&cache, &format!("{i}"), &[1; 300]);
    }
    for at in (8..320).step_by(8) {
        for value in [u64::MAX, u64::MAX >> 1, u64::from(u32::MAX), 1 << 31] {
            mapped(&cache, |region| region.u64(LOCK + at).store(value, Ordering::Relaxed));
            let _ = cache.stats();
            let _ = cache.len();
            let _ = cache.validate();
            let _ = list(None);
            let _ = inspect(&scene.options.name, None).unwrap();
            let first = cache.set(b"k", &bytes(&[2; 700]));
            let second = cache.set(b"k", &bytes(&[3; 700]));
            assert!(matches!((&first, &second), (Ok(Some(_)), Ok(Some(_)))), "at {at}: {first:?} {second:?}");
            assert_eq!(get(&cache, "k"), Some(vec![3; 700]), "at {at}");
            assert!(cache.delete(b"k", 0).unwrap());
        }
        cache = reopen_suspect(&scene, cache);
        put(&cache, "k", b"1");
        assert_valid(&cache);
    }
}

#[test]
fn tables_at_their_limits_block_no_call() {
    let mut scene = impatient("tables");
    scene.options.size = 2 << 20;
    scene.options.write_timeout = Duration::from_millis(1);
    let cache = scene.open();
    put(&cache, "untagged", b"1");
    let limits = [u64::MAX, 1 << 63, u64::MAX >> 1, 0x0101_0101_0101_0101, u64::from(u32::MAX), 1 << 31, 1, 0];
    let mut round = 0;
    for range in [TABLES, TABLE_WORDS] {
        // Each value in each place, beside three others.
        for (i, apart) in (0..limits.len()).flat_map(|i| [0, 1, 3].map(|apart| (i, apart))) {
            let (value, other) = (limits[i], limits[(i + apart) % limits.len()]);
            mapped(&cache, |region| {
                for at in range.clone().step_by(16) {
                    region.u64(at).store(value, Ordering::Relaxed);
                    region.u64(at + 8).store(other, Ordering::Relaxed);
                }
            });
            use_tables(&cache, round);
            round += 1;
            // An entry without a namespace and without tags does not need the tables.
            put(&cache, "untagged", &round.to_le_bytes());
            assert_eq!(get(&cache, "untagged"), Some(round.to_le_bytes().to_vec()));
        }
    }
    // The tables are empty again, so everything works again.
    mapped(&cache, |region| {
        TABLES.chain(TABLE_WORDS).step_by(8).for_each(|at| region.u64(at).store(0, Ordering::Relaxed));
        region.u64(cache.geometry().tag_horizon()).store(0, Ordering::Relaxed);
    });
    cache.clear().unwrap();
    // An entry that was stored while its namespace had a damaged class is in a queue of that class. A rebuild moves it.
    let cache = reopen_suspect(&scene, cache);
    let own = cache.in_namespace("own").unwrap();
    assert_eq!(own.namespace(), 1);
    let tags = [own.tag("red")];
    own.set(b"k", &Write { tags: &tags, ..bytes(b"v") }).unwrap();
    assert!(own.has(b"k").unwrap());
    own.invalidate_tags(&tags, Invalidation::Remove).unwrap();
    assert!(!own.has(b"k").unwrap());
    assert_valid(&cache);
}

/// The count of namespaces.
const NAMES_USED: u64 = Header::CACHE as u64 + 68;

/// With a count of names that was too large, the next name was written behind a free place, where no search found it.
/// Each open of the name then took another number, with other keys.
#[test]
fn a_name_keeps_its_number_when_the_count_of_names_is_wrong() {
    let scene = impatient("count");
    let cache = scene.open();
    put(&cache.in_namespace("first").unwrap(), "k", b"1");
    for count in [0u32, 1, 700, 1023, 1024, u32::MAX] {
        file(&cache).write_all_at(&count.to_le_bytes(), NAMES_USED).unwrap();
        let name = format!("named at {count}");
        put(&cache.in_namespace(&name).unwrap(), "k", name.as_bytes());
        assert_eq!(get(&cache.in_namespace(&name).unwrap(), "k"), Some(name.into_bytes()));
    }
    assert_eq!(get(&cache.in_namespace("first").unwrap(), "k").as_deref(), Some(&b"1"[..]));
    assert_eq!(cache.namespace_names().len(), 7);
    assert_eq!(cache.stats().total.entries, 7);
    assert_valid(&cache);
}

/// Versions only grow, also from a damaged one.
#[test]
fn a_head_with_the_last_version_does_not_stop_the_sequence() {
    let scene = impatient("version");
    let cache = scene.open();
    put(&cache, "the-last-version", b"1");
    file(&cache).write_all_at(&u64::MAX.to_le_bytes(), head_of(&cache, "the-last-version") + 8).unwrap();
    let cache = reopen_suspect(&scene, cache);
    for _ in 0..3 {
        assert_ne!(put(&cache, "k", b"1"), 0, "0 means any version");
    }
}
