//! A folder with segments, and tests that need a process of their own.

use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{
    HEADER_BYTES, Identity, MAX_GATE_PATIENCE, Place, ProcessTable, Segment, SegmentFile, ShmError,
};
use std::ffi::CString;
use std::fs::{File, OpenOptions};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

pub(crate) const LAYOUT: u32 = 7;

pub(crate) const IDENTITY: Identity =
    Identity { layout: LAYOUT, fingerprint: 0xF00D, table: ProcessTable::at(HEADER_BYTES) };

pub(crate) const TABLE_END: usize = HEADER_BYTES + ProcessTable::BYTES;

pub(crate) const LEN: usize = 1 << 20;

/// The first byte lock of the leases, as in `segment/file.rs`.
pub(crate) const LEASES: i64 = 1 << 40;

/// Offsets of fields of the header, as in `segment/header.rs`.
pub(crate) const LAYOUT_AT: u64 = 8;

pub(crate) const STATE_AT: u64 = 12;

pub(crate) const FINGERPRINT_AT: u64 = 16;

pub(crate) const LEN_AT: u64 = 32;

pub(crate) const BOOT_AT: u64 = 48;

/// A directory in memory. It is removed with its files when it is dropped.
pub(crate) struct Scratch {
    pub(crate) path: PathBuf,
}

static NUMBER: AtomicU64 = AtomicU64::new(0);

pub(crate) fn unique(what: &str) -> String {
    format!("s-{what}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed))
}

impl Scratch {
    pub(crate) fn new(test: &str) -> Self {
        let path = Path::new("/dev/shm").join(format!("cm-test-{}", unique(test)));
        std::fs::create_dir(&path).unwrap();
        Self { path }
    }

    pub(crate) fn file(&self) -> SegmentFile {
        self.named("name")
    }

    pub(crate) fn named(&self, name: &str) -> SegmentFile {
        SegmentFile::new(Place::Directory(self.path.clone()), name, LAYOUT)
    }

    pub(crate) fn made(&self) -> SegmentFile {
        let file = self.file();
        assert!(create(&file));
        file
    }

    pub(crate) fn left(&self) -> Vec<String> {
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

/// Long: a busy machine may suspend any process for a while.
pub(crate) const PATIENT: Duration = MAX_GATE_PATIENCE;

pub(crate) fn nothing(_: &Segment) {}

/// Takes a byte lock of this description.
#[expect(unsafe_code, reason = "byte locks are not in the standard library")]
pub(crate) fn hold(file: &File, is_exclusive: bool, start: i64, len: i64) {
    // SAFETY: all zeros is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = if is_exclusive { libc::F_WRLCK } else { libc::F_RDLCK } as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    (lock.l_start, lock.l_len) = (start, len);
    // SAFETY: the descriptor is open, and `lock` is a valid flock.
    assert_eq!(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &lock) }, 0);
}

pub(crate) fn create(file: &SegmentFile) -> bool {
    file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {}).unwrap()
}

pub(crate) fn attach(file: &SegmentFile) -> Result<Segment, ShmError> {
    file.attach(IDENTITY, PATIENT)
}

pub(crate) fn destroy(file: &SegmentFile, force: bool) -> Result<bool, ShmError> {
    file.destroy(IDENTITY, force, &nothing)
}

pub(crate) fn plain(path: &Path, mode: u32) -> File {
    let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.set_permissions(std::fs::Permissions::from_mode(mode)).unwrap();
    file
}

pub(crate) fn writable(path: &Path) -> File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

pub(crate) fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

pub(crate) fn is_root() -> bool {
    // SAFETY: plain system call.
    unsafe { libc::geteuid() == 0 }
}

/// The command that runs one test of this program again, in a process of its own with this role.
pub(crate) fn command(test: &str, role: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]).env("CM_ROLE", role);
    command
}

/// Runs one test of this program again, in a process of its own with this role.
#[track_caller]
pub(crate) fn again(test: &str, role: &str) -> Output {
    let output = command(test, role).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("running 1 test"), "there is no test {test}");
    output
}

/// The role of this process, if a test runs it.
pub(crate) fn role() -> Option<String> {
    std::env::var("CM_ROLE").ok()
}

/// Whether this process exists for one test alone. If not, runs the test in such a process, which must pass.
#[track_caller]
pub(crate) fn is_alone(test: &str) -> bool {
    let is_alone = role().is_some();
    if !is_alone {
        assert_passed(&again(test, "child"));
    }
    is_alone
}

#[track_caller]
pub(crate) fn assert_passed(output: &Output) {
    assert!(
        output.status.success(),
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[track_caller]
pub(crate) fn eventually(what: &str, is_so: impl Fn() -> bool) {
    let start = std::time::Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what}: never");
        std::thread::sleep(Duration::from_millis(1));
    }
}
