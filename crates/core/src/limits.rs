//! Limiters: how much of a limit a key has used within its window, exact over all processes.
//!
//! ```text
//! GCRA             level u128 (two words) · limit · since     in tokens × window; it drains by `limit` per millisecond
//! sliding window   newest bucket · tokens in it · tokens in the one before · …, at most 17 of them
//! fixed window     tokens · the window's end
//! ```
//!
//! All of it is whole numbers, so nothing drifts. A state is one record, which expires as soon as it says no more than none
//! would. What is refused changes nothing, so refusals cost no write.
//!
//! Most calls change one word of a state: the last bucket, the level. That word is stored where it is, and its store is the
//! commit; all other changes are those of any record. So whoever dies has taken its tokens or has not.
//!
//! The thing to get wrong: the words. They may be anything, and the clock may show less than when they were written: each
//! state is taken for what it can mean now, never for more than its window. And what is read in place may change meanwhile:
//! one word, so it is the old one or the new.

use crate::cache::{Cache, deadline_of};
use crate::entry::{Damaged, pieces};
use crate::error::CacheError;
use crate::key::Key;
use crate::kind;
use crate::locked::{Existing, Fault, Locked, Write};
use crate::read::{Manner, Meta, Sink, fetch, touch};
use crate::records::Change;
use crate::spaces::Space;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

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

impl Verdict {
    /// To be filled.
    const NONE: Self = Self { allowed: false, remaining: 0, retry_after_ms: None, reset_after_ms: 0 };
}

/// A state as it is now.
trait Meter: Sized {
    /// Of a key that has taken nothing.
    fn new(limit: &Limit, now: u64) -> Self;
    /// Of a key with the words of a record, whatever they are; of none where there is none. To be called once, on a new one: a
    /// state as a result would be copied, which takes longer than to make it.
    fn load(&mut self, words: &[u64]);
    /// Puts its words over those that it was loaded from.
    fn save(&self, state: &mut State);
    /// Tokens that are there.
    fn remaining(&self) -> u64;
    fn take(&mut self, tokens: u64);
    fn give_back(&mut self, tokens: u64);
    /// Milliseconds until so many are there, which is not more than the limit.
    fn wait_for(&self, tokens: u64) -> u64;
    /// Milliseconds until all are there. 0: it is as if none had ever been taken.
    fn reset_after(&self) -> u64;
}

/// The quotient, at most the largest there is. A division of 128 bits takes many times as long, and is seldom needed.
fn divide(number: u128, by: u64) -> u64 {
    match u64::try_from(number) {
        Ok(number) => number / by,
        Err(_) => u64::try_from(number / u128::from(by)).unwrap_or(u64::MAX),
    }
}

/// The same, rounded up.
fn divide_up(number: u128, by: u64) -> u64 {
    divide(number.saturating_add(u128::from(by) - 1), by)
}

struct Gcra {
    limit: Limit,
    /// What the level would have been at `since`, had everything been taken then. The last call moved only this.
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

    /// Milliseconds in which the level drains by so much.
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
        // Until now it drained by another limit.
        let drained = u128::from(self.now.saturating_sub(since)) * u128::from(tokens);
        self.put_level(level.saturating_sub(drained));
    }

    fn save(&self, state: &mut State) {
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

struct SlidingWindow {
    limit: Limit,
    newest: u64,
    /// Tokens by bucket, the newest first. The last one is the bucket that lies in the window in part.
    taken: [u64; BUCKETS + 1],
    /// Buckets from here on are empty.
    count: usize,
    /// Tokens in all of them, since they are asked for at each step.
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
        // A clock that shows less than when it was written: the tokens are as good as new.
        let passed = self.newest.saturating_sub(*newest).min(BUCKETS as u64 + 1) as usize;
        for (to, tokens) in self.taken[passed..].iter_mut().zip(stored) {
            *to = (*tokens).min(MAX_TOKENS);
            self.used += *to; // of 17 numbers below 2^53
        }
        self.count = (passed + stored.len()).clamp(1, BUCKETS + 1);
    }

    fn save(&self, state: &mut State) {
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

struct FixedWindow {
    limit: Limit,
    used: u64,
    /// Milliseconds until its end.
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

    fn save(&self, state: &mut State) {
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

impl Limit {
    /// What was checked elsewhere, so that no division fails.
    fn sound(&self) -> Self {
        let Self { algorithm, tokens, window_ms } = *self;
        Self { algorithm, tokens: tokens.clamp(1, MAX_TOKENS), window_ms: window_ms.max(1) }
    }

    fn meet(&self, demand: Demand, state: &mut State, now: u64, verdict: &mut Verdict) -> Change {
        match self.algorithm {
            Algorithm::Gcra => self.meet_with::<Gcra>(demand, state, now, verdict),
            Algorithm::SlidingWindow => self.meet_with::<SlidingWindow>(demand, state, now, verdict),
            Algorithm::FixedWindow => self.meet_with::<FixedWindow>(demand, state, now, verdict),
        }
    }

    fn meet_with<M: Meter>(&self, demand: Demand, state: &mut State, now: u64, verdict: &mut Verdict) -> Change {
        let mut meter = M::new(self, now);
        meter.load(state.words());
        match demand {
            Demand::Consume(tokens) => {
                let allowed = tokens <= meter.remaining();
                if !allowed || tokens == 0 {
                    *verdict = self.verdict(&meter, tokens);
                    return Change::Keep;
                }
                meter.take(tokens);
            }
            Demand::Penalty(tokens) => meter.take(tokens),
            Demand::Reward(tokens) => meter.give_back(tokens),
        }
        *verdict = match demand {
            // They were there, and are taken.
            Demand::Consume(_) => Verdict {
                allowed: true,
                remaining: meter.remaining(),
                retry_after_ms: Some(0),
                reset_after_ms: meter.reset_after(),
            },
            Demand::Penalty(_) | Demand::Reward(_) => self.verdict(&meter, 1),
        };
        if verdict.reset_after_ms == 0 {
            return Change::Remove;
        }
        meter.save(state);
        Change::Store { ttl_ms: verdict.reset_after_ms }
    }

    fn look_with<M: Meter>(&self, state: &State, tokens: u64, now: u64) -> Verdict {
        let mut meter = M::new(self, now);
        meter.load(state.words());
        self.verdict(&meter, tokens)
    }

    /// Whether so many are there.
    fn verdict(&self, meter: &impl Meter, tokens: u64) -> Verdict {
        let remaining = meter.remaining();
        let allowed = tokens <= remaining;
        let retry_after_ms = match allowed {
            true => Some(0),
            false if tokens > self.tokens => None,
            false => Some(meter.wait_for(tokens)),
        };
        Verdict { allowed, remaining, retry_after_ms, reset_after_ms: meter.reset_after() }
    }
}

/// The words of a state, on the stack: none where there is no state. It knows what was changed of them.
struct State {
    words: [u64; MAX_STATE],
    len: usize,
    /// How many there were.
    found: usize,
    /// How often a word was changed, and the last one.
    changes: usize,
    changed: usize,
}

impl State {
    const NONE: Self = Self { words: [0; MAX_STATE], len: 0, found: 0, changes: 0, changed: 0 };

    fn words(&self) -> &[u64] {
        &self.words[..self.len]
    }

    fn put(&mut self, index: usize, word: u64) {
        if self.words[index] != word {
            self.words[index] = word;
            self.changes += 1;
            self.changed = index;
        }
    }

    fn put_all(&mut self, words: &[u64]) {
        words.iter().enumerate().for_each(|(index, word)| self.put(index, *word));
        self.len = words.len();
    }

    /// The one word that is another than was found.
    fn only_change(&self) -> Option<usize> {
        (self.changes == 1 && self.len == self.found).then_some(self.changed)
    }

    /// To be called when it was read. What is no state, or too long to be one, is none.
    fn is_read(&mut self, copied: bool) {
        if !copied {
            self.len = 0;
        }
        self.found = self.len;
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
    /// Meets a demand in one step. As `change_record`, but without a buffer, and in place where that is possible.
    fn meet(&mut self, key: &Key<'_>, limit: &Limit, demand: Demand, verdict: &mut Verdict) -> Result<(), Fault> {
        let found = self.find(key)?;
        let existing = found.as_ref().filter(|found| found.live);
        let mut state = State::NONE;
        if let Some(existing) = existing {
            let mut meta = Meta::EMPTY;
            fetch(self.shard, &existing.head, &mut state, &mut meta)?;
            state.is_read(meta.copied);
            touch(self.shard, existing.at); // or what is used all the time would be evicted as if it were not
        }
        let becomes = limit.meet(demand, &mut state, self.now_ms(), verdict);
        match (becomes, existing) {
            (Change::Store { ttl_ms }, Some(existing))
                if self.change_in_place(existing, &state, deadline_of(ttl_ms, || self.now_ms()))? =>
            {
                return Ok(());
            }
            _ => {}
        }
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
        Ok(())
    }

    /// Changes a state where it is, if it is one word that changes; false if it is not. Nobody keeps a copy of a state, so its
    /// index word may stay.
    fn change_in_place(&self, existing: &Existing, state: &State, deadline: u64) -> Result<bool, Damaged> {
        let head = &existing.head;
        let Some(index) = state.only_change().filter(|_| deadline >= head.deadline) else { return Ok(false) };
        if deadline != head.deadline {
            // Before the word: a state that lives too long has drained all the same.
            head.put_deadline(self.shard.unit_words(existing.unit)?, deadline);
            step("limit.deadline");
        }
        pieces(self.shard, head, head.value_at() + index * 8, 8, |offset, _| {
            // Relaxed: the next change is ordered by the lock, and a reader takes it whenever it sees it.
            self.shard.region.u64(offset).store(state.words[index], Ordering::Relaxed);
            step("limit.changed");
        })?;
        Ok(true)
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
        // Not as a result: to hand it through all layers would cost a tenth of the call.
        let mut verdict = Verdict::NONE;
        self.try_change(place, self.write_timeout(), |locked| locked.meet(&key, &limit, demand, &mut verdict))?;
        Ok(verdict)
    }

    /// Whether so many tokens are there; takes none and waits for nobody.
    ///
    /// # Errors
    /// `Detached`, and a key that cannot be.
    pub fn look_at_limit(&self, key: &[u8], limit: &Limit, tokens: u64) -> Result<Verdict, CacheError> {
        let limit = limit.sound();
        let mut state = State::NONE;
        let found = self.read(Space::Limits.of(self.namespace()), key, Manner::Peek, &mut state)?;
        state.is_read(found.is_some_and(|meta| meta.copied));
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
