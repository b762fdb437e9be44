//! Finds room in the file for another area, and makes the area: all its bytes reserved and empty.

use crate::attachment::attached::Attachment;
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::geometry::{Geometry, META_AT};
use crate::layout::namespaces::{ROOT, in_area};
use crate::resize::release;
use crate::shard::view::fill_area;
use cache_machine_shm::BootClock;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

/// The area that a segment of `size` bytes has beside this one. `None`: it has that size already.
pub(crate) fn plan(present: &Attachment, size: usize) -> Result<Option<Geometry>, CacheError> {
    let old = present.geometry();
    let max_entry = (!old.has_default_max_entry()).then_some(old.max_entry);
    let plan = Geometry::plan(size, max_entry, old.eviction, old.seed)?;
    if plan.len == old.len {
        return Ok(None);
    }
    let is_old = BootClock::new().now_ms() >= release::released_at(present).saturating_add(REUSE_AFTER_MS);
    let base = base_of(plan.len - META_AT, old, if is_old { None } else { Some(present.segment.file_len()?) });
    Ok(Some(plan.moved_to(base, old.area.wrapping_add(1))))
}

/// Time after which released bytes are used again. A thread that stands still between its check of an entry and the store
/// of the use mark, or in front of a lock of an area that was left, must not store into another area when it goes on.
/// Until then areas go behind the end of the file, where no process has been.
const REUSE_AFTER_MS: u64 = 60_000;

/// The offset of an area of `bytes` bytes beside this one. `used`: no byte before this offset may be used again.
/// All areas begin at the same place in a page, and share no page.
fn base_of(bytes: usize, old: &Geometry, used: Option<usize>) -> usize {
    if used.is_none() && META_AT + bytes + 4096 <= old.base {
        return META_AT;
    }
    let behind = old.end().max(used.unwrap_or(0));
    META_AT + (behind - META_AT).next_multiple_of(4096) + 4096
}

/// Makes the area of this geometry. The caller holds the lock of the namespaces, and no process uses another area than the
/// present one. Fails as `NoSpace` if the file system has no room for what the entries need.
pub(crate) fn make(present: &Attachment, geometry: Geometry) -> Result<Attachment, CacheError> {
    let segment = &present.segment;
    segment.lengthen(geometry.end())?;
    // A resize that died may have left something there.
    segment.release(geometry.base, geometry.end())?;
    step("resize.cleaned");
    let memory = segment.map()?;
    let reserved = units_to_reserve(present, &geometry);
    for (offset, len) in geometry.first_reservations(reserved) {
        segment.reserve_in(&memory, offset, len)?;
        memory.populate(offset, len);
    }
    step("resize.reserved");
    // What was there before ends inside the first page, which is not released as a whole.
    let page = geometry.base..geometry.base.next_multiple_of(4096);
    memory.region().words(page.start, page.len() / 8).iter().for_each(|word| word.store(0, Ordering::Relaxed));
    step("resize.emptied");
    let life = in_area(present.life_now(ROOT), geometry.area);
    fill_area(&geometry, memory.region(), reserved, life);
    step("resize.filled");
    let mut area = Attachment::over(segment.clone(), memory, geometry, None);
    // They get notices of what has no room in the area.
    area.listeners = present.listeners.clone();
    Ok(area)
}

/// Units that each new shard reserves at once: as many as the entries use now, so that the copy seldom reserves more.
fn units_to_reserve(present: &Attachment, geometry: &Geometry) -> usize {
    let used = |shard: &crate::shard::view::ShardView<'_>| {
        (shard.reserved() as usize).saturating_sub(shard.get(Field::Free) as usize)
    };
    let all: usize = present.shards().map(|shard| used(&shard)).sum();
    (all / geometry.shards / 8 * 9 + geometry.first_units()).min(geometry.units)
}

/// Stores where the area is. It becomes the present one by the switch.
pub(crate) fn describe(present: &Attachment, area: &Attachment) {
    area.geometry().place().store(present.region());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::geometry::Eviction;

    #[test]
    fn an_area_lies_beside_the_present_one_and_where_no_late_thread_stores() {
        const MB: usize = 1 << 20;
        let of = |len, base| Geometry::plan(len, None, Eviction::S3Fifo, 1).unwrap().moved_to(base, 1);
        for len in [2 * MB, 3 * MB + 4096, 64 * MB] {
            for base in [META_AT, META_AT + 20 * MB, META_AT + 300 * MB] {
                let old = of(len, base);
                for bytes in [MB, 19 * MB, 299 * MB] {
                    for used in [None, Some(old.end() + 5), Some(old.end() + 50 * MB + 7)] {
                        let new = base_of(bytes, &old, used);
                        assert!(new >= META_AT && (new - META_AT).is_multiple_of(4096));
                        let page = |offset: usize| offset / 4096;
                        let is_before = page(new + bytes) < page(old.base);
                        assert!(is_before || page(new) > page(old.end() - 1), "{len} {base} {bytes} {used:?}: {new}");
                        assert!(used.is_none_or(|used| page(new) > page(used)));
                    }
                }
            }
        }
        assert_eq!(base_of(MB, &of(2 * MB, META_AT + 20 * MB), None), META_AT, "the room in front is used again");
    }
}
