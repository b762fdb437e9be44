//! Gives the bytes of areas back that no process uses: those of an area that was left, and those that a dead resize made.

use crate::attachment::attached::Attachment;
use crate::attachment::locks::HeaderTable;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::areas::{RELEASED_AT, UNRELEASED, released};
use crate::layout::geometry::META_AT;
use cache_machine_shm::BootClock;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::steps::step;
use std::time::Duration;

/// Releases what is not in the present area, if no living process may use it. Does not wait.
pub(crate) fn release_others(attachment: &Attachment) {
    if is_released(attachment) || user_of_others(attachment).is_some() {
        return;
    }
    // Busy: a resize is under way, or a namespace is being made. The next tick tries again.
    let Ok(guard) = attachment.lock_header(HeaderTable::Namespaces, Patience::Brief(Duration::ZERO)) else { return };
    // A resize that has begun since then holds this lock, and one that has ended has moved the entries.
    let _ = release(attachment);
    drop(guard);
}

/// Whether the file has no other area than that of the attachment.
pub(crate) fn is_released(attachment: &Attachment) -> bool {
    // Relaxed: a caller that acts on it holds the lock of the namespaces.
    released(attachment.region()).load(Ordering::Relaxed) == u32::from(attachment.geometry().area)
}

/// The pid of a living process that may still use another area.
pub(crate) fn user_of_others(attachment: &Attachment) -> Option<u32> {
    attachment.segment.member().outside_area(attachment.geometry().area)
}

/// Releases everything behind the tables that is not in the area of the attachment, which is the present one. The caller
/// holds the lock of the namespaces. False: a process may still use it.
pub(crate) fn release(attachment: &Attachment) -> Result<bool, CacheError> {
    if is_released(attachment) {
        return Ok(true);
    }
    if user_of_others(attachment).is_some() {
        return Ok(false);
    }
    let (segment, geometry) = (&attachment.segment, attachment.geometry());
    segment.release(META_AT, geometry.base)?;
    segment.release(geometry.end(), segment.file_len()?)?;
    step("resize.freed");
    released_word(attachment).store(BootClock::new().now_ms(), Ordering::Relaxed); // guarded by the lock
    step("resize.dated");
    released(attachment.region()).store(geometry.area.into(), Ordering::Relaxed); // guarded by the lock
    step("resize.released");
    Ok(true)
}

/// When bytes were released last, in milliseconds since boot.
pub(crate) fn released_at(attachment: &Attachment) -> u64 {
    released_word(attachment).load(Ordering::Relaxed) // guarded by the lock
}

fn released_word(attachment: &Attachment) -> &AtomicU64 {
    attachment.region().u64(RELEASED_AT)
}

/// Notes that the file may have another area from now on. The caller holds the lock of the namespaces.
pub(crate) fn begin_other(attachment: &Attachment) {
    released(attachment.region()).store(UNRELEASED, Ordering::Relaxed); // guarded by the lock
    step("resize.begun");
}
