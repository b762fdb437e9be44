//! Lists the contradictions of a shard, for tests and for `Cache::validate`.
//!
//! Unlike a rebuild, it trusts no derived structure and changes nothing. The caller holds the shard's lock.

use crate::layout::control::{Count, EvictionQueue, Field, QueueKind, Tally};
use crate::layout::entry::{Damaged, Head, Run};
use crate::layout::geometry::{MAX_CLASSES, MAX_NAMESPACES, WORDS_PER_LINE};
use crate::layout::key::Key;
use crate::layout::keyspaces::{is_pinned, number};
use crate::layout::messages::RingKind;
use crate::layout::quotas::class_of;
use crate::shard::allocator::each_mask;
use crate::shard::index::Position;
use crate::shard::pieces::{extents, pieces, runs};
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::index;

impl ShardView<'_> {
    /// Adds the contradictions of the shard to `problems`. The caller holds the lock.
    pub(crate) fn validate(&self, problems: &mut Vec<String>) {
        let mut report = |what: String| problems.push(format!("shard {}: {what}", self.index));
        let mut used = vec![0u64; self.geometry.units.div_ceil(64)];
        let mut overflow = vec![0u32; self.geometry.lines()];
        let (mut words, mut mortal, mut units_used) = (0usize, 0u32, 0u32);
        let first_end = self.count(Count::FirstEnd).load(Ordering::Relaxed);
        let first_of_pass = self.count(Count::FirstEndOfPass).load(Ordering::Relaxed);
        let next_to_sweep = self.get(Field::SweepLine) as usize % self.lines_in_use();
        let (mut entries, mut units_of) = (vec![0u32; MAX_NAMESPACES], vec![0u32; MAX_NAMESPACES]);
        for line in self.lines_with_words() {
            self.each_in_line(line, |at, word| {
                words += 1;
                match self.validate_entry(at, word, &mut used, &mut overflow) {
                    Ok((head, units)) => {
                        units_used += units;
                        let (namespace, counts) = (usize::from(number(head.namespace)), u32::from(self.counts(&head)));
                        entries[namespace] += counts;
                        units_of[namespace] += counts * head.units() as u32;
                        if head.deadline != 0 {
                            mortal += 1;
                            let end = head.end(self);
                            let is_swept = self.number_in_use(line) < next_to_sweep;
                            if end < first_end || is_swept && end < first_of_pass {
                                report(format!("position {}: its end comes before the first one noted", at.0));
                            }
                        }
                    }
                    Err(what) => report(format!("position {}: {what}", at.0)),
                }
            });
        }
        if !self.has_no_notes() {
            report("its journal has notes, and no change is under way".into());
        }
        let reserved = self.reserved();
        if let Some((unit, marked)) = self.first_wrong_mark(&used) {
            report(format!(
                "unit {unit} is {} but {}",
                if marked { "named by no entry" } else { "in use" },
                if marked { "marked" } else { "free" }
            ));
        }
        for (what, found, counted) in [
            (
                "free units",
                reserved.saturating_sub(1) - units_used.min(reserved.saturating_sub(1)),
                self.get(Field::Free),
            ),
            ("mortal entries", mortal, self.get(Field::Mortal)),
            ("words", words as u32, self.get(Field::Words)),
        ] {
            if found != counted {
                report(format!("{found} {what}, counted {counted}"));
            }
        }
        for (namespace, found) in entries.into_iter().enumerate() {
            let counted = self.tally(namespace as u16, Tally::Entries).load(Ordering::Relaxed);
            if u64::from(found) != counted {
                report(format!("{found} entries of namespace {namespace}, counted {counted}"));
            }
        }
        for (namespace, found) in units_of.into_iter().enumerate() {
            let (used, claimed) = self.units_of_namespace(namespace as u16);
            if (found, found) != (used, claimed) {
                report(format!("{found} units of namespace {namespace}, counted {used}, claimed {claimed}"));
            }
        }
        for line in self.lines_with_words() {
            let count = &overflow[line];
            let noted = self.overflowed(line).load(Ordering::Relaxed);
            if u32::from(noted) != *count && noted != index::SATURATED {
                report(format!("line {line}: {count} keys went past it, noted {noted}"));
            }
        }
        if !self.ring(RingKind::Changes).is_quiet() || !self.ring(RingKind::Messages).is_quiet() {
            report("a message in a ring was begun and not published".into());
        }
        let queues = (0..MAX_CLASSES as u8).flat_map(|class| [EvictionQueue::small(class), EvictionQueue::main(class)]);
        let queued: usize =
            queues.chain([EvictionQueue::PINNED]).map(|queue| self.validate_queue(queue, &mut report)).sum();
        if queued != words {
            report(format!("{words} entries, {queued} in the queues"));
        }
    }

    fn validate_entry(
        &self,
        at: Position,
        word: u64,
        used: &mut [u64],
        overflow: &mut [u32],
    ) -> Result<(Head, u32), String> {
        let damaged = |_| "a field is out of range".to_owned();
        let unit = self.unit_of(word);
        let head = self.head(unit).map_err(damaged)?;
        let mut key = Vec::new();
        pieces(self, &head, head.key_at(), head.key_len, |offset, len| self.region.append_to(offset, len, &mut key))
            .map_err(damaged)?;
        let key = Key::new(self.geometry, head.namespace, &key).map_err(|e| e.to_string())?;
        if key.shard != self.index || key.place.tag != self.tag_of(word) {
            return Err("its key hashes elsewhere".into());
        }
        if at.line() != key.place.line(self.geometry, self.level()) && at.line() < self.geometry.main_lines {
            return Err("its key belongs to another line".into());
        }
        let node = self.node(unit).map_err(damaged)?;
        if node.place != key.place {
            return Err("its head names another place".into());
        }
        for line in key.place.path(self.geometry, self.level()).take_while(|line| *line != at.line()) {
            overflow[line] += 1;
        }
        if head.version > self.count(Count::Sequence).load(Ordering::Relaxed) {
            return Err(format!("version {} is ahead of the sequence", head.version));
        }
        let mut units = 0;
        let mut twice = false;
        // Stops at the first unit that is named twice, so the work for all entries together is bounded by the space.
        let mut claim = |run: Run| {
            self.run_offset(run)?;
            each_mask(run, |word, mask| {
                twice |= used[word] & mask != 0;
                used[word] |= mask;
            });
            units += run.count;
            if twice { Err(Damaged) } else { Ok(()) }
        };
        let claimed = claim(Run { unit, count: 1 })
            .and_then(|()| runs(self, &head, &mut claim))
            .and_then(|()| extents(self, &head, |extent| claim(Run { unit: extent, count: 1 })));
        match claimed {
            Ok(()) => Ok((head, units)),
            Err(_) if twice => Err("a unit is named twice".into()),
            Err(Damaged) => Err("a run is out of range".into()),
        }
    }

    fn validate_queue(&self, queue: EvictionQueue, report: &mut impl FnMut(String)) -> usize {
        let mut count = 0;
        let mut units = 0u32;
        let mut newer = 0;
        let (mut unit, oldest, counted) = self.queue_words(queue);
        while unit != 0 && count <= self.geometry.lines() * WORDS_PER_LINE {
            let (Ok(node), Ok(head)) = (self.node(unit), self.head(unit)) else {
                report(format!("{queue:?} queue: link to {unit}"));
                return count;
            };
            if node.newer != newer
                || node.queue != queue
                || (queue.kind == QueueKind::Pinned) != is_pinned(head.namespace)
                || queue.class != 0 && queue.class != class_of(self.region, head.namespace)
                || self.position_of(unit, node).is_err()
            {
                report(format!("{queue:?} queue: node {unit} is inconsistent"));
                return count;
            }
            units = units.wrapping_add(head.units() as u32);
            count += 1;
            newer = unit;
            unit = node.older;
        }
        if newer != oldest {
            report(format!("{queue:?} queue ends at {newer}, not at {oldest}"));
        }
        if units != counted {
            report(format!("{queue:?} queue has {units} units, counted {counted}"));
        }
        count
    }
}
