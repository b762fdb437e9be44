//! Every store to shared memory stands beside a kill step, or has a reason here why a death beside it needs none.
//!
//! Read from the sources, so that a new store without a step fails; that each step is killed at is the business of
//! `crash.rs`. The thing to get wrong: a step further down than `REACH` lines, or behind the end of the function, counts for
//! nothing.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

use std::path::{Path, PathBuf};

/// Lines below a store among which its step must be.
const REACH: usize = 4;

/// What changes shared memory, as it is written in the sources.
const STORES: [&str; 10] = [
    ".store(",
    ".swap(",
    ".fetch_add(",
    ".fetch_or(",
    ".fetch_and(",
    ".fetch_max(",
    ".compare_exchange",
    ".copy_in(",
    ".put_deadline(",
    " publish(",
];

/// Memory of this process alone: it dies with it.
const OWN: &str = "memory of this process";
/// The function only stores; each of its callers has the step.
const BY_CALLER: &str = "its callers have the step";
/// Counted too little by a death, and nothing depends on it.
const STATISTICS: &str = "statistics";
/// Decides at most what is evicted.
const HINT: &str = "a hint to the policy";
/// Nobody but its own process reads or writes it, and that one is dead.
const FOR_ITSELF: &str = "of use only to the process that has died";
const UNUSED: &str =
    "in a line of the index that nobody looks at before `divide.published`; the next division does it again";
/// The file has no name yet, and nobody finds it: `create.header` and `create.filled` are around it.
const UNNAMED: &str = "in a segment that has no name yet";

/// Stores without a step of their own: the file, a part of the line, the reason.
const WITHOUT: &[(&str, &str, &str)] = &[
    (
        "shm/bell.rs",
        "marks.fetch_and(!(1 << bit)",
        "a mark that stays costs writers a wake-up; `join.unmarked` clears all",
    ),
    ("shm/ending.rs", "self.seen.", OWN),
    ("shm/bell.rs", "seen.store(", OWN),
    ("shm/bell.rs", "self.word().fetch_add(1", "a bell that is moved is looked at, and no more"),
    ("shm/index.rs", "word.store(level", BY_CALLER),
    ("shm/index.rs", "count.store(now", BY_CALLER),
    ("shm/lock.rs", "seen | WAITERS, Ordering", "`lock.waiting`; who gives up instead, or dies, leaves the same bit"),
    ("shm/lock.rs", "word.compare_exchange(seen, new", BY_CALLER),
    ("shm/process_table.rs", "counter).fetch_add(by", STATISTICS),
    ("shm/process_table.rs", ".swap(0, Ordering::Acquire)", FOR_ITSELF),
    ("shm/process_table.rs", "bell.fetch_add(1, Ordering::Release)", FOR_ITSELF),
    ("shm/publish.rs", "word.store(new", BY_CALLER),
    ("shm/bulk.rs", "word.store(", BY_CALLER),
    ("shm/region.rs", "last.store(", BY_CALLER),
    ("shm/segment.rs", ".store(state as u32", BY_CALLER),
    ("shm/segment.rs", ".fetch_max(u32::from(slot) + 1", BY_CALLER),
    ("shm/segment.rs", "region.u64(Header::MAGIC)", UNNAMED),
    ("shm/segment.rs", "region.u32(Header::LAYOUT)", UNNAMED),
    ("shm/segment.rs", "region.u64(Header::FINGERPRINT)", UNNAMED),
    ("shm/segment.rs", "region.u64(Header::NONCE)", UNNAMED),
    ("shm/segment.rs", "region.u64(Header::LEN)", UNNAMED),
    ("shm/sigbus.rs", "", OWN),
    ("shm/slot.rs", "generation.store(mine", BY_CALLER),
    ("shm/tail.rs", "state.store(new", BY_CALLER),
    ("core/cache.rs", "plan.store(region)", UNNAMED),
    ("core/cache.rs", "manual_clock().store(", UNNAMED),
    ("core/cache.rs", "manual_clock().fetch_add(", "the clock of tests"),
    ("core/cache.rs", "self.full_since[shard].store(", OWN),
    ("core/cache.rs", "self.damaged[shard].swap(", OWN),
    ("core/cache.rs", "damaged.swap(false", OWN),
    ("core/cache.rs", "stuck.", OWN),
    ("core/cache.rs", ".u64(at).fetch_add(1", STATISTICS),
    ("core/entry.rs", "", BY_CALLER),
    ("core/geometry.rs", "Header::CACHE + i * 8", UNNAMED),
    ("core/growth.rs", "shard.overflowed(line + lines).store(0", UNUSED),
    ("core/growth.rs", "publish(shard.word(to), 0)", UNUSED),
    ("core/locked.rs", "=> self.store(", "a function of that name"),
    ("core/locked.rs", "self.store(key, Some(old)", "a function of that name"),
    ("core/namespaces.rs", "at + read as usize", STATISTICS),
    ("core/policy.rs", "self.touched(at).store(", HINT),
    ("core/read.rs", "touched.store(now + 1", HINT),
    (
        "core/recover.rs",
        "sequence.store(totals.newest",
        "raised anew by the next rebuild, which a suspect lock is sure of",
    ),
    ("core/regions.rs", "holder.store(", OWN),
    ("core/regions.rs", "self.holds.", OWN),
    ("core/regions.rs", "region.u64(SIZE).store(", UNNAMED),
    ("core/regions.rs", "NEXT.fetch_add(", OWN),
    ("core/service.rs", "self.want_gone.store(", OWN),
    ("core/service.rs", "self.stop.store(", OWN),
    ("core/waits.rs", "self.looks.fetch_add(", OWN),
];

/// A store in the sources.
struct Store {
    file: String,
    number: usize,
    line: String,
    has_step: bool,
}

fn sources() -> Vec<(String, String)> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mut sources = Vec::new();
    for name in ["shm", "core"] {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(crates.join(name).join("src")).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.sort();
        for path in files.iter().filter(|path| path.extension().is_some_and(|extension| extension == "rs")) {
            let file = format!("{name}/{}", path.file_name().unwrap().to_string_lossy());
            sources.push((file, std::fs::read_to_string(path).unwrap()));
        }
    }
    // What arms the steps is none of the product.
    sources.retain(|(file, _)| file != "shm/steps.rs");
    sources
}

/// Without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap()
}

/// A step among the next lines, before the function ends.
fn has_step(below: &[&str]) -> bool {
    let own = below.iter().take(REACH + 1).take_while(|line| !matches!(**line, "}" | "    }"));
    own.into_iter().any(|line| code(line).contains("step(\""))
}

fn stores_of(file: &str, text: &str) -> Vec<Store> {
    let product = text.split("#[cfg(test)]\nmod ").next().unwrap();
    let lines: Vec<&str> = product.lines().collect();
    let is_store = |line: &str| STORES.iter().any(|store| code(line).contains(store)) && !line.contains(" fn ");
    let found = lines.iter().enumerate().filter(|(_, line)| is_store(line));
    found
        .map(|(at, line)| Store {
            file: file.to_owned(),
            number: at + 1,
            line: (*line).trim().to_owned(),
            has_step: has_step(&lines[at..]),
        })
        .collect()
}

#[test]
fn every_store_to_shared_memory_has_a_kill_step_or_a_reason_why_not() {
    let stores: Vec<Store> = sources().iter().flat_map(|(file, text)| stores_of(file, text)).collect();
    assert!(stores.len() > 80, "the stores were not found in the sources");
    let has_reason =
        |store: &Store| WITHOUT.iter().any(|(file, part, _)| store.file == *file && store.line.contains(part));
    let missing: Vec<String> = stores
        .iter()
        .filter(|store| !store.has_step && !has_reason(store))
        .map(|store| format!("\n  {}:{}: {}", store.file, store.number, store.line))
        .collect();
    assert!(missing.is_empty(), "no kill step beside{}", missing.concat());
}

#[test]
fn every_reason_is_for_a_store_that_has_no_step() {
    let stores: Vec<Store> = sources().iter().flat_map(|(file, text)| stores_of(file, text)).collect();
    for (file, part, reason) in WITHOUT {
        let is_needed = stores.iter().any(|store| store.file == *file && store.line.contains(part) && !store.has_step);
        assert!(is_needed, "{file}, `{part}`: nothing needs the reason \"{reason}\" any more");
    }
}

#[test]
fn a_store_without_a_step_is_noticed() {
    let found = |text: &str| stores_of("core/x.rs", text).iter().map(|store| store.has_step).collect::<Vec<_>>();
    let with_step = "fn f() {\n    word.store(1, Relaxed);\n    step(\"a\");\n}\n";
    assert_eq!(found(with_step), [true]);
    assert_eq!(found("fn f() {\n    word.store(1, Relaxed);\n}\nfn g() {\n    step(\"a\");\n}\n"), [false]);
    assert_eq!(found("fn f() {\n    word.store(1, Relaxed); // step(\"a\")\n}\n"), [false]);
    assert_eq!(found("fn f() {\n    // word.store(1, Relaxed);\n}\n"), []);
}
