//! The check of a near copy's tags after the tag clock has moved.

use crate::support::{Random, Scene, assert_valid, bytes, put};
use crate::{outdate_tag, put_tagged, remove_tag, set, tag_numbers};
use cache_machine_core::{Cache, NearDependencies, NoSink, ReadMode, TAG_CLOCK, Write};
use std::collections::BTreeMap;
use std::os::unix::fs::FileExt;

/// The dependencies of a near copy of the key.
fn copy_of(cache: &Cache, key: &str) -> NearDependencies {
    cache.get(key.as_bytes(), ReadMode::Peek, &mut NoSink).unwrap().expect("the entry").depends
}

fn check(cache: &Cache, copy: &NearDependencies) -> Option<u64> {
    cache.tag_clock_of_copy(copy.word_at, copy.generation)
}

#[test]
fn a_copy_outlives_other_tags_and_ends_with_its_own() {
    let scene = Scene::new("outlives");
    let cache = scene.open();
    for how in [remove_tag, outdate_tag] {
        put_tagged(&cache, "x", &["red", "blue"]);
        put_tagged(&cache, "y", &["green"]);
        let [x, y] = ["x", "y"].map(|key| copy_of(&cache, key));
        for other in 0..50 {
            how(&cache, &format!("other {other}"));
            assert_eq!(check(&cache, &x), Some(cache.tag_clock()));
        }
        how(&cache, "blue");
        assert_eq!((check(&cache, &x), check(&cache, &y)), (None, Some(cache.tag_clock())));
        how(&cache, "green");
        assert_eq!((check(&cache, &x), check(&cache, &y)), (None, None));
    }
}

#[test]
fn a_copy_ends_when_its_word_names_another_entry() {
    let scene = Scene::new("replaced");
    let cache = scene.open();
    let replace: [fn(&Cache); 3] = [
        |cache| put_tagged(cache, "x", &["red"]),
        |cache| assert!(cache.delete(b"x", 0).unwrap()),
        |cache| assert!(put(cache, "x", b"1") > 0),
    ];
    for replace in replace {
        put_tagged(&cache, "x", &["red"]);
        let copy = copy_of(&cache, "x");
        assert!(check(&cache, &copy).is_some());
        replace(&cache);
        assert_eq!(check(&cache, &copy), None);
    }
    // A copy without tags depends on no clock.
    put(&cache, "x", b"1");
    assert_eq!(check(&cache, &copy_of(&cache, "x")), None);
    assert_valid(&cache);
}

#[test]
fn no_copy_gets_an_odd_clock() {
    let scene = Scene::new("odd-copy");
    let cache = scene.open();
    let file = std::fs::OpenOptions::new().read(true).write(true).open(cache.path()).unwrap();
    put_tagged(&cache, "x", &["red"]);
    let copy = copy_of(&cache, "x");
    let mut odd = 0;
    // The background thread makes the clock even again, at any moment.
    while odd < 100 {
        let clock = cache.tag_clock() | 1;
        file.write_all_at(&clock.to_le_bytes(), TAG_CLOCK as u64).unwrap();
        let found = check(&cache, &copy);
        assert!(found.is_none_or(|clock| clock.is_multiple_of(2)));
        odd += u32::from(found.is_none() && cache.tag_clock() == clock);
    }
    remove_tag(&cache, "blue");
    assert_eq!(check(&cache, &copy), Some(cache.tag_clock()));
}

/// The position comes from JavaScript.
#[test]
fn a_position_that_is_no_index_word_is_refused() {
    for size in [2 << 20, 40 << 20] {
        let scene = Scene::sized("positions", size);
        let cache = scene.open();
        // So many that the index is divided.
        for n in 0..300 {
            put_tagged(&cache, &format!("tagged {n}"), &["red"]);
            put(&cache, &format!("other {n}"), b"1");
        }
        let copies = (0..300).map(|n| copy_of(&cache, &format!("tagged {n}")));
        let copies: BTreeMap<_, _> = copies.map(|copy| (copy.word_at, copy.generation)).collect();
        assert_eq!(copies.len(), 300);
        let file = std::fs::read(cache.path()).unwrap();
        let (_, front) = cache.index_view();
        for at in 0..front - 8 {
            let generation = u32::from_le_bytes(file[at + 4..at + 8].try_into().unwrap());
            let found = cache.tag_clock_of_copy(at, generation);
            assert_eq!(found.is_some(), copies.get(&at) == Some(&generation), "position {at}");
        }
        let mut random = Random(1);
        for at in [front, front + 8, size - 8, size, size + 8, usize::MAX - 7, usize::MAX, 1 << 40] {
            (0..4).for_each(|generation| assert_eq!(cache.tag_clock_of_copy(at, generation), None, "position {at}"));
        }
        for _ in 0..10_000 {
            assert_eq!(cache.tag_clock_of_copy(random.next() as usize | 1 << 41, 1), None);
        }
    }
}

/// The epochs are checked by the near cache itself, so a copy of a cleared entry may pass here.
#[test]
fn an_entry_of_a_namespace_is_checked_against_the_tags_of_that_namespace() {
    let scene = Scene::new("own-tags");
    let cache = scene.open();
    let own = cache.in_namespace("own").unwrap();
    set(&own, "x", &Write { tags: &tag_numbers(&own, &["red"]), ..bytes(b"1") });
    let copy = copy_of(&own, "x");
    remove_tag(&cache, "red");
    assert_eq!(check(&own, &copy), Some(cache.tag_clock()));
    remove_tag(&own, "red");
    assert_eq!(check(&own, &copy), None);
}
