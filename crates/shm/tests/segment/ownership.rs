//! Files that are not ours, and users with other rights.

use crate::scratch::{
    IDENTITY, LAYOUT, LEN, Scratch, again, assert_passed, attach, c_path, create, destroy, is_root, plain, role,
    unique, writable,
};
use cache_machine_shm::{Place, SegmentFile, Sharing, ShmError, remove_unused};
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

/// A group that no database has. Root may act for it.
const GROUP: u32 = 70_100;

fn of_group(folder: &Path) -> SegmentFile {
    SegmentFile::shared(Place::Directory(folder.to_owned()), "name", LAYOUT, Sharing::Group(GROUP))
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn a_segment_of_a_group_is_for_that_group_alone() {
    if !is_root() {
        eprintln!("not run: only root can give a file to any group");
        return;
    }
    let scratch = Scratch::new("group");
    let file = of_group(&scratch.path);
    assert!(create(&file));
    let meta = std::fs::metadata(file.path()).unwrap();
    assert_eq!((meta.gid(), meta.mode() & 0o7777), (GROUP, 0o660));
    attach(&file).unwrap();
    // Another user's file is as good, if it is of the group.
    std::os::unix::fs::chown(file.path(), Some(65534), None).unwrap();
    attach(&file).unwrap();
    for mode in [0o600, 0o640, 0o661, 0o664, 0o666, 0o670, 0o760, 0o1660, 0o2660] {
        set_mode(file.path(), mode);
        assert!(matches!(attach(&file), Err(ShmError::Permission(_))), "mode {mode:o}");
        assert!(matches!(destroy(&file, true), Err(ShmError::Permission(_))), "mode {mode:o}");
    }
    set_mode(file.path(), 0o660);
    std::os::unix::fs::chown(file.path(), None, Some(GROUP + 1)).unwrap();
    assert!(matches!(attach(&file), Err(ShmError::Permission(_))));
    std::os::unix::fs::chown(file.path(), None, Some(GROUP)).unwrap();
    let link = scratch.path.join("link");
    std::fs::hard_link(file.path(), &link).unwrap();
    assert!(matches!(attach(&file), Err(ShmError::Permission(_))));
    std::fs::remove_file(link).unwrap();
    attach(&file).unwrap();
    assert!(destroy(&file, false).unwrap());
}

/// The bytes of an access control list with an entry for a user: version 2, then tag, permission and id of each entry.
fn list_for_user(uid: u32) -> Vec<u8> {
    let mut list = 2u32.to_le_bytes().to_vec();
    for (tag, permission, id) in [(1, 6, u32::MAX), (2, 6, uid), (4, 6, u32::MAX), (16, 6, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend((tag as u16).to_le_bytes());
        list.extend((permission as u16).to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// False: the file system has no such lists.
fn set_list(path: &Path, name: &std::ffi::CStr, list: &[u8]) -> bool {
    let path = c_path(path);
    // SAFETY: `path` and `name` are C strings, and the list has the length that is passed.
    unsafe { libc::setxattr(path.as_ptr(), name.as_ptr(), list.as_ptr().cast(), list.len(), 0) == 0 }
}

#[test]
fn an_access_control_list_lets_no_one_into_a_segment_of_a_group() {
    if !is_root() {
        eprintln!("not run: only root can give a file to any group");
        return;
    }
    let scratch = Scratch::new("list");
    if !set_list(&scratch.path, c"system.posix_acl_default", &list_for_user(65534)) {
        eprintln!("not run: the file system has no access control lists");
        return;
    }
    // The folder hands its list down to new files.
    let file = of_group(&scratch.path);
    assert!(create(&file));
    let meta = std::fs::metadata(file.path()).unwrap();
    assert_eq!((meta.gid(), meta.mode() & 0o7777), (GROUP, 0o660));
    attach(&file).unwrap();
    // With a list the mode is the same, and a user outside the group gets in.
    assert!(set_list(file.path(), c"system.posix_acl_access", &list_for_user(65534)));
    assert_eq!(std::fs::metadata(file.path()).unwrap().mode() & 0o7777, 0o660);
    assert!(matches!(attach(&file), Err(ShmError::Permission(_))));
}

#[test]
fn in_a_folder_that_gives_its_group_to_all_files_only_known_owners_are_trusted() {
    if !is_root() {
        eprintln!("not run: only root can give a file to any group");
        return;
    }
    let scratch = Scratch::new("setgid");
    let file = of_group(&scratch.path);
    assert!(create(&file));
    std::os::unix::fs::chown(&scratch.path, None, Some(GROUP)).unwrap();
    std::os::unix::fs::chown(file.path(), Some(65534), None).unwrap();
    for (mode, is_trusted) in [(0o2777, false), (0o3777, false), (0o2770, true), (0o1777, true), (0o777, true)] {
        set_mode(&scratch.path, mode);
        assert_eq!(attach(&file).is_ok(), is_trusted, "folder with mode {mode:o}");
    }
    // One of this user or of root is trusted everywhere.
    set_mode(&scratch.path, 0o2777);
    std::os::unix::fs::chown(file.path(), Some(0), None).unwrap();
    attach(&file).unwrap();
}

/// Runs as another user that is in the group.
#[test]
fn a_member_that_does_not_own_a_segment_uses_it_and_cannot_destroy_it() {
    const NAME: &str = "ownership::a_member_that_does_not_own_a_segment_uses_it_and_cannot_destroy_it";
    if let Some(role) = role() {
        become_member();
        let file = of_group(Path::new(&role));
        drop(attach(&file).unwrap());
        for force in [false, true] {
            assert!(matches!(destroy(&file, force), Err(ShmError::Permission(_))));
        }
        // Nothing was changed by the attempt.
        drop(attach(&file).unwrap());
        // What others left stays, what this user left goes.
        remove_unused(&file);
        return;
    }
    if !is_root() {
        eprintln!("not run: only root can become another user");
        return;
    }
    let scratch = Scratch::new("member");
    set_mode(&scratch.path, 0o1777);
    let file = of_group(&scratch.path);
    assert!(create(&file));
    let private = |number: u32| scratch.path.join(format!("cache-machine.{LAYOUT}.g{GROUP}.name~{number}"));
    for (number, owner, mode) in [(1, 0, 0o660), (2, 65534, 0o600), (3, 65534, 0o660)] {
        plain(&private(number), mode);
        std::os::unix::fs::chown(private(number), Some(owner), Some(GROUP)).unwrap();
    }
    assert_passed(&again(NAME, &scratch.path.display().to_string()));
    assert_eq!([1, 2, 3].map(|number| private(number).exists()), [true, false, false]);
    assert!(attach(&file).unwrap().is_still_named());
}

fn become_member() {
    let groups = [GROUP];
    // SAFETY: the list has one id.
    assert_eq!(unsafe { libc::setgroups(1, groups.as_ptr()) }, 0);
    // SAFETY: no memory is involved; the process exists for its test alone.
    assert_eq!(unsafe { libc::setresgid(65534, 65534, 65534) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
}
