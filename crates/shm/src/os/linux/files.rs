//! Files: opened, created, named, and for one user or one group alone.

use super::users::{effective_uid, is_known_member};
use crate::error::ShmError;
use crate::os::types::Sharing;
use std::ffi::CString;
use std::fs::{File, Metadata, Permissions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
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

/// Gives a new file to those that share it and takes it away from all others, whatever the umask has left of its mode and
/// whatever its folder has handed down.
pub(crate) fn protect(file: &File, sharing: Sharing) -> io::Result<()> {
    let Sharing::Group(gid) = sharing else {
        return file.set_permissions(Permissions::from_mode(PRIVATE));
    };
    // Before the group may do anything: a list of the folder would take effect with the mode.
    remove_access_list(file)?;
    std::os::unix::fs::fchown(file, None, Some(gid))?;
    file.set_permissions(Permissions::from_mode(OF_GROUP))
}

/// Lets this user open a file that it has just made.
pub(crate) fn make_private_at(path: &Path) -> io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(PRIVATE))
}

/// The mode of a segment of a user.
const PRIVATE: u32 = 0o600;
/// The mode of a segment of a group.
const OF_GROUP: u32 = 0o660;
/// The attribute with an access control list.
const ACCESS_LIST: &std::ffi::CStr = c"system.posix_acl_access";

/// Checks for a plain file of those that share it, with one name and no access for others. Returns its length.
pub(crate) fn check_access(file: &File, sharing: Sharing) -> Result<usize, ShmError> {
    let meta = file.metadata().map_err(|e| ShmError::from_io("examine the segment", e))?;
    if !meta.is_file() {
        return Err(ShmError::Permission("not a plain file".into()));
    }
    match sharing {
        Sharing::User => check_user(&meta)?,
        Sharing::Group(gid) => check_group(file, &meta, gid)?,
    }
    if meta.nlink() > 1 {
        return Err(ShmError::Permission(format!("it has {} names", meta.nlink())));
    }
    Ok(meta.len() as usize)
}

fn check_user(meta: &Metadata) -> Result<(), ShmError> {
    let uid = effective_uid();
    // mutant: foreign-owner-accepted
    if meta.uid() != uid {
        return Err(ShmError::Permission(format!("it belongs to user {}, this process is user {uid}", meta.uid())));
    }
    // mutant: foreign-mode-accepted
    if meta.mode() & 0o077 != 0 {
        return Err(ShmError::Permission(format!("mode {:o} lets others in", meta.mode() & 0o777)));
    }
    Ok(())
}

/// Any member may own it: only a member or root can give a file to the group. `check_folder` has the exception.
fn check_group(file: &File, meta: &Metadata, gid: u32) -> Result<(), ShmError> {
    // mutant: foreign-group-accepted
    if meta.gid() != gid {
        return Err(ShmError::Permission(format!("it belongs to group {}, not to group {gid}", meta.gid())));
    }
    // mutant: foreign-group-mode-accepted
    if meta.mode() & 0o7777 != OF_GROUP {
        return Err(ShmError::Permission(format!("mode {:o} instead of {OF_GROUP:o}", meta.mode() & 0o7777)));
    }
    // The mode of a file with a list shows the maximum of all its entries, also of those for other users.
    if has_access_list(file) {
        return Err(ShmError::Permission("an access control list may let others in".into()));
    }
    Ok(())
}

/// Checks the folder of a group's segment. A folder with the setgid bit gives its group to each file, so there any user that
/// may write the folder can make a file of the group. The owner must then be known as a member.
pub(crate) fn check_folder(folder: &Path, file: &File, sharing: Sharing) -> Result<(), ShmError> {
    let Sharing::Group(gid) = sharing else {
        return Ok(());
    };
    let examine = |e| ShmError::from_io("examine the folder of the segment", e);
    let (mode, owner) = (folder.metadata().map_err(examine)?.mode(), file.metadata().map_err(examine)?.uid());
    let is_open = mode & libc::S_ISGID != 0 && mode & libc::S_IWOTH != 0;
    // mutant: handed-down-group-accepted
    if !is_open || owner == 0 || owner == effective_uid() || is_known_member(owner, gid) {
        return Ok(());
    }
    Err(ShmError::Permission(format!(
        "user {owner} owns it, which may be outside the group {gid}: any user may write {}, which gives its group to each \
         file",
        folder.display()
    )))
}

/// Checks that this process may remove or resize the file of a segment: its owner may, and root.
pub(crate) fn check_ownership(file: &File) -> Result<(), ShmError> {
    let owner = file.metadata().map_err(|e| ShmError::from_io("examine the segment", e))?.uid();
    let uid = effective_uid();
    if owner == uid || uid == 0 {
        return Ok(());
    }
    Err(ShmError::Permission(format!(
        "only its owner, user {owner}, can remove or resize it; this process is user {uid}"
    )))
}

fn has_access_list(file: &File) -> bool {
    // SAFETY: the descriptor is open, the name is a C string, and with the length 0 nothing is written.
    unsafe { libc::fgetxattr(file.as_raw_fd(), ACCESS_LIST.as_ptr(), std::ptr::null_mut(), 0) >= 0 }
}

fn remove_access_list(file: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, and the name is a C string.
    if unsafe { libc::fremovexattr(file.as_raw_fd(), ACCESS_LIST.as_ptr()) } == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    // There is none, or the file system has none.
    if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) { Ok(()) } else { Err(error) }
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
