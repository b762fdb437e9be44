//! Flights: one load of a key's value on the whole host, and its outcome for the waiters.
//!
//! A flight begins when its record is stored and ends when the record changes again. A waiter for its token then finds
//! an outcome or a fresh value. If it finds neither, it begins a flight itself. The record is in the shard of its key,
//! so the check of the token and the store of the value are one step under one lock: a loader that lost its flight
//! stores nothing.
//!
//! A set, delete, take, clear or invalidation during the flight is newer than the loaded value. The callers still get
//! that value, but the cache does not keep it. The flight's record holds the *life* and the *tag clock* at its begin;
//! they show a clear or an invalidation. A set, delete or take ends the flight, since its entry may be gone when the
//! result is stored.
//!
//! Caution: the result is stored before the flight ends. A death in between leaves a value, which every reader takes,
//! and a flight of a dead owner, for which no caller waits. docs/models/flights.pml is a model of this protocol.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::locked::{ChangeError, Locked};
use crate::change::record::{Buffers, Edit, RecordChange, Words, with_buffers};
use crate::change::set::Write;
use crate::error::CacheError;
use crate::kind;
use crate::layout::control::Count;
use crate::layout::key::Key;
use crate::layout::keyspaces::Keyspace;
use crate::layout::namespaces::is_same;
use crate::reading::read::ReadMode;
use crate::records::flight_board::{Board, Flight, MAX_OUTCOME};
use crate::records::keyspace::Records;
use crate::shard::values::NoSink;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;

/// The kind of a flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlightKind {
    /// A value of the cache.
    Values,
    /// The result of a task that runs once: a record, which no `clear` ends.
    Once,
}

impl FlightKind {
    /// The keyspaces of the values and of their flights.
    pub(crate) fn keyspaces(self, namespace: u16) -> Keyspaces {
        let (value, flight) = match self {
            Self::Values => (Keyspace::Values, Keyspace::Flights),
            Self::Once => (Keyspace::Once, Keyspace::OnceFlights),
        };
        Keyspaces { value: value.of(namespace), flight: flight.of(namespace) }
    }

    /// The number of a namespace with the keyspace of the flights, for `Orphan::Flight`.
    pub fn flights_of(self, namespace: u16) -> u16 {
        self.keyspaces(namespace).flight
    }
}

/// The two keyspaces of a kind of flight, each as a namespace's number with the keyspace.
#[derive(Clone, Copy)]
pub(crate) struct Keyspaces {
    pub(crate) value: u16,
    pub(crate) flight: u16,
}

/// Options of a flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlightOptions {
    /// Milliseconds after which another flight may begin; 0: the flight lasts as long as the process lives.
    pub lease_ms: u64,
    /// Accepts only a fresh value of a later version; 0: any fresh value, `u64::MAX`: none.
    pub newer_than: u64,
    /// The load runs in the background: no caller waits for it. It does not begin soon after a failure.
    pub background: bool,
}

/// The result of a begin.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlightStart {
    /// There is a fresh value of this version.
    Fresh(u64),
    /// There is an entry that says that the key has no value.
    Absent,
    /// Another flight loads it, under this token.
    Joined(u64),
    /// The caller must load it, under this token.
    Begun(u64),
    /// No load begins, since the last one has just failed.
    Resting,
}

/// The result of a finish.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FinishResult {
    /// The caller does not own the flight any more: the call stored nothing.
    Refused,
    /// The flight is over. The value was not stored: a newer change affected the key, or there is no room.
    Dropped,
    /// The value was stored with this version.
    Kept(u64),
}

/// A record outlives its lease by the lease again, and at least by this. So the result of a slow load is kept unless
/// another flight began.
const GRACE_MS: u64 = 60_000;

/// The flights of one key.
#[derive(Clone, Copy)]
pub(crate) struct Flights<'a> {
    attachment: &'a Attachment,
    keyspaces: Keyspaces,
    key: &'a [u8],
    patience: Patience,
}

/// The result for a fresh entry: a value, or `ABSENT`.
fn there_is(kind: u8, version: u64) -> FlightStart {
    if kind == kind::ABSENT { FlightStart::Absent } else { FlightStart::Fresh(version) }
}

/// The two keys of a flight. Both are in one shard.
struct Keys<'k> {
    value: Key<'k>,
    flight: Key<'k>,
}

impl<'a> Flights<'a> {
    pub(crate) fn of(attachment: &'a Attachment, keyspaces: Keyspaces, key: &'a [u8], patience: Patience) -> Self {
        Self { attachment, keyspaces, key, patience }
    }

    /// Begins a flight, unless there is a fresh value or a current flight.
    pub(crate) fn begin(&self, options: &FlightOptions) -> Result<FlightStart, CacheError> {
        let Self { attachment, keyspaces, key, patience } = *self;
        let mut dead = Vec::new();
        if let Some(known) = self.check_without_lock(options, &mut dead)? {
            return Ok(known);
        }
        let of = |namespace| Key::new(attachment.geometry(), namespace, key);
        let keys = Keys { value: of(keyspaces.value)?, flight: of(keyspaces.flight)? };
        let me = attachment.owner_word();
        with_buffers(|buffers| {
            attachment.change_key(&keys.value, patience, |locked| begin(locked, &keys, buffers, options, &dead, me))
        })
    }

    /// Stores the result of a flight and ends the flight, in one step.
    pub(crate) fn finish(&self, token: u64, write: &Write<'_>) -> Result<FinishResult, CacheError> {
        let Self { attachment, keyspaces, key, patience } = *self;
        let Write { value, tags, .. } = write;
        let value = Key::for_entry(attachment.geometry(), keyspaces.value, key, value.len(), tags.len())?;
        let keys = Keys { value, flight: Key::new(attachment.geometry(), keyspaces.flight, key)? };
        let me = attachment.owner_word();
        let mut kept = None;
        with_buffers(|buffers| {
            attachment.change_key(&keys.value, patience, |locked| {
                finish(locked, &keys, buffers, (me, token), write, &mut kept)
            })
        })
    }

    /// Ends a flight of this process without a value. False if this process does not own the flight.
    pub(crate) fn end(&self, token: u64) -> Result<bool, CacheError> {
        end(&self.records(), self.key, token, None, false)
    }

    /// Ends a flight of this process and leaves an outcome to its waiters. If the outcome is too long or there is no
    /// room, it ends the flight without one.
    pub(crate) fn fail(&self, token: u64, outcome: &[u8], failed: bool) -> Result<bool, CacheError> {
        let end = |outcome: Option<&[u8]>| end(&self.records(), self.key, token, outcome, failed);
        match end(Some(outcome).filter(|bytes| bytes.len() <= MAX_OUTCOME)) {
            Err(CacheError::NoSpace(_)) => end(None),
            ended => ended,
        }
    }

    /// The outcome of the flight of this token; reads without a lock.
    pub(crate) fn outcome(&self, token: u64) -> Result<Option<Vec<u8>>, CacheError> {
        let mut words = Words::default();
        let found = self.records().read(self.key, &mut words)?;
        Ok(found.and_then(|_| Board::of(&mut words).outcome_of(token)))
    }

    /// Whether a new caller may wait for the flight of this token. It reads without a lock, and assumes that the owner
    /// lives.
    pub(crate) fn is_on(&self, token: u64) -> Result<bool, CacheError> {
        let mut words = Words::default();
        let life = self.attachment.life(self.keyspaces.value)?;
        if self.records().read(self.key, &mut words)?.is_none() {
            return Ok(false);
        }
        let flight = Board::of(&mut words).flight().filter(|flight| flight.token == token);
        Ok(flight.is_some_and(|flight| flight.can_be_joined(&[], self.attachment.now_ms(), life)))
    }

    fn records(&self) -> Records<'a> {
        Records { attachment: self.attachment, namespace: self.keyspaces.flight, patience: self.patience }
    }

    /// Answers without a lock where it can; otherwise fills `dead`. The liveness check of the owner is here since it
    /// must not run under a lock.
    fn check_without_lock(
        &self,
        options: &FlightOptions,
        dead: &mut Vec<u32>,
    ) -> Result<Option<FlightStart>, CacheError> {
        let Self { attachment, keyspaces, key, .. } = *self;
        let life = attachment.life(keyspaces.value)?;
        let found = attachment.read(keyspaces.value, key, ReadMode::PeekAbsent, &mut NoSink)?;
        if let Some(meta) = found.filter(|meta| meta.version > options.newer_than) {
            return Ok(Some(there_is(meta.kind, meta.version)));
        }
        let mut words = Words::default();
        if self.records().read(key, &mut words)?.is_none() {
            return Ok(None);
        }
        let board = Board::of(&mut words);
        let now = attachment.now_ms();
        if let Some(flight) = board.flight() {
            *dead = attachment.dead_of(std::iter::once(flight.owner));
            if flight.can_be_joined(dead, now, life) {
                return Ok(Some(FlightStart::Joined(flight.token)));
            }
        }
        Ok((options.background && board.rests(now)).then_some(FlightStart::Resting))
    }
}

/// The end of the lease of the flight of this token, 0 without one. `None`: the flight is over, since it ended or its
/// lease has run out. With `probe` it also checks the liveness of the owner: the flight of a dead owner is over.
pub(crate) fn lasts_until(
    records: &Records<'_>,
    key: &[u8],
    token: u64,
    probe: bool,
) -> Result<Option<u64>, CacheError> {
    let mut words = Words::default();
    if records.read(key, &mut words)?.is_none() {
        return Ok(None);
    }
    let Some(flight) = Board::of(&mut words).flight().filter(|flight| flight.token == token) else {
        return Ok(None);
    };
    let is_dead = || !records.attachment.dead_of(std::iter::once(flight.owner)).is_empty();
    let is_over = flight.is_late(records.now_ms()) || probe && is_dead();
    Ok((!is_over).then_some(flight.lease_end))
}

/// Ends a flight of this process and leaves the outcome, if any, to its waiters. False if this process does not own the
/// flight.
pub(crate) fn end(
    records: &Records<'_>,
    key: &[u8],
    token: u64,
    outcome: Option<&[u8]>,
    failed: bool,
) -> Result<bool, CacheError> {
    let me = records.attachment.owner_word();
    records.change(key, |edit| {
        let Edit { words, now, .. } = edit;
        let mut board = Board::of(words);
        if board.flight().is_none_or(|flight| !flight.is(me, token)) {
            return Ok((RecordChange::Keep, false));
        }
        board.end();
        board.purge(*now);
        if let Some(bytes) = outcome {
            board.note(token, *now, bytes, failed);
        }
        Ok((board.becomes(), true))
    })
}

/// Begins a flight under the lock, unless there is a fresh value or a current flight.
fn begin(
    locked: &mut Locked<'_>,
    keys: &Keys<'_>,
    buffers: &mut Buffers,
    options: &FlightOptions,
    dead: &[u32],
    me: u32,
) -> Result<FlightStart, ChangeError> {
    let existing = locked.find(&keys.value)?;
    if let Some(entry) = existing
        && entry.head.version > options.newer_than
        && locked.is_current(&entry.head)?
    {
        return Ok(there_is(entry.head.kind, entry.head.version));
    }
    locked.record_words(&keys.flight, &mut buffers.words)?;
    let mut board = Board::of(&mut buffers.words);
    let now = locked.attachment.now_ms();
    if let Some(flight) = board.flight().filter(|flight| flight.can_be_joined(dead, now, locked.life)) {
        return Ok(FlightStart::Joined(flight.token));
    }
    // The lock guards the sequence. The store of the record below detects a damaged one.
    let token = locked.shard.count(Count::Sequence).load(Ordering::Relaxed).saturating_add(1);
    let FlightOptions { lease_ms, .. } = *options;
    board.purge(now);
    board.begin(&Flight {
        owner: me,
        token,
        lease_end: if lease_ms == 0 { 0 } else { now.saturating_add(lease_ms) },
        life: locked.life,
        clock: locked.tag_clock,
    });
    let ttl_ms = if lease_ms == 0 { 0 } else { lease_ms.saturating_add(lease_ms.max(GRACE_MS)) };
    locked.store_words(&keys.flight, buffers, ttl_ms)?;
    step("flight.begun");
    Ok(FlightStart::Begun(token))
}

/// Stores the result and ends the flight under the lock. `kept` is the version that an earlier run of this change
/// stored, before the shard had to be rebuilt.
fn finish(
    locked: &mut Locked<'_>,
    keys: &Keys<'_>,
    buffers: &mut Buffers,
    (me, token): (u32, u64),
    write: &Write<'_>,
    kept: &mut Option<u64>,
) -> Result<FinishResult, ChangeError> {
    locked.record_words(&keys.flight, &mut buffers.words)?;
    let Some(flight) = Board::of(&mut buffers.words).flight().filter(|flight| flight.is(me, token)) else {
        return Ok(kept.map_or(FinishResult::Refused, FinishResult::Kept));
    };
    // mutant: load-outlives-clear
    if kept.is_none() && is_same(flight.life, locked.life) {
        let existing = locked.find(&keys.value)?;
        // mutant: load-stamped-at-end
        *kept = locked.set_found(&keys.value, existing, &Write { made_at: Some(flight.clock), ..*write })?;
        if locked.elsewhere.is_some() {
            return Ok(FinishResult::Dropped); // and runs again
        }
        locked.more_listeners = locked.listeners;
        step("flight.landed");
    }
    locked.remove_record(&keys.flight)?;
    Ok(kept.map_or(FinishResult::Dropped, FinishResult::Kept))
}
