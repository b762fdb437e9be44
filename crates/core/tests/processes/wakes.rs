//! Waiters, watchers and subscribers of writers that die before they wake them.

use crate::support::forked::{done, ended_within, in_child, trace_of, wait_for};
use crate::support::listeners::listen;
use crate::support::{SOON, Scene, assert_valid, get, open, put};
use cache_machine_core::{Cache, Notice, Watch, What, kind};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, print, take_visits, trace};
use std::time::Instant;

/// A writer is killed at each step, also between the publish and the wake-up, with the lock and without it.
pub(crate) fn writers_dead_before_the_wake() {
    let scene = Scene::sized("wakes", 2 << 20);
    let words = shared_words(3);
    let (ready, notified, longest) = (&words[0], &words[1], &words[2]);
    in_child("fill", || {
        put(&open(&scene.options), "filler", b"1");
    });
    let waiter = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            let (notices, listener) = listen(&cache);
            for round in 1.. {
                let key = format!("key-{round}");
                let wait = cache.wait_for(key.as_bytes(), 0, listener).expect("wait");
                ready.store(round, Ordering::SeqCst);
                loop {
                    match notices.recv_timeout(SOON).expect("a notice") {
                        Notice::Waits(waits) => {
                            assert_eq!(waits, [wait]);
                            break;
                        }
                        Notice::Repaired { dropped: 0, .. } => {}
                        other => panic!("{other:?}"),
                    }
                }
                assert!(cache.has(key.as_bytes()).expect("has"));
                notified.store(round, Ordering::SeqCst);
            }
        })
    });
    let mut round = 1;
    let mut deaths = 0;
    for at in 0.. {
        let key = format!("key-{round}");
        wait_for(ready, |n| n == round);
        let writer = fork(|| {
            done(|| {
                let cache = open(&scene.options);
                arm(at, Fault::Kill);
                put(&cache, &key, b"1");
            })
        });
        let ended = ended_within(writer, SOON, "a writer");
        let start = Instant::now();
        let published = shared_words(1);
        in_child("a read", || {
            published[0].store(u64::from(get(&open(&scene.options), &key).is_some()), Ordering::SeqCst);
        });
        if published[0].load(Ordering::SeqCst) == 1 {
            wait_for(notified, |n| n == round);
            longest.fetch_max(start.elapsed().as_micros() as u64, Ordering::SeqCst);
            deaths += u64::from(ended == Ended::Signal(9));
            round += 1;
        }
        if ended == Ended::Exit(0) {
            break;
        }
        // Without this repair the next writer would be killed in the rebuild.
        in_child("repair", || assert_valid(&open(&scene.options)));
    }
    assert!(deaths > 5, "{deaths} deaths after a publish");
    assert_eq!(waiter.kill(), Ended::Signal(9));
    assert!(longest.load(Ordering::SeqCst) < 1_000_000);
    println!("  notified of {deaths} dead writers' keys after at most {} ms", longest.load(Ordering::SeqCst) / 1000);
    drop(scene);
}

/// A writer may die at any step after it has published its change or message and released the lock, and before the
/// wake-up. The watcher and the subscriber still read the ring. Meanwhile no process writes or repairs.
pub(crate) fn senders_dead_before_the_wake() {
    let scene = Scene::sized("senders", 2 << 20);
    let words = shared_words(2);
    let (begun, delivered) = (&words[0], &words[1]);
    let name = |round: u64| format!("number {round}");
    let listener = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            let (notices, listener) = listen(&cache);
            cache.watch(&Watch::default(), 100, listener).expect("watch");
            cache.subscribe(b"news", false, 100, listener).expect("subscribe");
            begun.store(1, Ordering::SeqCst);
            while let Ok(notice) = notices.recv() {
                let Notice::Streams(streams) = notice else { continue };
                for item in streams.iter().flat_map(|stream| cache.read_stream(*stream, 100)) {
                    let text = if item.what == What::Message { item.value } else { item.key };
                    let text = String::from_utf8(text).expect("text");
                    if text == name(begun.load(Ordering::SeqCst)) {
                        delivered.store(begun.load(Ordering::SeqCst), Ordering::SeqCst);
                    }
                }
            }
        })
    });
    wait_for(begun, |n| n == 1);
    let sends: [fn(&Cache, &str); 2] = [
        |cache, name| _ = put(cache, name, b"1"),
        |cache, name| assert_eq!(cache.publish(b"news", kind::BUFFER, name.as_bytes()).expect("publish"), 1),
    ];
    for (send, what) in sends.into_iter().zip(["changes", "messages"]) {
        let mut deaths = 0;
        for at in 0.. {
            let round = begun.fetch_add(1, Ordering::SeqCst) + 1;
            let ledger = shared_words(200);
            let writer = fork(|| {
                done(|| {
                    let cache = open(&scene.options);
                    trace(ledger);
                    arm(at, Fault::Kill);
                    send(&cache, &name(round));
                    disarm();
                })
            });
            let ended = ended_within(writer, SOON, "a writer");
            let passed = trace_of(ledger);
            let written = passed.iter().position(|step| *step == print("ring.published")).unwrap_or(passed.len());
            if passed[written..].contains(&print("lock.released")) {
                wait_for(delivered, |n| n == round);
                deaths += u64::from(ended == Ended::Signal(9));
            }
            if ended == Ended::Exit(0) {
                break;
            }
            // Without this repair the next writer would be killed in the rebuild.
            in_child("repair", || assert_valid(&open(&scene.options)));
        }
        assert!(deaths > 0, "no writer died between the lock and the wake-up");
        println!("  delivered {deaths} dead writers' {what}");
    }
    assert_eq!(listener.kill(), Ended::Signal(9));
}

/// A process with prefixes of many lengths is killed. The next one that attaches forgets them, so a publisher searches
/// for none of them.
pub(crate) fn prefixes_of_a_dead_subscriber() {
    let scene = Scene::sized("prefixes", 2 << 20);
    let words = shared_words(1);
    let subscriber = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            let (_notices, listener) = listen(&cache);
            for len in 1..=200 {
                cache.subscribe(&vec![b'p'; len], true, 1, listener).expect("subscribe");
            }
            words[0].store(1, Ordering::SeqCst);
            std::thread::sleep(2 * SOON);
        })
    });
    wait_for(&words[0], |n| n == 1);
    let searches = |cache: &Cache| {
        take_visits("prefix");
        let count = cache.publish(&[b'c'; 300], kind::BUFFER, b"").expect("publish");
        assert_eq!(count, 0);
        take_visits("prefix")
    };
    in_child("a publisher beside the subscriber", || assert_eq!(searches(&open(&scene.options)), 200));
    assert_eq!(subscriber.kill(), Ended::Signal(9));
    in_child("a publisher after its death", || assert_eq!(searches(&open(&scene.options)), 0));
}
