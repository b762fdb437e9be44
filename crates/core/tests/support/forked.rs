//! A test program of single-threaded parents and forked children: each test forks what it needs, waits and looks.
//!
//! The parent opens no cache, since that starts a thread, and only a process of one thread may fork.

#![allow(dead_code, reason = "each test program uses a part of it")]

use cache_machine_core::OpenOptions;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Child, Ended, fork, shared_words};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A test, by name.
pub(crate) struct Test {
    pub(crate) name: &'static str,
    pub(crate) run: fn(),
}

/// Runs the tests whose names contain the program's first argument, and reports as libtest does. `summary` runs after all
/// others, and only if all of them ran.
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

/// The segments of this program, private files of dead creators included.
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

/// Waits for a child's end; one that takes longer is killed, and the test fails.
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

/// Generous: reached only by what hangs.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// Runs `body` in a child that must return.
#[track_caller]
pub(crate) fn in_child(what: &str, body: impl FnOnce()) {
    let ended = ended_within(fork(|| done(body)), SOON, what);
    assert_eq!(ended, Ended::Exit(0), "{what}");
}

/// A child's body that ends with 0.
pub(crate) fn done(body: impl FnOnce()) -> i32 {
    body();
    0
}

/// Waits until a shared word satisfies `is_enough`, for `SOON` at most.
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

    /// What was written, if anything; wipes it.
    pub(crate) fn take(&self) -> Option<String> {
        let len = self.words[0].swap(0, Ordering::Acquire) as usize;
        let bytes: Vec<u8> =
            self.words[1..].iter().flat_map(|word| word.load(Ordering::Relaxed).to_le_bytes()).take(len).collect();
        (len > 0).then(|| String::from_utf8(bytes).expect("text"))
    }
}
