//! Every store to shared memory stands beside a kill step, or this file has a reason why a death beside it needs none.
//!
//! The tests read the sources, so a new store without a step fails. `crash` kills a process at each step. A step counts
//! for a store if it is at most `REACH` lines further down, in the same function.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use std::collections::BTreeSet;
use support::sources::sources;

/// Lines below a store among which its step must be.
const REACH: usize = 4;

/// The calls that change shared memory, as the sources write them.
const STORES: [&str; 11] = [
    ".store(",
    ".swap(",
    ".fetch_add(",
    ".fetch_or(",
    ".fetch_and(",
    ".fetch_max(",
    ".compare_exchange",
    ".copy_in(",
    ".put_deadline(",
    ".put_flag(",
    " publish(",
];

/// Memory of this process alone: it ends with the process.
const OWN: &str = "memory of this process";
/// The function only stores; each of its callers has the step.
const BY_CALLER: &str = "its callers have the step";
/// A death may leave the count too low, and nothing depends on it.
const STATS: &str = "stats";
/// It decides at most what is evicted.
const HINT: &str = "a hint to the policy";
/// Only its own process reads or writes it, and that process is dead.
const FOR_ITSELF: &str = "of use only to the process that has died";
const UNUSED: &str =
    "in a line of the index that no process reads before `divide.published`; the next division does it again";
/// The file has no name yet, so no process finds it: `create.header` and `create.filled` are around it.
const UNNAMED: &str = "in a segment that has no name yet";

/// Stores without a step of their own: the file or the crate, a part of the line, the reason. Each is for one file.
const WITHOUT: &[(&str, &str, &str)] = &[
    (
        "shm/protocol/bell.rs",
        "marks.fetch_and(!(1 << bit)",
        "a mark that stays costs writers a wake-up; `join.unmarked` clears all",
    ),
    ("shm/protocol/ending.rs", "self.seen.", OWN),
    ("shm/protocol/bell.rs", "seen.store(", OWN),
    ("shm/protocol/bell.rs", "self.word().fetch_add(1", "a moved bell only makes its owner check"),
    ("shm/protocol/index.rs", "word.store(level", BY_CALLER),
    ("shm/protocol/index.rs", "count.store(now", BY_CALLER),
    (
        "shm/protocol/lock.rs",
        "seen | WAITERS, Ordering",
        "`lock.waiting`; a waiter that gives up instead, or dies, leaves the same bit",
    ),
    ("shm/protocol/lock.rs", "word.compare_exchange(seen, new", BY_CALLER),
    ("shm/segment/process_table.rs", "counter).fetch_add(by", STATS),
    ("shm/segment/process_table.rs", ".swap(0, Ordering::Acquire)", FOR_ITSELF),
    ("shm/segment/process_table.rs", "bell.fetch_add(1, Ordering::Release)", FOR_ITSELF),
    ("shm/protocol/publish.rs", "word.store(new", BY_CALLER),
    ("shm/memory/bulk.rs", "word.store(", BY_CALLER),
    ("shm/memory/region.rs", "last.store(", BY_CALLER),
    ("shm/segment/header.rs", ".store(state as u32", BY_CALLER),
    ("shm/segment/header.rs", ".fetch_max(u32::from(slot) + 1", BY_CALLER),
    ("shm/segment/file.rs", "region.u64(Header::MAGIC)", UNNAMED),
    ("shm/segment/file.rs", "region.u32(Header::LAYOUT)", UNNAMED),
    ("shm/segment/file.rs", "region.u64(Header::FINGERPRINT)", UNNAMED),
    ("shm/segment/file.rs", "region.u64(Header::NONCE)", UNNAMED),
    ("shm/segment/file.rs", "region.u64(Header::LEN)", UNNAMED),
    ("shm/memory/guard.rs", "", OWN),
    ("shm/os/linux/faults.rs", "PREVIOUS.store(", OWN),
    ("shm/protocol/slot.rs", "generation.store(mine", BY_CALLER),
    ("shm/protocol/tail.rs", "state.store(new", BY_CALLER),
    ("shm/memory/latest.rs", "self.latest.store(", OWN),
    ("core/layout/geometry.rs", "self.place().store(", "a function of that name"),
    ("core/resize/place.rs", "area.geometry().place().store(", "a function of that name"),
    ("core", "self.locks_memory.store(", OWN),
    ("core", "plan.store(region)", UNNAMED),
    ("core", "manual_clock().store(", UNNAMED),
    ("core", "manual_clock().fetch_add(", "the manual clock of tests"),
    ("core", "self.full_since[shard].store(", OWN),
    ("core", "damaged[shard].swap(", OWN),
    ("core", "damaged.swap(false", OWN),
    ("core/attachment/patience.rs", "self.acquisition.store(", OWN),
    ("core/attachment/patience.rs", "self.ms.store(", OWN),
    (
        "core/attachment/patience.rs",
        "self.acquisitions.store(",
        "a count that is too low at most lets a waiter take two acquisitions for one",
    ),
    ("core", ".u64(at).fetch_add(1", STATS),
    ("core", "u64(LOCK_WAITED).fetch_add(", STATS),
    ("core", "word.compare_exchange(turn", "it decides only which process sweeps"),
    ("core", "words[at / 8].store(value", BY_CALLER),
    ("core/layout/intent.rs", "words[at].store(value", BY_CALLER),
    ("core", "words[2].store(deadline", BY_CALLER),
    ("core", "words[0].store(first", BY_CALLER),
    ("core", "words[PLACE / 8].store(", BY_CALLER),
    ("core", "words[LINKS / 8].store(", BY_CALLER),
    ("core", "Header::CACHE + i * 8", UNNAMED),
    ("core", "shard.overflowed(line + lines).store(0", UNUSED),
    ("core", "publish(shard.word(to), 0)", UNUSED),
    ("core", "=> self.store(", "a function of that name"),
    ("core", "self.store(key, Some(old)", "a function of that name"),
    ("core/change/restore.rs", "self.store(key, existing, &new)", "a function of that name"),
    (
        "core/change/restore.rs",
        "sequence.store(version.max(floor)",
        "versions only grow; the next restore raises those of the shards that a death has left",
    ),
    ("core", "self.store(key, None, new)", "a function of that name"),
    ("core", "at + read as usize", STATS),
    ("core", "(at).store(", HINT),
    ("core", ".store(now + 1", HINT),
    ("core", "holder.store(", OWN),
    ("core", "self.holds.", OWN),
    ("core", "region.u64(SIZE).store(", UNNAMED),
    ("core", "NEXT.fetch_add(", OWN),
    ("core", "self.want_removals.store(", OWN),
    ("core", "self.stop.store(", OWN),
    ("core", "self.sweeps.store(", OWN),
    ("core", "// a count for tests", OWN),
    ("core", "// the count of probes, for tests", OWN),
];

/// A store in the sources.
struct Store {
    file: String,
    number: usize,
    line: String,
    has_step: bool,
}

impl Store {
    /// Whether it is in this file or crate, on a line with this part.
    fn is_at(&self, place: &str, part: &str) -> bool {
        let (krate, _) = self.file.split_once('/').unwrap();
        (self.file == place || krate == place) && self.line.contains(part)
    }
}

fn all_stores() -> Vec<Store> {
    let mut sources = sources(&["shm", "core"]);
    // This file arms the steps; it is no part of the product.
    sources.retain(|(file, _)| file != "shm/steps.rs");
    sources.iter().flat_map(|(file, text)| stores_of(file, text)).collect()
}

/// The line without its comment.
fn code(line: &str) -> &str {
    line.split("//").next().unwrap()
}

/// Whether there is a step among the next lines, before the function ends.
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
fn every_store_to_shared_memory_has_a_kill_step_or_a_reason() {
    let stores = all_stores();
    assert!(stores.len() > 80, "the stores were not found in the sources");
    let missing: Vec<String> = stores
        .iter()
        .filter(|store| !store.has_step && !WITHOUT.iter().any(|(place, part, _)| store.is_at(place, part)))
        .map(|store| format!("\n  {}:{}: {}", store.file, store.number, store.line))
        .collect();
    assert!(missing.is_empty(), "no kill step beside{}", missing.concat());
}

#[test]
fn every_reason_is_for_a_store_that_has_no_step() {
    let stores = all_stores();
    for (place, part, reason) in WITHOUT {
        let is_needed = stores.iter().any(|store| store.is_at(place, part) && !store.has_step);
        assert!(is_needed, "{place}, `{part}`: nothing needs the reason \"{reason}\" any more");
    }
}

#[test]
fn every_reason_is_for_one_file() {
    let stores = all_stores();
    for (place, part, _) in WITHOUT {
        let at = stores.iter().filter(|store| store.is_at(place, part) && !store.has_step);
        let files: BTreeSet<&String> = at.map(|store| &store.file).collect();
        assert!(files.len() < 2, "{place}, `{part}`: {files:?}");
    }
}

#[test]
fn a_store_without_a_step_is_found() {
    let found = |text: &str| stores_of("core/x.rs", text).iter().map(|store| store.has_step).collect::<Vec<_>>();
    let with_step = "fn f() {\n    word.store(1, Relaxed);\n    step(\"a\");\n}\n";
    assert_eq!(found(with_step), [true]);
    assert_eq!(found("fn f() {\n    word.store(1, Relaxed);\n}\nfn g() {\n    step(\"a\");\n}\n"), [false]);
    assert_eq!(found("fn f() {\n    word.store(1, Relaxed); // step(\"a\")\n}\n"), [false]);
    assert_eq!(found("fn f() {\n    // word.store(1, Relaxed);\n}\n"), []);
}
