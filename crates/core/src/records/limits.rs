//! Limiters: how many tokens of a limit a key has used. The count is exact over all processes.
//!
//! The state of a key is one record. It expires as soon as all tokens are back. A refusal changes nothing, so it writes
//! nothing.
//!
//! Most calls change one word of a state: the last bucket, or the level. They store that word in place, and this store
//! is the commit. All other changes work as for any record. So a process that dies has taken its tokens or has not. A
//! reader in place sees the old word or the new one.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::locked::{ChangeError, Locked};
use crate::change::record::RecordChange;
use crate::change::set::{Write, deadline_of};
use crate::error::CacheError;
use crate::kind;
use crate::layout::key::Key;
use crate::reading::read::ReadMode;
use crate::records::meters::{
    Algorithm, FixedWindow, Gcra, Limit, MAX_STATE, MAX_TOKENS, Meter, MeterState, SlidingWindow,
};
use crate::shard::values::{EntryMeta, fetch};

/// A demand on a limiter: a number of tokens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Demand {
    /// Takes the tokens if all are available.
    Consume(u64),
    /// Takes the tokens, even if fewer are available.
    Penalty(u64),
    /// Gives the tokens back.
    Reward(u64),
}

/// The answer to a demand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Verdict {
    /// Whether the tokens were available. After a penalty or a reward: whether one more is available.
    pub allowed: bool,
    /// Number of tokens available now.
    pub remaining: u64,
    /// Milliseconds until the tokens are available if no other call takes any; 0 if they are or were available, `None`
    /// if they never will be.
    pub retry_after_ms: Option<u64>,
    /// Milliseconds until all tokens are available if no call takes any.
    pub reset_after_ms: u64,
}

impl Verdict {
    /// An empty verdict, for `meet` to fill.
    pub(crate) const NONE: Self = Self { allowed: false, remaining: 0, retry_after_ms: None, reset_after_ms: 0 };
}

impl Limit {
    /// Clamps the values again, so that no division fails. Callers have checked them already.
    pub(crate) fn sound(&self) -> Self {
        let Self { algorithm, tokens, window_ms } = *self;
        Self { algorithm, tokens: tokens.clamp(1, MAX_TOKENS), window_ms: window_ms.max(1) }
    }

    fn meet(&self, demand: Demand, state: &mut MeterState, now: u64, verdict: &mut Verdict) -> RecordChange {
        match self.algorithm {
            Algorithm::Gcra => self.meet_with::<Gcra>(demand, state, now, verdict),
            Algorithm::SlidingWindow => self.meet_with::<SlidingWindow>(demand, state, now, verdict),
            Algorithm::FixedWindow => self.meet_with::<FixedWindow>(demand, state, now, verdict),
        }
    }

    fn meet_with<M: Meter>(
        &self,
        demand: Demand,
        state: &mut MeterState,
        now: u64,
        verdict: &mut Verdict,
    ) -> RecordChange {
        let mut meter = M::new(self, now);
        meter.load(state.words());
        match demand {
            Demand::Consume(tokens) => {
                let allowed = tokens <= meter.remaining();
                if !allowed || tokens == 0 {
                    *verdict = self.verdict(&meter, tokens);
                    return RecordChange::Keep;
                }
                meter.take(tokens);
            }
            Demand::Penalty(tokens) => meter.take(tokens),
            Demand::Reward(tokens) => meter.give_back(tokens),
        }
        *verdict = match demand {
            // The tokens were available, and are taken now.
            Demand::Consume(_) => Verdict {
                allowed: true,
                remaining: meter.remaining(),
                retry_after_ms: Some(0),
                reset_after_ms: meter.reset_after(),
            },
            Demand::Penalty(_) | Demand::Reward(_) => self.verdict(&meter, 1),
        };
        if verdict.reset_after_ms == 0 {
            return RecordChange::Remove;
        }
        meter.save(state);
        RecordChange::Store { ttl_ms: verdict.reset_after_ms }
    }

    fn check_with<M: Meter>(&self, state: &MeterState, tokens: u64, now: u64) -> Verdict {
        let mut meter = M::new(self, now);
        meter.load(state.words());
        self.verdict(&meter, tokens)
    }

    /// The verdict on a demand for `tokens` tokens.
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

/// The limiter of one key.
#[derive(Clone, Copy)]
pub(crate) struct Limiter<'a> {
    pub(crate) attachment: &'a Attachment,
    /// Number of the namespace, with the keyspace of limiters.
    pub(crate) namespace: u16,
    pub(crate) key: &'a [u8],
}

impl Limiter<'_> {
    /// Takes tokens, or gives some back, in one step.
    pub(crate) fn meet(&self, limit: &Limit, demand: Demand, patience: Patience) -> Result<Verdict, CacheError> {
        let Self { attachment, namespace, key } = *self;
        let limit = limit.sound();
        let key = Key::new(attachment.geometry(), namespace, key)?;
        // An out parameter: a return through all layers would take a tenth of the call's time.
        let mut verdict = Verdict::NONE;
        attachment.change_key(&key, patience, |locked| meet(locked, &key, &limit, demand, &mut verdict))?;
        Ok(verdict)
    }

    /// Whether `tokens` tokens are available. It takes none, and reads without a lock.
    pub(crate) fn check(&self, limit: &Limit, tokens: u64) -> Result<Verdict, CacheError> {
        let limit = limit.sound();
        let mut state = MeterState::NONE;
        let found = self.attachment.read(self.namespace, self.key, ReadMode::Peek, &mut state)?;
        state.is_read(found.is_some_and(|meta| meta.copied));
        let now = self.attachment.now_ms();
        Ok(match limit.algorithm {
            Algorithm::Gcra => limit.check_with::<Gcra>(&state, tokens, now),
            Algorithm::SlidingWindow => limit.check_with::<SlidingWindow>(&state, tokens, now),
            Algorithm::FixedWindow => limit.check_with::<FixedWindow>(&state, tokens, now),
        })
    }
}

/// Meets a demand in one step. It works like `change_record`, but without a buffer, and in place where possible.
fn meet(
    locked: &mut Locked<'_>,
    key: &Key<'_>,
    limit: &Limit,
    demand: Demand,
    verdict: &mut Verdict,
) -> Result<(), ChangeError> {
    let found = locked.find(key)?;
    let existing = found.as_ref().filter(|found| found.live);
    let mut state = MeterState::NONE;
    if let Some(existing) = existing {
        let mut meta = EntryMeta::EMPTY;
        fetch(locked.shard, &existing.head, &mut state, &mut meta)?;
        state.is_read(meta.copied);
        locked.shard.mark_used(existing.at); // otherwise the state of a busy key could be evicted as unused
    }
    let becomes = limit.meet(demand, &mut state, locked.now_ms(), verdict);
    if let (RecordChange::Store { ttl_ms }, Some(existing)) = (becomes, existing) {
        let deadline = deadline_of(ttl_ms, || locked.now_ms());
        if let Some(index) = state.only_change().filter(|_| deadline >= existing.head.deadline) {
            locked.change_word(existing, index, state.words[index], deadline)?;
            return Ok(());
        }
    }
    match becomes {
        RecordChange::Keep => {}
        RecordChange::Store { ttl_ms } => {
            let mut bytes = [0; MAX_STATE * 8];
            for (to, word) in bytes.chunks_exact_mut(8).zip(state.words()) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            let write = Write { ttl_ms, ..Write::new(kind::RECORD, &bytes[..state.len * 8]) };
            if locked.set_found(key, found, &write)?.is_none() {
                return Err(CacheError::NoSpace("the shard is full and eviction is 'none'".into()).into());
            }
        }
        RecordChange::Remove if existing.is_some() => locked.remove_record(key)?,
        RecordChange::Remove => {}
    }
    Ok(())
}
