//! Meters: the algorithms that count how many tokens of a limit a key has used within its window.
//!
//! ```text
//! GCRA             level u128 (two words) · limit · since     in tokens × window; it drains by `limit` per millisecond
//! sliding window   newest bucket · tokens in it · tokens in the one before · …, at most 17 buckets
//! fixed window     tokens · the window's end
//! ```
//!
//! All numbers are integers, so no rounding error adds up. Caution: the words may be damaged, and the clock may be
//! earlier than when they were written. A meter clamps each state to its valid range: no state reaches beyond its
//! window.

use crate::kind;
use crate::shard::values::Sink;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;

/// Maximum number of tokens, of a limit and of a count: the largest integer that a double holds exactly.
pub const MAX_TOKENS: u64 = (1 << 53) - 1;

/// Buckets of a sliding window. More buckets are more precise and take more room: a token comes back at most one bucket
/// late.
const BUCKETS: usize = 16;
/// Words of the largest state.
pub(crate) const MAX_STATE: usize = BUCKETS + 2;

/// The algorithm of a limiter.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Tokens come back one by one, evenly over the window: the generic cell rate algorithm, as a leaky bucket.
    Gcra,
    /// A token comes back one window after it was taken, at most a sixteenth of the window later. No window ever has
    /// more than the limit.
    SlidingWindow,
    /// All tokens come back at the end of the window, which the first token began.
    FixedWindow,
}

/// A limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// The algorithm. It belongs to the key: the state of one algorithm means nothing to another.
    pub algorithm: Algorithm,
    /// Tokens per window, 1 to `MAX_TOKENS`.
    pub tokens: u64,
    /// Length of the window in milliseconds, at least 1. It belongs to the key as well.
    pub window_ms: u64,
}

/// The state of a key at a moment, by one of the algorithms.
pub(crate) trait Meter: Sized {
    /// The meter of a key that has taken no token.
    fn new(limit: &Limit, now: u64) -> Self;
    /// Loads the words of a record; no words mean no record. The caller calls it once, on a new meter. It is not a
    /// constructor: the copy of the result would take longer than the load.
    fn load(&mut self, words: &[u64]);
    /// Writes its words over the loaded ones.
    fn save(&self, state: &mut MeterState);
    /// Number of tokens available.
    fn remaining(&self) -> u64;
    fn take(&mut self, tokens: u64);
    fn give_back(&mut self, tokens: u64);
    /// Milliseconds until `tokens` tokens are available. `tokens` is at most the limit.
    fn wait_for(&self, tokens: u64) -> u64;
    /// Milliseconds until all tokens are available. 0: the state equals that of a new key.
    fn reset_after(&self) -> u64;
}

/// The quotient, at most `u64::MAX`. It avoids the division of 128 bits where possible, since that takes many times as
/// long.
fn divide(number: u128, by: u64) -> u64 {
    match u64::try_from(number) {
        Ok(number) => number / by,
        Err(_) => u64::try_from(number / u128::from(by)).unwrap_or(u64::MAX),
    }
}

/// The quotient, rounded up.
fn divide_up(number: u128, by: u64) -> u64 {
    divide(number.saturating_add(u128::from(by) - 1), by)
}

pub(crate) struct Gcra {
    limit: Limit,
    /// The level at `since` if all tokens had been taken then. A call usually changes only this field.
    level: u128,
    since: u64,
    now: u64,
}

impl Gcra {
    fn weight(&self, tokens: u64) -> u128 {
        u128::from(tokens) * u128::from(self.limit.window_ms)
    }

    fn drained(&self) -> u128 {
        u128::from(self.now - self.since) * u128::from(self.limit.tokens)
    }

    fn level_now(&self) -> u128 {
        self.level.saturating_sub(self.drained())
    }

    fn put_level(&mut self, now: u128) {
        self.level = self.drained() + now.min(self.weight(MAX_TOKENS));
    }

    /// Milliseconds in which the level drains by `level`.
    fn time_to_drain(&self, level: u128) -> u64 {
        divide_up(level, self.limit.tokens)
    }
}

impl Meter for Gcra {
    fn new(limit: &Limit, now: u64) -> Self {
        Self { limit: *limit, level: 0, since: now, now }
    }

    fn load(&mut self, words: &[u64]) {
        let [low, high, tokens, since] = *words else { return };
        let level = u128::from(low) | u128::from(high) << 64;
        if tokens == self.limit.tokens && since <= self.now {
            self.since = since;
            self.level = level.min(self.weight(MAX_TOKENS) + self.drained());
            return;
        }
        // The limit has changed: up to now the level drained by the old one.
        let drained = u128::from(self.now.saturating_sub(since)) * u128::from(tokens);
        self.put_level(level.saturating_sub(drained));
    }

    fn save(&self, state: &mut MeterState) {
        state.put_all(&[self.level as u64, (self.level >> 64) as u64, self.limit.tokens, self.since]);
    }

    fn remaining(&self) -> u64 {
        divide(self.weight(self.limit.tokens).saturating_sub(self.level_now()), self.limit.window_ms)
    }

    fn take(&mut self, tokens: u64) {
        self.put_level(self.level_now() + self.weight(tokens));
    }

    fn give_back(&mut self, tokens: u64) {
        self.put_level(self.level_now().saturating_sub(self.weight(tokens)));
    }

    fn wait_for(&self, tokens: u64) -> u64 {
        self.time_to_drain((self.level_now() + self.weight(tokens)).saturating_sub(self.weight(self.limit.tokens)))
    }

    fn reset_after(&self) -> u64 {
        self.time_to_drain(self.level_now())
    }
}

pub(crate) struct SlidingWindow {
    limit: Limit,
    newest: u64,
    /// Tokens per bucket, newest first. The last bucket lies only partly in the window.
    taken: [u64; BUCKETS + 1],
    /// Buckets from here on are empty.
    count: usize,
    /// Tokens in all buckets: a cached sum, since every step reads it.
    used: u64,
    now: u64,
}

impl SlidingWindow {
    fn buckets(&self) -> &[u64] {
        &self.taken[..self.count]
    }

    /// Milliseconds until the bucket of this index is out of the window.
    fn time_to_forget(&self, index: usize) -> u64 {
        let first_without = u128::from(self.newest.saturating_sub(index as u64)) + BUCKETS as u128 + 1;
        let at = divide_up(first_without * u128::from(self.limit.window_ms), BUCKETS as u64);
        at.saturating_sub(self.now)
    }
}

impl Meter for SlidingWindow {
    fn new(limit: &Limit, now: u64) -> Self {
        let newest = divide(u128::from(now) * BUCKETS as u128, limit.window_ms);
        Self { limit: *limit, newest, taken: [0; BUCKETS + 1], count: 1, used: 0, now }
    }

    fn load(&mut self, words: &[u64]) {
        let [newest, stored @ ..] = words else { return };
        // If the clock is earlier than at the save, the newest stored bucket counts as the current one.
        let passed = self.newest.saturating_sub(*newest).min(BUCKETS as u64 + 1) as usize;
        for (to, tokens) in self.taken[passed..].iter_mut().zip(stored) {
            *to = (*tokens).min(MAX_TOKENS);
            self.used += *to; // no overflow: the sum of 17 numbers below 2^53
        }
        self.count = (passed + stored.len()).clamp(1, BUCKETS + 1);
    }

    fn save(&self, state: &mut MeterState) {
        let oldest = self.buckets().iter().rposition(|tokens| *tokens != 0).unwrap_or(0);
        state.put(0, self.newest);
        for (index, tokens) in self.buckets().iter().enumerate().take(oldest + 1) {
            state.put(1 + index, *tokens);
        }
        state.len = oldest + 2;
    }

    fn remaining(&self) -> u64 {
        self.limit.tokens.saturating_sub(self.used)
    }

    fn take(&mut self, tokens: u64) {
        let taken = tokens.min(MAX_TOKENS - self.taken[0]);
        self.taken[0] += taken;
        self.used += taken;
    }

    fn give_back(&mut self, tokens: u64) {
        let mut left = tokens;
        for taken in &mut self.taken {
            let given = left.min(*taken);
            *taken -= given;
            self.used -= given;
            left -= given;
        }
    }

    fn wait_for(&self, tokens: u64) -> u64 {
        let mut missing = self.used.saturating_add(tokens).saturating_sub(self.limit.tokens);
        if missing == 0 {
            return 0;
        }
        for (index, taken) in self.buckets().iter().enumerate().rev() {
            missing = missing.saturating_sub(*taken);
            if missing == 0 {
                return self.time_to_forget(index);
            }
        }
        self.time_to_forget(0)
    }

    fn reset_after(&self) -> u64 {
        self.buckets().iter().position(|tokens| *tokens != 0).map_or(0, |newest| self.time_to_forget(newest))
    }
}

pub(crate) struct FixedWindow {
    limit: Limit,
    used: u64,
    /// Milliseconds until the end of the window.
    left: u64,
    now: u64,
}

impl Meter for FixedWindow {
    fn new(limit: &Limit, now: u64) -> Self {
        Self { limit: *limit, used: 0, left: limit.window_ms, now }
    }

    fn load(&mut self, words: &[u64]) {
        let [used, end] = *words else { return };
        if end > self.now {
            self.used = used.min(MAX_TOKENS);
            self.left = (end - self.now).min(self.limit.window_ms);
        }
    }

    fn save(&self, state: &mut MeterState) {
        state.put_all(&[self.used, self.now.saturating_add(self.left)]);
    }

    fn remaining(&self) -> u64 {
        self.limit.tokens.saturating_sub(self.used)
    }

    fn take(&mut self, tokens: u64) {
        self.used = self.used.saturating_add(tokens).min(MAX_TOKENS);
    }

    fn give_back(&mut self, tokens: u64) {
        self.used = self.used.saturating_sub(tokens);
    }

    fn wait_for(&self, tokens: u64) -> u64 {
        if tokens <= self.remaining() { 0 } else { self.left }
    }

    fn reset_after(&self) -> u64 {
        if self.used == 0 { 0 } else { self.left }
    }
}

/// The words of a state, on the stack; it is empty if there is no state. It tracks the changed words.
pub(crate) struct MeterState {
    pub(crate) words: [u64; MAX_STATE],
    pub(crate) len: usize,
    /// Number of words read.
    found: usize,
    /// Number of changes of words, and the index of the last one.
    changes: usize,
    changed: usize,
}

impl MeterState {
    pub(crate) const NONE: Self = Self { words: [0; MAX_STATE], len: 0, found: 0, changes: 0, changed: 0 };

    pub(crate) fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    pub(crate) fn put(&mut self, index: usize, word: u64) {
        if self.words[index] != word {
            self.words[index] = word;
            self.changes += 1;
            self.changed = index;
        }
    }

    pub(crate) fn put_all(&mut self, words: &[u64]) {
        words.iter().enumerate().for_each(|(index, word)| self.put(index, *word));
        self.len = words.len();
    }

    /// The index of the changed word, if exactly one has changed.
    pub(crate) fn only_change(&self) -> Option<usize> {
        (self.changes == 1 && self.len == self.found).then_some(self.changed)
    }

    /// Ends a read. `copied` is false for an entry that is no state or is too long; it counts as no state.
    pub(crate) fn is_read(&mut self, copied: bool) {
        if !copied {
            self.len = 0;
        }
        self.found = self.len;
    }
}

impl Sink for MeterState {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.len = 0;
        kind == kind::RECORD && len.is_multiple_of(8) && len / 8 <= MAX_STATE
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        // Relaxed: a reader checks the index word after the copy, or holds the lock.
        for (to, from) in self.words[self.len..].iter_mut().zip(region.words(offset, len / 8)) {
            *to = from.load(Ordering::Relaxed);
        }
        self.len = (self.len + len / 8).min(MAX_STATE);
    }
}
