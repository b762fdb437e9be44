//! Limiters: how much of a limit a key has used within its window, exact over all processes.
//!
//! ```text
//! GCRA             level u128 (two words) · at       level in tokens × window; it drains by `limit` per millisecond
//! sliding window   newest bucket · tokens in it · tokens in the one before · …, at most 17 of them
//! fixed window     tokens · the window's end
//! ```
//!
//! All of it is whole numbers, so nothing drifts. A state is one record, changed in one step; it expires as soon as it says
//! no more than none would. What is refused changes nothing, so refusals cost no write.
//!
//! The thing to get wrong: the words. They may be anything, and the clock may show less than when they were written: each
//! state is taken for what it can mean now, never for more than its window.

use crate::cache::Cache;
use crate::error::CacheError;
use crate::key::Key;
use crate::kind;
use crate::locked::{Fault, Locked, Write};
use crate::read::{Manner, Meta, Sink, fetch, touch};
use crate::records::Change;
use crate::spaces::Space;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;

/// Most tokens that are counted; also the largest limit: what a double holds exactly.
pub const MAX_TOKENS: u64 = (1 << 53) - 1;

/// Buckets of a sliding window. More are more precise and take more room: a token is forgotten at most one bucket late.
const BUCKETS: usize = 16;
/// Words of the largest state.
const MAX_STATE: usize = BUCKETS + 2;

/// How it is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Algorithm {
    /// Tokens come back one by one, evenly over the window: the generic cell rate algorithm, as a leaky bucket.
    Gcra,
    /// A token comes back a window after it was taken, at most a sixteenth later: never more than the limit in any window.
    SlidingWindow,
    /// All tokens come back at the end of a window that the first one began.
    FixedWindow,
}

/// What is allowed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Limit {
    /// How it is counted. Belongs to the key: the state of one algorithm means nothing to another.
    pub algorithm: Algorithm,
    /// Tokens per window, 1 to `MAX_TOKENS`.
    pub tokens: u64,
    /// Milliseconds, 1 at least. Belongs to the key, too.
    pub window_ms: u64,
}

/// What is asked of a limiter. Each is a number of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// Take them if all are there.
    Consume(u64),
    /// Take them, also where fewer are there.
    Penalty(u64),
    /// Give so many back.
    Reward(u64),
}

/// The answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// They were there. After a penalty or a reward: one more is there.
    pub allowed: bool,
    /// Tokens that are there now.
    pub remaining: u64,
    /// Milliseconds until they will be there if nobody else takes any; 0 if they are or were, `None` if they never will.
    pub retry_after_ms: Option<u64>,
    /// Milliseconds until all tokens are there, if nobody takes any.
    pub reset_after_ms: u64,
}

/// A state as it is now.
trait Meter: Sized {
    /// Of the words of a record, whatever they are; of none where there is none.
    fn load(words: &[u64], limit: &Limit, now: u64) -> Self;
    /// Its words.
    fn words(&self) -> ([u64; MAX_STATE], usize);
    /// Tokens that are there.
    fn remaining(&self) -> u64;
    fn take(&mut self, tokens: u64);
    fn give_back(&mut self, tokens: u64);
    /// Milliseconds until so many are there, which is not more than the limit.
    fn wait_for(&self, tokens: u64) -> u64;
    /// Milliseconds until all are there. 0: it is as if none had ever been taken.
    fn reset_after(&self) -> u64;
}

struct Gcra {
    limit: Limit,
    level: u128,
    now: u64,
}

impl Gcra {
    fn weight(&self, tokens: u64) -> u128 {
        u128::from(tokens) * u128::from(self.limit.window_ms)
    }

    /// Milliseconds in which the level drains by so much.
    fn time_to_drain(&self, level: u128) -> u64 {
        u64::try_from(level.div_ceil(u128::from(self.limit.tokens))).unwrap_or(u64::MAX)
    }
}

impl Meter for Gcra {
    fn load(words: &[u64], limit: &Limit, now: u64) -> Self {
        let level = match *words {
            [low, high, at] => {
                let drained = u128::from(now.saturating_sub(at)).saturating_mul(u128::from(limit.tokens));
                (u128::from(low) | u128::from(high) << 64).saturating_sub(drained)
            }
            _ => 0,
        };
        let most = u128::from(MAX_TOKENS) * u128::from(limit.window_ms);
        Self { limit: *limit, level: level.min(most), now }
    }

    fn words(&self) -> ([u64; MAX_STATE], usize) {
        let mut words = [0; MAX_STATE];
        words[..3].copy_from_slice(&[self.level as u64, (self.level >> 64) as u64, self.now]);
        (words, 3)
    }

    fn remaining(&self) -> u64 {
        let left = self.weight(self.limit.tokens).saturating_sub(self.level);
        u64::try_from(left / u128::from(self.limit.window_ms)).unwrap_or(MAX_TOKENS)
    }

    fn take(&mut self, tokens: u64) {
        self.level = (self.level + self.weight(tokens)).min(self.weight(MAX_TOKENS));
    }

    fn give_back(&mut self, tokens: u64) {
        self.level = self.level.saturating_sub(self.weight(tokens));
    }

    fn wait_for(&self, tokens: u64) -> u64 {
        self.time_to_drain((self.level + self.weight(tokens)).saturating_sub(self.weight(self.limit.tokens)))
    }

    fn reset_after(&self) -> u64 {
        self.time_to_drain(self.level)
    }
}

struct SlidingWindow {
    limit: Limit,
    newest: u64,
    /// Tokens by bucket, the newest first. The last one is the bucket that lies in the window in part.
    taken: [u64; BUCKETS + 1],
    now: u64,
}

impl SlidingWindow {
    fn used(&self) -> u64 {
        self.taken.iter().fold(0, |sum, tokens| sum.saturating_add(*tokens))
    }

    /// Milliseconds until the bucket of this index is out of the window.
    fn time_to_forget(&self, index: usize) -> u64 {
        let first_without = u128::from(self.newest.saturating_sub(index as u64)) + BUCKETS as u128 + 1;
        let at = (first_without * u128::from(self.limit.window_ms)).div_ceil(BUCKETS as u128);
        u64::try_from(at).unwrap_or(u64::MAX).saturating_sub(self.now)
    }
}

impl Meter for SlidingWindow {
    fn load(words: &[u64], limit: &Limit, now: u64) -> Self {
        let current =
            u64::try_from(u128::from(now) * BUCKETS as u128 / u128::from(limit.window_ms)).unwrap_or(u64::MAX);
        let mut taken = [0; BUCKETS + 1];
        if let [newest, stored @ ..] = words {
            // A clock that shows less than when it was written: the tokens are as good as new.
            let passed = usize::try_from(current.saturating_sub(*newest)).unwrap_or(usize::MAX);
            for (index, tokens) in stored.iter().enumerate().take(BUCKETS + 1) {
                if let Some(place) = taken.get_mut(index.saturating_add(passed)) {
                    *place = (*tokens).min(MAX_TOKENS);
                }
            }
        }
        Self { limit: *limit, newest: current, taken, now }
    }

    fn words(&self) -> ([u64; MAX_STATE], usize) {
        let mut words = [0; MAX_STATE];
        words[0] = self.newest;
        words[1..].copy_from_slice(&self.taken);
        let oldest = self.taken.iter().rposition(|tokens| *tokens != 0).unwrap_or(0);
        (words, oldest + 2)
    }

    fn remaining(&self) -> u64 {
        self.limit.tokens.saturating_sub(self.used())
    }

    fn take(&mut self, tokens: u64) {
        self.taken[0] = self.taken[0].saturating_add(tokens).min(MAX_TOKENS);
    }

    fn give_back(&mut self, tokens: u64) {
        let mut left = tokens;
        for taken in &mut self.taken {
            let given = left.min(*taken);
            *taken -= given;
            left -= given;
        }
    }

    fn wait_for(&self, tokens: u64) -> u64 {
        let mut missing = self.used().saturating_add(tokens).saturating_sub(self.limit.tokens);
        if missing == 0 {
            return 0;
        }
        for (index, taken) in self.taken.iter().enumerate().rev() {
            missing = missing.saturating_sub(*taken);
            if missing == 0 {
                return self.time_to_forget(index);
            }
        }
        self.time_to_forget(0)
    }

    fn reset_after(&self) -> u64 {
        self.taken.iter().position(|tokens| *tokens != 0).map_or(0, |newest| self.time_to_forget(newest))
    }
}

struct FixedWindow {
    limit: Limit,
    used: u64,
    /// Milliseconds until its end.
    left: u64,
    now: u64,
}

impl Meter for FixedWindow {
    fn load(words: &[u64], limit: &Limit, now: u64) -> Self {
        let (used, left) = match *words {
            [used, end] if end > now => (used.min(MAX_TOKENS), (end - now).min(limit.window_ms)),
            _ => (0, limit.window_ms),
        };
        Self { limit: *limit, used, left, now }
    }

    fn words(&self) -> ([u64; MAX_STATE], usize) {
        let mut words = [0; MAX_STATE];
        words[..2].copy_from_slice(&[self.used, self.now.saturating_add(self.left)]);
        (words, 2)
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

impl Limit {
    /// What was checked elsewhere, so that no division fails.
    fn sound(&self) -> Self {
        let Self { algorithm, tokens, window_ms } = *self;
        Self { algorithm, tokens: tokens.clamp(1, MAX_TOKENS), window_ms: window_ms.max(1) }
    }

    fn meet(&self, demand: Demand, state: &mut State, now: u64) -> (Change, Verdict) {
        match self.algorithm {
            Algorithm::Gcra => self.meet_with::<Gcra>(demand, state, now),
            Algorithm::SlidingWindow => self.meet_with::<SlidingWindow>(demand, state, now),
            Algorithm::FixedWindow => self.meet_with::<FixedWindow>(demand, state, now),
        }
    }

    fn meet_with<M: Meter>(&self, demand: Demand, state: &mut State, now: u64) -> (Change, Verdict) {
        let mut meter = M::load(state.words(), self, now);
        let asked = match demand {
            Demand::Consume(tokens) => tokens,
            Demand::Penalty(_) | Demand::Reward(_) => 1,
        };
        let allowed = match demand {
            Demand::Consume(tokens) => {
                let allowed = tokens <= meter.remaining();
                if !allowed || tokens == 0 {
                    return (Change::Keep, self.verdict(&meter, asked, allowed));
                }
                meter.take(tokens);
                true
            }
            Demand::Penalty(tokens) => {
                meter.take(tokens);
                meter.remaining() > 0
            }
            Demand::Reward(tokens) => {
                meter.give_back(tokens);
                meter.remaining() > 0
            }
        };
        let becomes = match meter.reset_after() {
            0 => Change::Remove,
            ttl_ms => {
                (state.words, state.len) = meter.words();
                Change::Store { ttl_ms }
            }
        };
        (becomes, self.verdict(&meter, asked, allowed))
    }

    fn look_with<M: Meter>(&self, state: &State, tokens: u64, now: u64) -> Verdict {
        let meter = M::load(state.words(), self, now);
        self.verdict(&meter, tokens, tokens <= meter.remaining())
    }

    fn verdict(&self, meter: &impl Meter, asked: u64, allowed: bool) -> Verdict {
        let retry_after_ms = match allowed {
            true => Some(0),
            false if asked > self.tokens => None,
            false => Some(meter.wait_for(asked)),
        };
        Verdict { allowed, remaining: meter.remaining(), retry_after_ms, reset_after_ms: meter.reset_after() }
    }
}

/// The words of a state, on the stack: none where there is no state.
struct State {
    words: [u64; MAX_STATE],
    len: usize,
}

impl State {
    const NONE: Self = Self { words: [0; MAX_STATE], len: 0 };

    fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    /// What is no state, or too long to be one, is none.
    fn if_copied(mut self, copied: bool) -> Self {
        if !copied {
            self.len = 0;
        }
        self
    }
}

impl Sink for State {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.len = 0;
        kind == kind::RECORD && len.is_multiple_of(8) && len / 8 <= MAX_STATE
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        // Relaxed: whoever copies looks at the index word again, or holds the lock.
        for (to, from) in self.words[self.len..].iter_mut().zip(region.words(offset, len / 8)) {
            *to = from.load(Ordering::Relaxed);
        }
        self.len = (self.len + len / 8).min(MAX_STATE);
    }
}

impl Locked<'_> {
    /// Meets a demand in one step. As `change_record`, but without a buffer: a state has its place on the stack.
    fn meet(&mut self, key: &Key<'_>, limit: &Limit, demand: Demand) -> Result<Verdict, Fault> {
        let found = self.find(key)?;
        let existing = found.filter(|found| found.live);
        let mut state = State::NONE;
        if let Some(existing) = existing {
            let mut meta = Meta::EMPTY;
            fetch(self.shard, &existing.head, &mut state, &mut meta)?;
            state = state.if_copied(meta.copied);
            touch(self.shard, existing.at); // or what is used all the time would be evicted as if it were not
        }
        let (becomes, verdict) = limit.meet(demand, &mut state, self.now_ms());
        match becomes {
            Change::Keep => {}
            Change::Store { ttl_ms } => {
                let mut bytes = [0; MAX_STATE * 8];
                for (to, word) in bytes.chunks_exact_mut(8).zip(state.words()) {
                    to.copy_from_slice(&word.to_le_bytes());
                }
                let write = Write { ttl_ms, ..Write::new(kind::RECORD, &bytes[..state.len * 8]) };
                if self.set_found(key, found, &write)?.is_none() {
                    return Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into());
                }
            }
            Change::Remove if existing.is_some() => self.remove_record(key)?,
            Change::Remove => {}
        }
        Ok(verdict)
    }
}

impl Cache {
    /// Takes tokens of a key, or gives some back. Of all processes, in one step.
    ///
    /// # Errors
    /// `NoSpace` where nothing may be evicted; `Busy`, `Detached`, `Corrupt`, and a key that cannot be.
    pub fn limit(&self, key: &[u8], limit: &Limit, demand: Demand) -> Result<Verdict, CacheError> {
        let limit = limit.sound();
        let key = Key::new(self.geometry(), Space::Limits.of(self.namespace()), key)?;
        self.shard(key.shard).prefetch_line(&key);
        let place = (key.shard, key.namespace);
        self.try_change(place, self.write_timeout(), |locked| locked.meet(&key, &limit, demand))
    }

    /// Whether so many tokens are there; takes none and waits for nobody.
    ///
    /// # Errors
    /// `Detached`, and a key that cannot be.
    pub fn look_at_limit(&self, key: &[u8], limit: &Limit, tokens: u64) -> Result<Verdict, CacheError> {
        let limit = limit.sound();
        let mut state = State::NONE;
        let found = self.read(Space::Limits.of(self.namespace()), key, Manner::Peek, &mut state)?;
        let state = state.if_copied(found.is_some_and(|meta| meta.copied));
        let now = self.now_ms();
        Ok(match limit.algorithm {
            Algorithm::Gcra => limit.look_with::<Gcra>(&state, tokens, now),
            Algorithm::SlidingWindow => limit.look_with::<SlidingWindow>(&state, tokens, now),
            Algorithm::FixedWindow => limit.look_with::<FixedWindow>(&state, tokens, now),
        })
    }

    /// Gives a key all its tokens back. False if it had them all.
    ///
    /// # Errors
    /// As for `limit`.
    pub fn reset_limit(&self, key: &[u8]) -> Result<bool, CacheError> {
        self.change_record(Space::Limits.of(self.namespace()), key, self.write_timeout(), |edit| {
            Ok((Change::Remove, !edit.words.is_empty()))
        })
    }
}
