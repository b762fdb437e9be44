//! Every system call of the project. Linux; nothing above this file knows which system it runs on.

use crate::atomic::AtomicU32;
use crate::error::ShmError;
use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;
use std::sync::OnceLock;
use std::time::Duration;

#[cfg(not(target_os = "linux"))]
compile_error!(
    "cache-machine runs on Linux only so far: leases, the futex and the no-replace rename need other calls elsewhere"
);

/// A byte range lock that belongs to an open file description: it ends with the description, or with the process.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Hold {
    Shared,
    Exclusive,
    None,
}

fn ofd_lock(file: &File, command: libc::c_int, hold: Hold, offset: i64, len: i64) -> io::Result<libc::flock> {
    // SAFETY: all zeros is a valid `flock`.
    let mut request: libc::flock = unsafe { std::mem::zeroed() };
    request.l_type = match hold {
        Hold::Shared => libc::F_RDLCK,
        Hold::Exclusive => libc::F_WRLCK,
        Hold::None => libc::F_UNLCK,
    } as libc::c_short;
    request.l_whence = libc::SEEK_SET as libc::c_short;
    request.l_start = offset;
    request.l_len = len;
    // SAFETY: the descriptor is open for as long as `file` is borrowed; `request` is a valid flock.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), command, &mut request) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(request) }
}

/// Tries to take (or drop) a lock on one byte; false if another description holds it.
pub(crate) fn try_hold(file: &File, hold: Hold, offset: i64) -> io::Result<bool> {
    match ofd_lock(file, libc::F_OFD_SETLK, hold, offset, 1) {
        Ok(_) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EAGAIN | libc::EACCES)) => Ok(false),
        Err(e) => Err(e),
    }
}

/// Whether some *other* description holds a lock on one of `len` bytes.
pub(crate) fn is_held(file: &File, offset: i64, len: i64) -> io::Result<bool> {
    Ok(first_held(file, offset, len)?.is_some())
}

/// The first locked byte among `len`, by another description.
pub(crate) fn first_held(file: &File, offset: i64, len: i64) -> io::Result<Option<i64>> {
    let found = ofd_lock(file, libc::F_OFD_GETLK, Hold::Exclusive, offset, len)?;
    Ok((found.l_type != libc::F_UNLCK as libc::c_short).then_some(found.l_start))
}

/// Opens an existing file for reading and writing; a link is refused, the descriptor closes on exec.
pub(crate) fn open_existing(path: &Path) -> io::Result<File> {
    open(path, libc::O_RDWR | libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK, 0)
}

/// Creates a file that must not exist, mode 0600 whatever the umask leaves of it.
pub(crate) fn create_new(path: &Path) -> io::Result<File> {
    open(path, libc::O_RDWR | libc::O_CREAT | libc::O_EXCL | libc::O_NOFOLLOW | libc::O_CLOEXEC, 0o600)
}

fn open(path: &Path, flags: libc::c_int, mode: libc::c_uint) -> io::Result<File> {
    let path = c_string(path)?;
    // SAFETY: `path` is a C string that lives through the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags, mode) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just opened and belongs to nobody else.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn c_string(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Whether this process may make a file so long; beyond its limit the system would answer by a signal.
pub(crate) fn check_file_size(len: usize) -> Result<(), ShmError> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is a valid rlimit to be written.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_FSIZE, &mut limit) };
    if result == 0 && limit.rlim_cur < len as libc::rlim_t {
        let limit = limit.rlim_cur;
        return Err(ShmError::NoSpace(format!("files of this process may have {limit} bytes (ulimit -f)")));
    }
    Ok(())
}

/// Reserves bytes of a file that is mapped at `base`, all of its `mapped` bytes, so that touching them later cannot fail.
///
/// Whole pages: they are what is touched, and where blocks are smaller the rest of a page would be asked for at that moment, and
/// missed by a signal. On a disk each page is faulted in as well: a full ext4 may want one more block of its own for bytes
/// that are reserved, and says so by a signal or, here, by an error.
pub(crate) fn reserve(
    file: &File,
    base: NonNull<u8>,
    mapped: usize,
    offset: usize,
    len: usize,
) -> Result<(), ShmError> {
    let page = page_size();
    let start = offset - offset % page;
    let end = (offset + len).next_multiple_of(page).min(mapped.max(offset + len));
    allocate(file, start, end - start)?;
    if is_in_memory(file) {
        return Ok(());
    }
    let pages = base.as_ptr().wrapping_add(start).cast();
    // SAFETY: the contents of a range stay as they are, whatever the range is.
    if unsafe { libc::madvise(pages, end - start, libc::MADV_POPULATE_WRITE) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // Where a fault would have raised SIGBUS.
        Some(libc::EFAULT) => Err(ShmError::NoSpace("the file system has no room for what it has promised".into())),
        // Not known before Linux 5.14; or it was interrupted, or has no memory for its tables: the fault may still go well.
        _ => Ok(()),
    }
}

fn allocate(file: &File, offset: usize, len: usize) -> Result<(), ShmError> {
    loop {
        // SAFETY: the descriptor is open for as long as `file` is borrowed.
        let result = unsafe { libc::fallocate(file.as_raw_fd(), 0, offset as i64, len as i64) };
        if result == 0 {
            return Ok(());
        }
        let error = io::Error::last_os_error();
        match error.raw_os_error() {
            Some(libc::EINTR) => continue,
            Some(libc::EOPNOTSUPP | libc::ENOSYS) => {
                return Err(ShmError::Unsupported("the file system cannot reserve space (fallocate)".into()));
            }
            _ => return Err(ShmError::from_io("reserve space", error)),
        }
    }
}

/// Whether its pages are all there is of the file, as in POSIX shared memory.
fn is_in_memory(file: &File) -> bool {
    // SAFETY: all zeros is a valid `statfs`.
    let mut found: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: `found` is valid memory to be written, and the descriptor open.
    let result = unsafe { libc::fstatfs(file.as_raw_fd(), &mut found) };
    // The types differ between systems, the number does not.
    result == 0 && found.f_type as u64 == libc::TMPFS_MAGIC as u64
}

fn page_size() -> usize {
    // SAFETY: a plain call.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    // No system is known that does not say.
    usize::try_from(size).ok().filter(|size| size.is_power_of_two()).unwrap_or(4096)
}

/// Renames without ever replacing; false if `to` exists.
pub(crate) fn rename_no_replace(from: &Path, to: &Path) -> Result<bool, ShmError> {
    let (from, to) = (
        c_string(from).map_err(|e| ShmError::from_io("rename", e))?,
        c_string(to).map_err(|e| ShmError::from_io("rename", e))?,
    );
    // SAFETY: both are C strings that live through the call. The system call is made directly since musl has no wrapper.
    let result = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            libc::AT_FDCWD,
            from.as_ptr(),
            libc::AT_FDCWD,
            to.as_ptr(),
            libc::RENAME_NOREPLACE,
        )
    };
    if result == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EEXIST) => Ok(false),
        Some(libc::EINVAL | libc::ENOSYS) => {
            Err(ShmError::Unsupported("the file system has no rename that never replaces".into()))
        }
        _ => Err(ShmError::from_io("publish the segment", error)),
    }
}

/// Maps a file shared.
pub(crate) fn map(file: &File, len: usize) -> Result<NonNull<u8>, ShmError> {
    // SAFETY: a new mapping at an address of the kernel's choice touches no existing memory.
    let address = unsafe {
        libc::mmap(std::ptr::null_mut(), len, libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd(), 0)
    };
    if address == libc::MAP_FAILED {
        return Err(ShmError::os("map the segment"));
    }
    NonNull::new(address.cast()).ok_or_else(|| ShmError::Corrupt("mapped at address 0".into()))
}

/// # Safety
/// The range came from `map` and nobody uses it any more.
pub(crate) unsafe fn unmap(base: NonNull<u8>, len: usize) {
    // SAFETY: promised by the caller.
    unsafe { libc::munmap(base.as_ptr().cast(), len) };
}

/// Lays private zero pages over a range. Safe to call in a signal handler.
///
/// # Safety
/// The range is a mapping of ours; whoever uses it expects arbitrary bytes.
pub(crate) unsafe fn overlay_with_zeros(base: *mut libc::c_void, len: usize) -> bool {
    // SAFETY: promised by the caller.
    let address = unsafe {
        libc::mmap(
            base,
            len,
            libc::PROT_READ | libc::PROT_WRITE,
            // Not reserved: no limit of the system may make it fail.
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE,
            -1,
            0,
        )
    };
    address != libc::MAP_FAILED
}

/// Pins a range in memory.
pub(crate) fn lock_memory(base: NonNull<u8>, len: usize) -> Result<(), ShmError> {
    // SAFETY: mlock reads nothing and writes nothing; a wrong range is an error.
    if unsafe { libc::mlock(base.as_ptr().cast(), len) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        // ENOMEM: over RLIMIT_MEMLOCK.
        Some(libc::EPERM | libc::ENOMEM | libc::EAGAIN) => Err(ShmError::Permission(format!("pin in memory: {error}"))),
        _ => Err(ShmError::from_io("pin in memory", error)),
    }
}

/// Has the kernel give the memory of `bytes` all pages that it has not got yet, in one call instead of a fault for each: fresh
/// memory is filled in half the time. Their contents stay; where the kernel cannot (before Linux 5.14), the faults come.
pub fn populate(bytes: &mut [u8]) {
    let page = page_size();
    let skipped = bytes.as_ptr().align_offset(page);
    let Some(len) = bytes.len().checked_sub(skipped).map(|left| left / page * page).filter(|len| *len > 0) else {
        return;
    };
    let pages = bytes[skipped..].as_mut_ptr();
    // SAFETY: whole pages inside of `bytes`; what is in them does not change.
    unsafe { libc::madvise(pages.cast(), len, libc::MADV_POPULATE_WRITE) };
}

/// Sleeps while `word` holds `expected`, at most `limit`. Also returns early; the caller looks again.
pub(crate) fn futex_wait(word: &AtomicU32, expected: u32, limit: Duration) {
    let timeout = libc::timespec {
        tv_sec: limit.as_secs().min(i64::MAX as u64 / 2) as libc::time_t,
        tv_nsec: limit.subsec_nanos() as libc::c_long,
    };
    // SAFETY: the word is valid memory; not FUTEX_PRIVATE, since the word is shared between processes.
    unsafe {
        libc::syscall(
            libc::SYS_futex,
            word.as_ptr(),
            libc::FUTEX_WAIT,
            expected,
            std::ptr::from_ref(&timeout),
            std::ptr::null::<u32>(),
            0,
        )
    };
}

/// Wakes up to `count` sleepers on `word`, in any process.
pub(crate) fn futex_wake(word: &AtomicU32, count: i32) {
    // SAFETY: as for `futex_wait`.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, count, 0, 0, 0) };
}

/// Milliseconds of CLOCK_BOOTTIME in the caller's time namespace.
#[inline]
pub(crate) fn boottime_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// The kernel's id of this boot. An error is no other boot: without a free descriptor it cannot be read either.
pub fn boot_id() -> io::Result<u128> {
    static KNOWN: OnceLock<u128> = OnceLock::new();
    if let Some(id) = KNOWN.get() {
        return Ok(*id);
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let id = u128::from_str_radix(&text.trim().replace('-', ""), 16).map_err(io::Error::other)?;
    Ok(*KNOWN.get_or_init(|| id))
}

/// Unpredictable bits from the kernel.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is 8 writable bytes. So few bytes are never cut short.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 8, 0) };
    assert_eq!(got, 8, "the kernel gives random bytes");
    u64::from_le_bytes(bytes)
}

/// The effective user.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() }
}

/// Sends a signal to the own process.
#[cfg(feature = "kill-steps")]
pub(crate) fn signal_self(signal: libc::c_int) {
    // SAFETY: signals the calling thread; both signals used here act on the whole process.
    unsafe { libc::raise(signal) };
    if signal == libc::SIGKILL {
        loop {
            // SAFETY: waits for the signal that is on its way.
            unsafe { libc::pause() };
        }
    }
}

/// Forked children for tests, which must be able to kill a process between two instructions.
pub mod fork {
    /// How a child ended, or that it has stopped.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Ended {
        /// It returned with this status.
        Exit(i32),
        /// A signal ended it.
        Signal(i32),
        /// A signal stopped it.
        Stopped,
    }

    /// A child process; not waited for on drop.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub struct Child(pub i32);

    /// Runs `body` in a forked child, whose exit status is what `body` returns. The child dies with its parent.
    ///
    /// Only for test programs with a single thread: a forked child has no other.
    pub fn fork(body: impl FnOnce() -> i32) -> Child {
        // SAFETY: test programs fork while they have one thread.
        let pid = unsafe { libc::fork() };
        assert!(pid >= 0, "fork");
        if pid == 0 {
            // SAFETY: plain system call.
            unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
            let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
            // SAFETY: ends the child without the parent's exit handlers.
            unsafe { libc::_exit(status) };
        }
        Child(pid)
    }

    impl Child {
        /// Sends a signal.
        pub fn signal(self, signal: i32) {
            // SAFETY: a child of ours that was not waited for, so the pid is its.
            unsafe { libc::kill(self.0, signal) };
        }

        /// Kills it and waits.
        pub fn kill(self) -> Ended {
            self.signal(libc::SIGKILL);
            self.wait()
        }

        /// Stops it and waits until it has stopped (or ended).
        pub fn stop(self) -> Ended {
            self.signal(libc::SIGSTOP);
            self.wait_for(libc::WUNTRACED).expect("blocking wait")
        }

        /// Lets a stopped child go on.
        pub fn resume(self) {
            self.signal(libc::SIGCONT);
        }

        /// Waits for its end.
        pub fn wait(self) -> Ended {
            self.wait_for(0).expect("blocking wait")
        }

        /// Waits until it has ended or stopped itself.
        pub fn wait_or_stopped(self) -> Ended {
            self.wait_for(libc::WUNTRACED).expect("blocking wait")
        }

        /// How it ended, if it has.
        pub fn try_wait(self) -> Option<Ended> {
            self.wait_for(libc::WNOHANG)
        }

        fn wait_for(self, flags: i32) -> Option<Ended> {
            let mut status = 0;
            // SAFETY: waits for a child of ours.
            let got = unsafe { libc::waitpid(self.0, &mut status, flags) };
            if got == 0 {
                return None;
            }
            Some(if libc::WIFSIGNALED(status) {
                Ended::Signal(libc::WTERMSIG(status))
            } else if libc::WIFSTOPPED(status) {
                Ended::Stopped
            } else {
                Ended::Exit(libc::WEXITSTATUS(status))
            })
        }
    }

    /// Memory shared between a parent and the children it forks, outside every segment: for ledgers of the tests.
    pub fn shared_words(count: usize) -> &'static [crate::atomic::AtomicU64] {
        // SAFETY: a new mapping touches no existing memory.
        let address = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                count * 8,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        assert_ne!(address, libc::MAP_FAILED);
        // SAFETY: `count` words of zeros, never unmapped, valid as atomics.
        unsafe { std::slice::from_raw_parts(address.cast(), count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_is_given_its_pages_keeps_what_is_in_it() {
        let mut bytes: Vec<u8> = (0..100_000).map(|i| i as u8).collect();
        for range in [0..100_000, 1..99_999, 10..20, 4096..8192, 5000..5000] {
            populate(&mut bytes[range]);
        }
        assert!(bytes.iter().enumerate().all(|(i, byte)| *byte == i as u8));
    }
}
