//! The steps of a transaction under the locks of its shards: writes all entries, then makes them visible by one store.
//!
//! ```text
//! room      evict until there is room for the new entries: changes of their own, which stay if the transaction ends here
//! check     the last step that may refuse
//! stage     take units and write the new entries, which no index word names yet
//! publish   let each index word name an intent: readers still find the old entries
//! commit    one store in the home: readers find the new entries
//! finish    let each index word name its new entry, free the old ones and the intents
//! ```
//!
//! Promises: a reader without a lock finds all keys as before the transaction or all as after it. From `stage` on nothing
//! is refused or evicted, and nothing is ever allocated. After a death the next owner of each lock undoes what the journal
//! of its shard has notes of, or finishes it, as the home says; see `repair`. A transaction with more keys in a shard than
//! the journal can hold leaves a rebuild.

use crate::change::find::{Existing, RemovalCause};
use crate::change::locked::{ChangeError, Locked, RoomElsewhere};
use crate::change::quotas::Staged;
use crate::change::set::Write;
use crate::layout::control::{Count, Field, Tally};
use crate::layout::entry::{Damaged, Head, TAGGED};
use crate::layout::geometry::WORDS_PER_LINE;
use crate::layout::intent::{CommitWord, Intent};
use crate::layout::key::Key;
use crate::layout::keyspaces::is_record;
use crate::layout::messages::What;
use crate::shard::allocator::worst_case;
use crate::shard::index::Position;
use crate::shard::view::ShardView;
use cache_machine_shm::ListeningProcesses;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::bell::after_publish;
use cache_machine_shm::publish::publish;
use cache_machine_shm::steps::step;

/// Why a transaction did not commit. It has changed nothing.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A key is not as it was read.
    Conflict,
    /// A shard has no room for the new entries.
    NoRoom,
    /// A namespace has to evict in another shard first.
    Elsewhere(RoomElsewhere),
    /// A line is full of entries, and one of them has been evicted: the transaction runs again.
    Crowded,
    Failed(ChangeError),
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        Self::Failed(error)
    }
}

impl From<Damaged> for Refusal {
    fn from(_: Damaged) -> Self {
        Self::Failed(ChangeError::Damaged)
    }
}

/// A change of a key, on its way.
pub(crate) struct StagedKey<'a, 'k> {
    pub(crate) key: Key<'k>,
    /// `None`: the key is to be deleted.
    write: Option<&'a Write<'k>>,
    /// Number of its shard among those that are locked.
    shard: usize,
    existing: Option<Existing>,
    /// Units of the new entry, at most.
    units: usize,
    /// The place of its index word.
    at: Position,
    /// The new entry; `None`: it has none.
    new: Option<(u32, Head)>,
    /// The unit of the intent; 0: there is nothing to be done.
    intent: u32,
}

/// The locked shards of a transaction, in the order of their numbers, and its changes.
pub(crate) struct Commit<'a, 'k> {
    pub(crate) locked: Vec<Locked<'a>>,
    keys: Vec<StagedKey<'a, 'k>>,
    /// The lives of the namespaces, the same for all keys.
    pub(crate) lives: Vec<(u16, u64)>,
    /// Processes to wake after the last unlock.
    pub(crate) listeners: Vec<ListeningProcesses>,
}

impl<'a, 'k> Commit<'a, 'k> {
    /// Buffers for a transaction that changes `changes` keys of `shards` shards and `namespaces` namespaces. Nothing is
    /// allocated under the locks.
    pub(crate) fn new(shards: usize, changes: usize, namespaces: usize) -> Self {
        Self {
            locked: Vec::with_capacity(shards),
            keys: Vec::with_capacity(changes),
            lives: Vec::with_capacity(namespaces),
            listeners: Vec::with_capacity(changes * 2),
        }
    }

    /// The guard of a key's shard, set for the key's namespace.
    fn locked_for(&mut self, key: &Key<'_>) -> &mut Locked<'a> {
        let at = self.number_of(key);
        let life = self.lives.iter().find(|(namespace, _)| *namespace == key.namespace).map(|(_, life)| *life);
        let locked = &mut self.locked[at];
        locked.namespace = key.namespace;
        locked.life = life.unwrap_or(locked.life);
        locked
    }

    fn number_of(&self, key: &Key<'_>) -> usize {
        // All shards of the keys are locked.
        self.locked.iter().position(|locked| locked.shard.index == key.shard).unwrap_or(0)
    }

    // ---- room

    /// Makes room for the change of a key, beside those of all keys so far.
    pub(crate) fn make_room(&mut self, key: Key<'k>, write: Option<&'a Write<'k>>) -> Result<(), Refusal> {
        let shard = self.number_of(&key);
        let mut staged = Staged::default();
        // One unit for each intent.
        let mut needed = 1;
        for other in self.keys.iter().filter(|other| other.shard == shard) {
            needed += worst_case(other.units) + 1;
            if other.key.namespace == key.namespace {
                staged.units += other.units;
                staged.replaced += other.existing.filter(|old| old.live).map_or(0, |old| old.head.units());
            }
        }
        let locked = self.locked_for(&key);
        let existing = locked.find(&key)?;
        let body = write.map_or(0, |write| write.most_units(&key, existing.as_ref()));
        if !locked.has_room(&key, body, existing, staged, needed)? {
            return Err(locked.elsewhere.take().map_or(Refusal::NoRoom, Refusal::Elsewhere));
        }
        let units = if body == 0 { 0 } else { 1 + body };
        let at = Position(0);
        self.keys.push(StagedKey { key, write, shard, existing, units, at, new: None, intent: 0 });
        Ok(())
    }

    /// Ends the claims of a transaction that does not commit.
    pub(crate) fn drop_claims(&mut self) {
        for staged in &self.keys {
            self.locked[staged.shard].drop_claim(staged.key.namespace);
        }
    }

    // ---- check

    /// Whether a key has the version that was read; `None`: no live entry.
    pub(crate) fn holds(&mut self, key: &Key<'_>, version: Option<u64>) -> Result<bool, Refusal> {
        Ok(self.locked_for(key).find_live(key)?.map(|entry| entry.head.version) == version)
    }

    /// Ends the loads of the keys, and finds the place of each index word.
    pub(crate) fn place(&mut self) -> Result<(), Refusal> {
        for n in 0..self.keys.len() {
            let key = self.keys[n].key;
            let locked = self.locked_for(&key);
            locked.outdate_flight(&key)?;
            // The flight's, the only ones so far.
            let listening = std::mem::replace(&mut locked.listeners, ListeningProcesses::NONE);
            locked.more_listeners = ListeningProcesses::NONE;
            self.listeners.push(listening);
        }
        for n in 0..self.keys.len() {
            let key = self.keys[n].key;
            // Evictions for other keys may have removed what was there.
            let existing = self.locked_for(&key).find(&key)?;
            let Some(at) = existing.map(|old| old.at).or_else(|| self.free_place(&key, n)) else {
                return Err(self.evict_from_line(&key));
            };
            (self.keys[n].existing, self.keys[n].at) = (existing, at);
        }
        // What is not there needs no deletion.
        self.keys.retain(|staged| staged.write.is_some() || staged.existing.is_some_and(|old| old.live));
        Ok(())
    }

    /// An empty word on a key's path, which none of the first `n` keys takes.
    fn free_place(&self, key: &Key<'_>, n: usize) -> Option<Position> {
        let shard = self.number_of(key);
        let locked = &self.locked[shard];
        let is_free = |at: &Position| {
            let is_taken = self.keys[..n].iter().any(|other| other.shard == shard && other.at == *at);
            !is_taken && locked.shard.unit_of(locked.shard.word(*at).load(Ordering::Relaxed)) == 0
        };
        locked.path(key.place).flat_map(Position::of_line).find(is_free)
    }

    /// Evicts an entry of a key's line, as `free_position` does for a single write.
    #[cold]
    fn evict_from_line(&mut self, key: &Key<'_>) -> Refusal {
        let locked = self.locked_for(key);
        let own = key.place.line(locked.shard.geometry, locked.shard.level());
        let first = Position((own * WORDS_PER_LINE) as u32);
        let at = Position::of_line(own).find(|at| locked.may_be_evicted_for(key.namespace, *at)).unwrap_or(first);
        let unit = locked.shard.unit_of(locked.shard.word(at).load(Ordering::Relaxed));
        match locked.evict(at, unit) {
            Ok(()) => Refusal::Crowded,
            Err(damaged) => damaged.into(),
        }
    }

    // ---- stage

    /// Writes the new entries.
    pub(crate) fn stage(&mut self) -> Result<(), Refusal> {
        for n in 0..self.keys.len() {
            let key = self.keys[n].key;
            self.locked_for(&key);
            let staged = &mut self.keys[n];
            let locked = &mut self.locked[staged.shard];
            if let Some(write) = staged.write {
                staged.new = Some(locked.stage_entry(&key, staged.existing, write)?);
            }
            staged.intent = locked.shard.take_head()?;
            step("transaction.staged");
        }
        Ok(())
    }

    // ---- publish

    /// Lets the index word of each key name an intent. The transaction commits by a store in `home`.
    pub(crate) fn publish(&mut self, home: &ShardView<'_>) {
        let begun = CommitWord(home.count(Count::Commit).load(Ordering::Relaxed)).next(); // guarded by the lock
        // Release: pairs with the Acquire in `unit_behind`, like the store in `commit`.
        home.count(Count::Commit).store(begun.0, Ordering::Release);
        step("transaction.begun");
        for staged in &self.keys {
            let shard = self.locked[staged.shard].shard;
            shard.put_count(Count::Transaction, begun.transaction());
            // mutant: intents-without-home
            shard.put(Field::CommitHome, home.index as u32 + 1);
        }
        for staged in &self.keys {
            let locked = &self.locked[staged.shard];
            let shard = locked.shard;
            let old = staged.existing.map_or(0, |old| old.unit);
            let new = staged.new.map_or(0, |(unit, _)| unit);
            let intent = Intent { home: home.index as u32, transaction: begun.transaction(), old, new };
            // The unit was taken, so it is reserved.
            let Ok(words) = shard.unit_words(staged.intent) else { continue };
            intent.store(words);
            step("transaction.intent");
            if staged.existing.is_none() {
                for line in locked.path(staged.key.place).take_while(|line| *line != staged.at.line()) {
                    locked.count_overflow(line);
                }
                shard.use_mark(staged.at).store(0, Ordering::Relaxed);
                step("transaction.placed");
            }
            shard.note_intent(staged.at);
            publish(shard.word(staged.at), shard.low_word(staged.intent, staged.key.place.tag));
            step("transaction.published");
        }
    }

    // ---- commit

    /// Commits. Every reader that begins after this finds all new entries.
    pub(crate) fn commit(&mut self, home: &ShardView<'_>) {
        let word = CommitWord(home.count(Count::Commit).load(Ordering::Relaxed)); // guarded by the lock
        // Release: pairs with the Acquire in `unit_behind`. All intents are published before.
        home.count(Count::Commit).store(word.committed().0, Ordering::Release);
        step("transaction.committed");
    }

    // ---- finish

    /// Lets each index word name its new entry, and brings the derived structures up to date.
    pub(crate) fn finish(&mut self) {
        for n in 0..self.keys.len() {
            let key = self.keys[n].key;
            self.locked_for(&key);
            let staged = &self.keys[n];
            let locked = &self.locked[staged.shard];
            if let Some((_, head)) = &staged.new {
                locked.begin_life_of(head);
            }
            if let Some(old) = &staged.existing {
                locked.count_units_out(&old.head);
            }
            let low = staged.new.map_or(0, |(unit, _)| locked.shard.low_word(unit, key.place.tag));
            publish(locked.shard.word(staged.at), low);
            step("transaction.finished");
        }
        for n in 0..self.keys.len() {
            let key = self.keys[n].key;
            self.locked_for(&key);
            let staged = &self.keys[n];
            let locked = &mut self.locked[staged.shard];
            // Once a shard was rebuilt, all of its keys are done.
            if locked.shard.get(Field::CommitHome) != 0 && locked.derive(staged).is_err() {
                // The transaction is committed, so it goes on.
                locked.rebuild();
            }
            let listening = locked.attachment.segment.member().listeners(key.stripe());
            self.listeners.push(listening);
            locked.announce(staged);
        }
        for staged in &self.keys {
            let locked = &mut self.locked[staged.shard];
            locked.drop_claim(staged.key.namespace);
        }
        for staged in &self.keys {
            let locked = &mut self.locked[staged.shard];
            locked.shard.forget_notes();
            // Behind the notes: without them a death leaves nothing to be done.
            locked.shard.put(Field::CommitHome, 0);
            let swept = locked.sweep_now_and_then();
            locked.settle(swept);
        }
    }
}

impl Locked<'_> {
    /// Whether there is room for an entry of the key with a body of `body` units (0: the key is deleted), where other
    /// entries need `needed` units as well. Evicts until there is.
    fn has_room(
        &mut self,
        key: &Key<'_>,
        body: usize,
        existing: Option<Existing>,
        staged: Staged,
        needed: usize,
    ) -> Result<bool, ChangeError> {
        let spared = existing.map(|old| old.at);
        if body == 0 {
            return self.make_room(needed, spared, key.namespace);
        }
        let has_quotas = self.has_classes();
        if has_quotas && !self.fit_quota(key.namespace, staged.with(1 + body), existing)? {
            return Ok(false);
        }
        // One unit is kept back, as for any write.
        let need = needed + worst_case(body) + 1;
        let spare = self.spare_units(key, 1 + body, need, existing)?;
        let has_room = self.make_room(need + spare, spared, key.namespace);
        if has_quotas && !matches!(has_room, Ok(true)) {
            self.drop_claim(key.namespace);
        }
        has_room
    }

    /// Writes an entry that no index word names yet. There is room for it.
    fn stage_entry(
        &mut self,
        key: &Key<'_>,
        existing: Option<Existing>,
        write: &Write<'_>,
    ) -> Result<(u32, Head), ChangeError> {
        let live = existing.filter(|old| old.live);
        let new = self.new_entry(live, write)?;
        let kept = match live {
            Some(old) if write.keep_tags && old.head.flags & TAGGED != 0 => Some(self.kept_tags(&old.head)?),
            _ => None,
        };
        let new = match &kept {
            Some(tags) => tags.of(&new),
            None => new,
        };
        let placement = self.shard.take(new.body(key))?;
        step("transaction.taken");
        let head = self.head_of(key, placement, &new);
        self.write_entry(key, placement.head, &head, &new)?;
        Ok((placement.head, head))
    }

    /// The derived part of the change of a key. Its index word has its last value.
    fn derive(&mut self, staged: &StagedKey<'_, '_>) -> Result<(), Damaged> {
        let place = staged.key.place;
        match (&staged.new, &staged.existing) {
            (Some((unit, head)), Some(old)) => {
                self.shard.requeue(old.unit, *unit, old.head.units(), head.units())?;
                if let Some(cause) = self.why_dead(&old.head, self.now_ms())? {
                    self.note_removal(&old.head, cause);
                }
                self.count_out(&old.head);
            }
            (Some((unit, head)), None) => {
                let queue = self.shard.entry_queue(head.namespace, place);
                self.shard.enqueue(queue, *unit, place, head.units())?;
                self.shard.add(Field::Words, 1);
            }
            (None, Some(old)) => {
                self.shard.dequeue(old.unit, old.head.units())?;
                self.shard.subtract(Field::Words, 1);
                self.uncount_overflow(place, staged.at);
                self.count_out(&old.head);
                self.note_removal(&old.head, RemovalCause::Deleted);
            }
            (None, None) => {}
        }
        if let Some((_, head)) = &staged.new {
            self.count_in(head);
            if self.shard.counts(head) {
                self.recount_units_in(head);
            }
            if !is_record(head.namespace) {
                self.shard.add_tally(head.namespace, Tally::Sets, 1);
            }
        }
        step("transaction.derived");
        if let Some(old) = &staged.existing {
            self.shard.free_entry(old.unit, &old.head)?;
        }
        self.shard.free_head(staged.intent);
        step("transaction.freed");
        Ok(())
    }

    /// Writes the change of a key into the ring of changes.
    fn announce(&mut self, staged: &StagedKey<'_, '_>) {
        after_publish();
        match (&staged.new, &staged.existing) {
            (Some((_, head)), _) => self.notify_change(What::Set, head),
            // Its bytes are free by now, but no change takes them before the lock is released.
            (None, Some(old)) => self.notify_change(What::Delete, &old.head),
            (None, None) => {}
        }
    }
}
