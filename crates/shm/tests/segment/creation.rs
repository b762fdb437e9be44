//! The creation of segments: private files, races and sweeps.

use crate::scratch::{IDENTITY, LAYOUT, LEN, PATIENT, Scratch, attach, create, plain};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{Header, Identity, Place, Region, SegmentFile, Sharing, list_segments, remove_unused};
use std::sync::atomic::AtomicUsize;
use std::sync::mpsc;

#[test]
fn private_files_of_dead_creators_are_removed_and_those_of_live_ones_are_not() {
    let scratch = Scratch::new("private");
    let file = scratch.file();
    // SAFETY: plain system call.
    let uid = unsafe { libc::geteuid() };
    let private = |rest: &str| scratch.path.join(format!("cache-machine.{LAYOUT}.{uid}.{rest}"));
    plain(&private("name~0123456789abcdef"), 0o600);
    plain(&private("other~0123456789abcdef"), 0o600).set_len(77).unwrap();
    plain(&private("published"), 0o600);
    plain(&scratch.path.join(format!("cache-machine.{LAYOUT}.{}.name~1", uid + 1)), 0o600);
    plain(&scratch.path.join("unrelated~1"), 0o600);
    // A link is not followed, and a file that other users may read is not removed.
    std::os::unix::fs::symlink(scratch.path.join("unrelated~1"), private("name~2")).unwrap();
    plain(&private("name~3"), 0o644);
    let (started, has_started) = mpsc::channel();
    let (finish, may_finish) = mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let creator = scope.spawn({
            let file = file.clone();
            move || {
                let init = |_: &Region| {
                    started.send(()).unwrap();
                    may_finish.recv().unwrap();
                };
                file.create(IDENTITY, LEN, &[(0, LEN)], &init)
            }
        });
        has_started.recv().unwrap();
        let before = scratch.left();
        remove_unused(&file);
        let after = scratch.left();
        // This comes before anything can fail: the scope waits for the creator.
        finish.send(()).unwrap();
        assert!(creator.join().unwrap().unwrap());
        let removed: Vec<_> = before.iter().filter(|name| !after.contains(name)).collect();
        let named = |rest: &str| private(rest).file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(removed, [&named("name~0123456789abcdef"), &named("other~0123456789abcdef")]);
    });
    attach(&file).unwrap();
}

#[test]
fn a_creator_makes_another_private_file_after_one_is_swept_away() {
    let scratch = Scratch::new("swept");
    let file = scratch.file();
    let tries = AtomicUsize::new(0);
    let init = |_: &Region| {
        if tries.fetch_add(1, Ordering::Relaxed) < 3 {
            for name in scratch.left() {
                std::fs::remove_file(scratch.path.join(name)).unwrap();
            }
        }
    };
    assert!(file.create(IDENTITY, LEN, &[(0, LEN)], &init).unwrap());
    assert_eq!(tries.load(Ordering::Relaxed), 4);
    assert_eq!(scratch.left().len(), 1);
    attach(&file).unwrap();
}

#[test]
fn the_loser_of_a_race_to_create_makes_nothing() {
    let scratch = Scratch::new("race");
    let file = scratch.file();
    let made: usize = std::thread::scope(|scope| {
        let racers: Vec<_> = (0..8).map(|_| scope.spawn(|| usize::from(create(&file)))).collect();
        racers.into_iter().map(|racer| racer.join().unwrap()).sum()
    });
    assert_eq!(made, 1);
    assert_eq!(scratch.left().len(), 1);
}

#[test]
fn an_unused_older_layout_is_removed_and_one_in_use_is_not() {
    let scratch = Scratch::new("older");
    let of_layout = |layout| {
        let file = SegmentFile::new(Place::Directory(scratch.path.clone()), "name", layout);
        let identity = Identity { layout, ..IDENTITY };
        assert!(file.create(identity, LEN, &[(0, LEN)], &|_| {}).unwrap());
        (file, identity)
    };
    let (used, identity) = of_layout(LAYOUT - 1);
    let segment = used.attach(identity, PATIENT).unwrap();
    of_layout(LAYOUT - 2);
    of_layout(LAYOUT + 1);
    let (file, _) = of_layout(LAYOUT);
    remove_unused(&file);
    let layouts = || -> Vec<u32> {
        list_segments(&Place::Directory(scratch.path.clone()), Sharing::User)
            .into_iter()
            .map(|(layout, _)| layout)
            .collect()
    };
    assert_eq!(layouts(), [LAYOUT - 1, LAYOUT, LAYOUT + 1]);
    drop(segment);
    remove_unused(&file);
    assert_eq!(layouts(), [LAYOUT, LAYOUT + 1]);
    // One that keeps items stays until they are done.
    let (kept, identity) = of_layout(LAYOUT - 3);
    let segment = kept.attach(identity, PATIENT).unwrap();
    Header::of(segment.region()).kept().fetch_add(2, Ordering::Relaxed);
    drop(segment);
    remove_unused(&file);
    assert_eq!(layouts(), [LAYOUT - 3, LAYOUT, LAYOUT + 1]);
    let segment = kept.attach(identity, PATIENT).unwrap();
    Header::of(segment.region()).kept().fetch_sub(2, Ordering::Relaxed);
    drop(segment);
    remove_unused(&file);
    assert_eq!(layouts(), [LAYOUT, LAYOUT + 1]);
}
