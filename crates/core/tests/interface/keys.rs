//! Walks over keys by cursor.

use crate::support::{Random, Scene, assert_valid, bytes, get, put};
use crate::{DEAD, STALE, all_keys, found_by, outdate_tag, remove_tag, set, small};
use cache_machine_core::{Cache, MAX_TAGS, Write};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};

#[test]
fn a_walk_meets_every_key_exactly_once_page_by_page() {
    let scene = small("keys");
    let root = scene.open();
    let (a, b) = (root.in_namespace("a").unwrap(), root.in_namespace("b").unwrap());
    // Enough to fill three of four words of the index, so that lines overflow.
    let mut expected: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
    for i in 0..9000u32 {
        let key = match i % 3 {
            0 => format!("user:{i}").into_bytes(),
            1 => [b"bin".as_slice(), &i.to_le_bytes(), &[0xFF, 0]].concat(),
            _ => format!("ключ {i}").into_bytes(),
        };
        a.set(&key, &Write { binary_key: i % 3 == 1, ..bytes(b"") }).unwrap().unwrap();
        expected.insert(key, i % 3 == 1);
    }
    put(&root, "user:of the root", b"1");
    put(&b, "user:of b", b"1");
    assert_eq!(root.stats().total.evictions, 0);
    for page_size in [1, 10, 1000, usize::MAX] {
        let mut met: BTreeMap<Vec<u8>, bool> = BTreeMap::new();
        let (mut cursor, mut pages) = (Some(0), 0);
        while let Some(at) = cursor {
            let page = a.keys(at, b"", page_size).unwrap();
            // A page has at most one line more than was asked for.
            assert!(page.keys.len() <= page_size.saturating_add(6), "{} keys of {page_size}", page.keys.len());
            for key in page.keys {
                assert_eq!(met.insert(key.bytes.clone(), key.binary), None, "{:?} met twice", key.bytes);
            }
            pages += 1;
            cursor = page.next;
        }
        assert_eq!(met, expected);
        assert!(pages >= 9000 / (page_size.saturating_add(6)).min(9000), "{pages} pages");
    }
    for prefix in [&b"user:"[..], b"user:8", "ключ 7".as_bytes(), b"bin", b"user:of", b"bin\x01", "к".as_bytes()] {
        let with_prefix: BTreeSet<Vec<u8>> = expected.keys().filter(|key| key.starts_with(prefix)).cloned().collect();
        let met = all_keys(&a, prefix, 100);
        assert_eq!((met.len(), met.into_iter().collect::<BTreeSet<_>>()), (with_prefix.len(), with_prefix));
    }
    assert_eq!(all_keys(&b, b"", 100), [b"user:of b"]);
    assert_eq!(all_keys(&root, b"", 100), [b"user:of the root"]);
    // Cursors that no page has returned.
    for cursor in [1 << 20, u64::MAX - 1, u64::MAX] {
        assert_eq!(a.keys(cursor, b"", 10).unwrap(), cache_machine_core::Page::default());
    }
    assert_valid(&root);
}

/// A page size of 0 that did not move the cursor would make a walk endless.
#[test]
fn a_page_without_keys_moves_the_cursor_on() {
    let scene = small("none");
    let cache = scene.open();
    (0..100).for_each(|i| {
        put(&cache, &format!("{i}"), b"1");
    });
    assert_eq!(all_keys(&cache, b"", 0).len(), 100);
}

#[test]
fn a_walk_skips_dead_entries() {
    let scene = Scene::new("dead");
    let cache = scene.open();
    let own = cache.in_namespace("own").unwrap();
    put(&own, "cleared", b"1");
    own.clear().unwrap();
    for key in ["fresh", "expired", "stale", "removed", "outdated", "deleted", "both"] {
        let tags = [own.tag(key)];
        let ttl_ms = if ["expired", "stale", "both"].contains(&key) { 10 } else { 0 };
        set(&own, key, &Write { ttl_ms, stale_ms: 100 * u64::from(key != "expired"), tags: &tags, ..bytes(b"1") });
    }
    assert_eq!(all_keys(&own, b"", 100).len(), 7);
    cache.advance_clock(10).unwrap();
    ["removed", "both"].into_iter().for_each(|name| remove_tag(&own, name));
    outdate_tag(&own, "outdated");
    own.delete(b"deleted", 0).unwrap();
    assert_eq!(all_keys(&own, b"", 100), [b"fresh"]);
}

/// Leaves free units in short runs. Returns the number of keys that were set.
fn fragment(cache: &Cache) -> usize {
    let mut count = 0;
    while cache.stats().total.evictions == 0 {
        put(cache, &format!("f{count}"), &[1; 60]);
        count += 1;
    }
    (0..count).step_by(2).for_each(|i| {
        cache.delete(format!("f{i}").as_bytes(), 0).unwrap();
    });
    count
}

/// No free run is long enough, so keys and tags are stored in pieces.
#[test]
fn keys_and_tags_in_many_pieces_read_like_others() {
    let scene = small("chained");
    let cache = scene.open();
    fragment(&cache);
    let long = |i: usize| format!("long {i} {}", "äöü".repeat(100 + i));
    let tags: Vec<u64> = (0..MAX_TAGS).map(|i| cache.tag(&format!("tag {i}"))).collect();
    for i in 0..40 {
        set(&cache, &long(i), &Write { tags: &tags, ttl_ms: 100, stale_ms: 50, ..bytes(&[i as u8; 700]) });
        assert_eq!(get(&cache, &long(i)).unwrap(), [i as u8; 700]);
    }
    let mut met = all_keys(&cache, b"long ", 10);
    met.sort_unstable();
    let mut expected: Vec<_> = (0..40).map(|i| long(i).into_bytes()).collect();
    expected.sort_unstable();
    assert_eq!(met, expected);
    assert_eq!(all_keys(&cache, long(7).as_bytes(), 10), [long(7).into_bytes()]);
    assert_eq!(cache.delete_prefix(long(7).as_bytes()).unwrap(), 1);
    assert_eq!(cache.delete_prefix(&long(8).as_bytes()[..500]).unwrap(), 1);
    assert_eq!(found_by(&cache, &long(7)), DEAD);
    cache.advance_clock(100).unwrap();
    assert_eq!(found_by(&cache, &long(9)), STALE);
    remove_tag(&cache, "tag 127");
    assert!((0..40).all(|i| found_by(&cache, &long(i)) == DEAD));
    assert_valid(&cache);
}

/// A walk visits the lines in an order that divisions keep. So it meets each key that stays exactly once, replaced or
/// not, whatever is written meanwhile.
#[test]
fn a_walk_meets_each_kept_key_exactly_once_while_threads_write() {
    const KEPT: usize = 3000;
    const OTHERS: u64 = 3000;
    let scene = small("walks");
    let root = scene.open();
    let own = root.in_namespace("own").unwrap();
    let key = |i: usize| format!("kept {i}");
    // The keys that are deleted again make some of the kept ones overflow full lines.
    for i in 0..6000 {
        put(&own, &format!("before {i}"), b"");
    }
    for i in 0..KEPT {
        put(&own, &key(i), b"1");
    }
    assert_eq!(own.delete_prefix(b"before").unwrap(), 6000);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..4u64 {
            let (root, own, done) = (&root, &own, &done);
            scope.spawn(move || {
                let mut random = Random(writer + 1);
                while !done.load(Ordering::Relaxed) {
                    let cache = if random.below(4) == 0 { root } else { own };
                    let other = format!("other {}", random.below(OTHERS));
                    match random.below(8) {
                        0..3 => {
                            put(cache, &other, &[2; 20]);
                        }
                        3 | 4 => {
                            cache.delete(other.as_bytes(), 0).unwrap();
                        }
                        5 => {
                            cache.touch(other.as_bytes(), 0).unwrap();
                        }
                        // A kept key is replaced or touched, and stays where it is.
                        6 => {
                            put(own, &key(random.below(KEPT as u64) as usize), &[3; 30]);
                        }
                        _ => {
                            own.touch(key(random.below(20) as usize).as_bytes(), 0).unwrap();
                        }
                    }
                }
            });
        }
        for walk in 0..60 {
            let mut met: HashMap<Vec<u8>, usize> = HashMap::new();
            for bytes in all_keys(&own, b"", 100 + walk * 10) {
                *met.entry(bytes).or_default() += 1;
            }
            let wrong = (0..KEPT).map(|i| (i, met.get(key(i).as_bytes()).copied().unwrap_or(0)));
            let wrong: Vec<_> = wrong.filter(|(_, times)| *times != 1).collect();
            assert!(wrong.is_empty(), "walk {walk}: not met once: {wrong:?}");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert_eq!(root.stats().total.evictions, 0);
    assert_valid(&root);
}
