//! Whose file a segment's name may mean, who may remove it, and what happens when somebody meddles with it.

use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{
    Found, HEADER_BYTES, Header, Identity, PROCESS_SLOTS, Place, ProcessTable, Region, Segment, SegmentFile, ShmError,
    State, boot_id, list_segments, remove_unused,
};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::mpsc;
use std::time::Duration;

const LAYOUT: u32 = 7;
const IDENTITY: Identity = Identity { layout: LAYOUT, fingerprint: 0xF00D, table: ProcessTable::at(HEADER_BYTES) };
const TABLE_END: usize = HEADER_BYTES + ProcessTable::BYTES;
const LEN: usize = 1 << 20;
/// Where the byte locks lie; as in `segment.rs`.
const LEASES: i64 = 1 << 40;
/// Where the fields of the header lie; as in `segment.rs`.
const LAYOUT_AT: u64 = 8;
const STATE_AT: u64 = 12;
const FINGERPRINT_AT: u64 = 16;
const LEN_AT: u64 = 32;
const BOOT_AT: u64 = 48;

/// A directory of one's own in memory; with the files in it gone when dropped.
struct Scratch {
    path: PathBuf,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

fn unique(what: &str) -> String {
    format!("s-{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Scratch {
    fn new(test: &str) -> Self {
        let path = Path::new("/dev/shm").join(format!("cm-test-{}", unique(test)));
        std::fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn file(&self) -> SegmentFile {
        self.named("name")
    }

    fn named(&self, name: &str) -> SegmentFile {
        SegmentFile::new(Place::Directory(self.path.clone()), name, LAYOUT)
    }

    fn made(&self) -> SegmentFile {
        let file = self.file();
        assert!(create(&file));
        file
    }

    fn left(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(&self.path)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn nothing(_: &Segment) -> Result<(), ShmError> {
    Ok(())
}

fn create(file: &SegmentFile) -> bool {
    file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {}).unwrap()
}

fn attach(file: &SegmentFile) -> Result<Segment, ShmError> {
    file.attach(IDENTITY, &nothing)
}

fn destroy(file: &SegmentFile, force: bool) -> Result<bool, ShmError> {
    file.destroy(IDENTITY, force, &nothing)
}

fn plain(path: &Path, mode: u32) -> File {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    file
}

fn writable(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn is_root() -> bool {
    // SAFETY: plain system call.
    unsafe { libc::geteuid() == 0 }
}

/// Runs one test of this program again, in a process of its own, which finds `role` in its environment.
fn again(test: &str, role: &str) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env("CM_ROLE", role)
        .output()
        .unwrap()
}

fn role() -> Option<String> {
    std::env::var("CM_ROLE").ok()
}

#[track_caller]
fn assert_passed(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Puts something in the place of the segment's file, and sees that all operations refuse it and leave it alone.
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
    assert_eq!((before.ino(), before.len()), (after.ino(), after.len()), "{what}: was changed");
    assert!(!create(&file), "{what}: was replaced by a new segment");
}

#[test]
fn what_is_not_a_plain_private_file_of_this_user_is_refused() {
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
fn a_segment_whose_mode_or_links_changed_is_refused_until_they_are_right_again() {
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

#[test]
fn a_header_that_contradicts_itself_is_told_and_left_alone() {
    let scratch = Scratch::new("header");
    let file = scratch.made();
    let raw = writable(file.path());
    let mut good = [0; 64];
    raw.read_exact_at(&mut good, 0).unwrap();
    let with = |at: u64, bytes: &[u8]| {
        raw.write_all_at(&good, 0).unwrap();
        raw.write_all_at(bytes, at).unwrap();
        attach(&file).map(|_| ())
    };
    assert!(matches!(with(0, b"X"), Err(ShmError::Corrupt(_))));
    assert!(matches!(with(LAYOUT_AT, &8u32.to_le_bytes()), Err(ShmError::Version { found: 8, expected: LAYOUT })));
    assert!(matches!(with(FINGERPRINT_AT, &[1]), Err(ShmError::Corrupt(_))));
    assert!(matches!(with(STATE_AT, &[9]), Err(ShmError::Corrupt(_))));
    assert!(matches!(with(STATE_AT, &[State::Building as u8]), Err(ShmError::Corrupt(_))));
    for len in [0, 1, LEN as u64 - 1, LEN as u64 + 4096, u64::MAX] {
        assert!(matches!(with(LEN_AT, &len.to_le_bytes()), Err(ShmError::Corrupt(_))), "{len}");
    }
    with(0, &good).unwrap();
    assert_eq!(scratch.left().len(), 1);
    // What cannot be read can still be destroyed.
    raw.write_all_at(b"X", 0).unwrap();
    assert!(destroy(&file, false).unwrap());
    assert!(scratch.left().is_empty());
}

/// The process table was reached before anybody had asked whether the file is long enough to hold it.
#[test]
fn a_file_too_short_for_the_process_table_is_told_whatever_its_header_says() {
    let scratch = Scratch::new("short");
    let file = scratch.made();
    let raw = writable(file.path());
    for len in [TABLE_END - 8, HEADER_BYTES + 64, HEADER_BYTES, HEADER_BYTES - 1, 64, 8, 0] {
        raw.set_len(len as u64).unwrap();
        if len >= 64 {
            raw.write_all_at(&(len as u64).to_le_bytes(), LEN_AT).unwrap();
            raw.write_all_at(&u32::MAX.to_le_bytes(), 68).unwrap();
        }
        assert!(matches!(attach(&file), Err(ShmError::Corrupt(_))), "{len}");
        let looked = file.inspect(|region, probe, _| IDENTITY.table.living(region, probe, None).len());
        assert!(matches!(looked, Ok(0) | Err(ShmError::Corrupt(_))), "{len}");
    }
    assert!(destroy(&file, false).unwrap());
}

#[test]
fn a_segment_of_an_earlier_boot_is_made_anew_and_one_of_this_boot_is_kept() {
    let scratch = Scratch::new("boot");
    let file = scratch.made();
    attach(&file).unwrap().region().u64(Header::CACHE).store(5, Ordering::Relaxed);
    assert_eq!(attach(&file).unwrap().region().u64(Header::CACHE).load(Ordering::Relaxed), 5);
    let raw = writable(file.path());
    let segment = attach(&file).unwrap();
    raw.write_all_at(&(boot_id().unwrap() ^ 1).to_le_bytes(), BOOT_AT).unwrap();
    assert_eq!(file.check(IDENTITY).unwrap(), Found::EarlierBoot);
    // In use, it is of this boot.
    assert!(matches!(attach(&file), Err(ShmError::Corrupt(_))));
    drop(segment);
    assert!(matches!(attach(&file), Err(ShmError::NotFound)));
    assert!(scratch.left().is_empty());
    assert!(create(&file));
    assert_eq!(attach(&file).unwrap().region().u64(Header::CACHE).load(Ordering::Relaxed), 0);
}

#[test]
fn private_files_of_dead_creators_are_removed_and_those_of_living_ones_are_not() {
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
    // A link is not followed, and what others may touch is not ours to remove.
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
        // Before anything can fail here: the scope waits for the creator.
        finish.send(()).unwrap();
        assert!(creator.join().unwrap().unwrap());
        let gone: Vec<_> = before.iter().filter(|name| !after.contains(name)).collect();
        let named = |rest: &str| private(rest).file_name().unwrap().to_str().unwrap().to_owned();
        assert_eq!(gone, [&named("name~0123456789abcdef"), &named("other~0123456789abcdef")]);
    });
    attach(&file).unwrap();
}

#[test]
fn a_creator_whose_private_file_is_swept_away_makes_another() {
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
fn who_loses_the_race_to_create_makes_nothing() {
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
fn only_the_inode_that_was_checked_is_unlinked() {
    let scratch = Scratch::new("unlink");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let aside = scratch.path.join("aside");
    // While the destroyer passes through the locks, the name comes to mean another file.
    let swap = |_: &Segment| {
        std::fs::rename(file.path(), &aside).unwrap();
        plain(file.path(), 0o600);
        Ok(())
    };
    assert!(file.destroy(IDENTITY, true, &swap).unwrap());
    assert!(file.path().exists() && aside.exists());
    assert!(!segment.is_still_named());
    assert_eq!(segment.header().state(), State::Destroyed);
}

#[test]
fn a_segment_in_use_is_destroyed_only_by_force_and_its_handles_can_tell() {
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

/// A destroyer that died after it had set the state left handles behind that no epoch had told, and perhaps a writer inside
/// a lock. The next opener only unlinked: such handles went on reading, and acknowledging, in a segment without a name.
#[test]
fn what_a_dead_destroyer_left_is_finished_with_epoch_and_locks_before_it_is_unlinked() {
    let scratch = Scratch::new("half");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let header = segment.header();
    let epoch = header.epoch().load(Ordering::Relaxed);
    writable(file.path()).write_all_at(&(State::Destroyed as u32).to_le_bytes(), STATE_AT).unwrap();
    let passed = AtomicUsize::new(0);
    let locks = |through: &Segment| -> Result<(), ShmError> {
        assert!(file.path().exists(), "unlinked before the locks were passed");
        assert_ne!(through.header().epoch().load(Ordering::Relaxed), epoch);
        passed.fetch_add(1, Ordering::Relaxed);
        Ok(())
    };
    assert!(matches!(file.attach(IDENTITY, &locks), Err(ShmError::NotFound)));
    assert_eq!(passed.load(Ordering::Relaxed), 1);
    assert_ne!(header.epoch().load(Ordering::Relaxed), epoch);
    assert!(scratch.left().is_empty());

    // A holder that is stopped keeps the name, and the opener is told.
    let file = scratch.made();
    writable(file.path()).write_all_at(&(State::Destroyed as u32).to_le_bytes(), STATE_AT).unwrap();
    let busy = |_: &Segment| -> Result<(), ShmError> { Err(ShmError::Busy("a stopped holder".into())) };
    assert!(matches!(file.attach(IDENTITY, &busy), Err(ShmError::Busy(_))));
    assert_eq!(scratch.left().len(), 1);
}

#[test]
fn an_older_layout_that_nobody_uses_is_removed_and_one_in_use_is_not() {
    let scratch = Scratch::new("older");
    let of_layout = |layout| {
        let file = SegmentFile::new(Place::Directory(scratch.path.clone()), "name", layout);
        let identity = Identity { layout, ..IDENTITY };
        assert!(file.create(identity, LEN, &[(0, LEN)], &|_| {}).unwrap());
        (file, identity)
    };
    let (used, identity) = of_layout(LAYOUT - 1);
    let segment = used.attach(identity, &nothing).unwrap();
    of_layout(LAYOUT - 2);
    of_layout(LAYOUT + 1);
    let (file, _) = of_layout(LAYOUT);
    remove_unused(&file);
    let layouts = || -> Vec<u32> {
        list_segments(&Place::Directory(scratch.path.clone())).into_iter().map(|(layout, _)| layout).collect()
    };
    assert_eq!(layouts(), [LAYOUT - 1, LAYOUT, LAYOUT + 1]);
    drop(segment);
    remove_unused(&file);
    assert_eq!(layouts(), [LAYOUT, LAYOUT + 1]);
}

#[test]
fn with_all_process_slots_taken_an_attach_is_refused_until_one_is_free() {
    let scratch = Scratch::new("slots");
    let file = scratch.made();
    let first = attach(&file).unwrap();
    let second = attach(&file).unwrap();
    let raw = writable(file.path());
    // SAFETY: all zeros is a valid flock.
    let mut others: libc::flock = unsafe { std::mem::zeroed() };
    others.l_type = libc::F_WRLCK as libc::c_short;
    others.l_whence = libc::SEEK_SET as libc::c_short;
    others.l_start = LEASES + 2;
    others.l_len = PROCESS_SLOTS as i64 - 2;
    // SAFETY: the descriptor is open; `others` is a valid flock.
    assert_eq!(unsafe { libc::fcntl(raw.as_raw_fd(), libc::F_OFD_SETLK, &others) }, 0);
    assert!(matches!(attach(&file), Err(ShmError::NoSlot(PROCESS_SLOTS))));
    drop(first);
    let third = attach(&file).unwrap();
    assert!(matches!(attach(&file), Err(ShmError::NoSlot(PROCESS_SLOTS))));
    drop((second, third, raw));
    attach(&file).unwrap();
}

#[test]
fn a_slot_that_comes_back_has_another_generation() {
    use cache_machine_shm::lock::Parties;
    let scratch = Scratch::new("generation");
    let file = scratch.made();
    let mut last = None;
    for _ in 0..5 {
        let segment = attach(&file).unwrap();
        let me = segment.member().me();
        assert_eq!(me.slot, 0);
        assert_ne!(Some(me), last);
        if let Some(before) = last {
            assert!(segment.member().is_dead(before));
        }
        last = Some(me);
    }
}

/// Truncation under a mapping that is in use: zeros instead of a signal, and the segment says that it is lost.
#[test]
fn a_truncated_segment_reads_as_zeros_and_is_lost() {
    for left in [0, LEN / 2] {
        let scratch = Scratch::new("truncate");
        let file = scratch.made();
        let (one, other) = (attach(&file).unwrap(), attach(&file).unwrap());
        let last = LEN - 8;
        one.region().u64(last).store(7, Ordering::Relaxed);
        writable(file.path()).set_len(left as u64).unwrap();
        assert!(!one.is_still_named());
        assert!(!one.is_lost());
        assert_eq!(one.region().u64(last).load(Ordering::Relaxed), 0);
        one.region().u64(last).store(9, Ordering::Relaxed);
        assert_eq!(one.region().u64(last).load(Ordering::Relaxed), 9);
        assert!(one.is_lost());
        assert!(!other.is_lost(), "each handle notices by itself");
        assert_eq!(other.region().u64(last).load(Ordering::Relaxed), 0);
        assert!(other.is_lost());
        assert!(matches!(attach(&file), Err(ShmError::Corrupt(_))));
        drop((one, other));
        assert!(destroy(&file, false).unwrap());
    }
}

/// The own handler of a program that was there first still gets every fault that is not ours.
#[test]
fn a_fault_elsewhere_goes_to_the_handler_that_was_there_before() {
    static THEIRS: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn theirs(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        THEIRS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the kernel passes a valid siginfo.
        let info = unsafe { &*info };
        // SAFETY: SIGBUS carries the address of the fault.
        let address = unsafe { info.si_addr() } as usize & !4095;
        // SAFETY: lays a page over the test's own mapping, so that the access goes on.
        let over = unsafe {
            libc::mmap(
                address as *mut libc::c_void,
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if over == libc::MAP_FAILED {
            std::process::abort();
        }
    }
    const NAME: &str = "a_fault_elsewhere_goes_to_the_handler_that_was_there_before";
    if role().is_none() {
        assert_passed(&again(NAME, "child"));
        return;
    }
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = theirs as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler does nothing that a handler may not do.
    unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };

    let scratch = Scratch::new("chain");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    writable(file.path()).set_len(0).unwrap();
    let other = plain(&scratch.path.join("theirs"), 0o600);
    other.set_len(4096).unwrap();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let mapped =
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, other.as_raw_fd(), 0) };
    other.set_len(0).unwrap();
    // SAFETY: mapped above; the fault is what is tested.
    assert_eq!(unsafe { std::ptr::read_volatile(mapped.cast::<u8>()) }, 0);
    assert_eq!(THEIRS.load(Ordering::Relaxed), 1);
    assert!(!segment.is_lost());
    assert_eq!(segment.region().u64(LEN / 2).load(Ordering::Relaxed), 0);
    assert!(segment.is_lost());
    assert_eq!(THEIRS.load(Ordering::Relaxed), 1, "ours was passed on");
}

/// A SIGBUS that somebody sends is no fault: it must end the process as it would without us.
#[test]
fn a_sigbus_that_is_sent_still_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const NAME: &str = "a_sigbus_that_is_sent_still_ends_the_process";
    if role().is_none() {
        let output = again(NAME, "child");
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", output.status);
        return;
    }
    // Rust's own handler is there to tell of an overflowing stack; a host has none.
    // SAFETY: no handler is written here.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    let scratch = Scratch::new("sent");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    std::fs::remove_dir_all(&scratch.path).unwrap();
    // SAFETY: signals the own process.
    unsafe { libc::raise(libc::SIGBUS) };
    std::thread::sleep(Duration::from_secs(2));
    assert!(!segment.is_lost());
}

#[test]
fn a_memory_outlives_its_segment_and_every_one_of_a_thousand_is_guarded() {
    let scratch = Scratch::new("memories");
    let file = scratch.made();
    let memories: Vec<_> = (0..1000).map(|_| attach(&file).unwrap().memory()).collect();
    assert!(memories[0].at(LEN - 8, 9).is_none() && memories[0].at(usize::MAX, 2).is_none());
    // SAFETY: 8 bytes inside the mapping, which `memories` keeps, aligned.
    let last = |n: usize| unsafe { memories[n].at(LEN - 8, 8).unwrap().cast::<AtomicU64>().as_ref() };
    last(0).store(7, Ordering::Relaxed);
    assert_eq!(last(999).load(Ordering::Relaxed), 7);
    assert!(file.inspect(|_, _, attached| attached == 0).unwrap(), "the segments were let go of");
    writable(file.path()).set_len(0).unwrap();
    for n in [0, 255, 256, 257, 700, 999] {
        assert_eq!(last(n).load(Ordering::Relaxed), 0);
        last(n).store(n as u64, Ordering::Relaxed);
        assert_eq!(last(n).load(Ordering::Relaxed), n as u64);
    }
}

/// The segment's first words were looked at before the guard against truncation was up.
#[test]
fn truncating_while_others_open_create_and_destroy_raises_no_signal() {
    const NAME: &str = "truncating_while_others_open_create_and_destroy_raises_no_signal";
    if role().is_none() {
        assert_passed(&again(NAME, "child"));
        return;
    }
    let scratch = Scratch::new("storm");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let attached = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let file = scratch.file();
                while !stop.load(Ordering::Relaxed) {
                    let _ = file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {});
                    if let Ok(segment) = attach(&file) {
                        attached.fetch_add(1, Ordering::Relaxed);
                        std::hint::black_box(segment.region().u64(LEN / 2).load(Ordering::Relaxed));
                    }
                    let _ = destroy(&file, true);
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for name in scratch.left() {
                    if let Ok(file) = OpenOptions::new().write(true).open(scratch.path.join(name)) {
                        let _ = file.set_len(0);
                    }
                }
            }
        });
        std::thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(attached.load(Ordering::Relaxed) > 0);
}

#[test]
fn memory_is_pinned_only_within_the_limit() {
    const NAME: &str = "memory_is_pinned_only_within_the_limit";
    if role().is_none() {
        assert_passed(&again(NAME, "child"));
        return;
    }
    let scratch = Scratch::new("pin");
    if is_root() {
        // Root is above the limit.
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
    // Only a part is reserved, so that pinning must reserve the rest.
    assert!(file.create(IDENTITY, LEN, &[(0, TABLE_END)], &|_| {}).unwrap());
    let segment = attach(&file).unwrap();
    assert!(matches!(segment.lock_memory(), Err(ShmError::Permission(_))));
    // A handle that could not pin its memory is as good as any.
    segment.region().u64(LEN - 8).store(1, Ordering::Relaxed);
    drop(segment);
    limit(LEN as u64);
    let segment = attach(&file).unwrap();
    segment.lock_memory().unwrap();
    assert_eq!(segment.region().u64(LEN - 8).load(Ordering::Relaxed), 1);
    drop(segment);
    assert!(destroy(&file, false).unwrap());
}

/// Growing a file beyond the limit raises SIGXFSZ, which ends whoever does not expect it.
#[test]
fn a_limit_on_the_size_of_files_is_told() {
    const NAME: &str = "a_limit_on_the_size_of_files_is_told";
    if role().is_none() {
        assert_passed(&again(NAME, "child"));
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

/// Without a descriptor for it the boot's id could not be read, and a segment in use was taken for one of an earlier boot
/// and removed.
#[test]
fn without_a_free_descriptor_an_open_is_refused_and_leaves_none_open() {
    const NAME: &str = "without_a_free_descriptor_an_open_is_refused_and_leaves_none_open";
    if role().is_none() {
        assert_passed(&again(NAME, "child"));
        return;
    }
    let scratch = Scratch::new("descriptors");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    let before = open();
    let limit = |most: usize| {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: a valid limit to be written.
        assert_eq!(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &mut limit) }, 0);
        limit.rlim_cur = most as u64;
        // SAFETY: a valid limit; this process exists for this test alone.
        assert_eq!(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) }, 0);
    };
    // The lowest number is given first, and the limit is on the number.
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

/// Everything by which a process without rights could come to the bytes of a segment of root, and of its process.
#[test]
fn another_user_can_neither_open_nor_see_into_a_segment() {
    const NAME: &str = "another_user_can_neither_open_nor_see_into_a_segment";
    if let Some(role) = role() {
        let (path, pid) = role.split_once(' ').unwrap();
        // Asked as root, who may.
        let own = std::fs::read_dir("/proc/self/fd").unwrap();
        let opened = own.filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        let inherited: Vec<_> = opened.filter(|file| file.starts_with(path)).collect();
        become_nobody();
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
            let way = PathBuf::from(format!("/proc/{pid}/{what}"));
            assert!(std::fs::read(&way).is_err(), "{}", way.display());
        }
        assert!(std::fs::read_dir(format!("/proc/{pid}/fd")).is_err());
        assert!(std::fs::read_dir(format!("/proc/{pid}/map_files")).is_err());
        // The directory is nobody's to write, so the file can neither be removed nor renamed, nor linked to.
        assert!(std::fs::remove_file(path).is_err());
        assert!(std::fs::rename(path, format!("{path}.mine")).is_err());
        assert!(std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666)).is_err());
        return;
    }
    if !is_root() {
        eprintln!("not run: only root can become somebody else");
        return;
    }
    let scratch = Scratch::new("others");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    let role = format!("{} {}", file.path().display(), std::process::id());
    assert_passed(&again(NAME, &role));
    assert!(segment.is_still_named());
    assert_eq!(std::fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
    // In the folder that all users share, too, where each has names of its own.
    let posix = SegmentFile::new(Place::Posix, &unique("others"), LAYOUT);
    assert!(create(&posix));
    let role = format!("{} {}", posix.path().display(), std::process::id());
    let seen = again(NAME, &role);
    assert!(destroy(&posix, true).unwrap());
    assert_passed(&seen);
}

fn become_nobody() {
    // SAFETY: no memory is involved; the process exists for its test alone.
    assert_eq!(unsafe { libc::setgroups(0, std::ptr::null()) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresgid(65534, 65534, 65534) }, 0);
    // SAFETY: as above.
    assert_eq!(unsafe { libc::setresuid(65534, 65534, 65534) }, 0);
}

/// Killed also when the test fails.
struct Parent(std::process::Child);

impl Parent {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.end();
    }
}

/// A child that has all descriptors of its parent, and never became another program.
struct Copy(i32);

impl Drop for Copy {
    fn drop(&mut self) {
        // SAFETY: a process that this test has made, and that ends in no other way.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

/// The child's descriptors are the parent's, so the parent's lease is held until both have ended: a death that is seen late,
/// and never an owner that is robbed.
#[test]
fn a_child_forked_without_exec_keeps_the_lease_of_its_dead_parent_until_it_ends() {
    const NAME: &str = "a_child_forked_without_exec_keeps_the_lease_of_its_dead_parent_until_it_ends";
    if let Some(role) = role() {
        let (folder, answer) = role.split_once(' ').unwrap();
        let file = SegmentFile::new(Place::Directory(folder.into()), "name", LAYOUT);
        let _segment = attach(&file).unwrap();
        // SAFETY: the child does nothing but wait for a signal.
        let child = unsafe { libc::fork() };
        if child != 0 {
            std::fs::write(format!("{answer}~"), child.to_string()).unwrap();
            std::fs::rename(format!("{answer}~"), answer).unwrap();
        }
        loop {
            // SAFETY: plain system call.
            unsafe { libc::pause() };
        }
    }
    let scratch = Scratch::new("forked");
    let file = scratch.made();
    let answer = scratch.path.join("child");
    let mut parent = Parent(
        Command::new(std::env::current_exe().unwrap())
            .args(["--exact", NAME, "--nocapture", "--test-threads=1"])
            .env("CM_ROLE", format!("{} {}", scratch.path.display(), answer.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap(),
    );
    eventually("the child's number", || answer.exists());
    let child = Copy(std::fs::read_to_string(&answer).unwrap().parse().unwrap());
    parent.end();
    let attached = || file.inspect(|_, _, attached| attached).unwrap();
    assert_eq!(attached(), 1, "the lease went with its process alone");
    assert!(matches!(destroy(&file, false), Err(ShmError::InUse(_))));
    drop(child);
    eventually("the end of the lease", || attached() == 0);
    assert!(destroy(&file, false).unwrap());
}

#[track_caller]
fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: never");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A limit on the address space makes an open fail as one that has no room, and costs those nothing who have it open.
#[test]
fn without_address_space_an_open_is_refused() {
    const NAME: &str = "without_address_space_an_open_is_refused";
    const LARGE: usize = 256 << 20;
    if role().is_none() {
        assert_passed(&again(NAME, "child"));
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
fn one_process_at_a_time_sweeps_and_the_next_one_may_after_it() {
    let scratch = Scratch::new("sweeper");
    let file = scratch.made();
    let (one, two) = (attach(&file).unwrap(), attach(&file).unwrap());
    assert!(one.try_be_sweeper() && one.try_be_sweeper());
    assert!(!two.try_be_sweeper());
    drop(one);
    assert!(two.try_be_sweeper());
}

#[test]
fn a_file_system_without_room_is_told_and_nothing_is_left() {
    let scratch = Scratch::new("room");
    let Some(mount) = Mount::tmpfs(&scratch.path.join("tiny"), "512k") else { return };
    let file = SegmentFile::new(Place::Directory(mount.0.clone()), "name", LAYOUT);
    let made = file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {});
    assert!(matches!(made, Err(ShmError::NoSpace(_))), "{made:?}");
    assert_eq!(std::fs::read_dir(&mount.0).unwrap().count(), 0);
    // A part of it fits; the rest is refused later, and not by a signal.
    assert!(file.create(IDENTITY, LEN, &[(0, TABLE_END)], &|_| {}).unwrap());
    let segment = attach(&file).unwrap();
    assert!(matches!(segment.reserve(TABLE_END, LEN - TABLE_END), Err(ShmError::NoSpace(_))));
    segment.reserve(TABLE_END, 4096).unwrap();
    assert!(matches!(segment.lock_memory(), Err(ShmError::NoSpace(_))));
    // Whoever touches what nobody reserved loses the segment, not the process.
    for at in (0..LEN).step_by(4096) {
        segment.region().u64(at).load(Ordering::Relaxed);
        segment.region().u8(at + 9).fetch_add(1, Ordering::Relaxed);
    }
    assert!(segment.is_lost());
}

/// A file system of its own, unmounted on drop. `None` (with a note) where that is not allowed.
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
