//! Takes the locks of all shards of a transaction, checks what it has read, and commits its changes.
//!
//! Promises: all changes become visible together, to every process, or none does, whatever dies when. A transaction
//! commits only if every key that it has read is as it was read. While it holds a lock it waits for nothing: if a lock
//! is not free, it gives back the others, waits for that one alone, and begins again with it.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::locked::{ChangeError, Locked};
use crate::change::set::Write;
use crate::change::stage::{Commit, Refusal};
use crate::error::CacheError;
use crate::layout::control::Field;
use crate::layout::geometry::UNIT;
use crate::layout::key::Key;
use crate::layout::namespaces::{self, ROOT};
use crate::layout::tags;
use crate::notices::listeners::NoticeHold;
use crate::shard::allocator::worst_case;
use crate::shard::view::ShardView;
use cache_machine_shm::State;
use cache_machine_shm::steps::step;

/// Maximum number of keys that a transaction reads and changes.
pub const MAX_TRANSACTION_KEYS: usize = 1024;

/// How often a transaction begins again because it had to evict elsewhere, a line was crowded, or a shard was damaged.
const MAX_ATTEMPTS: usize = 8;

/// A key that a transaction has read.
#[derive(Clone, Copy, Debug)]
pub struct Check<'a> {
    /// `Cache::namespace_of_values` of the handle.
    pub namespace: u16,
    /// The key.
    pub key: &'a [u8],
    /// The version that was read; `None`: there was no entry.
    pub version: Option<u64>,
}

/// A key that a transaction changes. Each key comes once.
#[derive(Clone, Copy, Debug)]
pub struct KeyChange<'a> {
    /// `Cache::namespace_of_values` of the handle.
    pub namespace: u16,
    /// The key.
    pub key: &'a [u8],
    /// The new value; its condition is not used. `None`: the key is deleted.
    pub write: Option<Write<'a>>,
}

/// The hashed keys of a transaction, and the shards in which they are.
struct Plan<'a, 'k> {
    reads: Vec<(Key<'k>, Option<u64>)>,
    changes: Vec<(Key<'k>, Option<&'a Write<'k>>)>,
    /// In the order of their numbers.
    shards: Vec<usize>,
    namespaces: Vec<u16>,
}

impl Attachment {
    /// Commits changes if all keys of `checks` are as they were read. False: they are not, and nothing was changed.
    pub(crate) fn commit(
        &self,
        checks: &[Check<'_>],
        changes: &[KeyChange<'_>],
        patience: Patience,
    ) -> Result<bool, CacheError> {
        let plan = self.plan(checks, changes)?;
        if plan.shards.is_empty() {
            return Ok(true);
        }
        let views: Vec<_> = plan.shards.iter().map(|index| self.shard(*index)).collect();
        // No listener is called between two locks.
        let _hold = NoticeHold::begin();
        let mut attempt = 0;
        loop {
            attempt += 1;
            let mut commit = Commit::new(views.len(), changes.len(), plan.namespaces.len());
            self.lock_shards(&views, &plan, &mut commit, patience)?;
            commit.locked.iter_mut().for_each(|locked| locked.may_ask_elsewhere = attempt < MAX_ATTEMPTS);
            let refusal = match self.try_commit(&plan, &mut commit) {
                Ok(()) => {
                    self.unlock_all(commit);
                    return self.acknowledge();
                }
                Err(refusal) => refusal,
            };
            commit.drop_claims();
            if matches!(refusal, Refusal::Failed(ChangeError::Damaged)) {
                commit.locked.iter_mut().for_each(Locked::rebuild);
            }
            self.unlock_all(commit);
            match refusal {
                Refusal::Conflict => return Ok(false),
                Refusal::Failed(ChangeError::Error(error)) => return Err(error),
                Refusal::Elsewhere(room) if attempt < MAX_ATTEMPTS => {
                    self.make_room_elsewhere(room, patience)?;
                }
                Refusal::Crowded | Refusal::Failed(ChangeError::Damaged) if attempt < MAX_ATTEMPTS => {}
                Refusal::Failed(ChangeError::Damaged) => {
                    return Err(CacheError::Corrupt("a shard contradicts itself again after a rebuild".into()));
                }
                Refusal::NoRoom | Refusal::Elsewhere(_) | Refusal::Crowded => {
                    let text = "a shard has no room for all entries of the transaction, beside those that it replaces";
                    return Err(CacheError::NoSpace(text.into()));
                }
            }
        }
    }

    fn plan<'a, 'k>(&self, checks: &'a [Check<'k>], changes: &'a [KeyChange<'k>]) -> Result<Plan<'a, 'k>, CacheError> {
        if checks.len().max(changes.len()) > MAX_TRANSACTION_KEYS {
            let text = format!("a transaction reads and changes at most {MAX_TRANSACTION_KEYS} keys");
            return Err(CacheError::InvalidArgument(text));
        }
        let geometry = self.geometry();
        let read = |check: &Check<'k>| Ok((Key::new(geometry, check.namespace, check.key)?, check.version));
        let reads = checks.iter().map(read).collect::<Result<Vec<_>, CacheError>>()?;
        let changed = |change: &'a KeyChange<'k>| {
            let write = change.write.as_ref();
            let (value, tags) = write.map_or((0, 0), |write| (write.value.len(), write.tags.len()));
            Ok((Key::for_entry(geometry, change.namespace, change.key, value, tags)?, write))
        };
        let changes = changes.iter().map(changed).collect::<Result<Vec<_>, CacheError>>()?;
        let (mut shards, mut namespaces, mut names) = (Vec::new(), Vec::new(), Vec::new());
        for key in reads.iter().map(|(key, _)| key).chain(changes.iter().map(|(key, _)| key)) {
            shards.push(key.shard);
            namespaces.push(key.namespace);
        }
        names.extend(changes.iter().map(|(key, _)| (key.namespace, key.bytes)));
        names.sort_unstable();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return Err(CacheError::InvalidArgument("a transaction changes a key twice".into()));
        }
        namespaces.sort_unstable();
        namespaces.dedup();
        shards.sort_unstable();
        shards.dedup();
        let plan = Plan { reads, changes, shards, namespaces };
        self.check_sizes(&plan)?;
        Ok(plan)
    }

    /// A transaction that could not fit would evict everything first.
    fn check_sizes(&self, plan: &Plan<'_, '_>) -> Result<(), CacheError> {
        let limit = self.geometry().units / 2;
        let units = |(key, write): &(Key<'_>, Option<&Write<'_>>)| {
            let value = write.map_or(0, |write| write.value.len() + write.tags.len() * 8 + 16);
            worst_case((key.bytes.len().next_multiple_of(8) + value).div_ceil(UNIT)) + 1
        };
        for shard in &plan.shards {
            let needed: usize = plan.changes.iter().filter(|(key, _)| key.shard == *shard).map(units).sum();
            if needed > limit && plan.changes.iter().filter(|(key, _)| key.shard == *shard).count() > 1 {
                let (needed, limit) = (needed * UNIT, limit * UNIT);
                let text = format!(
                    "the entries of the transaction need {needed} bytes of a shard, which takes {limit} at most"
                );
                return Err(CacheError::NoSpace(text));
            }
        }
        Ok(())
    }

    /// Takes the locks of all shards, and loads once what all changes depend on.
    fn lock_shards<'a>(
        &'a self,
        views: &'a [ShardView<'a>],
        plan: &Plan<'_, '_>,
        commit: &mut Commit<'a, '_>,
        patience: Patience,
    ) -> Result<(), CacheError> {
        let mut awaited = 0;
        loop {
            commit.locked.push(self.lock(&views[awaited], ROOT, patience)?);
            // `lock` has made room for notes of removals.
            let notes_removals = commit.locked[0].notes_removals;
            let busy = (0..views.len()).filter(|n| *n != awaited).find(|n| match self.try_locked(&views[*n]) {
                Some(locked) => {
                    let mut locked = locked;
                    locked.notes_removals = notes_removals;
                    commit.locked.push(locked);
                    false
                }
                None => true,
            });
            step("transaction.locked");
            if let Some(busy) = busy {
                commit.locked.clear();
                awaited = busy;
                continue;
            }
            commit.locked.sort_unstable_by_key(|locked| locked.shard.index);
            let Some(left) = self.shard_of_dead(plan) else { break };
            // A transaction with this home died, and that shard still has intents. Its next owner ends them.
            commit.locked.clear();
            drop(self.lock(&self.shard(left), ROOT, patience)?);
        }
        if self.segment.header().state() != State::Ready || !self.is_current() {
            commit.locked.clear();
            return Err(self.departure());
        }
        let (root_epoch, clock, now) = (self.root_epoch(), tags::clock(self.region()), self.now_ms());
        let lives = plan
            .namespaces
            .iter()
            .map(|namespace| (*namespace, namespaces::life(self.region(), root_epoch, *namespace)));
        commit.lives.extend(lives);
        for locked in &mut commit.locked {
            (locked.root_epoch, locked.tag_clock) = (root_epoch, clock);
            locked.now.set(now);
            locked.divide_if_crowded();
        }
        Ok(())
    }

    /// A shard with intents of a transaction that died and had the home of this one.
    fn shard_of_dead(&self, plan: &Plan<'_, '_>) -> Option<usize> {
        let home = home_of(plan)?;
        // mutant: home-reused
        self.shards().find(|shard| shard.get(Field::CommitHome) == home as u32 + 1).map(|shard| shard.index)
    }

    fn try_commit<'a, 'k>(&self, plan: &Plan<'a, 'k>, commit: &mut Commit<'a, 'k>) -> Result<(), Refusal> {
        for (key, write) in &plan.changes {
            commit.make_room(*key, *write)?;
        }
        // After the evictions: a key that was read may be among them.
        for (key, version) in &plan.reads {
            // mutant: transaction-unchecked
            if !commit.holds(key, *version)? {
                return Err(Refusal::Conflict);
            }
        }
        let Some(home) = home_of(plan) else { return Ok(()) };
        commit.place()?;
        commit.stage()?;
        let home = self.shard(home);
        commit.publish(&home);
        commit.commit(&home);
        commit.finish();
        Ok(())
    }

    /// Releases all locks, then wakes and notifies.
    fn unlock_all(&self, mut commit: Commit<'_, '_>) {
        let member = self.segment.member();
        commit.locked.drain(..).for_each(drop);
        commit.listeners.into_iter().for_each(|listeners| member.wake(listeners));
    }

    /// As at the end of each change: one in a segment that was destroyed meanwhile is not acknowledged.
    fn acknowledge(&self) -> Result<bool, CacheError> {
        if self.is_lost() || self.segment.header().state() != State::Ready {
            self.detach();
            return Err(CacheError::Detached);
        }
        Ok(true)
    }
}

/// The first shard that the transaction changes; `None`: it changes none.
fn home_of(plan: &Plan<'_, '_>) -> Option<usize> {
    plan.changes.iter().map(|(key, _)| key.shard).min()
}
