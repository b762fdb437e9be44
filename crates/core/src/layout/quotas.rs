//! The quotas of namespaces, for reads without a lock: room that others cannot take, a maximum, a policy of eviction.
//!
//! ```text
//! class     u8 per namespace; 0: no quota; otherwise the number of its quota         truth
//! quota     namespace u16 · policy u8 (1 + number of the policy; 0: that of the segment)
//!           reserve u64, units · size u64, units; 0: no maximum                     truth
//! ```
//!
//! A class is given once and stays. Each word of a quota stands alone: a reader may see the reserve of one setting and
//! the size of the next. `tables/quotas.rs` changes the table.

use crate::layout::geometry::{CLASSES_USED, Eviction, Geometry, MAX_CLASSES};
use crate::layout::keyspaces::{is_record, number};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;

/// Offsets in a quota.
pub(crate) const OWNER: usize = 0;
pub(crate) const RESERVE: usize = 8;
pub(crate) const SIZE: usize = 16;
/// Shift of the policy in the first word.
const POLICY: u32 = 16;

/// The quota of a class.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Quota {
    /// The namespace; 0: the class is not in use.
    pub(crate) namespace: u16,
    pub(crate) policy: Eviction,
    /// Units that no other namespace can take.
    pub(crate) reserve: u64,
    /// Maximum units; `u64::MAX`: no maximum.
    pub(crate) size: u64,
}

/// The class of an entry, by its namespace. Records have class 0.
#[inline]
pub(crate) fn class_of(region: &Region, namespace: u16) -> u8 {
    if is_record(namespace) {
        return 0;
    }
    region.u8(Geometry::class_of(usize::from(number(namespace)))).load(Ordering::Relaxed) % MAX_CLASSES as u8
}

/// Number of the last class in use; 0: no namespace has a quota.
#[inline]
pub(crate) fn last_class(region: &Region) -> u8 {
    // Relaxed: the words of a quota stand alone. A change that misses a new class acts as if it had come earlier.
    region.u32(CLASSES_USED).load(Ordering::Relaxed).min(MAX_CLASSES as u32 - 1) as u8
}

/// The quota of a class. Class 0 has no reserve, no maximum, and the policy of the segment.
pub(crate) fn quota(region: &Region, geometry: &Geometry, class: u8) -> Quota {
    let at = Geometry::quota(usize::from(class));
    let word = |offset: usize| region.u64(at + offset).load(Ordering::Relaxed);
    let owner = word(OWNER);
    Quota {
        namespace: owner as u16,
        policy: policy_of(owner >> POLICY).unwrap_or(geometry.eviction),
        reserve: word(RESERVE).min(geometry.capacity() as u64),
        size: match word(SIZE) {
            0 => u64::MAX,
            units => units,
        },
    }
}

/// The first word of a quota.
pub(crate) fn owner_word(namespace: u16, policy: Option<Eviction>) -> u64 {
    u64::from(namespace) | policy.map_or(0, |policy| policy as u64 + 1) << POLICY
}

/// The policy that a first word sets.
pub(crate) fn policy_in(owner: u64) -> Option<Eviction> {
    policy_of(owner >> POLICY)
}

fn policy_of(number: u64) -> Option<Eviction> {
    match number {
        1 => Some(Eviction::S3Fifo),
        2 => Some(Eviction::Lru),
        3 => Some(Eviction::None),
        _ => None,
    }
}
