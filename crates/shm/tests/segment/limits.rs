//! Limits of the system: pinned memory, file size, descriptors, address space, room.

use crate::scratch::{IDENTITY, LAYOUT, LEN, Scratch, TABLE_END, attach, c_path, destroy, is_alone, is_root, unique};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{Header, Place, SegmentFile, ShmError};
use std::ffi::CString;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

#[test]
fn memory_is_pinned_only_within_the_limit() {
    const NAME: &str = "limits::memory_is_pinned_only_within_the_limit";
    if !is_alone(NAME) {
        return;
    }
    let scratch = Scratch::new("pin");
    if is_root() {
        // The limit does not apply to root.
        std::os::unix::fs::chown(&scratch.path, Some(65534), Some(65534)).unwrap();
        // SAFETY: this process exists for this test alone.
        assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
    }
    let limit = |bytes| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: LEN as u64 };
        // SAFETY: a valid limit.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_MEMLOCK, &limit) }, 0);
    };
    limit(64 << 10);
    let file = scratch.file();
    // Only a part is reserved, so pinning must reserve the rest.
    assert!(file.create(IDENTITY, LEN, &[(0, TABLE_END)], &|_| {}).unwrap());
    let segment = attach(&file).unwrap();
    assert!(matches!(segment.lock_memory(), Err(ShmError::Permission(_))));
    // A handle that could not pin its memory still works.
    segment.region().u64(LEN - 8).store(1, Ordering::Relaxed);
    drop(segment);
    limit(LEN as u64);
    let segment = attach(&file).unwrap();
    segment.lock_memory().unwrap();
    assert_eq!(segment.region().u64(LEN - 8).load(Ordering::Relaxed), 1);
    drop(segment);
    assert!(destroy(&file, false).unwrap());
}

/// Growing a file beyond the limit raises SIGXFSZ, which ends a process without a handler for it.
#[test]
fn a_limit_on_the_size_of_files_is_reported() {
    const NAME: &str = "limits::a_limit_on_the_size_of_files_is_reported";
    if !is_alone(NAME) {
        return;
    }
    let scratch = Scratch::new("limit");
    let limit = libc::rlimit { rlim_cur: LEN as u64 - 1, rlim_max: libc::RLIM_INFINITY };
    // SAFETY: a valid limit; this process exists for this test alone.
    assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &limit) }, 0);
    let posix = SegmentFile::new(Place::Posix, &unique("limit"), LAYOUT);
    for file in [scratch.file(), posix] {
        let made = file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {});
        assert!(matches!(made, Err(ShmError::NoSpace(_))), "{made:?}");
        let smaller = LEN - 4096;
        assert!(file.create(IDENTITY, smaller, &[(0, smaller)], &|_| {}).unwrap());
        attach(&file).unwrap();
        assert!(destroy(&file, false).unwrap());
    }
    assert!(scratch.left().is_empty());
}

/// Without a free descriptor the id of the boot could not be read. A segment in use was then taken for one of an
/// earlier boot, and removed.
#[test]
fn an_open_without_a_free_descriptor_is_refused_and_leaves_none_open() {
    const NAME: &str = "limits::an_open_without_a_free_descriptor_is_refused_and_leaves_none_open";
    if !is_alone(NAME) {
        return;
    }
    let scratch = Scratch::new("descriptors");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let limit = |max: usize| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a valid limit to be written.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
        limit.rlim_cur = max as u64;
        // SAFETY: a valid limit; this process exists for this test alone.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    };
    // The lowest free number is given first, and the limit applies to the number.
    let first = File::open("/dev/null").unwrap().as_raw_fd() as usize;
    for spare in 0..2 {
        limit(first + spare);
        let joined = attach(&file).map(|_| ());
        assert!(matches!(joined, Err(ShmError::NoSpace(_))), "{spare} spare: {joined:?}");
    }
    limit(first);
    let made = scratch.named("other").create(IDENTITY, LEN, &[(0, LEN)], &|_| {});
    assert!(matches!(made, Err(ShmError::NoSpace(_))), "{made:?}");
    limit(first + 20);
    assert_eq!(scratch.left().len(), 1);
    assert!(segment.is_still_named());
    assert_eq!(open(), before);
    attach(&file).unwrap();
}

/// A limit on the address space makes an open fail with NoSpace. Handles that are open still work.
#[test]
fn an_open_without_address_space_is_refused() {
    const NAME: &str = "limits::an_open_without_address_space_is_refused";
    const LARGE: usize = 256 << 20;
    if !is_alone(NAME) {
        return;
    }
    let scratch = Scratch::new("address");
    let file = scratch.file();
    assert!(file.create(IDENTITY, LARGE, &[(0, TABLE_END)], &|_| {}).unwrap());
    let segment = attach(&file).unwrap();
    let limit = |bytes| {
        let limit = libc::rlimit { rlim_cur: bytes, rlim_max: libc::RLIM_INFINITY };
        // SAFETY: a valid limit; this process exists for this test alone.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_AS, &limit) }, 0);
    };
    let text = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: u64 = text.split_whitespace().next().unwrap().parse().unwrap();
    limit(pages * 4096 + (64 << 20));
    let joined = attach(&file).map(|_| ());
    assert!(matches!(joined, Err(ShmError::NoSpace(_))), "{joined:?}");
    let made = scratch.named("other").create(IDENTITY, LARGE, &[(0, TABLE_END)], &|_| {});
    assert!(matches!(made, Err(ShmError::NoSpace(_))), "{made:?}");
    assert_eq!(scratch.left().len(), 1);
    segment.region().u64(Header::CACHE).store(3, Ordering::Relaxed);
    limit(libc::RLIM_INFINITY);
    let again = attach(&file).unwrap();
    assert_eq!(again.region().u64(Header::CACHE).load(Ordering::Relaxed), 3);
}

#[test]
fn a_file_system_without_room_is_reported_and_nothing_is_left() {
    let scratch = Scratch::new("room");
    let Some(mount) = Mount::tmpfs(&scratch.path.join("tiny"), "512k") else { return };
    let file = SegmentFile::new(Place::Directory(mount.0.clone()), "name", LAYOUT);
    let made = file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {});
    assert!(matches!(made, Err(ShmError::NoSpace(_))), "{made:?}");
    assert_eq!(std::fs::read_dir(&mount.0).unwrap().count(), 0);
    // A part of it fits. The rest is refused later, without a signal.
    assert!(file.create(IDENTITY, LEN, &[(0, TABLE_END)], &|_| {}).unwrap());
    let segment = attach(&file).unwrap();
    assert!(matches!(segment.reserve(TABLE_END, LEN - TABLE_END), Err(ShmError::NoSpace(_))));
    segment.reserve(TABLE_END, 4096).unwrap();
    assert!(matches!(segment.lock_memory(), Err(ShmError::NoSpace(_))));
    // An access to pages that were not reserved loses the segment, but does not end the process.
    for at in (0..LEN).step_by(4096) {
        segment.region().u64(at).load(Ordering::Relaxed);
        segment.region().u8(at + 9).fetch_add(1, Ordering::Relaxed);
    }
    assert!(segment.is_lost());
}

/// A mounted file system, which is unmounted when it is dropped. Without the right to mount, `tmpfs` prints a note and
/// returns `None`.
struct Mount(PathBuf);

impl Mount {
    fn tmpfs(path: &Path, size: &str) -> Option<Self> {
        std::fs::create_dir(path).unwrap();
        let (target, kind) = (c_path(path), CString::new("tmpfs").unwrap());
        let options = CString::new(format!("size={size}")).unwrap();
        // SAFETY: all are C strings that live through the call.
        let result = unsafe { libc::mount(kind.as_ptr(), target.as_ptr(), kind.as_ptr(), 0, options.as_ptr().cast()) };
        if result != 0 {
            eprintln!("not run: cannot mount a tmpfs: {}", std::io::Error::last_os_error());
            return None;
        }
        Some(Self(path.to_owned()))
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let path = c_path(&self.0);
        // SAFETY: a C string that lives through the call.
        unsafe { libc::umount2(path.as_ptr(), libc::MNT_DETACH) };
    }
}
