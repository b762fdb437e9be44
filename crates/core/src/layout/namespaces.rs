//! The table of namespaces, for reads without a lock: a name, an epoch and counts of reads for each namespace.
//!
//! ```text
//! name      64 bytes: length u8, text; a length of 0 ends the table         truth
//! epoch     u32; `clear` of a namespace is one addition to it               truth
//! reads     hits u64 · misses u64, in 4 places, by process slot             stats
//! ```
//!
//! The table only grows, and a name keeps its number. A *life* is the root's epoch and the namespace's epoch in one
//! word. An entry is live only while its life is the current one. `tables/namespaces.rs` changes the table.

use crate::layout::geometry::{Geometry, MAX_NAMESPACES, NAME_BYTES, NAMES_USED, READ_STRIPES};
use crate::layout::keyspaces::{RECORD_LIFE, is_record, number};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::ending;

/// The number of the root, which has no name.
pub(crate) const ROOT: u16 = 0;
/// Maximum length of a name, in bytes.
pub const MAX_NAME: usize = NAME_BYTES - 1;

/// The result of a read, and the offset of its count.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Hit = 0,
    Miss = 8,
}

/// The current life of a namespace.
#[inline]
pub(crate) fn life(region: &Region, root_epoch: u32, namespace: u16) -> u64 {
    if namespace == ROOT {
        return u64::from(root_epoch);
    }
    if is_record(namespace) {
        return RECORD_LIFE;
    }
    // All versions of a namespace have its life, so one addition clears them.
    let namespace = number(namespace);
    if namespace == ROOT {
        return u64::from(root_epoch);
    }
    // Acquire: pairs with the addition in `clear_namespace`.
    let own = region.u32(Geometry::namespace_epoch(usize::from(namespace))).load(Ordering::Acquire);
    u64::from(root_epoch) | u64::from(own) << 32
}

/// The same life in another area.
pub(crate) fn in_area(life: u64, area: u8) -> u64 {
    life & !u64::from(u32::MAX) | u64::from(ending::in_area(life as u32, area))
}

/// Whether two lives of a namespace are the same, in whatever area.
#[inline]
pub(crate) fn is_same(life: u64, other: u64) -> bool {
    (life ^ other) & !u64::from(ending::AREA_BITS) == 0
}

/// Number of namespaces, including the root.
pub(crate) fn registered(region: &Region) -> u16 {
    let noted = region.u32(NAMES_USED).load(Ordering::Relaxed) as usize;
    let mut count = noted.clamp(1, MAX_NAMESPACES);
    // A process may have died between its store of a name and its store of this count.
    while count < MAX_NAMESPACES && first_word(region, count).load(Ordering::Acquire) != 0 {
        count += 1;
    }
    count as u16
}

/// The name of a namespace; empty for the root and for an unused number.
pub(crate) fn name_of(region: &Region, namespace: u16) -> String {
    let words = region.words(Geometry::name(usize::from(namespace)), NAME_BYTES / 8);
    // Acquire: pairs with the Release store in `add_name`.
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Acquire).to_le_bytes()).collect();
    let len = usize::from(bytes[0]).min(MAX_NAME);
    String::from_utf8_lossy(&bytes[1..=len]).into_owned()
}

/// The first word of a name, which contains the length.
pub(crate) fn first_word(region: &Region, namespace: usize) -> &AtomicU64 {
    region.u64(Geometry::name(namespace))
}

/// Hits or misses of a namespace, over all processes.
pub(crate) fn reads(region: &Region, namespace: u16, read: Read) -> u64 {
    (0..READ_STRIPES)
        .map(|stripe| region.u64(Geometry::reads(usize::from(namespace), stripe) + read as usize))
        .fold(0, |sum, count| sum.wrapping_add(count.load(Ordering::Relaxed)))
}

/// Counts reads of a namespace by the process in `slot`.
#[inline]
pub(crate) fn count_reads(region: &Region, slot: usize, namespace: u16, read: Read, count: u64) {
    let at = Geometry::reads(usize::from(namespace), slot);
    region.u64(at + read as usize).fetch_add(count, Ordering::Relaxed); // stats
}
