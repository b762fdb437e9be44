//! Files that are not ours, and users with other rights.

use crate::scratch::{
    IDENTITY, LAYOUT, LEN, Scratch, again, assert_passed, attach, c_path, create, destroy, is_root, plain, role,
    unique, writable,
};
use cache_machine_shm::{Place, SegmentFile, ShmError, remove_unused};
use std::fs::OpenOptions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// Puts something in the place of the segment's file. Checks that all operations refuse it and leave it alone.
#[track_caller]
fn assert_refused(what: &str, place: impl FnOnce(&Scratch, &Path)) {
    let scratch = Scratch::new("squat");
    let file = scratch.file();
    place(&scratch, file.path());
    let before = std::fs::symlink_metadata(file.path()).unwrap();
    for (operation, result) in [
        ("attach", attach(&file).map(|_| ())),
        ("destroy", destroy(&file, true).map(|_| ())),
        ("inspect", file.inspect(|_, _, _| ())),
        ("check", file.check(IDENTITY).map(|_| ())),
    ] {
        assert!(matches!(result, Err(ShmError::Permission(_))), "{what}: {operation} gave {result:?}");
    }
    remove_unused(&file);
    let after = std::fs::symlink_metadata(file.path()).unwrap();
    assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "{what}: it was changed");
    assert!(!create(&file), "{what}: a new segment replaced it");
}

#[test]
fn a_file_that_is_not_plain_and_private_is_refused() {
    assert_refused("a symbolic link", |scratch, path| {
        let target = scratch.path.join("target");
        plain(&target, 0o600);
        std::os::unix::fs::symlink(target, path).unwrap();
    });
    assert_refused("a link to nowhere", |_, path| std::os::unix::fs::symlink("/nowhere", path).unwrap());
    assert_refused("a hard link", |scratch, path| {
        let target = scratch.path.join("target");
        plain(&target, 0o600).set_len(LEN as u64).unwrap();
        std::fs::hard_link(target, path).unwrap();
    });
    assert_refused("a pipe", |_, path| {
        let path = c_path(path);
        // SAFETY: `path` is a C string that lives through the call.
        assert_eq!(unsafe { libc::mkfifo(path.as_ptr(), 0o600) }, 0);
    });
    assert_refused("a socket", |_, path| drop(std::os::unix::net::UnixListener::bind(path).unwrap()));
    assert_refused("a directory", |_, path| std::fs::create_dir(path).unwrap());
    for mode in [0o660, 0o604, 0o640, 0o666, 0o601] {
        assert_refused(&format!("mode {mode:o}"), |_, path| plain(path, mode).set_len(LEN as u64).unwrap());
    }
}

#[test]
fn a_file_of_another_user_is_refused() {
    if !is_root() {
        eprintln!("not run: only root can give a file away");
        return;
    }
    assert_refused("another user's file", |_, path| {
        plain(path, 0o600).set_len(LEN as u64).unwrap();
        std::os::unix::fs::chown(path, Some(65534), Some(65534)).unwrap();
    });
}

#[test]
fn a_segment_with_a_wrong_mode_or_extra_link_is_refused_until_it_is_right_again() {
    let scratch = Scratch::new("mode");
    let file = scratch.made();
    writable(file.path()).set_permissions(std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(matches!(attach(&file), Err(ShmError::Permission(_))));
    writable(file.path()).set_permissions(std::fs::Permissions::from_mode(0o600)).unwrap();
    let link = scratch.path.join("link");
    std::fs::hard_link(file.path(), &link).unwrap();
    assert!(matches!(attach(&file), Err(ShmError::Permission(_))));
    std::fs::remove_file(link).unwrap();
    attach(&file).unwrap();
}

/// Every way in which a process without rights could reach the bytes of a segment of root, and of the process that uses
/// it.
#[test]
fn another_user_can_neither_open_nor_see_into_a_segment() {
    const NAME: &str = "ownership::another_user_can_neither_open_nor_see_into_a_segment";
    if let Some(role) = role() {
        let (path, pid) = role.split_once(' ').unwrap();
        // This check needs the rights of root.
        let own = std::fs::read_dir("/proc/self/fd").unwrap();
        let opened = own.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let inherited: Vec<_> = opened.filter(|file| file.starts_with(path)).collect();
        give_up_all_rights();
        let refused = |path: &Path| {
            for options in [OpenOptions::new().read(true), OpenOptions::new().write(true)] {
                let error = options.open(path).unwrap_err();
                let code = error.raw_os_error();
                assert!(matches!(code, Some(libc::EACCES | libc::EPERM)), "{}: {error}", path.display());
            }
        };
        refused(Path::new(path));
        assert!(inherited.is_empty(), "{inherited:?}");
        for what in ["mem", "maps", "environ"] {
            let path = PathBuf::from(format!("/proc/{pid}/{what}"));
            assert!(std::fs::read(&path).is_err(), "{}", path.display());
        }
        assert!(std::fs::read_dir(format!("/proc/{pid}/fd")).is_err());
        assert!(std::fs::read_dir(format!("/proc/{pid}/map_files")).is_err());
        // The user cannot write to the directory, so it can neither remove nor rename the file.
        assert!(std::fs::remove_file(path).is_err());
        assert!(std::fs::rename(path, format!("{path}.mine")).is_err());
        assert!(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).is_err());
        return;
    }
    if !is_root() {
        eprintln!("not run: only root can become another user");
        return;
    }
    let scratch = Scratch::new("others");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let role = format!("{} {}", file.path().display(), std::process::id());
    assert_passed(&again(NAME, &role));
    assert!(segment.is_still_named());
    assert_eq!(std::fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
    // The same in the folder that all users share.
    let posix = SegmentFile::new(Place::Posix, &unique("others"), LAYOUT);
    assert!(create(&posix));
    let role = format!("{} {}", posix.path().display(), std::process::id());
    let seen = again(NAME, &role);
    assert!(destroy(&posix, true).unwrap());
    assert_passed(&seen);
}

fn give_up_all_rights() {
    // SAFETY: no memory is involved; the process exists for its test alone.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresgid(65534, 65534, 65534) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
}
