//! Transactions: all changes or none, checks of what was read, and readers beside them.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Cache, CacheError, Check, Eviction, Invalidation, KeyChange, MAX_TRANSACTION_KEYS, OpenOptions, QuotaSetting,
    ReadMode, Write, kind,
};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use support::{Random, Scene, assert_valid, bytes, get, put};

fn change<'a>(cache: &Cache, key: &'a str, value: &'a [u8]) -> KeyChange<'a> {
    KeyChange { namespace: cache.namespace_of_values(), key: key.as_bytes(), write: Some(bytes(value)) }
}

fn deletion<'a>(cache: &Cache, key: &'a str) -> KeyChange<'a> {
    KeyChange { namespace: cache.namespace_of_values(), key: key.as_bytes(), write: None }
}

fn check<'a>(cache: &Cache, key: &'a str) -> Check<'a> {
    let version = cache.version_of(key.as_bytes()).unwrap();
    Check { namespace: cache.namespace_of_values(), key: key.as_bytes(), version }
}

#[test]
fn all_changes_are_made_together() {
    let scene = Scene::sized("together", 64 << 20);
    let cache = scene.open();
    assert!(cache.geometry().shards > 1);
    (0..200).for_each(|i| _ = put(&cache, &format!("old{i}"), &[1; 100]));
    let names: Vec<_> = (0..300).map(|i| format!("{}{i}", if i < 200 { "old" } else { "new" })).collect();
    let changes: Vec<_> = (0..)
        .zip(&names)
        .map(|(i, name)| if i % 3 == 0 { deletion(&cache, name) } else { change(&cache, name, &[2; 3000]) })
        .collect();
    let checks: Vec<_> = names.iter().map(|name| check(&cache, name)).collect();
    assert!(cache.transact(&checks, &changes).unwrap());
    for (i, name) in (0..).zip(&names) {
        assert_eq!(get(&cache, name), (i % 3 != 0).then(|| vec![2; 3000]), "{name}");
    }
    assert_eq!(cache.len(), 200);
    assert_valid(&cache);
    assert!(!cache.transact(&checks, &changes).unwrap(), "the keys have other versions by now");
}

#[test]
fn a_key_that_is_not_as_it_was_read_ends_a_transaction() {
    let scene = Scene::new("conflict");
    let cache = scene.open();
    put(&cache, "a", b"1");
    let (there, absent) = (check(&cache, "a"), check(&cache, "b"));
    for other in [
        (|c| _ = put(c, "a", b"2")) as fn(&Cache),
        |c| _ = c.delete(b"a", 0).unwrap(),
        |c| _ = put(c, "b", b"2"),
        |c| c.clear().unwrap(),
    ] {
        put(&cache, "a", b"1");
        let _ = cache.delete(b"b", 0).unwrap();
        let checks = [check(&cache, "a"), absent];
        other(&cache);
        let before = (get(&cache, "a"), get(&cache, "b"));
        assert!(!cache.transact(&checks, &[change(&cache, "c", b"3"), deletion(&cache, "a")]).unwrap());
        assert_eq!((get(&cache, "a"), get(&cache, "b"), get(&cache, "c")), (before.0, before.1, None));
        assert_valid(&cache);
    }
    assert!(!cache.transact(&[there], &[]).unwrap(), "a transaction that only reads is checked as well");
    assert!(cache.transact(&[check(&cache, "a"), absent], &[]).unwrap());
}

#[test]
fn an_entry_that_expires_or_loses_its_tag_is_another_one() {
    let scene = Scene::new("ended");
    let cache = scene.open();
    let tag = [cache.tag("t")];
    cache.set(b"mortal", &Write { ttl_ms: 100, ..bytes(b"1") }).unwrap();
    cache.set(b"tagged", &Write { tags: &tag, ..bytes(b"1") }).unwrap();
    let (mortal, tagged) = (check(&cache, "mortal"), check(&cache, "tagged"));
    assert!(cache.transact(&[mortal, tagged], &[change(&cache, "n", b"1")]).unwrap());
    cache.advance_clock(100).unwrap();
    assert!(!cache.transact(&[mortal], &[change(&cache, "n", b"2")]).unwrap());
    cache.invalidate_tags(&tag, Invalidation::Remove).unwrap();
    assert!(!cache.transact(&[tagged], &[change(&cache, "n", b"2")]).unwrap());
    // Both are written over as dead entries are.
    assert!(cache.transact(&[], &[change(&cache, "mortal", b"2"), change(&cache, "tagged", b"2")]).unwrap());
    assert_eq!((get(&cache, "mortal"), get(&cache, "tagged")), (Some(b"2".into()), Some(b"2".into())));
    assert_eq!(cache.stats().total.expirations, 1);
    assert_valid(&cache);
}

#[test]
fn lifetimes_and_tags_are_given_or_kept() {
    let scene = Scene::new("kept");
    let cache = scene.open();
    let tag = [cache.tag("t")];
    cache.set(b"a", &Write { ttl_ms: 1000, stale_ms: 500, tags: &tag, ..bytes(b"1") }).unwrap();
    let kept = Write { keep_ttl: true, keep_tags: true, ..bytes(b"2") };
    let given = Write { ttl_ms: 300, tags: &tag, ..bytes(b"3") };
    let namespace = cache.namespace_of_values();
    let changes = [(b"a", kept), (b"b", given)].map(|(key, write)| KeyChange { namespace, key, write: Some(write) });
    assert!(cache.transact(&[], &changes).unwrap());
    let left = |key: &[u8]| {
        let meta = cache.get(key, ReadMode::Peek, &mut Vec::new()).unwrap().unwrap();
        meta.remaining_ms(cache.now_ms())
    };
    assert_eq!((left(b"a"), left(b"b")), (Some(1000), Some(300)));
    cache.invalidate_tags(&tag, Invalidation::Remove).unwrap();
    assert_eq!((get(&cache, "a"), get(&cache, "b")), (None, None));
    assert_valid(&cache);
}

#[test]
fn namespaces_change_together_and_are_counted() {
    let scene = Scene::sized("namespaces", 64 << 20);
    let root = scene.open();
    let users = root.in_namespace("users").unwrap();
    let pages = root.in_namespace("pages").unwrap();
    users.set_quota(&QuotaSetting { reserve: Some(100_000), size: Some(200_000), eviction: None }).unwrap();
    put(&pages, "p", &[1; 5000]);
    let changes = [change(&root, "k", b"root"), change(&users, "k", &[2; 1000]), deletion(&pages, "p")];
    assert!(root.transact(&[check(&pages, "p")], &changes).unwrap());
    assert_eq!(
        (get(&root, "k").as_deref(), get(&users, "k").map(|v| v.len()), get(&pages, "p")),
        (Some(&b"root"[..]), Some(1000), None)
    );
    assert_eq!((users.len(), pages.len()), (1, 0));
    // The maximum of a namespace counts all keys of a transaction.
    let names: Vec<_> = (0..30).map(|i| format!("big{i}")).collect();
    let big: Vec<_> = names.iter().map(|name| change(&users, name, &[3; 10_000])).collect();
    match users.transact(&[], &big) {
        Err(CacheError::NoSpace(_)) => {}
        other => panic!("{other:?}"),
    }
    assert_valid(&root);
    assert!(users.transact(&[], &big[..10]).unwrap());
    assert!(users.tallies().bytes <= 200_000, "the namespace stays within its maximum");
    assert_valid(&root);
}

#[test]
fn a_transaction_without_room_changes_nothing() {
    let scene = Scene::new("full");
    let scene = Scene { options: OpenOptions { eviction: Eviction::None, ..scene.options.clone() } };
    let cache = scene.open();
    let stored =
        (0..).take_while(|i| cache.set(format!("x{i}").as_bytes(), &bytes(&[1; 1000])).unwrap().is_some()).count();
    let changes = [change(&cache, "x0", &[2; 5000]), change(&cache, "new", &[2; 5000])];
    assert!(matches!(cache.transact(&[], &changes), Err(CacheError::NoSpace(_))));
    assert_eq!(get(&cache, "x0"), Some(vec![1; 1000]));
    assert_eq!(cache.len(), stored as u64);
    assert_valid(&cache);
    for i in 0..20 {
        assert!(cache.delete(format!("x{}", i + 100).as_bytes(), 0).unwrap());
    }
    assert!(cache.transact(&[], &changes).unwrap());
    assert_valid(&cache);
}

#[test]
fn a_transaction_evicts_and_never_its_own_entries() {
    let scene = Scene::sized("evicts", 2 << 20);
    let cache = scene.open();
    let mut random = Random(7);
    for round in 0..400u64 {
        let names: Vec<_> = (0..1 + random.below(40)).map(|_| format!("k{}", random.below(3000))).collect();
        let mut names = names;
        names.sort();
        names.dedup();
        let value = vec![round as u8; random.below(6000) as usize];
        let changes: Vec<_> = names.iter().map(|name| change(&cache, name, &value)).collect();
        assert!(cache.transact(&[], &changes).unwrap());
        for name in &names {
            assert_eq!(get(&cache, name).as_ref(), Some(&value), "round {round}");
        }
    }
    assert!(cache.stats().total.evictions > 0);
    assert_valid(&cache);
}

#[test]
fn a_malformed_transaction_is_refused() {
    let scene = Scene::new("malformed");
    let cache = scene.open();
    let refused = |checks: &[Check<'_>], changes: &[KeyChange<'_>]| cache.transact(checks, changes).unwrap_err().code();
    assert_eq!(refused(&[], &[change(&cache, "a", b"1"), deletion(&cache, "a")]), "ERR_INVALID_ARGUMENT");
    assert_eq!(refused(&[], &[change(&cache, "", b"1")]), "ERR_INVALID_ARGUMENT");
    assert_eq!(refused(&[], &[change(&cache, "a", &[0; 3 << 20])]), "ERR_VALUE_TOO_LARGE");
    let names: Vec<_> = (0..=MAX_TRANSACTION_KEYS).map(|i| i.to_string()).collect();
    let many: Vec<_> = names.iter().map(|name| deletion(&cache, name)).collect();
    assert_eq!(refused(&[], &many), "ERR_INVALID_ARGUMENT");
    assert!(cache.transact(&[], &[]).unwrap());
    assert!(cache.transact(&[], &many[1..]).unwrap());
    assert_valid(&cache);
}

/// The sum of all accounts stays the same. Readers without transactions see each transfer whole as well: a key that is read
/// later is never of an earlier transfer than one that was read before.
#[test]
fn threads_see_each_transaction_whole() {
    const ACCOUNTS: u64 = 12;
    const THREADS: u64 = 4;
    const TRANSFERS: u64 = 3000;
    let scene = Scene::sized("transfers", 64 << 20);
    let cache = scene.open();
    let name = |i: u64| format!("account{i}");
    let number = |bytes: &[u8]| u64::from_le_bytes(bytes.try_into().unwrap());
    (0..ACCOUNTS).for_each(|i| _ = put(&cache, &name(i), &1000u64.to_le_bytes()));
    for key in ["first", "second", "third"] {
        put(&cache, key, &0u64.to_le_bytes());
    }
    let is_over = AtomicBool::new(false);
    let conflicts = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..THREADS)
            .map(|thread| {
                let (cache, conflicts) = (scene.open(), &conflicts);
                scope.spawn(move || {
                    let mut random = Random(thread * 77 + 1);
                    for _ in 0..TRANSFERS {
                        let from = random.below(ACCOUNTS);
                        let to = (from + 1 + random.below(ACCOUNTS - 1)) % ACCOUNTS;
                        loop {
                            let keys = [name(from), name(to), "first".into(), "second".into(), "third".into()];
                            let mut checks = Vec::new();
                            let mut values = Vec::new();
                            for key in &keys {
                                let mut out = Vec::new();
                                let meta = cache.get(key.as_bytes(), ReadMode::Use, &mut out).unwrap().unwrap();
                                let namespace = cache.namespace_of_values();
                                checks.push(Check { namespace, key: key.as_bytes(), version: Some(meta.version) });
                                values.push(number(&out));
                            }
                            let amount = values[0].min(1 + random.below(20));
                            values[0] -= amount;
                            values[1] += amount;
                            values[2..].iter_mut().for_each(|n| *n += 1);
                            let bytes: Vec<_> = values.iter().map(|n| n.to_le_bytes()).collect();
                            let changes: Vec<_> =
                                keys.iter().zip(&bytes).map(|(key, value)| change(&cache, key, value)).collect();
                            if cache.transact(&checks, &changes).unwrap() {
                                break;
                            }
                            conflicts.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        let reader = scope.spawn(|| {
            let cache = scene.open();
            let mut reads = 0;
            while !is_over.load(Ordering::Relaxed) {
                let seen = ["first", "second", "third"].map(|key| number(&get(&cache, key).unwrap()));
                assert!(seen.is_sorted(), "{seen:?}");
                reads += 1;
            }
            reads
        });
        writers.into_iter().for_each(|writer| writer.join().unwrap());
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
    let sum: u64 = (0..ACCOUNTS).map(|i| number(&get(&cache, &name(i)).unwrap())).sum();
    assert_eq!(sum, ACCOUNTS * 1000);
    assert_eq!(number(&get(&cache, "third").unwrap()), THREADS * TRANSFERS);
    assert_valid(&cache);
}

#[test]
fn kinds_and_versions_are_those_of_ordinary_writes() {
    let scene = Scene::new("kinds");
    let cache = scene.open();
    let before = put(&cache, "a", b"1");
    let namespace = cache.namespace_of_values();
    let write = Some(Write::new(kind::STRING, b"text"));
    assert!(cache.transact(&[], &[KeyChange { namespace, key: b"a", write }]).unwrap());
    let meta = cache.get(b"a", ReadMode::Use, &mut Vec::new()).unwrap().unwrap();
    assert_eq!((meta.kind, meta.ascii), (kind::STRING, true));
    assert!(meta.version > before);
    assert_ne!(meta.depends.word_at, 0, "the entry can have a near copy");
}
