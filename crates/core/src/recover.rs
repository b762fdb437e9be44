//! Rebuilds a shard from its index words after its lock's owner died or something in it did not add up.
//!
//! The truth is: index words, the heads and bodies that they name, the sequence, the epochs. Everything else, bitmap,
//! counts, queues, overflow counts, is made anew from them. No valid index word is changed, so a death in here leaves
//! the same truth, and the next owner starts again.
//!
//! The thing to get wrong: readers, who go on meanwhile. The only derived thing that they look at are the overflow
//! counts; each is stored once, with its final value, which is never below the truth.

use crate::entry::{CHAINED, Damaged, Head, LAST_VERSION, Run, extents, pieces, runs};
use crate::geometry::{Geometry, MAX_NAMESPACES, WORDS_PER_LINE};
use crate::key::{self, Key, MAX_KEY, Placing};
use crate::locked::Locked;
use crate::namespaces::registered;
use crate::policy::Queue;
use crate::ring::Stream;
use crate::shard::{Count, Field, Position, ShardView, Tally};
use crate::space::each_mask;
use crate::spaces::{is_known, is_pinned, number};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::index;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;

/// Process memory for a rebuild, made when the segment is opened: under a lock nothing is allocated.
#[derive(Debug)]
pub(crate) struct Scratch {
    overflow: Vec<u8>,
    /// One bit per unit: a head that is named and not yet in a queue.
    waiting: Vec<u64>,
    key: Vec<u8>,
    /// Units walked in vain along chains that turned out to be damaged.
    wasted: usize,
}

/// How often the space may be walked through in vain before no chain is believed any more: chains made to lead astray
/// could else keep a rebuild busy for minutes.
const WASTE: usize = 8;

impl Scratch {
    pub(crate) fn new(geometry: &Geometry) -> Self {
        Self {
            overflow: vec![0; geometry.lines()],
            waiting: vec![0; geometry.units.div_ceil(64)],
            key: Vec::with_capacity(MAX_KEY + 64),
            wasted: 0,
        }
    }

    fn set_waiting(&mut self, unit: u32) {
        self.waiting[unit as usize / 64] |= 1 << (unit % 64);
    }

    fn take_waiting(&mut self, unit: u32) -> bool {
        let Some(word) = self.waiting.get_mut(unit as usize / 64) else {
            return false;
        };
        let was = *word >> (unit % 64) & 1 == 1;
        *word &= !(1 << (unit % 64));
        was
    }
}

impl Locked<'_> {
    /// Makes everything derived anew. Remembers how many index words had to be dropped.
    pub(crate) fn rebuild(&mut self) {
        let mut scratch = self.core.scratch();
        scratch.overflow.fill(0);
        scratch.waiting.fill(0);
        scratch.wasted = 0;
        self.shard.clear_bitmap();
        let totals = self.read_truth(&mut scratch);
        for (line, count) in scratch.overflow.iter().enumerate() {
            if self.shard.overflowed(line).load(Ordering::Relaxed) != *count {
                self.shard.overflowed(line).store(*count, Ordering::Release); // as in `index::lower`
                step("rebuild.overflow");
            }
        }
        self.rebuild_queues(&mut scratch);
        let reserved = self.shard.reserved();
        self.shard.put(Field::Reserved, reserved);
        let free = reserved.saturating_sub(1).saturating_sub(self.shard.count_marked());
        self.shard.put(Field::Free, free);
        self.shard.put(Field::Mortal, totals.mortal);
        self.shard.put(Field::Purge, self.shard.lines_in_use() as u32);
        self.shard.put(Field::Words, totals.words);
        let sequence = self.shard.count(Count::Sequence);
        if !(totals.newest..=LAST_VERSION).contains(&sequence.load(Ordering::Relaxed)) {
            sequence.store(totals.newest, Ordering::Relaxed);
        }
        for stream in [Stream::Changes, Stream::Messages] {
            self.shard.ring(stream).reset();
        }
        self.told = true;
        self.shard.bump(Count::Repairs);
        let damaged = self.shard.count(Count::Damaged);
        damaged.store(damaged.load(Ordering::Relaxed).wrapping_add(u64::from(totals.dropped)), Ordering::Relaxed);
        step("rebuild.counted");
        self.repaired = Some(self.repaired.unwrap_or(0) + totals.dropped);
    }

    fn read_truth(&self, scratch: &mut Scratch) -> Totals {
        let shard = self.shard;
        let mut totals = Totals { words: 0, mortal: 0, dropped: 0, newest: 0 };
        let registered = registered(shard.region);
        for namespace in 0..MAX_NAMESPACES as u16 {
            if namespace < registered {
                shard.count_anew(namespace, self.life_of(namespace));
            } else if shard.tally(namespace, Tally::Entries).load(Ordering::Relaxed) != 0 {
                shard.put_tally(namespace, Tally::Entries, 0);
            }
        }
        step("rebuild.tallies");
        for line in 0..shard.geometry.lines() {
            shard.each_in_line(line, |at, word| match self.accept_or_finish(scratch, at, word) {
                Ok(None) => {}
                Ok(Some(head)) => {
                    if shard.counts(&head) {
                        shard.add_tally(head.namespace, Tally::Entries, 1);
                    }
                    totals.words += 1;
                    totals.mortal += u32::from(head.deadline != 0);
                    totals.newest = totals.newest.max(head.version);
                }
                Err(Damaged) => {
                    publish(shard.word(at), 0);
                    step("rebuild.dropped");
                    totals.dropped += 1;
                }
            });
        }
        totals
    }

    /// `accept`, unless the word is one of two that name the same entry, of which the other is where it belongs now: what
    /// a division leaves that was not finished.
    fn accept_or_finish(&self, scratch: &mut Scratch, at: Position, word: u64) -> Result<Option<Head>, Damaged> {
        if self.shard.was_moved(at, word) {
            publish(self.shard.word(at), 0);
            step("rebuild.moved");
            return Ok(None);
        }
        self.accept(scratch, at, word).map(Some)
    }

    /// Checks what a word names, and marks its units as used. Damaged: nothing was marked.
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
        shard.put_node(unit, crate::entry::Node { place, ..node })?;
        scratch.set_waiting(unit);
        for line in self.path(place).take_while(|line| *line != at.line()) {
            scratch.overflow[line] = scratch.overflow[line].saturating_add(1);
        }
        Ok(head)
    }

    /// The key's placing, if the key does belong where the word is.
    fn placing_of(&self, buffer: &mut Vec<u8>, head: &Head, at: Position, tag: u32) -> Result<Placing, Damaged> {
        let shard = self.shard;
        buffer.clear();
        pieces(shard, head, head.key_at(), head.key_len, |offset, len| shard.region.append_to(offset, len, buffer))?;
        // The value must be there as well.
        pieces(shard, head, head.value_at(), head.value_len, |_, _| {})?;
        let key = Key::new(shard.geometry, head.namespace, buffer).map_err(|_| Damaged)?;
        let own = at.line() == key.place.line(shard.geometry, shard.level()) || at.line() >= shard.geometry.main_lines;
        if key.shard == shard.index && key.place.tag == tag && own { Ok(key.place) } else { Err(Damaged) }
    }

    /// Marks all units of an entry, or none if one is marked already.
    fn claim_all(&self, unit: u32, head: &Head) -> Result<(), Damaged> {
        let shard = self.shard;
        let is_free = |run: Run| {
            shard.run_offset(run)?;
            if shard.marked(run).0 { Err(Damaged) } else { Ok(()) }
        };
        is_free(Run { unit, count: 1 })?;
        runs(shard, head, is_free)?;
        extents(shard, head, |extent| is_free(Run { unit: extent, count: 1 }))?;
        // Now mark; a unit that the entry names twice shows as marked, and what was marked so far is taken back.
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
                    shard.unmark(run);
                }
                Ok(())
            };
            take_back(Run { unit, count: 1 })?;
            runs(shard, head, &mut take_back)?;
            extents(shard, head, |extent| take_back(Run { unit: extent, count: 1 }))?;
        }
        all
    }

    /// Keeps the order of the old queues as far as their links can be followed; who is in none comes last.
    fn rebuild_queues(&self, scratch: &mut Scratch) {
        let shard = self.shard;
        for queue in [Queue::Small, Queue::Main, Queue::Pinned] {
            let oldest = shard.get(queue.oldest());
            self.empty_queue(queue);
            let mut unit = oldest;
            while unit != 0 && scratch.take_waiting(unit) {
                let Ok(node) = shard.node(unit) else { break };
                self.append(queue, unit);
                unit = node.newer;
            }
        }
        step("rebuild.queues");
        for line in 0..shard.geometry.lines() {
            shard.each_in_line(line, |_, word| {
                let unit = shard.unit_of(word);
                if scratch.take_waiting(unit) {
                    self.append(Queue::Main, unit);
                }
            });
        }
    }

    fn empty_queue(&self, queue: Queue) {
        for field in [queue.newest(), queue.oldest(), queue.units()] {
            self.shard.put(field, 0);
        }
    }

    fn append(&self, queue: Queue, unit: u32) {
        let shard = self.shard;
        // Every unit in `waiting` was accepted, so these reads are in range.
        if let (Ok(node), Ok(head)) = (shard.node(unit), shard.head(unit)) {
            // Whatever the links said: what is pinned must not be where victims are found, nor a victim where none is.
            let queue = match (is_pinned(head.namespace), queue) {
                (true, _) => Queue::Pinned,
                (false, Queue::Pinned) => Queue::Main,
                (false, queue) => queue,
            };
            let _ = shard.enqueue(queue, unit, node.place, head.units());
        }
    }
}

struct Totals {
    words: u32,
    mortal: u32,
    dropped: u32,
    newest: u64,
}

impl ShardView<'_> {
    /// What does not add up in the shard. The caller holds the lock.
    pub(crate) fn validate(&self, problems: &mut Vec<String>) {
        let mut report = |what: String| problems.push(format!("shard {}: {what}", self.index));
        let mut used = vec![0u64; self.geometry.units.div_ceil(64)];
        let mut overflow = vec![0u32; self.geometry.lines()];
        let (mut words, mut mortal, mut units_used) = (0usize, 0u32, 0u32);
        let mut entries = vec![0u32; MAX_NAMESPACES];
        for line in 0..self.geometry.lines() {
            self.each_in_line(line, |at, word| {
                words += 1;
                match self.validate_entry(at, word, &mut used, &mut overflow) {
                    Ok((head, units)) => {
                        units_used += units;
                        entries[usize::from(number(head.namespace))] += u32::from(self.counts(&head));
                        mortal += u32::from(head.deadline != 0);
                    }
                    Err(what) => report(format!("position {}: {what}", at.0)),
                }
            });
        }
        let reserved = self.reserved();
        if let Some((unit, marked)) = self.first_wrong_mark(&used) {
            report(format!(
                "unit {unit} is {} but {}",
                if marked { "named by nobody" } else { "in use" },
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
        for (line, count) in overflow.iter().enumerate() {
            let noted = self.overflowed(line).load(Ordering::Relaxed);
            if u32::from(noted) != *count && noted != index::SATURATED {
                report(format!("line {line}: {count} keys went past it, noted {noted}"));
            }
        }
        if !self.ring(Stream::Changes).is_quiet() || !self.ring(Stream::Messages).is_quiet() {
            report("a message in a ring was begun and not published".into());
        }
        let queued: usize = [Queue::Small, Queue::Main, Queue::Pinned]
            .into_iter()
            .map(|queue| self.validate_queue(queue, &mut report))
            .sum();
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
        pieces(*self, &head, head.key_at(), head.key_len, |offset, len| self.region.append_to(offset, len, &mut key))
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
        // Stops at the first unit that is named twice, so that all entries together cost no more than the space.
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
            .and_then(|()| runs(*self, &head, &mut claim))
            .and_then(|()| extents(*self, &head, |extent| claim(Run { unit: extent, count: 1 })));
        match claimed {
            Ok(()) => Ok((head, units)),
            Err(_) if twice => Err("a unit is named twice".into()),
            Err(Damaged) => Err("a run is out of range".into()),
        }
    }

    fn validate_queue(&self, queue: Queue, report: &mut impl FnMut(String)) -> usize {
        let mut count = 0;
        let mut units = 0u32;
        let mut newer = 0;
        let mut unit = self.get(queue.newest());
        while unit != 0 && count <= self.geometry.lines() * WORDS_PER_LINE {
            let (Ok(node), Ok(head)) = (self.node(unit), self.head(unit)) else {
                report(format!("{queue:?} queue: link to {unit}"));
                return count;
            };
            if node.newer != newer
                || node.queue != queue
                || (queue == Queue::Pinned) != is_pinned(head.namespace)
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
        if newer != self.get(queue.oldest()) {
            report(format!("{queue:?} queue ends at {newer}, not at {}", self.get(queue.oldest())));
        }
        if units != self.get(queue.units()) {
            report(format!("{queue:?} queue has {units} units, counted {}", self.get(queue.units())));
        }
        count
    }
}
