//! The harness of test programs that fork: each test forks its children, waits for them and checks.
//!
//! The parent opens no cache: that starts a thread, and only a process with one thread may fork.

#![allow(dead_code, reason = "each test program uses a part of it")]

pub(crate) use super::SOON;
use super::open;
use cache_machine_core::{Cache, OpenOptions};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A test and its name.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

/// Runs the tests with the program's first argument in their names, and reports as libtest does. `summary` runs after
/// all others, and only if all of them ran.
pub(crate) fn main(tests: &[Test], summary: Option<&Test>) {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let chosen: Vec<&Test> = tests.iter().filter(|test| test.name.contains(&filter)).collect();
    let all = chosen.len() == tests.len();
    println!("\nrunning {} tests", chosen.len() + usize::from(all && summary.is_some()));
    let mut failed = Vec::new();
    let mut passed = 0;
    for test in chosen.into_iter().chain(summary.filter(|_| all)) {
        let before = segments();
        let start = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(test.run));
        let left: Vec<_> = segments().into_iter().filter(|name| !before.contains(name)).collect();
        let good = outcome.is_ok() && left.is_empty();
        let mark = if good { "ok" } else { "FAILED" };
        println!("test {} ... {mark} <{:.2}s>", test.name, start.elapsed().as_secs_f64());
        if good {
            passed += 1;
        } else {
            if !left.is_empty() {
                eprintln!("left in /dev/shm: {left:?}");
            }
            failed.push(test.name);
        }
    }
    if !failed.is_empty() {
        println!("\nfailures:\n    {}", failed.join("\n    "));
    }
    let verdict = if failed.is_empty() { "ok" } else { "FAILED" };
    let out = tests.len() + usize::from(summary.is_some()) - passed - failed.len();
    println!(
        "\ntest result: {verdict}. {passed} passed; {} failed; 0 ignored; 0 measured; {out} filtered out",
        failed.len()
    );
    std::process::exit(i32::from(!failed.is_empty()));
}

/// The segments of this program, with private files of dead creators.
fn segments() -> Vec<String> {
    let own = format!("-{}-", std::process::id());
    let names = std::fs::read_dir("/dev/shm").expect("/dev/shm").flatten();
    names.filter_map(|entry| entry.file_name().into_string().ok()).filter(|name| name.contains(&own)).collect()
}

/// The file of a segment in POSIX shared memory.
pub(crate) fn file_of(options: &OpenOptions) -> PathBuf {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata("/proc/self").expect("/proc").uid();
    let layout = cache_machine_core::LAYOUT_VERSION;
    PathBuf::from(format!("/dev/shm/cache-machine.{layout}.{uid}.{}", options.name))
}

/// Waits for a child's end. A child that takes longer than `limit` is killed, and the test fails.
#[track_caller]
pub(crate) fn ended_within(child: Child, limit: Duration, what: &str) -> Ended {
    let start = Instant::now();
    loop {
        if let Some(ended) = child.try_wait() {
            return ended;
        }
        if start.elapsed() > limit {
            child.kill();
            panic!("{what}: not done after {limit:?}");
        }
        std::thread::sleep(Duration::from_micros(if start.elapsed().as_millis() < 20 { 50 } else { 1000 }));
    }
}

/// Runs `body` in a child that must return.
#[track_caller]
pub(crate) fn in_child(what: &str, body: impl FnOnce()) {
    let ended = ended_within(fork(|| done(body)), SOON, what);
    assert_eq!(ended, Ended::Exit(0), "{what}");
}

/// Runs a child's body. Returns exit status 0.
pub(crate) fn done(body: impl FnOnce()) -> i32 {
    body();
    0
}

/// Waits at most `SOON` until a shared word satisfies `is_enough`.
#[track_caller]
pub(crate) fn wait_for(word: &AtomicU64, is_enough: impl Fn(u64) -> bool) -> u64 {
    let start = Instant::now();
    loop {
        let value = word.load(Ordering::SeqCst);
        if is_enough(value) {
            return value;
        }
        assert!(start.elapsed() < SOON, "waited too long; the word is {value}");
        std::thread::sleep(Duration::from_micros(50));
    }
}

/// A step that no operation reaches.
pub(crate) const NEVER: u64 = u64::MAX - 1;

/// A step of a set inside the lock of its shard.
pub(crate) const INSIDE_A_SET: u64 = 8;
/// The value of a set that is suspended or killed inside the lock.
pub(crate) const HELD_VALUE: &[u8] = b"written across the stop";

/// Sets a key, and has `fault` happen inside the lock of its shard.
pub(crate) fn set_with_fault(cache: &Cache, key: &str, fault: Fault) {
    arm(INSIDE_A_SET, fault);
    super::put(cache, key, HELD_VALUE);
    disarm();
}

/// A child that is suspended (SIGSTOP) in a set of `key`, inside the lock of its shard.
pub(crate) fn suspended_holder(options: &OpenOptions, key: &'static str) -> Child {
    let holder = fork(|| done(|| set_with_fault(&open(options), key, Fault::Stop)));
    assert_eq!(holder.wait_or_stopped(), Ended::Stopped);
    holder
}

/// A child that is killed in a set of `key`, inside the lock of its shard. It becomes a zombie until it is waited for.
pub(crate) fn dying_holder(options: &OpenOptions, key: &'static str) -> Child {
    fork(|| done(|| set_with_fault(&open(options), key, Fault::Kill)))
}

/// Lets a suspended child go on, and waits for its end.
#[track_caller]
pub(crate) fn resume_to_the_end(child: Child, what: &str) {
    child.resume();
    assert_eq!(ended_within(child, SOON, what), Ended::Exit(0), "{what}");
}

/// The steps in a ledger that a child traces, by print.
pub(crate) fn trace_of(ledger: &[AtomicU64]) -> Vec<u64> {
    let count = (ledger[0].load(Ordering::Relaxed) as usize).min(ledger.len() - 1);
    ledger[1..=count].iter().map(|word| word.load(Ordering::Relaxed)).collect()
}

/// A short text that a child leaves for its parent.
pub(crate) struct Slate {
    words: &'static [AtomicU64],
}

impl Slate {
    pub(crate) fn new() -> Self {
        Self { words: shared_words(9) }
    }

    pub(crate) fn write(&self, text: &str) {
        let bytes = &text.as_bytes()[..text.len().min(64)];
        for (word, chunk) in self.words[1..].iter().zip(bytes.chunks(8)) {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            word.store(u64::from_le_bytes(eight), Ordering::Relaxed);
        }
        self.words[0].store(bytes.len() as u64, Ordering::Release);
    }

    /// The text, if there is one. Empties the slate.
    pub(crate) fn take(&self) -> Option<String> {
        let len = self.words[0].swap(0, Ordering::Acquire) as usize;
        let bytes: Vec<u8> =
            self.words[1..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).take(len).collect();
        (len > 0).then(|| String::from_utf8(bytes).expect("text"))
    }
}
