//! Numbers in and out of `meta`. Their places are the slots of `layout`.

use super::call::Call;
use crate::layout::{FloatSlot, IntSlot, MetaFloat, MetaInt, NearInt};
use cache_machine_core::{EntryMeta, NearDependencies};

impl Call<'_> {
    #[inline]
    pub(super) fn put_int(&self, slot: impl Into<IntSlot>, value: i32) {
        // SAFETY: a slot lies inside `meta`, as `layout` checks when it is compiled.
        let at = unsafe { self.bound.shared.meta.cast::<i32>().add(slot.into().index()) };
        // SAFETY: kept alive by a reference until the environment ends; JavaScript does not run meanwhile.
        unsafe { at.write(value) };
    }

    #[inline]
    pub(super) fn put_float(&self, slot: impl Into<FloatSlot>, value: f64) {
        // SAFETY: as in `put_int`.
        let at = unsafe { self.bound.shared.meta.cast::<f64>().add(slot.into().index()) };
        // SAFETY: as in `put_int`; an ArrayBuffer's memory is aligned to 8.
        unsafe { at.write(value) };
    }

    /// A whole number that JavaScript put into `meta`.
    #[inline]
    pub(super) fn given_int(&self, slot: impl Into<IntSlot>) -> u32 {
        // SAFETY: as in `put_int`.
        let at = unsafe { self.bound.shared.meta.cast::<u32>().add(slot.into().index()) };
        // SAFETY: as in `put_int`; any bytes are a whole number.
        unsafe { at.read() }
    }

    /// A double that JavaScript put into `meta`.
    #[inline]
    pub(super) fn given_float(&self, slot: impl Into<FloatSlot>) -> f64 {
        // SAFETY: as in `put_float`.
        let at = unsafe { self.bound.shared.meta.cast::<f64>().add(slot.into().index()) };
        // SAFETY: as in `put_float`; any bytes are a double.
        unsafe { at.read() }
    }

    /// What `GetFlag::Meta` asks for.
    pub(super) fn put_entry_meta(&self, meta: &EntryMeta, now: u64) {
        let late = if meta.deadline == 0 { 0 } else { now.saturating_sub(meta.deadline) };
        self.put_float(MetaFloat::Version, meta.version as f64);
        self.put_float(MetaFloat::Age, meta.age_ms(now) as f64);
        self.put_float(MetaFloat::Remaining, meta.remaining_ms(now).map_or(f64::INFINITY, |ms| ms as f64));
        self.put_float(MetaFloat::Size, meta.size as f64);
        self.put_float(MetaFloat::Stale, f64::from(u8::from(meta.stale)));
        self.put_float(MetaFloat::Late, late as f64);
    }

    #[inline]
    pub(super) fn put_length(&self, meta: &EntryMeta) {
        self.put_int(MetaInt::Length, meta.len.min(i32::MAX as usize) as i32);
    }

    /// What a near copy depends on.
    #[inline]
    pub(super) fn put_dependencies(&self, meta: &EntryMeta) {
        let NearDependencies { word_at, generation, life, tag_clock } = meta.depends;
        let may_keep = tag_clock.is_none_or(|clock| clock & 1 == 0);
        self.put_float(MetaFloat::Deadline, meta.deadline as f64);
        self.put_float(MetaFloat::Word, if may_keep { word_at as f64 } else { 0.0 });
        self.put_int(NearInt::Generation, generation as i32);
        self.put_int(NearInt::Root, life as i32);
        self.put_int(NearInt::Own, (life >> 32) as i32);
        self.put_int(NearInt::Tagged, i32::from(tag_clock.is_some()));
        self.put_int(NearInt::TagClock, tag_clock.unwrap_or(0) as i32);
        self.put_length(meta);
    }
}
