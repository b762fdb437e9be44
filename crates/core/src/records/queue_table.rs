//! The words of the record of a queue: where each of its items is, and the callers that wait for one.
//!
//! ```text
//! record    number of each of these, one word each · ready · hand · coming · waiters · dead
//! ready     item · times that it was taken before
//! hand      item · times · owner u32 · token · deadline · ticket that it was handed to, 0: none
//! coming    item · owner u32: its value is being stored
//! waiters   owner u32 · ticket · milliseconds in which an item must be acknowledged
//! dead      item · times: it was taken as often as it may be
//! ```
//!
//! Inconsistent words count as an empty queue.

use crate::change::record::{RecordChange, Words};
use crate::records::permit_table::{deadline, is_over};

/// A part of the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Part {
    Ready = 0,
    Hand = 1,
    Coming = 2,
    Waiters = 3,
    Dead = 4,
}

const WIDTHS: [usize; 5] = [2, 6, 2, 3, 2];
const HEADER: usize = WIDTHS.len();
/// Index of the deadline of an item in hand.
pub(crate) const DEADLINE: usize = 4;

/// The record of a queue, for a read or a change.
pub(crate) struct QueueTable<'w> {
    words: &'w mut Words,
}

/// How items are handled by the caller of a change.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Moment<'a> {
    /// Owners that are dead.
    pub(crate) dead: &'a [u32],
    /// The version of the record if it is stored now: the token of what is handed out, the number of what is new.
    pub(crate) version: u64,
    /// Milliseconds since boot.
    pub(crate) now: u64,
    /// How often an item may be taken; 0: without a limit.
    pub(crate) attempts: u64,
}

impl<'w> QueueTable<'w> {
    /// Interprets the words of a record. Inconsistent words become an empty queue.
    pub(crate) fn of(words: &'w mut Words) -> Self {
        let expected = words.get(..HEADER).and_then(|counts| {
            let sizes =
                counts.iter().zip(WIDTHS).map(|(count, width)| usize::try_from(*count).ok()?.checked_mul(width));
            sizes.sum::<Option<usize>>()?.checked_add(HEADER)
        });
        if expected != Some(words.len()) {
            words.clear();
            let _ = words.push(&[0; HEADER]); // a few words always fit
        }
        Self { words }
    }

    pub(crate) fn count(&self, part: Part) -> usize {
        self.words[part as usize] as usize
    }

    /// Number of items, in whatever state.
    pub(crate) fn items(&self) -> usize {
        [Part::Ready, Part::Hand, Part::Coming, Part::Dead].into_iter().map(|part| self.count(part)).sum()
    }

    fn at(&self, part: Part, index: usize) -> usize {
        let before = self.words[..part as usize].iter().zip(WIDTHS).map(|(count, width)| *count as usize * width);
        HEADER + before.sum::<usize>() + index * WIDTHS[part as usize]
    }

    pub(crate) fn each(&self, part: Part) -> impl Iterator<Item = &[u64]> {
        self.words[self.at(part, 0)..self.at(part, self.count(part))].chunks_exact(WIDTHS[part as usize])
    }

    pub(crate) fn find(&self, part: Part, is_it: impl FnMut(&[u64]) -> bool) -> Option<usize> {
        self.each(part).position(is_it)
    }

    /// Removes one and returns its words, with zeros behind them.
    pub(crate) fn remove(&mut self, part: Part, index: usize) -> [u64; 6] {
        let (at, width) = (self.at(part, index), WIDTHS[part as usize]);
        let mut removed = [0; 6];
        removed[..width].copy_from_slice(&self.words[at..at + width]);
        self.words.remove(at..at + width);
        self.words[part as usize] -= 1;
        removed
    }

    /// Adds one before `index`. False: the record would be too large.
    #[must_use = "a record has a largest size"]
    pub(crate) fn insert(&mut self, part: Part, index: usize, words: &[u64]) -> bool {
        let at = self.at(part, index);
        if !self.words.push(words) {
            return false;
        }
        self.words[at..].rotate_right(words.len());
        self.words[part as usize] += 1;
        true
    }

    #[must_use = "a record has a largest size"]
    pub(crate) fn push(&mut self, part: Part, words: &[u64]) -> bool {
        self.insert(part, self.count(part), words)
    }

    pub(crate) fn set_deadline(&mut self, index: usize, deadline: u64) {
        let at = self.at(Part::Hand, index) + DEADLINE;
        self.words[at] = deadline;
    }

    /// Takes back what dead owners have in hand and what is past its deadline, forgets dead waiters, and hands ready items
    /// to waiters. Returns whether anything changed.
    pub(crate) fn settle(&mut self, moment: &Moment<'_>) -> bool {
        let mut changed = false;
        let is_dead = |owner: u64| moment.dead.contains(&(owner as u32));
        // mutant: dead-keep-items
        while let Some(index) = self.find(Part::Hand, |hand| is_dead(hand[2]) || is_over(hand[DEADLINE], moment.now)) {
            self.take_back(index, moment);
            changed = true;
        }
        while let Some(index) = self.find(Part::Waiters, |waiter| is_dead(waiter[0])) {
            self.remove(Part::Waiters, index);
            changed = true;
        }
        changed | self.serve(moment)
    }

    /// Puts an item in hand back to its place in the order, or to the dead ones.
    pub(crate) fn take_back(&mut self, index: usize, moment: &Moment<'_>) {
        let [item, times, ..] = self.remove(Part::Hand, index);
        self.put_back(item, times, moment);
    }

    /// Puts an item that was handed out but not seen back: it was not taken.
    pub(crate) fn take_back_unseen(&mut self, index: usize, moment: &Moment<'_>) {
        let [item, times, ..] = self.remove(Part::Hand, index);
        self.put_back(item, times.saturating_sub(1), moment);
    }

    fn put_back(&mut self, item: u64, times: u64, moment: &Moment<'_>) {
        // There is room: an item in hand has more words than any other.
        let _ = if moment.attempts != 0 && times >= moment.attempts {
            self.push(Part::Dead, &[item, times])
        } else {
            // mutant: released-to-the-end
            let place = self.find(Part::Ready, |ready| ready[0] > item).unwrap_or(self.count(Part::Ready));
            self.insert(Part::Ready, place, &[item, times])
        };
    }

    /// Hands ready items to waiters, both in their order.
    fn serve(&mut self, moment: &Moment<'_>) -> bool {
        let mut served = false;
        while self.count(Part::Ready) > 0 && self.count(Part::Waiters) > 0 {
            let [item, times, ..] = self.remove(Part::Ready, 0);
            let [owner, ticket, visibility, ..] = self.remove(Part::Waiters, 0);
            let deadline = deadline(moment.now, visibility);
            // A waiter and a ready item have five words, an item in hand has six.
            if !self.push(Part::Hand, &[item, times + 1, owner, moment.version, deadline, ticket]) {
                let _ = self.insert(Part::Ready, 0, &[item, times]);
                let _ = self.insert(Part::Waiters, 0, &[owner, ticket, visibility]);
                break;
            }
            served = true;
        }
        served
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = u32> {
        let hand = self.each(Part::Hand).map(|hand| hand[2] as u32);
        let coming = self.each(Part::Coming).map(|coming| coming[1] as u32);
        hand.chain(coming).chain(self.each(Part::Waiters).map(|waiter| waiter[0] as u32))
    }

    pub(crate) fn becomes(&self) -> RecordChange {
        let is_empty = self.words[..HEADER].iter().all(|count| *count == 0);
        if is_empty { RecordChange::Remove } else { RecordChange::Store { ttl_ms: 0 } }
    }
}
