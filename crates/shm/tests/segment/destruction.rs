//! The destruction of segments, also after the death of a destroyer.

use crate::scratch::{IDENTITY, PATIENT, STATE_AT, Scratch, attach, create, destroy, hold, plain, writable};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{DESTROYERS, GATE, GATE_BYTES, Segment, ShmError, State};
use std::os::unix::fs::FileExt;
use std::time::Duration;

#[test]
fn only_the_inode_that_was_checked_is_unlinked() {
    let scratch = Scratch::new("unlink");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let aside = scratch.path.join("aside");
    std::fs::rename(file.path(), &aside).unwrap();
    plain(file.path(), 0o600);
    assert!(destroy(&file, true).unwrap());
    assert!(!file.path().exists() && aside.exists(), "the name meant the other file");
    assert!(!segment.is_still_named());
    assert_eq!(segment.header().state(), State::Ready);
    // While the destroyer passes through the locks, the name is free already, and is given to another segment.
    std::fs::rename(&aside, file.path()).unwrap();
    let next = |_: &Segment| {
        assert!(!file.path().exists(), "the name is not free");
        assert!(create(&file));
    };
    assert!(file.destroy(IDENTITY, true, &next).unwrap());
    assert!(file.path().exists() && !segment.is_still_named());
    assert_eq!(segment.header().state(), State::Destroyed);
    attach(&file).unwrap();
}

#[test]
fn a_segment_in_use_is_destroyed_only_by_force_and_its_handles_see_it() {
    let scratch = Scratch::new("force");
    let file = scratch.made();
    let (one, two) = (attach(&file).unwrap(), attach(&file).unwrap());
    assert!(matches!(destroy(&file, false), Err(ShmError::InUse(2))));
    let epoch = one.header().epoch().load(Ordering::Relaxed);
    assert!(destroy(&file, true).unwrap());
    assert!(!destroy(&file, true).unwrap());
    for segment in [&one, &two] {
        assert_eq!(segment.header().state(), State::Destroyed);
        assert_ne!(segment.header().epoch().load(Ordering::Relaxed), epoch);
        assert!(!segment.is_still_named() && !segment.is_lost());
    }
    assert!(create(&file));
    attach(&file).unwrap();
}

/// A destroyer that died after it had set the state left handles that saw no new epoch. The next open only unlinked. Such
/// handles continued to read in a segment without a name.
#[test]
fn the_next_open_finishes_the_epoch_of_a_dead_destroyer_and_unlinks() {
    let scratch = Scratch::new("half");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let header = segment.header();
    let epoch = header.epoch().load(Ordering::Relaxed);
    writable(file.path()).write_all_at(&(State::Destroyed as u32).to_le_bytes(), STATE_AT).unwrap();
    assert!(matches!(file.attach_existing(IDENTITY, PATIENT).map(|_| ()), Err(ShmError::NotFound)));
    assert_eq!(header.epoch().load(Ordering::Relaxed), epoch, "a visitor finishes nothing");
    assert!(file.path().exists());
    assert!(matches!(attach(&file), Err(ShmError::NotFound)));
    assert_ne!(header.epoch().load(Ordering::Relaxed), epoch);
    assert!(scratch.left().is_empty());
}

/// The gate as another process holds it: a destroyer from `DESTROYERS` on, an opener one byte at its number.
#[test]
fn an_open_without_patience_and_a_destroy_by_force_wait_for_no_process_at_the_gate() {
    let scratch = Scratch::new("gate");
    let file = scratch.made();
    let opener = writable(file.path());
    hold(&opener, false, GATE + 77, 1);
    assert!(matches!(destroy(&file, false), Err(ShmError::Busy(_))), "a process is opening it");
    drop(attach(&file).unwrap());
    assert!(destroy(&file, true).unwrap());

    assert!(create(&file));
    let destroyer = writable(file.path());
    hold(&destroyer, true, DESTROYERS, 78);
    drop(attach(&file).unwrap());
    hold(&destroyer, true, GATE, GATE_BYTES + 77);
    assert!(matches!(file.attach(IDENTITY, Duration::ZERO), Err(ShmError::Busy(_))));
    assert!(matches!(destroy(&file, true), Err(ShmError::Busy(_))), "two destroyers");
    drop(destroyer);
    assert!(destroy(&file, false).unwrap());
}

/// An opener and a destroyer that wait at the gate of a file leave it when the file loses its name.
#[test]
fn a_file_that_has_lost_its_name_is_not_waited_for() {
    let scratch = Scratch::new("unnamed");
    let file = scratch.made();
    let destroyer = writable(file.path());
    hold(&destroyer, true, DESTROYERS, 78);
    hold(&destroyer, true, GATE, GATE_BYTES + 77);
    std::thread::scope(|scope| {
        let opener = scope.spawn(|| attach(&file).map(|_| ()));
        let second = scope.spawn(|| destroy(&file, true));
        std::fs::remove_file(file.path()).unwrap();
        // Both would wait for the gate until they are busy.
        assert!(matches!(opener.join().unwrap(), Err(ShmError::NotFound)));
        assert!(!second.join().unwrap().unwrap());
    });
    drop(destroyer);
}
