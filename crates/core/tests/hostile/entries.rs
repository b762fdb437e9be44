//! Damaged links, heads and chains of entries, and keys that are chosen to collide.

use crate::support::damage::{content, file, mapped, reopen_suspect};
use crate::support::{PLAIN, assert_valid, bytes, get, put};
use crate::{UNIT, head_of, impatient};
use cache_machine_core::{Cache, Condition, Family, MetricKind, NoSink, ReadMode, Write};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// A change is done once its index word is stored. When a damaged link made the rest fail, the shard was rebuilt and
/// the change ran again: a counter was incremented twice, and a taken value was lost.
#[test]
fn a_committed_change_does_not_run_again_after_a_damaged_link() {
    let scene = impatient("links");
    let cache = scene.open();
    let damage = |key: &str| {
        put(&cache, "before", b"1");
        cache.incr(key.as_bytes(), 10.0, &PLAIN).unwrap();
        put(&cache, "behind", b"1");
        // Both neighbours in the queue are far outside the space.
        file(&cache).write_all_at(&0x7FFF_FFFF_7FFF_FFFFu64.to_le_bytes(), head_of(&cache, key) + 56).unwrap();
    };
    let repairs = || cache.stats().repairs;
    damage("counted-once");
    let before = repairs();
    assert_eq!(cache.incr(b"counted-once", 1.0, &PLAIN).unwrap(), 11.0);
    assert!(repairs() > before, "the change did not meet the damage");
    assert_valid(&cache);
    assert_eq!(cache.incr(b"counted-once", 1.0, &PLAIN).unwrap(), 12.0);

    damage("taken-once");
    let mut out = Vec::new();
    assert!(cache.take(b"taken-once", &mut out).unwrap().is_some_and(|meta| meta.copied));
    assert_eq!(out, 10f64.to_le_bytes());
    assert!(cache.take(b"taken-once", &mut out).unwrap().is_none());
    assert_valid(&cache);

    damage("deleted-once");
    assert!(cache.delete(b"deleted-once", 0).unwrap());
    assert!(!cache.delete(b"deleted-once", 0).unwrap());
    assert_valid(&cache);

    damage("replaced-once");
    let version = cache.version_of(b"replaced-once").unwrap().unwrap();
    let write = Write { condition: Condition::Version(version), ..bytes(b"new") };
    assert!(cache.set(b"replaced-once", &write).unwrap().is_some());
    assert_eq!(get(&cache, "replaced-once").as_deref(), Some(&b"new"[..]));
    assert_valid(&cache);
}

/// Damaged heads gave walks keys that no call accepts: empty ones, or longer ones than the maximum.
#[test]
fn a_walk_gives_no_impossible_keys() {
    let scene = impatient("impossible-keys");
    let cache = scene.open();
    for len in [0, u16::MAX] {
        let (key, series) = (format!("value-{len}"), format!("metric-{len}{{}}"));
        put(&cache, &key, &[1; 100_000]);
        let family = Family { kind: MetricKind::Gauge, help: "", bounds: &[] };
        cache.declare_metric("gauge", &family, &series).unwrap();
        for damaged in [&key, &series] {
            file(&cache).write_all_at(&len.to_le_bytes(), head_of(&cache, damaged)).unwrap();
        }
        assert_eq!(cache.keys(0, b"", usize::MAX).unwrap().keys, []);
        let metrics = cache.metrics().unwrap();
        assert_eq!(metrics.iter().map(|metric| &metric.key).collect::<Vec<_>>(), ["gauge"]);
    }
}

/// The chains of extents of many entries lead in circles. Each read of them, and each rebuild, must end soon.
#[test]
fn circular_chains_cost_no_more_than_sound_ones() {
    let scene = impatient("circles");
    let cache = scene.open();
    for i in 0..3000 {
        put(&cache, &format!("key-{i:08}"), b"1");
    }
    let units = cache.geometry().capacity() / UNIT;
    let content = content(&cache);
    let mut extents = 0u64;
    for body in 0..content.len() / UNIT {
        if !content[body * UNIT..].starts_with(b"key-") || content[body * UNIT + 4..][..8].contains(&0) {
            continue;
        }
        // The body becomes an extent with its own unit as its seven runs and as the next extent. The head has the
        // maximum of runs and the maximum length of a value.
        let head = (body - 1) * UNIT;
        let run = u64::from_le_bytes(content[head + 40..head + 48].try_into().unwrap());
        let unit = run & 0xFFFF_FFFF;
        if run >> 32 != 1 || unit == 0 {
            continue;
        }
        let file = file(&cache);
        let own = (unit | 1 << 32).to_le_bytes();
        for word in 0..7 {
            file.write_all_at(&own, (body * UNIT + word * 8) as u64).unwrap();
        }
        file.write_all_at(&unit.to_le_bytes(), (body * UNIT + 56) as u64).unwrap();
        let first = 12u64 | 6 << 16 | 2 << 24 | ((units / 4 * UNIT) as u64) << 32;
        file.write_all_at(&first.to_le_bytes(), head as u64).unwrap();
        let chain = unit | ((units * 7) as u64) << 32;
        file.write_all_at(&chain.to_le_bytes(), (head + 40) as u64).unwrap();
        extents += 1;
    }
    assert!(extents > 2000, "{extents}");
    let start = Instant::now();
    for i in 0..300 {
        let _ = cache.get(format!("key-{i:08}").as_bytes(), ReadMode::Use, &mut Vec::new()).unwrap();
    }
    let reads = start.elapsed();
    let start = Instant::now();
    let _ = cache.validate().unwrap();
    let validated = start.elapsed();
    let cache = reopen_suspect(&scene, cache);
    let start = Instant::now();
    put(&cache, "k", b"1");
    let rebuilt = start.elapsed();
    eprintln!("300 reads {reads:?}, validate {validated:?}, rebuild {rebuilt:?}");
    assert!(reads.max(validated).max(rebuilt) < Duration::from_secs(2));
    assert_valid(&cache);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"1"[..]));
}

/// The head of an entry has the number of runs of its chain. A chain of more runs than the shard has units is not
/// followed, even in a circle. The entry is a miss, and the next rebuild drops it.
#[test]
fn an_entry_of_more_runs_than_units_is_a_miss() {
    let scene = impatient("runs");
    let mut cache = scene.open();
    // Leaves free units in runs of one.
    let free = |cache: &Cache| cache.stats().capacity_bytes - cache.stats().used_bytes;
    (0..).take_while(|_| free(&cache) > 150_000).for_each(|i| _ = put(&cache, &format!("large {i}"), &[5; 100_000]));
    let small = (0..).take_while(|i| free(&cache) > 1000 && put(&cache, &format!("small {i}"), &[1; 40]) > 0).count();
    (0..small).step_by(2).for_each(|i| assert!(cache.delete(format!("small {i}").as_bytes(), 0).unwrap()));
    let units = (cache.geometry().capacity() / UNIT) as u64;
    let body_of = |region: &Region, head: usize| region.u64(head + 40).load(Ordering::Relaxed) & 0xFFFF_FFFF;
    // An entry in one piece has its body behind its head.
    let first = head_of(&cache, "large 0") as usize;
    let space = mapped(&cache, |region| first + UNIT - body_of(region, first) as usize * UNIT);
    let scattered = |region: &Region, len: usize| {
        let is_head = |head: &usize| {
            let word = region.u64(*head).load(Ordering::Relaxed);
            (word as u16, word >> 32) == ("scattered".len() as u16, len as u64)
        };
        (space..region.len()).step_by(UNIT).find(is_head).expect("its head")
    };
    let mut dropped = 0;
    for count in [units * 8, u64::from(u32::MAX)] {
        for is_circle in [false, true] {
            // Each value has another length.
            let value = vec![7; 5000 + dropped as usize];
            put(&cache, "scattered", &value);
            assert_eq!(get(&cache, "scattered").as_ref(), Some(&value));
            mapped(&cache, |region| {
                let head = scattered(region, value.len());
                let (run, extent) = (region.u64(head + 40), body_of(region, head));
                assert!(run.load(Ordering::Relaxed) >> 32 > 7, "one extent has all its runs");
                if is_circle {
                    region.u64(space + extent as usize * UNIT + 56).store(extent, Ordering::Relaxed);
                }
                run.store(extent | count << 32, Ordering::Relaxed);
            });
            assert_eq!(get(&cache, "scattered"), None, "{count} runs, in a circle: {is_circle}");
            cache = reopen_suspect(&scene, cache);
            assert_valid(&cache);
            assert_eq!((get(&cache, "scattered"), cache.stats().damaged), (None, dropped + 1));
            dropped += 1;
        }
    }
}

/// An attacker may find keys that share one line of the index, and fill that line. Other keys lose nothing, and in the
/// next segment, which has another seed, the keys are spread over many lines.
#[test]
fn a_flood_of_keys_for_one_line_costs_others_nothing_and_spreads_in_the_next_segment() {
    const LINE: usize = 64;
    let line_of = |cache: &Cache, key: &str| {
        let meta = cache.get(key.as_bytes(), ReadMode::Peek, &mut NoSink).unwrap().unwrap();
        meta.depends.word_at / LINE
    };
    // An index with few entries has few lines, with many keys in each.
    let grow = |cache: &Cache| {
        (0..6000).for_each(|i| _ = put(cache, &format!("grows{i}"), b"x"));
        cache.delete_prefix(b"grows").unwrap();
    };
    let flooded = impatient("flood");
    let cache = flooded.open();
    grow(&cache);
    put(&cache, "first", b"1");
    let line = line_of(&cache, "first");
    let is_in_line = |i: &u32| {
        let key = format!("k{i}");
        put(&cache, &key, b"x");
        let is_in_line = line_of(&cache, &key) == line;
        assert!(cache.delete(key.as_bytes(), 0).unwrap());
        is_in_line
    };
    let flood: Vec<String> = (0..500_000).filter(is_in_line).map(|i| format!("k{i}")).collect();
    assert!(flood.len() > 50, "only {} keys share one line", flood.len());

    let others: Vec<String> = (0..1000).map(|i| format!("other{i}")).collect();
    others.iter().for_each(|key| _ = put(&cache, key, b"there"));
    for key in &flood {
        put(&cache, key, key.as_bytes());
        assert_eq!(get(&cache, key).as_deref(), Some(key.as_bytes()), "a key that was just written is missing");
    }
    let lost = others.iter().filter(|key| get(&cache, key).is_none()).count();
    assert!(lost < 30, "{lost} of 1,000 other keys were lost");
    assert_valid(&cache);

    let next = impatient("flood");
    let cache = next.open();
    grow(&cache);
    flood.iter().for_each(|key| _ = put(&cache, key, key.as_bytes()));
    assert_eq!(cache.stats().total.evictions, 0);
    let mut lines: Vec<usize> = flood.iter().map(|key| line_of(&cache, key)).collect();
    lines.sort_unstable();
    lines.dedup();
    assert!(lines.len() > flood.len() / 2, "{} keys are in {} lines", flood.len(), lines.len());
}
