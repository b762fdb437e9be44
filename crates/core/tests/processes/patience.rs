//! Holders that live and run, but keep a lock for longer than `write_timeout`: writers wait for them.

use crate::invalidation::{alive, invalidate_others, put_mine};
use crate::support::damage::{LOCK, mapped};
use crate::support::forked::{done, ended_within, in_child, wait_for};
use crate::support::{SOON, Scene, assert_valid, open, put, with_timeout};
use cache_machine_core::{Cache, OpenOptions};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::lock::Owner;
use cache_machine_shm::{HEADER_BYTES, PROCESS_SLOTS, ProcessTable, Region, SLOT_BYTES};
use std::time::Duration;

/// The lock word of this process, by its slot in the process table.
fn own_word(region: &Region) -> u32 {
    let half = |slot: usize, offset| region.u32(HEADER_BYTES + slot * SLOT_BYTES + offset).load(Ordering::Relaxed);
    let own = (0..PROCESS_SLOTS).find(|slot| half(*slot, ProcessTable::PID) == std::process::id()).expect("attached");
    Owner { slot: own as u16, generation: half(own, ProcessTable::GENERATION) }.word()
}

/// Holds the first shard's lock, as a long repair does, until `stage` says 2.
fn running_holder(options: &OpenOptions, stage: &'static cache_machine_shm::atomic::AtomicU64) -> Child {
    fork(|| {
        done(|| {
            let cache: Cache = open(options);
            mapped(&cache, |region| {
                let (lock, word) = (region.u32(LOCK), own_word(region));
                while lock.compare_exchange(0, word, Ordering::AcqRel, Ordering::Relaxed).is_err() {
                    std::thread::yield_now();
                }
                stage.store(1, Ordering::SeqCst);
                wait_for(stage, |stage| stage == 2);
                lock.store(0, Ordering::Release);
            });
        })
    })
}

/// Makes calls in a process while another runs inside the lock of the first shard. The holder releases the lock once the
/// calls have slept for several of their timeouts.
fn behind_a_running_holder(scene: &Scene, calls: impl FnOnce(&Cache)) {
    /// Sleeps of at most 10 ms each.
    const SLEEPS: u64 = 20;
    let stage = &shared_words(2)[0];
    let holder = running_holder(&scene.options, stage);
    wait_for(stage, |stage| stage == 1);
    let caller = fork(|| done(|| calls(&open(&with_timeout(&scene.options, Duration::from_millis(15))))));
    in_child("observer", || {
        let cache = open(&scene.options);
        let before = cache.stats().lock_waits;
        let start = std::time::Instant::now();
        while cache.stats().lock_waits < before + SLEEPS {
            assert!(start.elapsed() < SOON, "no call waits");
            std::thread::sleep(Duration::from_millis(1));
        }
        stage.store(2, Ordering::SeqCst);
    });
    assert_eq!(ended_within(caller, SOON, "the caller"), Ended::Exit(0));
    assert_eq!(ended_within(holder, SOON, "the holder"), Ended::Exit(0));
}

pub(crate) fn running_holder_is_waited_for() {
    let scene = Scene::sized("patience", 2 << 20);
    in_child("fill", || {
        put(&open(&scene.options), "key", b"old");
    });
    behind_a_running_holder(&scene, |cache| {
        put(cache, "key", b"new");
        assert_eq!(cache.stats().busy, 0);
    });
    in_child("afterwards", || assert_valid(&open(&scene.options)));
}

/// A process runs inside the lock of the only shard. Its entries cannot be judged meanwhile. Invalidations of other tags
/// go on for a while, then they wait for it, so that the records that the entries depend on are not reused.
pub(crate) fn running_holder_is_not_outrun() {
    const KEYS: usize = 50;
    let scene = Scene::sized("outrun", 2 << 20);
    in_child("fill", || put_mine(&open(&scene.options), KEYS));
    behind_a_running_holder(&scene, |cache| invalidate_others(cache, 0..4 * cache.geometry().tag_records()));
    in_child("afterwards", || {
        let cache = open(&scene.options);
        assert_eq!((alive(&cache, KEYS), cache.stats().tags_unjudged), (KEYS, 0));
        assert_valid(&cache);
    });
}

/// Many more writers than processors, one shard, and a timeout that is shorter than a time slice.
pub(crate) fn crowd_of_writers() {
    const WRITERS: usize = 16;
    const WRITES: u64 = 20_000;
    let scene = Scene::sized("crowd", 2 << 20);
    let options = with_timeout(&scene.options, Duration::from_millis(2));
    in_child("fill", || {
        put(&open(&options), "key", b"old");
    });
    let writers: Vec<Child> = (0..WRITERS)
        .map(|writer| {
            let options = options.clone();
            fork(move || {
                done(|| {
                    let cache = open(&options);
                    for n in 0..WRITES {
                        put(&cache, &format!("{writer}-{}", n % 50), &[n as u8; 200]);
                    }
                })
            })
        })
        .collect();
    for writer in writers {
        assert_eq!(ended_within(writer, 4 * SOON, "a writer"), Ended::Exit(0));
    }
    in_child("afterwards", || {
        let cache = open(&options);
        assert_eq!(cache.stats().busy, 0);
        assert_valid(&cache);
    });
}
