//! The protocols under loom, which tries every interleaving and every value that the memory orderings allow.
//!
//! Run by `RUSTFLAGS="--cfg cache_machine_loom" cargo test -p cache-machine-shm --release --test model`. Each protocol
//! has broken variants, copied by hand with one thing left out. Loom must report them; this shows that the model can
//! see the fault. A sleep here has no time limit, so a lost wake-up is a deadlock, which loom reports. Loom has threads
//! but no deaths: the Spin models (docs/models) and the kill tests cover those.

#![cfg(cache_machine_loom)]

mod bell;
mod ending;
mod index;
mod lock;
mod publish;
mod slot;
mod tags;
mod tail;

use cache_machine_shm::atomic::{AtomicU32, Ordering, fence};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use std::process::Command;

/// Runs a model with at most `preemptions` preemptions of its threads.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.check(model);
}

/// Runs a broken model, which loom must report, in a process of its own: a deadlock that loom reports in the middle of
/// a model aborts the process when the model's values are dropped.
pub(crate) fn must_be_reported(preemptions: usize, model: impl Fn() + Sync + Send + 'static) {
    const IN_CHILD: &str = "CACHE_MACHINE_BROKEN_MODEL";
    if std::env::var_os(IN_CHILD).is_some() {
        explore(preemptions, model);
        return;
    }
    let test = std::thread::current().name().expect("a test's thread has its name").to_owned();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &test, "--test-threads=1"])
        .env(IN_CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("running 1 test"), "{text}");
    assert!(!output.status.success(), "loom did not report the broken model");
}

/// A futex: it sleeps only if the word is as expected, and loses no wake after that check.
#[derive(Default)]
pub(crate) struct Futex {
    inside: Mutex<()>,
    woken: Condvar,
}

impl Futex {
    pub(crate) fn sleep(&self, word: &AtomicU32, expected: u32) {
        let guard = self.inside.lock().unwrap();
        if word.load(Ordering::Relaxed) == expected {
            drop(self.woken.wait(guard).unwrap());
        }
    }

    pub(crate) fn wake(&self) {
        let _guard = self.inside.lock().unwrap();
        self.woken.notify_one();
    }
}

/// A check of loom itself: with full fences on both sides, one of two threads sees the other.
#[test]
fn loom_knows_sequentially_consistent_fences() {
    explore(4, || {
        let words = Arc::new([AtomicU32::new(0), AtomicU32::new(0)]);
        let other = {
            let words = words.clone();
            thread::spawn(move || {
                words[0].store(1, Ordering::Relaxed);
                fence(Ordering::SeqCst);
                words[1].load(Ordering::Relaxed)
            })
        };
        words[1].store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let mine = words[0].load(Ordering::Relaxed);
        assert!(mine + other.join().unwrap() > 0);
    });
}
