//! The count of kept items in the header, which a newer layout asks before it removes a segment: a death never leaves it
//! too low.

use crate::steps::{TRACE, note_kill};
use crate::support::forked::{SOON, ended_within, file_of, in_child};
use crate::support::{Scene, assert_valid, bytes};
use cache_machine_core::{Cache, QueueRules, Taken, Turn};
use cache_machine_shm::Header;
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, arm_named, disarm, trace};
use std::os::unix::fs::FileExt;

const RULES: QueueRules = QueueRules { capacity: 1000, visibility_ms: 0, attempts: 0 };
const KEY: &[u8] = b"jobs";

fn push(cache: &Cache) {
    assert!(cache.push(KEY, &RULES, &bytes(b"item")).unwrap().is_some());
}

fn finish(cache: &Cache) {
    let Turn::Taken(Taken { item, token, .. }) = cache.take_item(KEY, &RULES, false).unwrap() else {
        panic!("no item")
    };
    assert!(cache.acknowledge(KEY, item, token, &RULES).unwrap());
}

pub(crate) fn kept_items_are_never_too_few() {
    let ledger = shared_words(TRACE);
    for act in [push as fn(&Cache), finish] {
        let scene = Scene::new("kept");
        let kept = || {
            let mut bytes = [0; 8];
            std::fs::File::open(file_of(&scene.options))
                .unwrap()
                .read_exact_at(&mut bytes, Header::KEPT as u64)
                .unwrap();
            u64::from_le_bytes(bytes)
        };
        in_child("prepare", || (0..300).for_each(|_| push(&scene.open())));
        assert_eq!(kept(), 300);
        let mut lost = 0;
        for at in 0.. {
            let child = fork(|| {
                let cache = scene.open();
                trace(ledger);
                ledger[0].store(0, Relaxed);
                arm(at, Fault::Kill);
                act(&cache);
                disarm();
                0
            });
            match ended_within(child, SOON, "a change of a queue") {
                Ended::Exit(0) => break,
                ended => assert_eq!(ended, Ended::Signal(9), "at step {at}"),
            }
            note_kill(ledger);
            lost += 1;
            in_child("afterwards", || {
                let cache = scene.open();
                assert_valid(&cache);
                let counts = cache.queue_counts(KEY, &RULES).unwrap();
                let there = (counts.ready + counts.taken) as u64;
                assert!((there..=there + lost).contains(&kept()), "{} for {there} items at step {at}", kept());
            });
        }
        assert!(lost > 20, "{lost} deaths");
    }
    killed_at_the_counts(ledger);
}

/// Deaths right behind each change of the count.
fn killed_at_the_counts(ledger: &'static [AtomicU64]) {
    let scene = Scene::new("counted");
    in_child("prepare", || (0..10).for_each(|_| push(&scene.open())));
    let push_large: fn(&Cache) = |cache| {
        // Until they take a quarter of the shard, which refuses the next one.
        while cache.push(KEY, &RULES, &bytes(&[7; 60_000])).is_ok() {}
    };
    for (step, act) in [("queue.kept", push as fn(&Cache)), ("queue.ended", finish), ("queue.refused", push_large)] {
        let child = fork(|| {
            let cache = scene.open();
            trace(ledger);
            ledger[0].store(0, Relaxed);
            arm_named(step, 0, Fault::Kill);
            act(&cache);
            0
        });
        assert_eq!(ended_within(child, SOON, step), Ended::Signal(9), "{step}");
        note_kill(ledger);
        in_child("afterwards", || assert_valid(&scene.open()));
    }
}
