//! Snapshots: records of one segment become entries of another, and bytes that are no records change nothing.

mod support;

use cache_machine_core::{
    Cache, CacheError, ExportPage, Invalidation, ReadMode, RestoreCounts, RestoreRules, Write, kind,
};
use support::Scene;

fn records(cache: &Cache) -> Vec<u8> {
    let (mut all, mut cursor) = (Vec::new(), Some(0));
    while let Some(at) = cursor {
        let ExportPage { next, records, .. } = cache.export(at, 0, 1000).expect("an attached segment");
        all.extend(records);
        cursor = next;
    }
    all
}

fn import(cache: &Cache, records: &[u8], overwrite: bool) -> Result<RestoreCounts, CacheError> {
    let made_at = cache.tag_clock();
    let floor = cache.begin_restore(1000)?;
    let targets = [cache.restore_target(0)?, cache.in_namespace("n")?.restore_target(1)?];
    cache.import(records, &RestoreRules { targets: &targets, versions: &[], made_at, floor, epoch: 0, overwrite })
}

fn value(cache: &Cache, key: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    cache.get(key, ReadMode::Peek, &mut bytes).expect("a valid key").map(|_| bytes)
}

/// A cache with entries in the root and in a namespace, some with tags.
fn filled(scene: &Scene) -> Cache {
    let cache = scene.open();
    let space = cache.in_namespace("n").expect("room for a namespace");
    for i in 0..500u32 {
        let key = format!("k{i}");
        let text = "text ".repeat(i as usize % 300);
        cache.set(key.as_bytes(), &Write::new(kind::STRING, text.as_bytes())).expect("room");
        let tags = [space.tag("red")];
        let tagged = Write { tags: &tags, ttl_ms: 1000, stale_ms: 500, ..Write::new(kind::BUFFER, key.as_bytes()) };
        space.set(key.as_bytes(), &tagged).expect("room");
    }
    cache
}

#[test]
fn records_of_one_segment_are_entries_of_another() {
    let (first, second) = (Scene::new("export"), Scene::new("import"));
    let cache = filled(&first);
    let other = second.open();
    let counts = import(&other, &records(&cache), false).expect("sound records");
    assert_eq!(counts, RestoreCounts { stored: 1000, ..RestoreCounts::default() });
    let space = other.in_namespace("n").expect("a namespace");
    for i in 0..500u32 {
        let key = format!("k{i}");
        assert_eq!(value(&other, key.as_bytes()), value(&cache, key.as_bytes()));
        assert_eq!(value(&space, key.as_bytes()), Some(key.clone().into_bytes()));
        assert!(other.version_of(key.as_bytes()).expect("a valid key") > Some(1000));
    }
    assert_eq!(other.validate().expect("no damage"), Vec::<String>::new());

    space.invalidate_tags(&[space.tag("blue")], Invalidation::Remove).expect("no holder");
    assert!(value(&space, b"k1").is_some());
    space.invalidate_tags(&[space.tag("red")], Invalidation::Remove).expect("no holder");
    assert_eq!(value(&space, b"k1"), None);
    assert_eq!(value(&other, b"k1"), value(&cache, b"k1"));
}

#[test]
fn an_invalidation_after_the_walk_is_among_those_since_its_begin() {
    let scene = Scene::new("since");
    let cache = filled(&scene);
    let space = cache.in_namespace("n").expect("a namespace");
    space.invalidate_tags(&[space.tag("green")], Invalidation::Remove).expect("no holder");
    let clock = cache.export_state(u64::MAX).expect("attached").clock;
    space.invalidate_tags(&[space.tag("red")], Invalidation::Remove).expect("no holder");
    let state = cache.export_state(clock).expect("attached");
    assert_eq!(state.invalidated.len(), 1);
    assert!(state.invalidated[0].removed > clock && state.horizon <= clock);
    assert_eq!(state.namespaces.len(), 2);
    assert_eq!(records(&space), Vec::<u8>::new());
}

#[test]
fn entries_older_than_a_restore_are_deleted_and_newer_ones_stay() {
    let scene = Scene::new("older");
    let cache = filled(&scene);
    let floor = cache.begin_restore(0).expect("no holder");
    cache.set(b"newer", &Write::new(kind::STRING, b"value")).expect("room");
    let (mut cursor, mut deleted) = (Some(0), 0);
    while let Some(at) = cursor {
        let step = cache.delete_older(at, floor).expect("no holder");
        deleted += step.deleted;
        cursor = step.next;
    }
    assert_eq!(deleted, 1000);
    assert_eq!(value(&cache, b"newer"), Some(b"value".to_vec()));
    assert_eq!(cache.len(), 1);
    assert_eq!(cache.validate().expect("no damage"), Vec::<String>::new());
}

#[test]
fn what_changes_after_a_restore_began_wins_over_the_snapshot() {
    let (first, second) = (Scene::new("begun"), Scene::new("changed"));
    let all = records(&filled(&first));
    let other = second.open();
    let space = other.in_namespace("n").expect("room for a namespace");
    let made_at = other.tag_clock();
    let floor = other.begin_restore(1000).expect("no holder");
    let targets = [other.restore_target(0).expect("attached"), space.restore_target(1).expect("attached")];
    let rules = RestoreRules { targets: &targets, versions: &[], made_at, floor, epoch: 0, overwrite: true };

    other.set(b"k1", &Write::new(kind::STRING, b"newer")).expect("room");
    space.invalidate_tags(&[space.tag("red")], Invalidation::Remove).expect("no holder");
    let counts = other.import(&all, &rules).expect("sound records");
    assert_eq!(counts, RestoreCounts { stored: 499, existing: 1, ended: 500, ..RestoreCounts::default() });
    assert_eq!(value(&other, b"k1"), Some(b"newer".to_vec()));
    assert_eq!(value(&space, b"k1"), None);

    other.clear().expect("attached");
    let counts = other.import(&all, &rules).expect("sound records");
    assert_eq!(counts, RestoreCounts { ended: 1000, ..RestoreCounts::default() });
    assert_eq!(other.len(), 0);
    assert_eq!(other.validate().expect("no damage"), Vec::<String>::new());
}

#[test]
fn bytes_that_are_no_records_are_refused() {
    let (first, second) = (Scene::new("whole"), Scene::new("cut"));
    let all = records(&filled(&first));
    let other = second.open();
    for len in (1..200).chain([all.len() - 1]) {
        let cut = import(&other, &all[..len], true);
        assert!(matches!(cut, Ok(_) | Err(CacheError::InvalidArgument(_))), "{cut:?}");
    }
    // Any byte may have any value: the records are other ones then, or none.
    for at in 0..200 {
        for byte in [0, 1, 0x7F, 0xFF] {
            let mut changed = all[..2000].to_vec();
            changed[at] = byte;
            let result = import(&other, &changed, true);
            assert!(matches!(result, Ok(_) | Err(CacheError::InvalidArgument(_))), "{result:?}");
        }
    }
    assert_eq!(other.validate().expect("no damage"), Vec::<String>::new());
}
