//! The tag clock, its horizon, a chain of two records, and the judge of a shard.

use crate::{explore, must_be_reported};
use cache_machine_shm::atomic::{AtomicU32, AtomicU64, Ordering};
use cache_machine_shm::publish::{publish, recheck};
use cache_machine_shm::tag_clock::{self, TagClocks, TagRecord};
use loom::sync::Arc;
use loom::thread;

/// The words of a record, in the order of `TagRecord`.
struct Record([AtomicU64; 4]);

impl Record {
    fn of(hash: u64, removed: u64) -> Self {
        Self([hash, removed, 0, 0].map(AtomicU64::new))
    }

    fn get(&self) -> TagRecord<'_> {
        let [hash, removed, outdated, link] = &self.0;
        TagRecord { hash, removed, outdated, link }
    }
}

/// The clock, a chain of records, and an entry with the tag of hash 1.
struct Tags {
    /// The time at which the entry was made.
    stamp: u64,
    word: AtomicU64,
    clock: AtomicU64,
    horizon: AtomicU64,
    judged: AtomicU64,
    head: AtomicU32,
    records: [Record; 2],
}

/// The part that a broken variant leaves out or does in another order.
#[derive(Clone, Copy, PartialEq)]
enum Lacking {
    Nothing,
    ReleaseOfClock,
    AcquireOfClock,
    ClockBeforeRecord,
    HorizonBeforeReuse,
    ReleaseOfRecord,
    AcquireOfRecord,
    Recheck,
    HorizonAfterRecord,
    ReleaseOfHead,
    AcquireOfHead,
    ReleaseOfJudged,
    RemovalBeforeJudged,
    JudgedAfterHorizon,
}

impl Tags {
    /// The first record is that of the entry's tag, with this removal. The second one is free.
    fn new(stamp: u64, clock: u64, removed: u64) -> Self {
        Self {
            stamp,
            word: AtomicU64::new(7),
            clock: AtomicU64::new(clock),
            horizon: AtomicU64::new(0),
            judged: AtomicU64::new(0),
            head: AtomicU32::new(1),
            records: [Record::of(1, removed), Record::of(0, 0)],
        }
    }

    /// Invalidates the tag of the entry. Its record is young.
    fn invalidate(&self, lacking: Lacking) {
        let now = tag_clock::begin(&self.clock);
        tag_clock::note(self.records[0].get().removed, now);
        self.end(now, lacking);
    }

    /// Invalidates the tag of hash 5, with this record. The lock is not modelled: there is one invalidator.
    fn invalidate_other(&self, number: usize, lacking: Lacking) {
        let now = tag_clock::begin(&self.clock);
        let record = self.records[number].get();
        let oldest = record.latest();
        let raise = || {
            if oldest > 0 {
                tag_clock::raise_horizon(&self.horizon, oldest);
            }
        };
        if lacking != Lacking::HorizonBeforeReuse {
            raise();
        }
        let link = u64::from(if number == 0 { 0 } else { tag_clock::head_of(&self.head) });
        if lacking == Lacking::ReleaseOfRecord {
            record.hash.store(0, Ordering::Relaxed);
            record.removed.store(now, Ordering::Relaxed);
            record.hash.store(5, Ordering::Relaxed);
        } else {
            record.reuse(TagClocks { hash: 5, removed: now, outdated: 0, link });
        }
        if lacking == Lacking::HorizonBeforeReuse {
            raise();
        }
        match lacking {
            Lacking::ReleaseOfHead => self.head.store(number as u32 + 1, Ordering::Relaxed),
            _ => tag_clock::put_head(&self.head, number as u32 + 1),
        }
        self.end(now, lacking);
    }

    fn end(&self, now: u64, lacking: Lacking) {
        match lacking {
            Lacking::ReleaseOfClock => self.clock.store(now + 1, Ordering::Relaxed),
            _ => tag_clock::end(&self.clock, now),
        }
    }

    /// Judges the entry, which is dead, by the records up to `clock`.
    fn judge(&self, clock: u64, lacking: Lacking) {
        if lacking == Lacking::RemovalBeforeJudged {
            tag_clock::note_judged(&self.judged, clock);
        }
        publish(&self.word, 0);
        match lacking {
            Lacking::RemovalBeforeJudged => {}
            Lacking::ReleaseOfJudged => self.judged.store(clock, Ordering::Relaxed),
            _ => tag_clock::note_judged(&self.judged, clock),
        }
    }

    fn removed_at(&self, lacking: Lacking) -> Option<u64> {
        let mut next = match lacking {
            Lacking::AcquireOfHead => self.head.load(Ordering::Relaxed),
            _ => tag_clock::head_of(&self.head),
        };
        while next != 0 {
            let record = self.records[next as usize - 1].get();
            let clocks = match lacking {
                Lacking::AcquireOfRecord | Lacking::Recheck => {
                    let order = if lacking == Lacking::Recheck { Ordering::Acquire } else { Ordering::Relaxed };
                    let hash = record.hash.load(order);
                    TagClocks { hash, removed: record.removed.load(order), outdated: 0, link: record.link.load(order) }
                }
                _ => record.read()?,
            };
            if clocks.hash == 1 {
                return Some(clocks.removed);
            }
            next = clocks.link as u32;
        }
        None
    }

    /// Whether the entry is dead, as `fate` decides it.
    fn is_dead(&self, lacking: Lacking) -> bool {
        let early = (tag_clock::horizon_of(&self.horizon), tag_clock::judged_of(&self.judged));
        let removed = self.removed_at(lacking).unwrap_or(0);
        let horizon = match lacking {
            Lacking::HorizonAfterRecord => early.0,
            _ => tag_clock::horizon_of(&self.horizon),
        };
        let is_unjudged = || match lacking {
            // The shard counts as judged as soon as any horizon was seen.
            Lacking::JudgedAfterHorizon => early.1 < early.0,
            _ => tag_clock::judged_of(&self.judged) < horizon,
        };
        self.stamp < removed || self.stamp < horizon && is_unjudged()
    }

    /// Reads the entry. Returns the clock of a near copy of it, if a copy may be kept.
    fn read(&self, lacking: Lacking) -> Option<u64> {
        let load = || match lacking {
            Lacking::AcquireOfClock => self.clock.load(Ordering::Relaxed),
            _ => tag_clock::now(&self.clock),
        };
        let early = load();
        let is_dead = self.is_dead(lacking);
        let clock = if lacking == Lacking::ClockBeforeRecord { load() } else { early };
        (!is_dead && clock & 1 == 0).then_some(clock)
    }

    /// Whether a read finds the entry.
    fn finds(&self, lacking: Lacking) -> bool {
        let word = self.word.load(Ordering::Acquire);
        if word as u32 == 0 {
            return false;
        }
        let is_dead = self.is_dead(lacking);
        // A changed word means another try, which finds the removed entry no more.
        recheck(&self.word, word).is_ok() && !is_dead
    }
}

/// A near copy is made while its tag is invalidated.
fn no_near_copy_outlives_an_invalidation(lacking: Lacking) {
    let shared = Arc::new(Tags::new(0, 0, 0));
    // The reader is the thread that loom runs last: see `a_read_that_begins_with` in `publish.rs`.
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.read(lacking))
    };
    shared.invalidate(lacking);
    let kept = reader.join().unwrap();
    assert_ne!(kept, Some(tag_clock::now(&shared.clock)), "a near copy of a dead entry is valid");
    assert!(shared.is_dead(Lacking::Nothing));
}

/// The tag was invalidated after the entry was made. Now another tag takes the record, and the entry was not judged.
fn no_entry_comes_to_life_again(lacking: Lacking) {
    let shared = Arc::new(Tags::new(0, 2, 1));
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.finds(lacking))
    };
    shared.invalidate_other(0, lacking);
    assert!(!reader.join().unwrap(), "the record was reused, and the reader does not see the horizon");
    assert!(shared.is_dead(Lacking::Nothing));
}

/// The same, and a judge removes the entry meanwhile.
fn no_judged_entry_comes_to_life_again(lacking: Lacking) {
    let shared = Arc::new(Tags::new(0, 2, 1));
    let [reader, judge] = [true, false].map(|reads| {
        let shared = shared.clone();
        thread::spawn(move || {
            if reads {
                return shared.finds(lacking);
            }
            shared.judge(2, lacking);
            false
        })
    });
    shared.invalidate_other(0, lacking);
    judge.join().unwrap();
    assert!(!reader.join().unwrap(), "the reader believes the judge, and does not see what it removed");
    assert!(!shared.finds(Lacking::Nothing));
}

/// The entry was made after the invalidation of its tag.
fn no_entry_dies_with_another_tag(lacking: Lacking) {
    let shared = Arc::new(Tags::new(2, 2, 1));
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.finds(lacking))
    };
    shared.invalidate_other(0, lacking);
    assert!(reader.join().unwrap(), "another tag's record is taken for the record of the entry");
    assert!(!shared.is_dead(Lacking::Nothing));
}

/// Another tag takes the free record, in front of the record of the entry's tag.
fn no_record_is_lost_behind_a_new_one(lacking: Lacking) {
    let shared = Arc::new(Tags::new(0, 2, 1));
    let reader = {
        let shared = shared.clone();
        thread::spawn(move || shared.finds(lacking))
    };
    shared.invalidate_other(1, lacking);
    assert!(!reader.join().unwrap(), "the reader saw a record of the chain that was not whole");
    assert!(shared.is_dead(Lacking::Nothing));
}

#[test]
fn no_near_copy_outlives_the_invalidation_of_its_tag() {
    explore(4, || no_near_copy_outlives_an_invalidation(Lacking::Nothing));
}

#[test]
fn a_clock_that_does_not_release_leaves_a_near_copy_valid() {
    must_be_reported(4, || no_near_copy_outlives_an_invalidation(Lacking::ReleaseOfClock));
}

#[test]
fn a_clock_that_is_not_acquired_leaves_a_near_copy_valid() {
    must_be_reported(4, || no_near_copy_outlives_an_invalidation(Lacking::AcquireOfClock));
}

#[test]
fn a_clock_that_is_loaded_after_the_record_leaves_a_near_copy_valid() {
    must_be_reported(4, || no_near_copy_outlives_an_invalidation(Lacking::ClockBeforeRecord));
}

#[test]
fn an_invalidated_entry_stays_dead_when_its_record_is_reused() {
    explore(4, || no_entry_comes_to_life_again(Lacking::Nothing));
}

#[test]
fn a_horizon_that_is_raised_late_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::HorizonBeforeReuse));
}

#[test]
fn a_record_that_is_reused_without_a_release_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::ReleaseOfRecord));
}

#[test]
fn a_record_that_is_not_acquired_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::AcquireOfRecord));
}

#[test]
fn a_horizon_that_is_loaded_before_the_record_lets_an_entry_live_again() {
    must_be_reported(4, || no_entry_comes_to_life_again(Lacking::HorizonAfterRecord));
}

#[test]
fn an_entry_that_a_judge_removes_stays_dead_when_its_record_is_reused() {
    explore(3, || no_judged_entry_comes_to_life_again(Lacking::Nothing));
}

#[test]
fn a_judge_that_does_not_release_lets_an_entry_live_again() {
    must_be_reported(3, || no_judged_entry_comes_to_life_again(Lacking::ReleaseOfJudged));
}

#[test]
fn a_judge_that_notes_its_clock_before_it_removes_lets_an_entry_live_again() {
    must_be_reported(3, || no_judged_entry_comes_to_life_again(Lacking::RemovalBeforeJudged));
}

#[test]
fn a_shard_that_counts_as_judged_by_an_earlier_horizon_lets_an_entry_live_again() {
    must_be_reported(3, || no_judged_entry_comes_to_life_again(Lacking::JudgedAfterHorizon));
}

#[test]
fn an_entry_does_not_die_when_the_record_of_its_tag_is_reused() {
    explore(4, || no_entry_dies_with_another_tag(Lacking::Nothing));
}

#[test]
fn a_record_with_a_hash_that_is_read_once_invalidates_an_entry_of_another_tag() {
    must_be_reported(4, || no_entry_dies_with_another_tag(Lacking::Recheck));
}

#[test]
fn a_record_is_found_behind_a_new_one() {
    explore(4, || no_record_is_lost_behind_a_new_one(Lacking::Nothing));
}

#[test]
fn a_new_record_that_is_put_in_front_without_a_release_hides_the_one_behind_it() {
    must_be_reported(4, || no_record_is_lost_behind_a_new_one(Lacking::ReleaseOfHead));
}

#[test]
fn a_chain_that_is_not_acquired_hides_the_record_behind_a_new_one() {
    must_be_reported(4, || no_record_is_lost_behind_a_new_one(Lacking::AcquireOfHead));
}
