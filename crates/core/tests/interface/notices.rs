//! A listener may use the cache from inside: no lock of the process or of the header is held while it is called.

use crate::small;
use crate::support::damage::{content, file, reopen_suspect};
use crate::support::permits::ONE;
use crate::support::{SOON, Scene, get, put};
use cache_machine_core::{Cache, Invalidation, Keyspace, Listener, Notice, Watch, destroy};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

/// Answers the first notice that it picks with a call.
struct Answer<P, C> {
    picks: P,
    call: C,
    is_done: AtomicBool,
}

impl<P: Fn(&Notice) -> bool + Send + Sync, C: Fn() + Send + Sync> Listener for Answer<P, C> {
    fn notify(&self, notice: Notice) {
        if (self.picks)(&notice) && !self.is_done.swap(true, Ordering::Relaxed) {
            (self.call)();
        }
    }
}

/// Has `provoke` cause a notice in a thread of its own, and `call` answer it with another handle of the segment. The
/// test fails if that does not end.
#[track_caller]
fn answered(
    cache: &Cache,
    other: Cache,
    picks: impl Fn(&Notice) -> bool + Send + Sync + 'static,
    call: impl Fn(&Cache) + Send + Sync + 'static,
    provoke: impl FnOnce() + Send + 'static,
) -> u64 {
    let (begun, calls) = mpsc::channel();
    let begun = std::sync::Mutex::new(begun);
    let other = std::sync::Mutex::new(other);
    let answer = move || {
        let other = other.lock().expect("one answer");
        call(&other);
        let _ = begun.lock().expect("one answer").send(());
    };
    let listener = cache.add_listener(Box::new(Answer { picks, call: answer, is_done: AtomicBool::new(false) }));
    cache.want_removals(listener, true);
    let (ended, end) = mpsc::channel();
    std::thread::spawn(move || {
        provoke();
        let _ = ended.send(());
    });
    calls.recv_timeout(SOON).expect("the listener's call ended");
    end.recv_timeout(SOON).expect("the provoking call ended");
    listener
}

#[test]
fn a_listener_of_damage_may_wait_for_a_key() {
    let scene = small("notice-damage");
    let cache = scene.open();
    put(&cache, "damaged", b"a value that is found among the bytes");
    let bytes = content(&cache);
    let body = bytes.windows(16).position(|part| part == b"a value that is ").expect("stored");
    // The head stands in the unit before. Now its body begins far outside the space.
    let head = body / 64 * 64 - 64;
    file(&cache).write_all_at(&0x7FFF_FFFFu32.to_le_bytes(), head as u64 + 40).expect("written");
    let provoking = scene.open();
    // The key is read under the table of waits.
    answered(
        &cache,
        scene.open(),
        |notice| matches!(notice, Notice::Damage { .. }),
        |other| _ = other.wait_for(b"another", 0, 0).expect("a wait"),
        move || _ = provoking.wait_for(b"damaged", 0, 0).expect("a wait"),
    );
}

#[test]
fn a_listener_of_a_repair_may_invalidate_tags() {
    let scene = small("notice-repair");
    let first = scene.open();
    put(&first, "key", b"1");
    let cache = reopen_suspect(&scene, first);
    cache.watch(&Watch::default(), 100, 0).expect("watch");
    let provoking = scene.open();
    // A watched invalidation takes the lock of the first shard under that of the tags.
    answered(
        &cache,
        scene.open(),
        |notice| matches!(notice, Notice::Repaired { .. }),
        |other| other.invalidate_tags(&[other.tag("b")], Invalidation::Remove).expect("not busy"),
        move || provoking.invalidate_tags(&[provoking.tag("a")], Invalidation::Remove).expect("not busy"),
    );
    assert_eq!(get(&cache, "key").as_deref(), Some(b"1".as_slice()));
}

#[test]
fn a_listener_of_the_end_of_a_segment_may_open_another() {
    let (scene, next) = (small("notice-end"), small("notice-next"));
    let cache = scene.open();
    destroy(&scene.options.name, None, true).expect("destroyed");
    let (again, options) = (scene.options.clone(), next.options.clone());
    // The open finds under the lock of the registry that the attachment is of no use.
    answered(
        &cache,
        Scene::like(&next).open(),
        |notice| matches!(notice, Notice::Detached),
        move |_| _ = Cache::open(&options).expect("open"),
        move || _ = Cache::open(&again).expect("open"),
    );
}

#[test]
fn a_listener_of_removals_may_acquire_a_permit() {
    let scene = small("notice-removal");
    let cache = scene.open();
    let mut number = 0;
    while cache.stats().total.evictions == 0 {
        put(&cache, &format!("k{number}"), &[1; 3000]);
        number += 1;
    }
    let provoking = scene.open();
    // The record is changed in the buffers of the thread.
    answered(
        &cache,
        scene.open(),
        |notice| matches!(notice, Notice::Removed { .. }),
        |other| _ = other.acquire(Keyspace::Locks, b"inside", &ONE).expect("a permit"),
        move || {
            for i in 0..1000 {
                let _ = provoking.acquire(Keyspace::Locks, format!("lock-{i}").as_bytes(), &ONE).expect("a permit");
            }
        },
    );
}
