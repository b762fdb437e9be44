//! Files: opened, created, named, and for one user alone.

use crate::error::ShmError;
use std::ffi::CString;
use std::fs::{File, Permissions};
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::Path;

/// The folder of POSIX shared memory.
pub(crate) const SHARED_MEMORY: &str = "/dev/shm";

/// Opens an existing file for reading and writing; a link is refused, the descriptor closes on exec.
pub(crate) fn open_existing(path: &Path) -> io::Result<File> {
    // mutant: symlink-followed
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
    // SAFETY: the descriptor was just opened and has no other owner.
    Ok(File::from(unsafe { OwnedFd::from_raw_fd(fd) }))
}

fn c_string(path: &Path) -> io::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))
}

/// Takes a file away from other users, whatever the umask has left of its mode.
pub(crate) fn make_private(file: &File) -> io::Result<()> {
    file.set_permissions(private())
}

/// The same for a file that this process may be unable to open.
pub(crate) fn make_private_at(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, private())
}

fn private() -> Permissions {
    Permissions::from_mode(0o600)
}

/// Checks for a plain file of this user, with one name and no access for other users. Returns its length.
pub(crate) fn check_private(file: &File) -> Result<usize, ShmError> {
    let meta = file.metadata().map_err(|e| ShmError::from_io("examine the segment", e))?;
    let uid = effective_uid();
    if !meta.is_file() {
        return Err(ShmError::Permission("not a plain file".into()));
    }
    // mutant: foreign-owner-accepted
    if meta.uid() != uid {
        return Err(ShmError::Permission(format!("it belongs to user {}, this process is user {uid}", meta.uid())));
    }
    // mutant: foreign-mode-accepted
    if meta.mode() & 0o077 != 0 {
        return Err(ShmError::Permission(format!("mode {:o} lets others in", meta.mode() & 0o777)));
    }
    if meta.nlink() > 1 {
        return Err(ShmError::Permission(format!("it has {} names", meta.nlink())));
    }
    Ok(meta.len() as usize)
}

/// The user of this process: part of the name of its segments, and the owner of files that it may use.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() }
}

/// Fills `bytes` from a place in the file.
pub(crate) fn read_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(bytes, offset)
}

/// Whether this path leads to this file, without a link.
pub(crate) fn is_at(path: &Path, file: &File) -> bool {
    match (std::fs::symlink_metadata(path), file.metadata()) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

/// Whether both are one file.
pub(crate) fn is_same_file(a: &File, b: &File) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
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
