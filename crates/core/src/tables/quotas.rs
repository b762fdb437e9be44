//! Sets the quotas of namespaces.
//!
//! Promises: together the reserves take at most three quarters of the entry space; the rest is for records, which may
//! take a quarter of a shard. A death in between leaves a quota with a part of its setting, of which the reserve is set
//! last. The next setting completes it.

use crate::attachment::attached::Attachment;
use crate::attachment::locks::HeaderTable;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::geometry::{CLASSES_USED, Eviction, Geometry, MAX_CLASSES, UNIT};
use crate::layout::namespaces::ROOT;
use crate::layout::quotas::{OWNER, RESERVE, SIZE, class_of, last_class, owner_word, policy_in, quota};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

/// A setting of a namespace's quota. `None` leaves what is set.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct QuotaSetting {
    /// Bytes that other namespaces cannot take. Default: 0.
    pub reserve: Option<u64>,
    /// Maximum bytes of the namespace; `u64::MAX`: no maximum. Default: no maximum.
    pub size: Option<u64>,
    /// How the entries of the namespace are evicted. Default: as those of the segment.
    pub eviction: Option<Eviction>,
}

impl Attachment {
    /// Sets the quota of a namespace, for every process, and for the life of the segment or until it is set again.
    pub(crate) fn set_quota(
        &self,
        namespace: u16,
        setting: &QuotaSetting,
        patience: Patience,
    ) -> Result<(), CacheError> {
        if *setting == QuotaSetting::default() {
            return Ok(());
        }
        if namespace == ROOT {
            return Err(CacheError::InvalidArgument("the root has no quota: a segment has a size".into()));
        }
        let guard = self.lock_header(HeaderTable::Namespaces, patience)?;
        let set = set(self.region(), self.geometry(), namespace, setting);
        drop(guard);
        set
    }
}

/// Sets a quota. The caller holds the lock of the table.
fn set(region: &Region, geometry: &Geometry, namespace: u16, setting: &QuotaSetting) -> Result<(), CacheError> {
    let used = last_class(region);
    // A process may have died between its store of an owner and its store of the class.
    let class = (1..=used).find(|class| quota(region, geometry, *class).namespace == namespace).unwrap_or(used + 1);
    if usize::from(class) >= MAX_CLASSES {
        let text = format!("{} namespaces have a quota already, which is the most", MAX_CLASSES - 1);
        return Err(CacheError::NoSpace(text));
    }
    let word = |offset: usize| region.u64(Geometry::quota(usize::from(class)) + offset);
    let is_new = class > used;
    let old = |offset: usize| if is_new { 0 } else { word(offset).load(Ordering::Relaxed) };
    let reserve = setting.reserve.map_or(old(RESERVE), |bytes| bytes.div_ceil(UNIT as u64));
    let size = match setting.size {
        None => old(SIZE),
        Some(u64::MAX) => 0,
        Some(bytes) => (bytes / UNIT as u64).max(1),
    };
    let policy = setting.eviction.or_else(|| policy_in(old(OWNER)));
    check(region, geometry, class, reserve, size)?;

    word(OWNER).store(owner_word(namespace, policy), Ordering::Relaxed); // guarded by the lock; stands alone
    step("quota.owner");
    if is_new {
        region.u32(CLASSES_USED).store(class.into(), Ordering::Relaxed); // guarded by the lock; stands alone
        step("quota.counted");
    }
    word(SIZE).store(size, Ordering::Relaxed); // guarded by the lock; stands alone
    step("quota.size");
    if class_of(region, namespace) != class {
        region.u8(Geometry::class_of(usize::from(namespace))).store(class, Ordering::Relaxed); // stands alone
        step("quota.class");
    }
    word(RESERVE).store(reserve, Ordering::Relaxed); // guarded by the lock; stands alone
    step("quota.reserve");
    Ok(())
}

fn check(region: &Region, geometry: &Geometry, class: u8, reserve: u64, size: u64) -> Result<(), CacheError> {
    let unit = UNIT as u64;
    let bytes = |units: u64| units.saturating_mul(unit);
    if size != 0 && reserve > size {
        let text = format!("reserve is {} bytes and size is {} bytes, which is less", bytes(reserve), bytes(size));
        return Err(CacheError::InvalidArgument(text));
    }
    let others = (1..=last_class(region)).filter(|other| *other != class);
    let reserved = others.map(|other| quota(region, geometry, other).reserve).fold(0, u64::saturating_add);
    let limit = geometry.capacity() as u64 / unit / 4 * 3;
    if reserved.saturating_add(reserve) > limit {
        let text = format!(
            "a reserve of {} bytes beside {} bytes of other reserves: together they can take three quarters of the entry \
             space, {} bytes",
            bytes(reserve),
            bytes(reserved),
            bytes(limit)
        );
        return Err(CacheError::NoSpace(text));
    }
    Ok(())
}
