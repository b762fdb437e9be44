//! Deaths while a segment is created, joined and destroyed.

use crate::scenarios::{BASE, Scenario, get, set, value_of};
use crate::stage::{Copied, PANICKED, Stage};
use crate::steps::{TRACE, note_kill};
use crate::support::assert_valid;
use crate::support::forked::{self, file_of, in_child, trace_of};
use cache_machine_core::{Cache, OpenOptions, destroy};
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm, trace};
use std::panic::{AssertUnwindSafe, catch_unwind};

pub(crate) fn killed_in_the_life_of_a_segment() {
    let ledger = shared_words(TRACE);
    let content = Stage::prepare(&Scenario { entries: 5, ..BASE }, ledger).content;
    let act = |what: &str, options: &OpenOptions| match what {
        "destroy" => assert!(destroy(&options.name, None, true).unwrap()),
        _ => drop(Cache::open(options).unwrap()),
    };
    for what in ["create", "join", "destroy"] {
        for fault in [Fault::Kill, Fault::Panic] {
            let mut at = 0;
            loop {
                let copied = Copied::of(&content);
                if what == "create" {
                    std::fs::remove_file(file_of(&copied.options)).unwrap();
                }
                ledger[0].store(0, Relaxed);
                let child = fork(|| {
                    trace(ledger);
                    if fault == Fault::Panic {
                        std::panic::set_hook(Box::new(|_| {}));
                    }
                    arm(at, fault);
                    let outcome = catch_unwind(AssertUnwindSafe(|| act(what, &copied.options)));
                    disarm();
                    drop(std::panic::take_hook());
                    if outcome.is_ok() {
                        return 0;
                    }
                    check_life(what, &copied.open());
                    PANICKED
                });
                let ended = forked::ended_within(child, forked::SOON, what);
                let finished = ended == Ended::Exit(0) && trace_of(ledger).len() as u64 <= at;
                assert!(
                    finished || matches!(ended, Ended::Signal(9) | Ended::Exit(0 | PANICKED)),
                    "{what} at step {at}: {ended:?}"
                );
                in_child(what, || {
                    check_life(what, &copied.open());
                    assert!(destroy(&copied.options.name, None, true).unwrap());
                });
                let left = std::fs::read_dir("/dev/shm").unwrap().flatten();
                let left = left.filter(|file| file.file_name().to_string_lossy().contains(&copied.options.name));
                assert_eq!(left.count(), 0, "{what} at step {at} left something");
                if finished {
                    break;
                }
                if fault == Fault::Kill {
                    note_kill(ledger);
                }
                at += 1;
            }
            println!("  {what}: {fault:?} at all {at} steps");
        }
    }
}

/// Checks that the segment is valid and works, that it is empty only where that may be, and that no other file is left.
fn check_life(what: &str, cache: &Cache) {
    let kept = (0..5).filter(|i| get(cache, &format!("e{i}")) == Some(value_of(*i))).count();
    assert!(kept == 5 || (kept == 0 && what != "join"), "{what}: {kept} of 5 entries");
    assert!(kept == 0 || what != "create");
    set(cache, "new", b"1");
    assert_eq!(get(cache, "new").as_deref(), Some(&b"1"[..]));
    assert_valid(cache);
    let name = cache.path().file_name().unwrap().to_string_lossy().into_owned();
    let mut files = std::fs::read_dir("/dev/shm").unwrap().flatten();
    let private = files.any(|file| file.file_name().to_string_lossy().starts_with(&format!("{name}~")));
    assert!(!private, "{what}: a private file of the dead creator is left");
}
