//! Invalidations by processes that are killed, and the stores of one invalidation.

use crate::support::forked::{NEVER, done, ended_within, in_child, resume_to_the_end, suspended_holder};
use crate::support::{Random, SOON, Scene, assert_valid, bytes, get, open, with_timeout};
use cache_machine_core::{Cache, Invalidation, NearDependencies, ReadMode, Write};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, passed};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// The steps that `act` passes, and how often. Each store of a change has a step after it.
pub(crate) fn steps_of(act: impl FnOnce()) -> BTreeMap<&'static str, u64> {
    arm(NEVER, Fault::Kill);
    act();
    disarm();
    passed()
}

/// Sets `entries` tagged entries in a namespace.
pub(crate) fn fill_tagged(own: &Cache, entries: u64) {
    let tags = [own.tag("red"), own.tag("blue")];
    for i in 0..entries {
        assert!(own.set(&i.to_le_bytes(), &Write { tags: &tags, ..bytes(b"") }).expect("set").is_some());
    }
    assert_eq!((own.len(), own.stats().total.evictions), (entries, 0));
}

/// The test of acknowledged changes shows that the next read of every process sees each of them.
pub(crate) fn steps_of_clear_and_invalidate() {
    for entries in [1_000u64, 1_000_000] {
        let scene = Scene::sized("costs", 512 << 20);
        let child = fork(|| done(|| assert_few_stores(&open(&scene.options), entries)));
        assert_eq!(ended_within(child, SOON * 3, "the costs"), Ended::Exit(0), "{entries} entries");
    }
}

fn assert_few_stores(root: &Cache, entries: u64) {
    let own = root.in_namespace("own").expect("namespace");
    let tags = [own.tag("red"), own.tag("blue")];
    fill_tagged(&own, entries);
    // The last entry is set again before each act. The words of the others are still in the index.
    let last = (entries - 1).to_le_bytes();
    let steps_to_end_it = |act: &dyn Fn()| {
        assert!(own.set(&last, &Write { tags: &tags, ..bytes(b"") }).expect("set").is_some());
        let steps = steps_of(act);
        assert!(!own.has(&last).expect("has"));
        steps
    };
    let mut expected = BTreeMap::from([("tag.begun", 1), ("tag.recorded", 2), ("tag.done", 1)]);
    expected.extend([("lock.taken", 1), ("lock.released", 1)]);
    let invalidate = |how| steps_to_end_it(&|| own.invalidate_tags(&tags, how).expect("invalidate"));
    // The first invalidation gives the tags their records, and finds that no shard is to be judged.
    let places = [("tag.claimed", 2), ("tag.emptied", 2), ("tag.filled", 2), ("tag.named", 2)];
    let turns = [("tag.turned", 4)];
    assert_eq!(invalidate(Invalidation::Outdate), expected.clone().into_iter().chain(places).chain(turns).collect());
    assert_eq!(invalidate(Invalidation::Remove), expected);
    let clear = BTreeMap::from([("clear.published", 1)]);
    assert_eq!(steps_to_end_it(&|| own.clear().expect("clear")), clear);
    assert_eq!(steps_to_end_it(&|| root.clear().expect("clear")), clear);
    assert_eq!(own.len(), 0);
}

/// Checks the promises of docs/models/tags.pml with real processes: setters and readers run while two invalidators are
/// killed at random steps, again and again.
pub(crate) fn invalidators_that_are_killed() {
    const LONG: Duration = Duration::from_secs(3);
    const SETTERS: usize = 2;
    let scene = Scene::sized("invalidators", 4 << 20);
    let words = shared_words(13);
    let (begun, ended) = (&words[0..2], &words[2..4]);
    // The values that were begun, and how many of them an acknowledged invalidation has outdated.
    let [made, gone, stop, sets, odd, hits, near_hits, misses, outlived] = &words[4..13] else { unreachable!() };
    let all_begun = || [0, 1].map(|i| begun[i].load(Ordering::SeqCst));
    // `Some`: no invalidation was under way.
    let quiet = || {
        let before = [0, 1].map(|i| ended[i].load(Ordering::SeqCst));
        Some(all_begun()).filter(|now| *now == before)
    };
    let key = |setter: usize| format!("key {setter}");
    let number_at = |cache: &Cache, setter: usize| {
        let value = get(cache, &key(setter))?;
        Some(u64::from_le_bytes(value.try_into().expect("8 bytes")))
    };
    let invalidator = |me: usize, seed: u64| {
        let cache = open(&scene.options);
        let mut random = Random(seed | 1);
        arm(random.below(150), Fault::Kill);
        loop {
            begun[me].fetch_add(1, Ordering::SeqCst);
            let outdated = made.load(Ordering::SeqCst);
            // There are more tags than records, so some records are replaced. Some invalidations concern no entry.
            let tags = [cache.tag(&format!("tag {}", random.below(4000))), cache.tag("red")];
            let is_of_other_tags = random.below(8) != 0;
            let tags = if is_of_other_tags { &tags[..1] } else { &tags[..] };
            let how = if random.below(2) == 0 { Invalidation::Remove } else { Invalidation::Outdate };
            cache.invalidate_tags(tags, how).expect("invalidate");
            if !is_of_other_tags {
                gone.fetch_max(outdated, Ordering::SeqCst);
            }
            ended[me].fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(random.below(200)));
        }
    };
    let setter = |me: usize| {
        let cache = open(&scene.options);
        let tags = [cache.tag("red"), cache.tag(&format!("own {me}"))];
        while stop.load(Ordering::SeqCst) == 0 {
            let era = quiet();
            let clock = cache.tag_clock();
            let number = made.fetch_add(1, Ordering::SeqCst) + 1;
            let value = number.to_le_bytes();
            let write = Write { tags: &tags, made_at: Some(clock), ..bytes(&value) };
            assert!(cache.set(key(me).as_bytes(), &write).expect("set").is_some());
            let found = number_at(&cache, me);
            // Only this setter writes the key.
            assert!(found.is_none_or(|found| found == number));
            if let (None, Some(era)) = (found, era) {
                assert_ne!(all_begun(), era, "{number}, made at {clock}, was invalid from the start");
            }
            sets.fetch_add(1, Ordering::SeqCst);
            odd.fetch_add(u64::from(era.is_some() && clock % 2 == 1), Ordering::SeqCst);
        }
    };
    let reader = || {
        let cache = open(&scene.options);
        // The number of the value, its word and generation, and the clock.
        let mut near: [Option<(u64, usize, u32, u64)>; SETTERS] = [None; SETTERS];
        while stop.load(Ordering::SeqCst) == 0 {
            for (setter, near) in near.iter_mut().enumerate() {
                let outdated = gone.load(Ordering::SeqCst);
                // Like a near copy, it is valid while the clock is even and has not moved, and is checked otherwise. The
                // index word is compared only in the check.
                if let Some((number, word_at, generation, clock)) = *near {
                    let is_same = cache.tag_clock() == clock;
                    let checked = if is_same { None } else { cache.tag_clock_of_copy(word_at, generation) };
                    if is_same || checked.is_some() {
                        assert!(number > outdated, "a near copy of {number}, made before {outdated}");
                        near_hits.fetch_add(1, Ordering::SeqCst);
                        outlived.fetch_add(u64::from(checked.is_some()), Ordering::SeqCst);
                        *near = Some((number, word_at, generation, checked.unwrap_or(clock)));
                        continue;
                    }
                }
                *near = None;
                let mut value = Vec::new();
                match cache.get(key(setter).as_bytes(), ReadMode::Use, &mut value).expect("get") {
                    Some(meta) => {
                        let number = u64::from_le_bytes(value.try_into().expect("8 bytes"));
                        assert!(number > outdated, "read {number}, made before {outdated}");
                        let NearDependencies { word_at, generation, tag_clock, .. } = meta.depends;
                        let even = tag_clock.filter(|clock| clock.is_multiple_of(2));
                        *near = even.map(|clock| (number, word_at, generation, clock));
                        hits.fetch_add(1, Ordering::SeqCst);
                    }
                    None => drop(misses.fetch_add(1, Ordering::SeqCst)),
                }
            }
        }
    };
    let mut random = Random(9);
    let mut spawn = |me: usize| {
        let seed = random.next();
        fork(|| invalidator(me, seed))
    };
    let mut invalidators = [spawn(0), spawn(1)];
    let setters = (0..SETTERS).map(|me| fork(|| done(|| setter(me))));
    let readers = (0..2).map(|_| fork(|| done(reader)));
    let others: Vec<_> = setters.chain(readers).collect();
    let start = Instant::now();
    let mut deaths = 0;
    while start.elapsed() < LONG {
        for (me, child) in invalidators.iter_mut().enumerate() {
            if let Some(how) = child.try_wait() {
                assert_eq!(how, Ended::Signal(9), "an invalidator ended by itself");
                // The dead process invalidates nothing more.
                ended[me].store(begun[me].load(Ordering::SeqCst), Ordering::SeqCst);
                deaths += 1;
                // Meanwhile setters meet the state that it left.
                std::thread::sleep(Duration::from_micros(500));
                *child = spawn(me);
            }
        }
        std::thread::sleep(Duration::from_micros(200));
    }
    stop.store(1, Ordering::SeqCst);
    for child in others {
        assert_eq!(ended_within(child, SOON, "a setter or reader"), Ended::Exit(0));
    }
    for child in invalidators {
        assert_eq!(child.kill(), Ended::Signal(9));
    }
    in_child("afterwards", || {
        let cache = open(&scene.options);
        let tags = [cache.tag("red")];
        cache.invalidate_tags(&tags, Invalidation::Remove).expect("invalidate");
        assert!(cache.tag_clock().is_multiple_of(2));
        assert!((0..SETTERS).all(|setter| number_at(&cache, setter).is_none()));
        assert!(cache.set(b"key 0", &Write { tags: &tags, ..bytes(&[0; 8]) }).expect("set").is_some());
        assert_eq!(number_at(&cache, 0), Some(0));
        // An invalidator that is killed while it judges a shard leaves that shard's lock behind.
        assert_valid(&cache);
    });
    let count = |word: &AtomicU64| word.load(Ordering::SeqCst);
    println!(
        "  {deaths} deaths in {} invalidations; {} sets, {} of them at a dead one's odd clock; {} reads found something, {} \
         nothing, {} from near, {} of them checked",
        all_begun().iter().sum::<u64>(),
        count(sets),
        count(odd),
        count(hits),
        count(misses),
        count(near_hits),
        count(outlived)
    );
    assert!(deaths > 20 && count(odd) > 0 && count(hits) > 0 && count(misses) > 0 && count(near_hits) > 0);
    assert!(count(outlived) > 0, "no copy was checked");
}

/// Each process sets, invalidates and reads entries of its own, and compares them with an exact model. All share the tag
/// records, which are used many times over.
pub(crate) fn exact_in_four_processes() {
    const KEYS: u64 = 200;
    for size in [2 << 20, 32 << 20] {
        let scene = Scene::sized("exact", size);
        let act = |me: u64| {
            let cache = open(&scene.options);
            let mut random = Random(me + 1);
            let mut is_there = [false; KEYS as usize];
            for round in 0..6000u64 {
                let n = random.below(KEYS);
                let (key, tag) = (format!("{me} {n}"), cache.tag(&format!("own {me} {n}")));
                match random.below(3) {
                    0 => {
                        let tags = [cache.tag("all"), tag];
                        assert!(
                            cache.set(key.as_bytes(), &Write { tags: &tags, ..bytes(b"") }).expect("set").is_some()
                        );
                        is_there[n as usize] = true;
                    }
                    1 => {
                        cache.invalidate_tags(&[tag], Invalidation::Remove).expect("invalidate");
                        is_there[n as usize] = false;
                    }
                    _ => assert_eq!(cache.has(key.as_bytes()).expect("has"), is_there[n as usize], "{key} at {round}"),
                }
                let others = [cache.tag(&format!("other {me} {round}")), cache.tag(&format!("another {me} {round}"))];
                cache.invalidate_tags(&others, Invalidation::Remove).expect("invalidate");
            }
        };
        let children: Vec<_> = (0..4).map(|me| fork(move || done(|| act(me)))).collect();
        for child in children {
            assert_eq!(ended_within(child, SOON * 6, "one of four"), Ended::Exit(0));
        }
        in_child("afterwards", || {
            let cache = open(&scene.options);
            assert_eq!(cache.stats().tags_unjudged, 0);
            assert_valid(&cache);
        });
    }
}

/// Stores entries with the tag `mine`.
pub(crate) fn put_mine(cache: &Cache, keys: usize) {
    for i in 0..keys {
        let write = Write { tags: &[cache.tag("mine")], ..bytes(b"1") };
        assert!(cache.set(format!("key {i}").as_bytes(), &write).expect("set").is_some());
    }
}

/// How many of these entries are there.
pub(crate) fn alive(cache: &Cache, keys: usize) -> usize {
    (0..keys).filter(|i| get(cache, &format!("key {i}")).is_some()).count()
}

/// Invalidates tags that no entry has.
pub(crate) fn invalidate_others(cache: &Cache, numbers: std::ops::Range<usize>) {
    for number in numbers {
        let tag = [cache.tag(&format!("other {number}"))];
        cache.invalidate_tags(&tag, Invalidation::Remove).expect("invalidate");
    }
}

/// While a process is suspended inside the lock of a shard, the entries of that shard cannot be judged. They end once the
/// records are reused that they depend on, and are counted. Those of other shards stay.
pub(crate) fn exact_beside_a_suspended_writer() {
    const KEYS: usize = 400;
    let scene = Scene::sized("unjudged", 48 << 20);
    in_child("fill", || put_mine(&open(&scene.options), KEYS));
    let holder = suspended_holder(&scene.options, "held");
    let left = shared_words(1);
    in_child("invalidator", || {
        /// Sleeps of at most 10 ms until the acquisition counts as suspended.
        const MAX_SLEEPS: u64 = 4;
        let cache = open(&with_timeout(&scene.options, Duration::from_millis(10)));
        let half = cache.geometry().tag_records() / 2;
        // As long as the records last, nothing is lost.
        invalidate_others(&cache, 0..half);
        assert_eq!(alive(&cache, KEYS), KEYS);
        let steps = steps_of(|| invalidate_others(&cache, half..7 * half));
        let sleeps = steps.get("lock.waiting").copied().unwrap_or(0);
        assert!(sleeps <= MAX_SLEEPS, "the invalidations slept {sleeps} times");
        let now = alive(&cache, KEYS);
        // Three shards: about a third of the entries is lost.
        assert!((KEYS / 2..KEYS * 5 / 6).contains(&now), "{now} of {KEYS} entries are there");
        left[0].store(now as u64, Ordering::SeqCst);
    });
    resume_to_the_end(holder, "the holder");
    in_child("afterwards", || {
        let cache = open(&scene.options);
        let left = left[0].load(Ordering::SeqCst) as usize;
        let lost = (KEYS - left) as u64;
        assert_eq!(alive(&cache, KEYS), left);
        // Each is counted when it is removed.
        let deadline = Instant::now() + SOON;
        while cache.stats().tags_unjudged < lost && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(cache.stats().tags_unjudged, lost);
        assert_valid(&cache);
        // From now on nothing is lost.
        put_mine(&cache, KEYS);
        let records = cache.geometry().tag_records();
        invalidate_others(&cache, 4 * records..6 * records);
        assert_eq!((alive(&cache, KEYS), cache.stats().tags_unjudged), (KEYS, lost));
    });
}
