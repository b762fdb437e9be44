//! Watchers beside writers that are killed.

use crate::scenarios::tags::set_tagged;
use crate::scenarios::{set, watch_all};
use crate::stage::{Copied, kill_points, small};
use crate::steps::{TRACE, note_kill};
use crate::support::assert_valid;
use crate::support::forked::{self, NEVER, in_child, trace_of};
use cache_machine_core::{Cache, StreamItem, What, kind};
use cache_machine_shm::atomic::Ordering::{Relaxed, SeqCst};
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, trace};
use std::time::{Duration, Instant};

/// The changes that a watcher in another process sees. Each differs from the others.
fn watched_act(cache: &Cache) {
    set_tagged(cache, "one", &["red"], 0);
    set(cache, "two", b"2");
    assert!(cache.delete(b"one", 0).unwrap());
    assert!(cache.publish(b"news", kind::BUFFER, b"first").unwrap() > 0);
    set(cache, "three", &[3; 3000]);
    assert!(cache.publish(b"news", kind::BUFFER, b"second").unwrap() > 0);
}

/// The items of a stream as text, and the number of lost ones.
struct Delivered {
    items: Vec<String>,
    lost: u64,
}

impl Delivered {
    /// Takes items until `last` comes.
    fn until(cache: &Cache, stream: u64, last: &str) -> Self {
        let mut delivered = Self { items: Vec::new(), lost: 0 };
        let start = Instant::now();
        while delivered.items.last().is_none_or(|item| item != last) {
            assert!(start.elapsed() < forked::SOON, "{last} never came; {:?} did", delivered.items);
            for item in cache.read_stream(stream, 10) {
                delivered.take(item);
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        delivered
    }

    fn take(&mut self, item: StreamItem) {
        self.lost += item.lost;
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        match item.what {
            What::Invalidate => {
                assert_eq!((item.key.len(), item.lost > 0), (0, true), "an invalidation that never happened")
            }
            What::Message => self.items.push(text(item.value)),
            what => self.items.push(format!("{what:?} {}", text(item.key))),
        }
    }

    /// Checks that all items happened, in this order, and that at least `done` came unless some were lost.
    fn check(&self, what: &str, all: &[&str], done: usize) {
        let places: Vec<usize> = self
            .items
            .iter()
            .map(|item| {
                all.iter().position(|one| one == item).unwrap_or_else(|| panic!("{what}: {item} never happened"))
            })
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{what}: out of order or twice: {:?}", self.items);
        assert!(places.len() >= done || self.lost > 0, "{what}: silently lost; delivered {:?}", self.items);
    }
}

/// A lock-free reader beside writers that die at any step gets the right items in order, and the count of the missing
/// ones.
pub(crate) fn watcher_beside_killed_writers() {
    const CHANGES: [&str; 5] = ["Set one", "Set two", "Delete one", "Set three", "Set last"];
    const MESSAGES: [&str; 3] = ["first", "second", "last"];
    let ledger = shared_words(TRACE);
    let words = shared_words(1);
    let copied = Copied { options: small("watched") };
    let mut steps = Vec::new();
    let mut next = 0;
    loop {
        words[0].store(0, SeqCst);
        let watcher = fork(|| {
            let cache = copied.open();
            cache.clear().unwrap();
            let watch = watch_all(&cache);
            let news = cache.subscribe(b"news", false, 100, 0).unwrap();
            words[0].store(1, SeqCst);
            forked::wait_for(&words[0], |word| word != 1);
            let acknowledged = (words[0].load(SeqCst) - 2) as usize;
            let changes = Delivered::until(&cache, watch, "Set last");
            let messages = Delivered::until(&cache, news, "last");
            let what = format!("killed at step {acknowledged}");
            // Another process writes "last", so that item must come.
            changes.check(&what, &CHANGES, if acknowledged == 0 { CHANGES.len() } else { 1 });
            messages.check(&what, &MESSAGES, if acknowledged == 0 { MESSAGES.len() } else { 1 });
            0
        });
        forked::wait_for(&words[0], |word| word == 1);
        // The first round has no death and learns the steps. Then there is a death at each point.
        let at = if steps.is_empty() { NEVER } else { steps[next] };
        let writer = fork(|| {
            trace(ledger);
            let cache = copied.open();
            ledger[0].store(0, Relaxed);
            arm(at, Fault::Kill);
            watched_act(&cache);
            disarm();
            0
        });
        let ended = forked::ended_within(writer, forked::SOON, "the writer");
        assert_eq!(ended, if at == NEVER { Ended::Exit(0) } else { Ended::Signal(9) });
        if at == NEVER {
            steps = kill_points(&trace_of(ledger));
        } else {
            note_kill(ledger);
            next += 1;
        }
        in_child("the last writer", || {
            let cache = copied.open();
            set(&cache, "last", b"last");
            assert_eq!(cache.publish(b"news", kind::BUFFER, b"last").unwrap(), 1, "dead subscribers do not count");
            assert_valid(&cache);
        });
        words[0].store(if at == NEVER { 2 } else { 3 + at }, SeqCst);
        assert_eq!(forked::ended_within(watcher, forked::SOON, "the watcher"), Ended::Exit(0));
        if next == steps.len() {
            break;
        }
    }
    println!("  {} deaths beside a watcher", steps.len());
}
