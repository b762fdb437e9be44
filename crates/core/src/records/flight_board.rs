//! The words of a record of flights: the current load, and the outcomes of the last ones.
//!
//! ```text
//! record    owner u32, 0: no load · token · end of the lease, 0: never · life · tag clock · outcomes
//! outcome   token · until · length × 2, + 1: a failure · its bytes, filled up to whole words
//! ```
//!
//! Inconsistent words count as an empty record.

use crate::change::record::{RecordChange, Words};
use crate::layout::namespaces::is_same;

/// Lifetime of an outcome.
const OUTCOME_MS: u64 = 10_000;

/// Minimum time between a failure and the next background load.
const REST_MS: u64 = 1000;

/// Maximum number of outcomes of a record; the oldest makes room.
const MAX_OUTCOMES: usize = 4;

/// Maximum length of an outcome, in bytes. A longer one is not kept for the waiters.
pub const MAX_OUTCOME: usize = 8 << 10;

pub(crate) const OWNER: usize = 0;
pub(crate) const TOKEN: usize = 1;
pub(crate) const LEASE: usize = 2;
pub(crate) const LIFE: usize = 3;
pub(crate) const CLOCK: usize = 4;
pub(crate) const HEAD: usize = 5;
pub(crate) const OUTCOME_HEAD: usize = 3;

/// A current load.
#[derive(Clone, Copy)]
pub(crate) struct Flight {
    pub(crate) owner: u32,
    pub(crate) token: u64,
    pub(crate) lease_end: u64,
    pub(crate) life: u64,
    pub(crate) clock: u64,
}

impl Flight {
    pub(crate) fn is(&self, owner: u32, token: u64) -> bool {
        // mutant: flight-ended-by-later
        self.token == token && self.owner == owner
    }

    pub(crate) fn is_late(&self, now: u64) -> bool {
        self.lease_end != 0 && now >= self.lease_end
    }

    /// Whether a new caller may wait for it. A load that began before a `clear` is of no use after it.
    pub(crate) fn can_be_joined(&self, dead: &[u32], now: u64, life: u64) -> bool {
        !dead.contains(&self.owner) && !self.is_late(now) && is_same(self.life, life)
    }
}

/// An outcome, by its place in the record.
#[derive(Clone, Copy)]
struct Outcome {
    at: usize,
    token: u64,
    until: u64,
    len: usize,
    failed: bool,
}

impl Outcome {
    fn end(&self) -> usize {
        self.at + OUTCOME_HEAD + self.len.div_ceil(8)
    }
}

/// The record of a key's flights, for a read or a change.
pub(crate) struct Board<'w> {
    words: &'w mut Words,
}

impl<'w> Board<'w> {
    /// Interprets the words of a record. Inconsistent words become an empty record.
    pub(crate) fn of(words: &'w mut Words) -> Self {
        let board = Self { words };
        if board.words.len() < HEAD || !board.is_sound() {
            board.words.clear();
            let _ = board.words.push(&[0; HEAD]); // the words of an empty record always fit
        }
        board
    }

    fn is_sound(&self) -> bool {
        self.outcomes().last().map_or(HEAD, |last| last.end()) == self.words.len()
    }

    pub(crate) fn flight(&self) -> Option<Flight> {
        let words = &self.words;
        let owner = words[OWNER] as u32;
        (owner != 0).then_some(Flight {
            owner,
            token: words[TOKEN],
            lease_end: words[LEASE],
            life: words[LIFE],
            clock: words[CLOCK],
        })
    }

    pub(crate) fn begin(&mut self, flight: &Flight) {
        let Flight { owner, token, lease_end, life, clock } = *flight;
        self.words[..HEAD].copy_from_slice(&[u64::from(owner), token, lease_end, life, clock]);
    }

    pub(crate) fn end(&mut self) {
        self.words[..HEAD].fill(0);
    }

    fn outcomes(&self) -> impl Iterator<Item = Outcome> {
        let mut at = HEAD;
        std::iter::from_fn(move || {
            let [token, until, len] = *self.words.get(at..at + OUTCOME_HEAD)? else { return None };
            let outcome = Outcome { at, token, until, len: (len >> 1) as usize, failed: len & 1 == 1 };
            let fits = outcome.len <= MAX_OUTCOME && outcome.end() <= self.words.len();
            at = outcome.end();
            fits.then_some(outcome)
        })
    }

    /// Removes outcomes past their lifetime. At `MAX_OUTCOMES` it also removes the oldest.
    pub(crate) fn purge(&mut self, now: u64) {
        while let Some(range) = self.superfluous(now) {
            self.words.remove(range);
        }
    }

    fn superfluous(&self, now: u64) -> Option<std::ops::Range<usize>> {
        let is_over = |outcome: &Outcome| now >= outcome.until || outcome.until > now + OUTCOME_MS;
        let oldest = self.outcomes().next().filter(|_| self.outcomes().count() >= MAX_OUTCOMES);
        self.outcomes().find(is_over).or(oldest).map(|outcome| outcome.at..outcome.end())
    }

    pub(crate) fn note(&mut self, token: u64, now: u64, bytes: &[u8], failed: bool) {
        let length = (bytes.len() as u64) << 1 | u64::from(failed);
        // There is room: four outcomes of maximum length fit into a record.
        let _ = self.words.push(&[token, now + OUTCOME_MS, length]);
        for chunk in bytes.chunks(8) {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            let _ = self.words.push(&[u64::from_le_bytes(eight)]);
        }
    }

    pub(crate) fn outcome_of(&self, token: u64) -> Option<Vec<u8>> {
        let outcome = self.outcomes().find(|outcome| outcome.token == token)?;
        let words = &self.words[outcome.at + OUTCOME_HEAD..outcome.end()];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(outcome.len);
        Some(bytes)
    }

    pub(crate) fn rests(&self, now: u64) -> bool {
        self.outcomes().any(|outcome| outcome.failed && now + OUTCOME_MS < outcome.until.saturating_add(REST_MS))
    }

    /// The change of the record after its flight has ended.
    pub(crate) fn becomes(&self) -> RecordChange {
        if self.words.len() == HEAD { RecordChange::Remove } else { RecordChange::Store { ttl_ms: OUTCOME_MS } }
    }
}
