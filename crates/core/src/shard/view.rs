//! One shard of a mapped segment: its control block, its tallies and its units, by name.
//!
//! Fields of the control block are guarded by the shard's lock, except where `layout::control` says otherwise. Only
//! reserved units can be reached: a number that leads elsewhere is `Damaged`.

use crate::layout::control::{CLAIMED, Count, Field, Tally, is_derived};
use crate::layout::entry::{Damaged, Head, LINKS, Node, Run};
use crate::layout::geometry::{CONTROL_BYTES, Geometry, JOURNAL_BYTES, TALLY_BYTES, UNIT, UNIT_WORDS};
use crate::layout::keyspaces::{is_record, number};
use crate::layout::namespaces::ROOT;
use crate::shard::note::Note;
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::steps::step;
use cache_machine_shm::tag_clock;
use cache_machine_shm::{Block, Region};

/// Words of the control block and of the journal behind it.
const CONTROL_WORDS: usize = (CONTROL_BYTES + JOURNAL_BYTES) / 8;

/// Fills a new area, which is all zeros, in which `reserved` units of each shard are reserved.
pub(crate) fn fill_area(geometry: &Geometry, region: &Region, reserved: usize, life: u64) {
    for index in 0..geometry.shards {
        let shard = ShardView::new(region, geometry, index);
        shard.put(Field::Reserved, reserved as u32);
        shard.put(Field::Cursor, 1);
        shard.put_tally(ROOT, Tally::Life, life);
        shard.clear_bitmap();
        shard.note_unsound(); // no process has seen the area, so its words need no notes
        shard.put(Field::Free, reserved as u32 - 1);
        shard.forget_notes();
    }
}

/// One shard of a mapped segment. Its offsets are computed and checked once.
#[derive(Clone, Copy)]
pub(crate) struct ShardView<'a> {
    pub(crate) region: &'a Region,
    pub(crate) geometry: &'a Geometry,
    pub(crate) index: usize,
    /// Offset of the control block.
    meta: usize,
    /// Offset of unit 0.
    space: usize,
    /// The control block, and the journal behind it.
    pub(crate) control: &'a Block<CONTROL_WORDS>,
    units: &'a [Block<UNIT_WORDS>],
}

impl<'a> ShardView<'a> {
    #[inline(always)]
    pub(crate) fn new(region: &'a Region, geometry: &'a Geometry, index: usize) -> Self {
        let (meta, space) = (geometry.meta(index), geometry.space(index));
        let (control, units) = (region.block(meta), region.blocks(space, geometry.units));
        Self { region, geometry, index, meta, space, control, units }
    }

    /// Offset of the index lines.
    #[inline]
    pub(crate) fn lines_offset(&self) -> usize {
        self.meta + CONTROL_BYTES + JOURNAL_BYTES
    }

    #[inline(always)]
    pub(crate) fn field(&self, field: Field) -> &'a AtomicU32 {
        self.control.u32(field as usize)
    }

    #[inline]
    pub(crate) fn get(&self, field: Field) -> u32 {
        self.field(field).load(Ordering::Relaxed) // guarded by the lock; `Reserved` only grows
    }

    /// The caller holds the lock.
    // Inlined: the compiler then knows which words are derived.
    #[inline(always)]
    pub(crate) fn put(&self, field: Field, value: u32) {
        // Not in other builds: damage may end the journal in the middle of a change.
        if cfg!(feature = "kill-steps") {
            assert!(self.may_change(field), "{field:?} changes before the first note of its change");
        }
        self.field(field).store(value, Ordering::Relaxed); // guarded by the lock
        step("control.word");
    }

    /// Whether a word of the control block may change now. The first note of a change copies the derived ones. A sweep may be
    /// at the next line without: after a death it goes on there.
    fn may_change(&self, field: Field) -> bool {
        !is_derived(field as usize) || matches!(field, Field::SweepLine) || !self.has_no_notes()
    }

    /// The caller holds the lock. A damaged count wraps: it must not panic.
    #[inline(always)]
    pub(crate) fn add(&self, field: Field, by: u32) {
        self.put(field, self.get(field).wrapping_add(by));
    }

    /// The caller holds the lock. The count stops at 0.
    #[inline(always)]
    pub(crate) fn subtract(&self, field: Field, by: u32) {
        self.put(field, self.get(field).saturating_sub(by));
    }

    #[inline(always)]
    pub(crate) fn count(&self, count: Count) -> &'a AtomicU64 {
        self.control.u64(count as usize)
    }

    /// A 64-bit word of the control block of any shard.
    pub(crate) fn count_of(&self, shard: usize, count: Count) -> &'a AtomicU64 {
        self.region.u64(self.geometry.meta(shard) + count as usize)
    }

    /// The caller holds the lock.
    #[inline]
    pub(crate) fn bump(&self, count: Count) -> u64 {
        let next = self.count(count).load(Ordering::Relaxed).wrapping_add(1);
        self.count(count).store(next, Ordering::Relaxed); // guarded by the lock; read elsewhere only for stats
        step("control.count");
        next
    }

    /// The caller holds the lock.
    #[inline]
    pub(crate) fn put_count(&self, count: Count, value: u64) {
        if is_derived(count as usize) {
            // The end of a pass changes these without any other note.
            // mutant: counts-not-copied
            self.note_control();
        }
        self.count(count).store(value, Ordering::Relaxed); // guarded by the lock
        step("control.count");
    }

    /// The tag clock up to which the entries of the shard were judged.
    #[inline]
    pub(crate) fn tags_judged(&self) -> u64 {
        tag_clock::judged_of(self.count(Count::TagsJudged))
    }

    #[inline]
    fn tally_offset(&self, namespace: u16) -> usize {
        self.meta + self.geometry.tally_in_shard(usize::from(number(namespace)))
    }

    #[inline]
    fn tallies(&self, namespace: u16) -> &'a Block<{ TALLY_BYTES / 8 }> {
        self.region.block(self.tally_offset(namespace))
    }

    #[inline]
    pub(crate) fn tally(&self, namespace: u16, tally: Tally) -> &'a AtomicU64 {
        self.tallies(namespace).u64(tally as usize)
    }

    /// The caller holds the lock.
    #[inline(always)]
    pub(crate) fn put_tally(&self, namespace: u16, tally: Tally, value: u64) {
        if matches!(tally, Tally::Entries) {
            let offset = self.tally_offset(namespace) + tally as usize;
            self.note(Note::Whole { offset, old: self.tally(namespace, tally).load(Ordering::Relaxed) });
        }
        self.tally(namespace, tally).store(value, Ordering::Relaxed); // guarded by the lock; read elsewhere for stats
        step("control.tally");
    }

    /// The caller holds the lock. A damaged count wraps: it must not panic.
    #[inline]
    pub(crate) fn add_tally(&self, namespace: u16, tally: Tally, by: u64) {
        self.put_tally(namespace, tally, self.tally(namespace, tally).load(Ordering::Relaxed).wrapping_add(by));
    }

    /// Starts to count the entries of this life, from 0. The caller holds the lock.
    pub(crate) fn count_anew(&self, namespace: u16, life: u64) {
        self.note(Note::Life { namespace: number(namespace), life });
        self.begin_count(namespace, life);
    }

    /// The part of `count_anew` that a repair does again. The counts of the life before are not restored: a reader that
    /// has seen the new life would take them for its own.
    pub(crate) fn begin_count(&self, namespace: u16, life: u64) {
        self.tally(namespace, Tally::Entries).store(0, Ordering::Relaxed); // guarded by the lock; read elsewhere for stats
        step("control.emptied");
        Self::store_units(self.units_words(namespace), 0, 0);
        // Release: pairs with the Acquire in `entries`, so that a reader that sees this life does not see the count of
        // the life before.
        self.tally(namespace, Tally::Life).store(life, Ordering::Release);
        step("control.life");
    }

    /// Starts to count the entries of this life again, for a rebuild. What the namespace claims stays until all are
    /// counted: otherwise a write in another shard could take it above its maximum meanwhile. The caller holds the lock.
    pub(crate) fn recount(&self, namespace: u16, life: u64) {
        if self.tally(namespace, Tally::Life).load(Ordering::Relaxed) != life {
            return self.count_anew(namespace, life);
        }
        let (_, claimed) = self.units_of_namespace(namespace);
        self.put_tally(namespace, Tally::Entries, 0);
        // mutant: rebuild-ends-claims
        self.put_units_of_namespace(namespace, 0, claimed);
    }

    /// Whether its namespace counts an entry.
    pub(crate) fn counts(&self, head: &Head) -> bool {
        !is_record(head.namespace) && self.tally(head.namespace, Tally::Life).load(Ordering::Relaxed) == head.life
    }

    /// Number of a namespace's entries in its current life. It is 0 until a writer follows the last `clear`.
    pub(crate) fn entries(&self, namespace: u16, life: u64) -> u64 {
        // Acquire: pairs with the Release in `count_anew`.
        let counted = self.tally(namespace, Tally::Life).load(Ordering::Acquire);
        if counted == life { self.tally(namespace, Tally::Entries).load(Ordering::Relaxed) } else { 0 }
    }

    /// The words with a namespace's units: those of its entries in its current life, and those that its maximum counts.
    #[inline]
    fn units_words(&self, namespace: u16) -> (&'a AtomicU32, &'a AtomicU32) {
        let tallies = self.tallies(namespace);
        (tallies.u32(Tally::Units as usize), tallies.u32(Tally::Units as usize + CLAIMED))
    }

    /// The units of a namespace's entries, and those that its maximum counts. The caller holds the lock.
    #[inline]
    pub(crate) fn units_of_namespace(&self, namespace: u16) -> (u32, u32) {
        let (used, claimed) = self.units_words(namespace);
        (used.load(Ordering::Relaxed), claimed.load(Ordering::Relaxed)) // guarded by the lock
    }

    /// Stores both counts. The first one is noted. The second one is not: after a death the namespace claims what it uses.
    /// The caller holds the lock.
    #[inline]
    pub(crate) fn put_units_of_namespace(&self, namespace: u16, used: u32, claimed: u32) {
        let words = self.units_words(namespace);
        let old = words.0.load(Ordering::Relaxed); // guarded by the lock
        if used != old {
            // mutant: used-not-noted
            self.note(Note::Used { namespace: number(namespace), old });
        }
        Self::store_units(words, used, claimed);
    }

    #[inline(always)]
    fn store_units(words: (&AtomicU32, &AtomicU32), used: u32, claimed: u32) {
        // Relaxed: guarded by the lock. Other shards see it later.
        words.0.store(used, Ordering::Relaxed);
        words.1.store(claimed, Ordering::Relaxed);
        step("control.units");
    }

    /// Lowers the units of a namespace before an eviction for others. Then the sum over all shards decides: of two shards
    /// that do this at once, at least one sees the other. The caller holds the lock.
    pub(crate) fn offer_units(&self, namespace: u16, units: u32) {
        self.note(Note::Used { namespace, old: self.units_of_namespace(namespace).0 });
        self.restore_used(namespace, units);
    }

    /// Stores the units of a namespace, which were lower meanwhile or become lower. The caller holds the lock.
    pub(crate) fn restore_used(&self, namespace: u16, units: u32) {
        // SeqCst: in one order with the loads of `units_in_life` and with the same stores of other shards.
        self.units_words(namespace).0.store(units, Ordering::SeqCst);
        step("quota.offered");
    }

    /// Raises what a namespace claims before a write, in the same way. The caller holds the lock.
    pub(crate) fn claim_units(&self, namespace: u16, units: u32) {
        self.units_words(namespace).1.store(units, Ordering::SeqCst); // SeqCst: as in `offer_units`
        step("quota.claimed");
    }

    /// Units of a namespace's entries in this life, and those that its maximum counts, for any shard without its lock.
    /// They are 0 until a writer follows the last `clear`.
    pub(crate) fn units_in_life(&self, namespace: u16, life: u64) -> (u64, u64) {
        // Acquire: pairs with the Release in `count_anew`.
        if self.tally(namespace, Tally::Life).load(Ordering::Acquire) != life {
            return (0, 0);
        }
        let (used, claimed) = self.units_words(namespace);
        // SeqCst: pairs with the stores in `offer_units` and `claim_units`.
        (used.load(Ordering::SeqCst).into(), claimed.load(Ordering::SeqCst).into())
    }

    /// A number that changes with every write to the shard. `None` while the lock is held, even by a dead or suspended
    /// owner: the owner's last write may still become visible.
    pub(crate) fn writes_so_far(&self) -> Option<u64> {
        // Acquire: the sequence is read before the lock. If the lock is free after its sequence was counted, the write
        // was published before the lock was released.
        let writes = self.count(Count::Sequence).load(Ordering::Acquire);
        (self.field(Field::Lock).load(Ordering::Acquire) == 0).then_some(writes)
    }

    /// Number of reserved units.
    pub(crate) fn reserved(&self) -> u32 {
        self.get(Field::Reserved).min(self.geometry.units as u32)
    }

    /// The 8 words of a reserved unit.
    #[inline]
    pub(crate) fn unit_words(&self, unit: u32) -> Result<&'a [AtomicU64; UNIT_WORDS], Damaged> {
        if unit == 0 || unit >= self.get(Field::Reserved) {
            return Err(Damaged);
        }
        // `Reserved` may be damaged.
        Ok(self.units.get(unit as usize).ok_or(Damaged)?.words())
    }

    /// Offset of a run that lies inside the reserved units.
    #[inline]
    pub(crate) fn run_offset(&self, run: Run) -> Result<usize, Damaged> {
        let reserved = u64::from(self.get(Field::Reserved)).min(self.geometry.units as u64);
        let end = u64::from(run.unit) + u64::from(run.count);
        // mutant: length-believed
        if run.unit == 0 || run.count == 0 || end > reserved {
            return Err(Damaged);
        }
        Ok(self.unit_offset(run.unit))
    }

    /// Offset of a unit, unchecked.
    #[inline]
    pub(crate) fn unit_offset(&self, unit: u32) -> usize {
        self.space + unit as usize * UNIT
    }

    #[inline]
    pub(crate) fn head(&self, unit: u32) -> Result<Head, Damaged> {
        Ok(Head::load(self.unit_words(unit)?))
    }

    pub(crate) fn node(&self, unit: u32) -> Result<Node, Damaged> {
        Ok(Node::load(self.unit_words(unit)?))
    }

    /// Changes a link of an entry that is in a queue. The caller holds the lock.
    #[inline]
    fn put_links(&self, unit: u32, changed: impl FnOnce(u64) -> u64) -> Result<(), Damaged> {
        let word = &self.unit_words(unit)?[LINKS / 8];
        let offset = self.unit_offset(unit) + LINKS;
        let old = word.load(Ordering::Relaxed);
        // mutant: links-not-noted
        self.note(Note::Whole { offset, old });
        word.store(changed(old), Ordering::Relaxed); // guarded by the lock
        step("queue.node");
        Ok(())
    }

    /// Gives an entry another newer neighbour in its queue.
    pub(crate) fn put_newer(&self, unit: u32, newer: u32) -> Result<(), Damaged> {
        self.put_links(unit, |links| Node::with_newer(links, newer))
    }

    /// Gives an entry another older neighbour in its queue.
    pub(crate) fn put_older(&self, unit: u32, older: u32) -> Result<(), Damaged> {
        self.put_links(unit, |links| Node::with_older(links, older))
    }

    /// Notes a word of the node of an entry that is in a queue: its links, or its placing with its class.
    pub(crate) fn note_node(&self, unit: u32, word: usize) -> Result<(), Damaged> {
        let old = self.unit_words(unit)?[word / 8].load(Ordering::Relaxed);
        self.note(Note::Whole { offset: self.unit_offset(unit) + word, old });
        Ok(())
    }

    /// Stores the node of an entry that is in no queue: nothing is to be undone. The caller holds the lock.
    pub(crate) fn put_new_node(&self, unit: u32, node: Node) -> Result<(), Damaged> {
        node.store(self.unit_words(unit)?);
        step("queue.node");
        Ok(())
    }
}
