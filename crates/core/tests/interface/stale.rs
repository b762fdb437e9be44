//! Stale values: when they are served, kept and swept.

use crate::support::{Scene, assert_valid, bytes};
use crate::{DEAD, FRESH, STALE, all_keys, found_by, set, small, sweep_all};
use cache_machine_core::{Condition, ReadMode, Write};

#[test]
fn a_value_is_fresh_then_stale_then_expired() {
    let scene = Scene::new("stale");
    let cache = scene.open();
    let write = Write { ttl_ms: 100, stale_ms: 50, ..bytes(b"v") };
    set(&cache, "x", &write);
    cache.advance_clock(99).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    let mut out = Vec::new();
    let meta = cache.get(b"x", ReadMode::UseStale, &mut out).unwrap().unwrap();
    assert_eq!(
        (out.as_slice(), meta.remaining_ms(cache.now_ms()), meta.age_ms(cache.now_ms())),
        (&b"v"[..], Some(0), 100)
    );
    // Calls that do not ask for stale values do not find it.
    assert!(!cache.has(b"x").unwrap());
    assert!(cache.take(b"x", &mut out).unwrap().is_none());
    assert!(!cache.touch(b"x", 1000).unwrap());
    assert!(all_keys(&cache, b"", 10).is_empty());
    let conditional = |condition| cache.set(b"x", &Write { condition, ..write }).unwrap();
    assert_eq!(conditional(Condition::Present), None);
    assert_eq!(conditional(Condition::Version(meta.version)), None);
    cache.advance_clock(49).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
    // An add replaces a stale value.
    set(&cache, "x", &write);
    cache.advance_clock(120).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    assert!(conditional(Condition::Absent).is_some());
    assert_eq!(found_by(&cache, "x"), FRESH);
    // A delete removes a stale value, and says that there was none.
    cache.advance_clock(120).unwrap();
    assert!(!cache.delete(b"x", 0).unwrap());
    assert_eq!(found_by(&cache, "x"), DEAD);
    // A value without a deadline has no stale window.
    set(&cache, "x", &Write { ttl_ms: 0, ..write });
    cache.advance_clock(1 << 40).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    assert_valid(&cache);
}

#[test]
fn the_stale_window_stays_with_the_deadline() {
    let scene = Scene::new("window");
    let cache = scene.open();
    let write = Write { ttl_ms: 100, stale_ms: 50, ..bytes(b"1") };
    set(&cache, "x", &write);
    cache.advance_clock(60).unwrap();
    set(&cache, "x", &Write { keep_ttl: true, ttl_ms: 7, stale_ms: 7, ..bytes(b"2") });
    cache.advance_clock(39).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    cache.advance_clock(50).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    // There is no deadline to keep, so the times of the write hold.
    set(&cache, "x", &Write { keep_ttl: true, ttl_ms: 7, stale_ms: 5, ..bytes(b"3") });
    cache.advance_clock(11).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
    // A touch moves the window; persist and touch again keep it.
    set(&cache, "x", &write);
    assert!(cache.touch(b"x", 10).unwrap());
    assert!(cache.touch(b"x", 0).unwrap());
    cache.advance_clock(1 << 30).unwrap();
    assert_eq!(found_by(&cache, "x"), FRESH);
    assert!(cache.touch(b"x", 10).unwrap());
    cache.advance_clock(59).unwrap();
    assert_eq!(found_by(&cache, "x"), STALE);
    cache.advance_clock(1).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
    // A new value has a window only if it says so.
    set(&cache, "x", &write);
    set(&cache, "x", &Write { ttl_ms: 100, ..bytes(b"4") });
    cache.advance_clock(100).unwrap();
    assert_eq!(found_by(&cache, "x"), DEAD);
}

#[test]
fn a_stale_value_is_swept_when_its_window_is_over_and_not_before() {
    let scene = small("swept");
    let cache = scene.open();
    for i in 0..50 {
        set(&cache, &format!("stale {i}"), &Write { ttl_ms: 100, stale_ms: 1000, ..bytes(b"1") });
        set(&cache, &format!("plain {i}"), &Write { ttl_ms: 100, ..bytes(b"1") });
    }
    let expirations = || cache.tallies().expirations;
    cache.advance_clock(100).unwrap();
    sweep_all(&cache);
    assert_eq!(expirations(), 50);
    cache.advance_clock(999).unwrap();
    sweep_all(&cache);
    assert_eq!((expirations(), cache.len()), (50, 51));
    assert!((0..50).all(|i| found_by(&cache, &format!("stale {i}")) == STALE));
    cache.advance_clock(1).unwrap();
    sweep_all(&cache);
    assert_eq!((expirations(), cache.len()), (100, 1));
    assert_valid(&cache);
}
