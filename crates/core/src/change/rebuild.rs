//! Rebuilds a shard from its index words if it contradicted itself, or if the owner of its lock died in a change that its journal
//! cannot undo; see `repair`.
//!
//! The truth is: the index words, the heads and bodies that they name, the level, the sequence, the epochs. A rebuild
//! recomputes everything else from them: bitmap, counts, queues, overflow counts. It changes no valid index word, so a
//! death during a rebuild leaves the same truth, and the next owner starts again.
//!
//! Readers continue meanwhile. The only derived words that they read are the overflow counts. Each count is stored
//! once, with its final value, which is never below the truth.

use crate::change::locked::Locked;
use crate::layout::control::{Count, EvictionQueue, Field, QueueKind, Tally};
use crate::layout::entry::{CHAINED, Damaged, Head, LAST_VERSION, Node, Run};
use crate::layout::geometry::{MAX_CLASSES, MAX_NAMESPACES};
use crate::layout::intent::Intent;
use crate::layout::key::{self, Key, Placing};
use crate::layout::keyspaces::{is_known, is_pinned};
use crate::layout::messages::RingKind;
use crate::layout::namespaces::registered;
use crate::layout::quotas::class_of;
use crate::shard::index::Position;
use crate::shard::pieces::{extents, pieces, runs};
use crate::shard::scratch::Scratch;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::{step, visit};

/// Maximum units that are walked in vain, as a multiple of the space. After that the rebuild drops all chained entries:
/// otherwise chains that are made to mislead could keep it busy for minutes.
const WASTE: usize = 8;

struct Totals {
    words: u32,
    mortal: u32,
    first_end: u64,
    dropped: u32,
    newest: u64,
}

impl Locked<'_> {
    /// Recomputes all derived structures. Remembers how many index words were dropped.
    pub(crate) fn rebuild(&mut self) {
        self.shard.note_unsound();
        let mut scratch = self.attachment.scratch();
        scratch.clear();
        // mutant: rebuild-keeps-bitmap
        self.shard.clear_bitmap();
        let totals = self.read_truth(&mut scratch);
        self.store_overflow(&scratch);
        self.rebuild_queues(&mut scratch);
        let reserved = self.shard.reserved();
        self.shard.put(Field::Reserved, reserved);
        let free = reserved.saturating_sub(1).saturating_sub(self.shard.count_marked());
        self.shard.put(Field::Free, free);
        self.shard.put(Field::Mortal, totals.mortal);
        // mutant: rebuild-keeps-first-end
        self.shard.put_count(Count::FirstEnd, totals.first_end);
        self.shard.put_count(Count::FirstEndOfPass, totals.first_end);
        let lines = self.shard.lines_in_use() as u32;
        self.shard.put(Field::Purge, lines);
        // A tag pass goes on: a rebuild moves no entry. More lines than there are would be damage.
        self.shard.put(Field::TagLinesLeft, self.shard.get(Field::TagLinesLeft).min(lines));
        self.shard.put(Field::Words, totals.words);
        let sequence = self.shard.count(Count::Sequence);
        if !(totals.newest..=LAST_VERSION).contains(&sequence.load(Ordering::Relaxed)) {
            sequence.store(totals.newest, Ordering::Relaxed);
        }
        let damaged = self.shard.count(Count::Damaged);
        damaged.store(damaged.load(Ordering::Relaxed).wrapping_add(u64::from(totals.dropped)), Ordering::Relaxed);
        step("rebuild.counted");
        self.end_repair(totals.dropped);
    }

    /// Ends a repair: readers of the rings learn that messages may be lost, and listeners are notified.
    pub(crate) fn end_repair(&mut self, dropped: u32) {
        for stream in [RingKind::Changes, RingKind::Messages] {
            self.shard.ring(stream).reset();
        }
        self.has_news = true;
        self.shard.bump(Count::Repairs);
        self.repaired = Some(self.repaired.unwrap_or(0) + dropped);
        self.shard.forget_notes();
    }

    fn read_truth(&self, scratch: &mut Scratch) -> Totals {
        let shard = self.shard;
        let mut totals = Totals { words: 0, mortal: 0, first_end: u64::MAX, dropped: 0, newest: 0 };
        let registered = registered(shard.region);
        for namespace in 0..MAX_NAMESPACES as u16 {
            if namespace < registered {
                shard.recount(namespace, self.life_of(namespace));
            } else if shard.tally(namespace, Tally::Entries).load(Ordering::Relaxed) != 0
                || shard.units_of_namespace(namespace) != (0, 0)
            {
                shard.put_tally(namespace, Tally::Entries, 0);
                shard.put_units_of_namespace(namespace, 0, 0);
            }
        }
        step("rebuild.tallies");
        for line in shard.lines_with_words() {
            self.end_intents(line);
            shard.each_in_line(line, |at, word| match self.accept_or_finish(scratch, at, word) {
                Ok(None) => {}
                Ok(Some(head)) => {
                    if shard.counts(&head) {
                        shard.add_tally(head.namespace, Tally::Entries, 1);
                        // mutant: rebuild-recounts-no-units
                        self.recount_units_in(&head);
                    }
                    totals.words += 1;
                    if head.deadline != 0 {
                        totals.mortal += 1;
                        totals.first_end = totals.first_end.min(head.end(shard));
                    }
                    totals.newest = totals.newest.max(head.version);
                }
                Err(Damaged) => {
                    publish(shard.word(at), 0);
                    step("rebuild.dropped");
                    totals.dropped += 1;
                }
            });
        }
        (0..registered).for_each(|namespace| self.drop_claim(namespace));
        // Last: until then the home keeps the word that decides.
        shard.put(Field::CommitHome, 0);
        totals
    }

    /// Replaces the words of a line that name intents by those of the entries behind them: the new ones if the transaction
    /// was committed, else the old ones.
    fn end_intents(&self, line: usize) {
        let shard = self.shard;
        shard.each_in_line(line, |at, word| {
            let unit = shard.unit_of(word);
            if !shard.head(unit).is_ok_and(|head| Intent::is_at(&head)) {
                return;
            }
            // mutant: rebuild-drops-intents
            match shard.unit_behind(unit) {
                Ok(0) | Err(Damaged) => publish(shard.word(at), 0),
                Ok(behind) => publish(shard.word(at), shard.low_word(behind, shard.tag_of(word))),
            };
            step("rebuild.intent");
        });
    }

    /// Like `accept`, except for a word that an unfinished division left behind: its twin, where the entry belongs now,
    /// names the same entry. Such a word is emptied, and the result is `None`.
    fn accept_or_finish(&self, scratch: &mut Scratch, at: Position, word: u64) -> Result<Option<Head>, Damaged> {
        // mutant: rebuild-drops-moved
        if self.shard.was_moved(at, word) {
            publish(self.shard.word(at), 0);
            step("rebuild.moved");
            return Ok(None);
        }
        visit("rebuilt entry");
        self.accept(scratch, at, word).map(Some)
    }

    /// Checks the entry that a word names, and marks its units as used. `Damaged`: no unit was marked.
    fn accept(&self, scratch: &mut Scratch, at: Position, word: u64) -> Result<Head, Damaged> {
        let shard = self.shard;
        let unit = shard.unit_of(word);
        let head = shard.head(unit)?;
        let is_possible = key::is_possible_len(head.key_len)
            && head.units() <= shard.geometry.units
            && is_known(head.namespace)
            && head.has_sound_extras()
            && (1..=LAST_VERSION).contains(&head.version);
        if !is_possible {
            return Err(Damaged);
        }
        let is_chained = head.flags & CHAINED != 0;
        if is_chained && scratch.wasted > shard.geometry.units * WASTE {
            return Err(Damaged);
        }
        let place = self
            .placing_of(&mut scratch.key, &head, at, shard.tag_of(word))
            .and_then(|place| self.claim_all(unit, &head).map(|()| place));
        if is_chained && place.is_err() {
            scratch.wasted += (head.run.count as usize).min(shard.geometry.units);
        }
        let place = place?;
        let node = shard.node(unit)?;
        shard.put_new_node(unit, Node { place, ..node })?;
        scratch.set_waiting(unit);
        for line in self.path(place).take_while(|line| *line != at.line()) {
            scratch.overflow[line] = scratch.overflow[line].saturating_add(1);
        }
        Ok(head)
    }

    /// The placing of the key, if the key belongs where the word is.
    pub(crate) fn placing_of(
        &self,
        buffer: &mut Vec<u8>,
        head: &Head,
        at: Position,
        tag: u32,
    ) -> Result<Placing, Damaged> {
        let shard = self.shard;
        buffer.clear();
        pieces(shard, head, head.key_at(), head.key_len, |offset, len| shard.region.append_to(offset, len, buffer))?;
        // The value must be in reserved units as well.
        pieces(shard, head, head.value_at(), head.value_len, |_, _| {})?;
        let key = Key::new(shard.geometry, head.namespace, buffer).map_err(|_| Damaged)?;
        let own = at.line() == key.place.line(shard.geometry, shard.level()) || at.line() >= shard.geometry.main_lines;
        if key.shard == shard.index && key.place.tag == tag && own { Ok(key.place) } else { Err(Damaged) }
    }

    /// Marks all units of an entry, or none if one of them is already marked.
    pub(crate) fn claim_all(&self, unit: u32, head: &Head) -> Result<(), Damaged> {
        let shard = self.shard;
        let is_free = |run: Run| {
            shard.run_offset(run)?;
            if shard.marked(run).0 { Err(Damaged) } else { Ok(()) }
        };
        is_free(Run { unit, count: 1 })?;
        runs(shard, head, is_free)?;
        extents(shard, head, |extent| is_free(Run { unit: extent, count: 1 }))?;
        // The units are marked one run after the other, so a unit that the entry names twice shows as marked. Then the
        // marks so far are taken back.
        let mut claimed = 0;
        let mut claim = |run: Run| {
            is_free(run)?;
            shard.mark(run);
            claimed += 1;
            Ok(())
        };
        let all = claim(Run { unit, count: 1 })
            .and_then(|()| runs(shard, head, &mut claim))
            .and_then(|()| extents(shard, head, |extent| claim(Run { unit: extent, count: 1 })));
        if all.is_err() {
            let mut take_back = |run: Run| {
                if claimed > 0 {
                    claimed -= 1;
                    shard.run_offset(run)?;
                    shard.set_marks(run, false);
                }
                Ok(())
            };
            take_back(Run { unit, count: 1 })?;
            runs(shard, head, &mut take_back)?;
            extents(shard, head, |extent| take_back(Run { unit: extent, count: 1 }))?;
        }
        all
    }

    /// Keeps the order of the old queues as far as their links can be followed. Entries in no queue come last.
    fn rebuild_queues(&self, scratch: &mut Scratch) {
        let shard = self.shard;
        let queues = (0..MAX_CLASSES as u8).flat_map(|class| [EvictionQueue::small(class), EvictionQueue::main(class)]);
        let queues = queues.chain([EvictionQueue::PINNED]);
        // All queues are emptied first: an entry may go from the queue where it is into that of its class.
        let mut oldest = [0; 2 * MAX_CLASSES + 1];
        queues.clone().zip(&mut oldest).for_each(|(queue, oldest)| *oldest = shard.empty_queue(queue));
        for (queue, mut unit) in queues.zip(oldest) {
            while unit != 0 && scratch.take_waiting(unit) {
                let Ok(node) = shard.node(unit) else { break };
                self.append(queue, unit);
                unit = node.newer;
            }
        }
        step("rebuild.queues");
        for line in shard.lines_with_words() {
            shard.each_in_line(line, |_, word| {
                let unit = shard.unit_of(word);
                if scratch.take_waiting(unit) {
                    self.append(EvictionQueue::main(0), unit);
                }
            });
        }
    }

    fn append(&self, queue: EvictionQueue, unit: u32) {
        let shard = self.shard;
        // Every unit in `waiting` was accepted, so these reads are in range.
        if let (Ok(node), Ok(head)) = (shard.node(unit), shard.head(unit)) {
            // The links may be wrong: a pinned record belongs in the pinned queue, and every other entry belongs in
            // another queue, which its class has.
            let class = class_of(shard.region, head.namespace);
            let queue = match (is_pinned(head.namespace), queue.kind) {
                (true, _) => EvictionQueue::PINNED,
                (false, QueueKind::Pinned) => EvictionQueue::main(class),
                (false, kind) => EvictionQueue { class, kind },
            };
            let _ = shard.enqueue(queue, unit, node.place, head.units());
        }
    }

    /// Ends a change after the store of its index word. If the rest failed, the shard is rebuilt. The change is
    /// committed, so it must not run again.
    pub(crate) fn settle(&mut self, rest: Result<(), Damaged>) {
        match rest {
            Ok(()) => self.shard.forget_notes(),
            Err(Damaged) => self.rebuild(),
        }
    }
}
