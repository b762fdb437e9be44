//! Users and groups, by the databases of the system and by what this process has.

use std::ffi::{CStr, CString};
use std::io;
use std::ptr;

/// Size of the first buffer for an answer; doubled while it is too small.
const FIRST_BUFFER: usize = 4096;
/// Maximum size of a buffer: no group with that many members is looked up.
const MAX_BUFFER: usize = 1 << 24;

/// The user of this process: part of the name of its segments, and the owner of files that it may use.
pub(crate) fn effective_uid() -> u32 {
    // SAFETY: cannot fail.
    unsafe { libc::geteuid() }
}

/// The id of the group of this name; `None`: there is none.
///
/// # Errors
/// Those of the database, such as a directory service that does not answer.
pub fn group_id(name: &str) -> io::Result<Option<u32>> {
    let Ok(name) = CString::new(name) else {
        return Ok(None);
    };
    // SAFETY: all zeros is a valid `group`: numbers, and pointers that may be null.
    let mut group: libc::group = unsafe { std::mem::zeroed() };
    let mut found = ptr::null_mut();
    ask(|buffer| {
        // SAFETY: `name` is a C string; the other pointers are valid for writes through the call, and the buffer has the
        // length that is passed.
        unsafe { libc::getgrnam_r(name.as_ptr(), &mut group, buffer.as_mut_ptr().cast(), buffer.len(), &mut found) }
    })?;
    Ok((!found.is_null()).then_some(group.gr_gid))
}

/// Whether this process may act for a group: as one of its groups, or as root, which may act for all.
pub fn is_in_group(gid: u32) -> bool {
    // SAFETY: cannot fail.
    effective_uid() == 0 || gid == unsafe { libc::getegid() } || own_groups().contains(&gid)
}

fn own_groups() -> Vec<u32> {
    // SAFETY: with the count 0 nothing is written.
    let count = unsafe { libc::getgroups(0, ptr::null_mut()) };
    let mut groups = vec![0; count.max(0) as usize];
    // SAFETY: the list has room for `count` ids. If there are more by now, the call fails and writes nothing.
    let written = unsafe { libc::getgroups(count.max(0), groups.as_mut_ptr()) };
    groups.truncate(written.max(0) as usize);
    groups
}

/// Whether the databases know a user as a member of a group. Groups that a process got otherwise, for example from a
/// container's runtime, are not in them.
pub(crate) fn is_known_member(uid: u32, gid: u32) -> bool {
    // SAFETY: all zeros is a valid `passwd`: numbers, and pointers that may be null.
    let mut user: libc::passwd = unsafe { std::mem::zeroed() };
    let mut found = ptr::null_mut();
    let asked = ask(|buffer| {
        // SAFETY: the pointers are valid for writes through the call, and the buffer has the length that is passed.
        unsafe { libc::getpwuid_r(uid, &mut user, buffer.as_mut_ptr().cast(), buffer.len(), &mut found) }
    });
    let Ok(_buffer) = asked else {
        return false;
    };
    if found.is_null() {
        return false;
    }
    // SAFETY: of a user that was found, the name is a C string in `_buffer`, which lives on.
    let name = unsafe { CStr::from_ptr(user.pw_name) };
    groups_of(name, user.pw_gid).contains(&gid)
}

fn groups_of(user: &CStr, primary: u32) -> Vec<u32> {
    let mut groups = vec![0; 64];
    loop {
        let mut count = groups.len() as libc::c_int;
        // SAFETY: `user` is a C string, and the list has room for `count` ids.
        let got = unsafe { libc::getgrouplist(user.as_ptr(), primary, groups.as_mut_ptr(), &mut count) };
        if got >= 0 {
            groups.truncate(count.max(0) as usize);
            return groups;
        }
        if groups.len() >= MAX_BUFFER / 4 {
            return vec![primary];
        }
        groups.resize(groups.len() * 2, 0);
    }
}

/// Asks a database with larger buffers until the answer fits. The answer points into the buffer, which is returned.
fn ask(mut run: impl FnMut(&mut [u8]) -> libc::c_int) -> io::Result<Vec<u8>> {
    let mut buffer = vec![0; FIRST_BUFFER];
    loop {
        match run(&mut buffer) {
            // Systems differ in what they answer where there is no such entry.
            0 | libc::ENOENT | libc::ESRCH => return Ok(buffer),
            libc::EINTR => {}
            libc::ERANGE if buffer.len() < MAX_BUFFER => buffer.resize(buffer.len() * 2, 0),
            error => return Err(io::Error::from_raw_os_error(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_by_name_and_users_in_them() {
        assert_eq!(group_id("root").unwrap(), Some(0));
        assert_eq!(group_id("no-such-group-of-cache-machine").unwrap(), None);
        assert_eq!(group_id("a\0b").unwrap(), None);
        assert!(is_known_member(0, 0));
        assert!(!is_known_member(0, 4_000_000_000));
        assert!(!is_known_member(4_000_000_000, 0), "a user that is not in the database");
    }

    #[test]
    fn a_process_is_in_its_own_groups() {
        // SAFETY: cannot fail.
        assert!(is_in_group(unsafe { libc::getegid() }));
        assert!(own_groups().into_iter().all(is_in_group));
        assert_eq!(is_in_group(4_000_000_000), effective_uid() == 0);
    }
}
