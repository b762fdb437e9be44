//! Who loads the value of a key: one owner on the whole host, and how its load ended for those who waited for it.
//!
//! ```text
//! record    owner u32, 0: nobody loads · token · end of the lease, 0: never · life · tag clock · outcomes
//! outcome   token · until · length × 2, + 1: a failure · its bytes, filled up to whole words
//! ```
//!
//! A flight begins when its record is stored and ends when the record changes again. Whoever waits for its token then finds an
//! outcome, or a fresh value, or neither: then it begins a flight itself. The record is in the shard of its key, so that
//! looking at the token and storing the value are one step under one lock: a loader that lost its flight stores nothing.
//!
//! What was set, deleted, taken, cleared or invalidated meanwhile is newer than what is being loaded: the value then goes to
//! those who asked for it, and is not kept. *Life* and *tag clock* of when the flight began tell of the last two; the others end
//! the flight, since what they leave may be gone by the time of the landing.
//!
//! The thing to get wrong: the order of the two stores of a landing. First the value, then the end of the flight. A death in
//! between leaves a value, which everybody takes, and a flight of a dead owner, which nobody waits for.
//! docs/models/flights.pml is this protocol.

use crate::cache::{Cache, Core};
use crate::entry::MAX_TAGS;
use crate::error::CacheError;
use crate::key::Key;
use crate::kind;
use crate::locked::{Fault, Locked, Write};
use crate::namespaces;
use crate::read::{Manner, NoSink, Sink};
use crate::records::{Buffers, Change, Edit, Words, with_buffers};
use crate::shard::{Count, Field};
use crate::spaces::{Space, is_record};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::steps::step;
use std::time::Duration;

/// What is loaded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Loads {
    /// A value of the user's.
    Values,
    /// What is done once: a record, which no `clear` ends.
    Once,
}

impl Loads {
    /// Where the values are, and where the flights.
    fn spaces(self, namespace: u16) -> Spaces {
        let (value, flight) = match self {
            Self::Values => (Space::Values, Space::Flights),
            Self::Once => (Space::Once, Space::OnceFlights),
        };
        Spaces { value: value.of(namespace), flight: flight.of(namespace) }
    }

    /// The number of the space of its flights in a namespace, as `Orphan::Flight` has it.
    pub fn flights_of(self, namespace: u16) -> u16 {
        self.spaces(namespace).flight
    }
}

#[derive(Clone, Copy)]
struct Spaces {
    value: u16,
    flight: u16,
}

/// How somebody asks for a value that is missing.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Departure {
    /// Milliseconds after which another may load as well; 0: as long as the process lives.
    pub lease_ms: u64,
    /// Only a value of a later version will do; 0: any that is fresh, `u64::MAX`: none.
    pub newer_than: u64,
    /// Nobody waits for it: not so soon after a failure.
    pub background: bool,
}

/// What is there instead of the value asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Boarding {
    /// A fresh value, of this version.
    Fresh(u64),
    /// It is known that there is none.
    Absent,
    /// Somebody loads it, under this token.
    Joined(u64),
    /// The caller is to load it, under this token.
    Begun(u64),
    /// Nobody loads it, since that has just failed.
    Resting,
}

/// What became of a loaded value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Landing {
    /// Another has the flight, or had: nothing was stored.
    Refused,
    /// The flight is over, but something newer happened to the key, or there is no room.
    Dropped,
    /// It was stored, with this version.
    Kept(u64),
}

/// How long those who waited can learn how a flight ended.
const OUTCOME_MS: u64 = 10_000;
/// How long nobody reloads in the background after a failure.
const REST_MS: u64 = 1000;
/// Outcomes kept at once: the oldest goes.
const MAX_OUTCOMES: usize = 4;
/// Longest outcome in bytes; of a longer one those who waited learn nothing.
pub const MAX_OUTCOME: usize = 8 << 10;
/// A record outlives its lease by as much again, this at least: the result of a slow load is kept, if nobody took over.
const GRACE_MS: u64 = 60_000;

const OWNER: usize = 0;
const TOKEN: usize = 1;
const LEASE: usize = 2;
const LIFE: usize = 3;
const CLOCK: usize = 4;
const HEAD: usize = 5;
const OUTCOME_HEAD: usize = 3;

/// A load under way.
#[derive(Clone, Copy)]
struct Flight {
    owner: u32,
    token: u64,
    lease_end: u64,
    life: u64,
    clock: u64,
}

impl Flight {
    fn is(&self, owner: u32, token: u64) -> bool {
        self.token == token && self.owner == owner
    }

    fn is_late(&self, now: u64) -> bool {
        self.lease_end != 0 && now >= self.lease_end
    }

    /// Whether somebody who asks now is to wait for it. What began before a `clear` is of no use after it.
    fn can_be_joined(&self, dead: &[u32], now: u64, life: u64) -> bool {
        !dead.contains(&self.owner) && !self.is_late(now) && self.life == life
    }
}

/// How a flight ended: its place in the record.
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

/// The record of a key's flight, read or while it is changed.
struct Board<'w> {
    words: &'w mut Words,
}

impl<'w> Board<'w> {
    /// Of the words of a record; whatever they are.
    fn of(words: &'w mut Words) -> Self {
        let board = Self { words };
        if board.words.len() < HEAD || !board.is_sound() {
            board.words.clear();
            let _ = board.words.push(&[0; HEAD]); // a few words always fit
        }
        board
    }

    fn is_sound(&self) -> bool {
        self.outcomes().last().map_or(HEAD, |last| last.end()) == self.words.len()
    }

    fn flight(&self) -> Option<Flight> {
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

    fn begin(&mut self, flight: &Flight) {
        let Flight { owner, token, lease_end, life, clock } = *flight;
        self.words[..HEAD].copy_from_slice(&[u64::from(owner), token, lease_end, life, clock]);
    }

    fn end(&mut self) {
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

    /// Forgets what nobody will ask for any more, and the oldest where there are many.
    fn purge(&mut self, now: u64) {
        while let Some(range) = self.superfluous(now) {
            self.words.remove(range);
        }
    }

    fn superfluous(&self, now: u64) -> Option<std::ops::Range<usize>> {
        let is_over = |outcome: &Outcome| now >= outcome.until || outcome.until > now + OUTCOME_MS;
        let oldest = self.outcomes().next().filter(|_| self.outcomes().count() >= MAX_OUTCOMES);
        self.outcomes().find(is_over).or(oldest).map(|outcome| outcome.at..outcome.end())
    }

    fn note(&mut self, token: u64, now: u64, bytes: &[u8], failed: bool) {
        let length = (bytes.len() as u64) << 1 | u64::from(failed);
        // There is room: four of the longest are less than a record may be.
        let _ = self.words.push(&[token, now + OUTCOME_MS, length]);
        for chunk in bytes.chunks(8) {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            let _ = self.words.push(&[u64::from_le_bytes(eight)]);
        }
    }

    fn outcome_of(&self, token: u64) -> Option<Vec<u8>> {
        let outcome = self.outcomes().find(|outcome| outcome.token == token)?;
        let words = &self.words[outcome.at + OUTCOME_HEAD..outcome.end()];
        let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        bytes.truncate(outcome.len);
        Some(bytes)
    }

    fn rests(&self, now: u64) -> bool {
        self.outcomes().any(|outcome| outcome.failed && now + OUTCOME_MS < outcome.until.saturating_add(REST_MS))
    }

    /// What becomes of a record whose flight has ended.
    fn becomes(&self) -> Change {
        if self.words.len() == HEAD { Change::Remove } else { Change::Store { ttl_ms: OUTCOME_MS } }
    }
}

impl Cache {
    /// Begins to load a key's value, unless there is one or somebody else loads it.
    ///
    /// # Errors
    /// `NoSpace`, `Busy`, `Detached`, `Corrupt`, and a key that cannot be.
    pub fn begin_flight(&self, loads: Loads, key: &[u8], departure: &Departure) -> Result<Boarding, CacheError> {
        let spaces = loads.spaces(self.namespace());
        let mut dead = Vec::new();
        if let Some(known) = self.board_without_lock(spaces, key, departure, &mut dead)? {
            return Ok(known);
        }
        let keys = self.keys_of(spaces, key)?;
        let me = self.owner_word();
        with_buffers(|buffers| {
            self.try_change((keys.flight.shard, spaces.value), self.write_timeout(), |locked| {
                locked.begin_flight(&keys, buffers, departure, &dead, me)
            })
        })
    }

    /// Stores the value that a flight brought, and ends the flight, in one step. After an error the flight is still on: end it
    /// by `fail_flight` or `abandon_flight`.
    ///
    /// # Errors
    /// As for `set`.
    pub fn finish_flight(
        &self,
        loads: Loads,
        key: &[u8],
        token: u64,
        write: &Write<'_>,
    ) -> Result<Landing, CacheError> {
        let keys = self.keys_of(loads.spaces(self.namespace()), key)?;
        if write.tags.len() > MAX_TAGS {
            return Err(CacheError::InvalidArgument(format!("an entry has at most {MAX_TAGS} tags")));
        }
        self.check_size(&keys.value, write.value.len() + write.tags.len() * 8)?;
        let me = self.owner_word();
        let mut kept = None;
        with_buffers(|buffers| {
            self.try_change((keys.flight.shard, keys.value.namespace), self.write_timeout(), |locked| {
                locked.finish_flight(&keys, buffers, (me, token), write, &mut kept)
            })
        })
    }

    /// Ends a flight that brought nothing to be kept. Those who waited for it can ask for `outcome` for some seconds. False if
    /// another has the flight.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and a key that cannot be.
    pub fn fail_flight(
        &self,
        loads: Loads,
        key: &[u8],
        token: u64,
        outcome: &[u8],
        failed: bool,
    ) -> Result<bool, CacheError> {
        let flights = loads.flights_of(self.namespace());
        let end = |outcome: Option<&[u8]>| self.end_flight(flights, key, token, outcome, failed, self.write_timeout());
        match end(Some(outcome).filter(|bytes| bytes.len() <= MAX_OUTCOME)) {
            // Rather without a word than not at all.
            Err(CacheError::NoSpace(_)) => end(None),
            ended => ended,
        }
    }

    /// Ends a flight as if it had not been: whoever waits for it is next. False if another has the flight.
    ///
    /// # Errors
    /// As for `fail_flight`.
    pub fn abandon_flight(&self, loads: Loads, key: &[u8], token: u64) -> Result<bool, CacheError> {
        self.end_flight(loads.flights_of(self.namespace()), key, token, None, false, self.write_timeout())
    }

    /// How the flight of this token ended, for those who waited for it; without a lock.
    ///
    /// # Errors
    /// `Detached`, and a key that cannot be.
    pub fn flight_outcome(&self, loads: Loads, key: &[u8], token: u64) -> Result<Option<Vec<u8>>, CacheError> {
        let mut words = Words::default();
        let found = self.read_record(loads.flights_of(self.namespace()), key, &mut words)?;
        Ok(found.and_then(|_| Board::of(&mut words).outcome_of(token)))
    }

    /// Whether somebody who asks now is to wait for the flight of this token, whose owner lives; without a lock.
    ///
    /// # Errors
    /// As for `flight_outcome`.
    pub fn is_flying(&self, loads: Loads, key: &[u8], token: u64) -> Result<bool, CacheError> {
        let mut words = Words::default();
        let spaces = loads.spaces(self.namespace());
        let life = namespaces::life(self.segment.region(), self.epoch()?, spaces.value);
        if self.read_record(spaces.flight, key, &mut words)?.is_none() {
            return Ok(false);
        }
        let flight = Board::of(&mut words).flight().filter(|flight| flight.token == token);
        Ok(flight.is_some_and(|flight| flight.can_be_joined(&[], self.now_ms(), life)))
    }

    /// What was done once under this name, into `sink`.
    ///
    /// # Errors
    /// As for `flight_outcome`.
    pub fn done_once<S: Sink>(&self, name: &[u8], sink: &mut S) -> Result<bool, CacheError> {
        let found = self.read(Loads::Once.spaces(self.namespace()).value, name, Manner::Peek, sink)?;
        Ok(found.is_some_and(|meta| meta.copied))
    }

    fn keys_of<'k>(&self, spaces: Spaces, key: &'k [u8]) -> Result<Keys<'k>, CacheError> {
        let of = |namespace| Key::new(self.geometry(), namespace, key);
        Ok(Keys { value: of(spaces.value)?, flight: of(spaces.flight)? })
    }

    /// What most callers need to know, and whether the owner of a flight is dead, which is not to be asked under a lock.
    fn board_without_lock(
        &self,
        spaces: Spaces,
        key: &[u8],
        departure: &Departure,
        dead: &mut Vec<u32>,
    ) -> Result<Option<Boarding>, CacheError> {
        let life = namespaces::life(self.segment.region(), self.epoch()?, spaces.value);
        let found = self.read(spaces.value, key, Manner::PeekAbsent, &mut NoSink)?;
        if let Some(meta) = found.filter(|meta| meta.version > departure.newer_than) {
            return Ok(Some(there_is(meta.kind, meta.version)));
        }
        let mut words = Words::default();
        if self.read_record(spaces.flight, key, &mut words)?.is_none() {
            return Ok(None);
        }
        let board = Board::of(&mut words);
        let now = self.now_ms();
        if let Some(flight) = board.flight() {
            *dead = self.dead_of(std::iter::once(flight.owner));
            if flight.can_be_joined(dead, now, life) {
                return Ok(Some(Boarding::Joined(flight.token)));
            }
        }
        Ok((departure.background && board.rests(now)).then_some(Boarding::Resting))
    }
}

/// A fresh entry: a value, or the knowledge that there is none.
fn there_is(kind: u8, version: u64) -> Boarding {
    if kind == kind::ABSENT { Boarding::Absent } else { Boarding::Fresh(version) }
}

/// The two keys of a flight, in one shard.
struct Keys<'k> {
    value: Key<'k>,
    flight: Key<'k>,
}

impl Core {
    /// Whether nobody is to wait any longer for the flight of this token. With `probe` its owner is asked after.
    pub(crate) fn flight_is_over(
        &self,
        namespace: u16,
        key: &[u8],
        token: u64,
        probe: bool,
    ) -> Result<bool, CacheError> {
        let mut words = Words::default();
        if self.read_record(namespace, key, &mut words)?.is_none() {
            return Ok(true);
        }
        let Some(flight) = Board::of(&mut words).flight().filter(|flight| flight.token == token) else {
            return Ok(true);
        };
        Ok(flight.is_late(self.now_ms()) || probe && !self.dead_of(std::iter::once(flight.owner)).is_empty())
    }

    /// Ends a flight of this process, leaving an outcome to those who waited for it.
    pub(crate) fn end_flight(
        &self,
        namespace: u16,
        key: &[u8],
        token: u64,
        outcome: Option<&[u8]>,
        failed: bool,
        timeout: Duration,
    ) -> Result<bool, CacheError> {
        let me = self.owner_word();
        self.change_record(namespace, key, timeout, |edit| {
            let Edit { words, now, .. } = edit;
            let mut board = Board::of(words);
            if board.flight().is_none_or(|flight| !flight.is(me, token)) {
                return Ok((Change::Keep, false));
            }
            board.end();
            board.purge(*now);
            if let Some(bytes) = outcome {
                board.note(token, *now, bytes, failed);
            }
            Ok((board.becomes(), true))
        })
    }
}

impl Locked<'_> {
    fn begin_flight(
        &mut self,
        keys: &Keys<'_>,
        buffers: &mut Buffers,
        departure: &Departure,
        dead: &[u32],
        me: u32,
    ) -> Result<Boarding, Fault> {
        let existing = self.find(&keys.value)?;
        if let Some(entry) = existing
            && entry.head.version > departure.newer_than
            && self.is_current(&entry.head)?
        {
            return Ok(there_is(entry.head.kind, entry.head.version));
        }
        self.record_words(&keys.flight, &mut buffers.words)?;
        let mut board = Board::of(&mut buffers.words);
        let now = self.core.now_ms();
        if let Some(flight) = board.flight().filter(|flight| flight.can_be_joined(dead, now, self.life)) {
            return Ok(Boarding::Joined(flight.token));
        }
        // Guarded by the lock. A damaged one is found out below, by the store of the record.
        let token = self.shard.count(Count::Sequence).load(Ordering::Relaxed).saturating_add(1);
        let Departure { lease_ms, .. } = *departure;
        board.purge(now);
        board.begin(&Flight {
            owner: me,
            token,
            lease_end: if lease_ms == 0 { 0 } else { now.saturating_add(lease_ms) },
            life: self.life,
            clock: self.tag_clock,
        });
        let ttl_ms = if lease_ms == 0 { 0 } else { lease_ms.saturating_add(lease_ms.max(GRACE_MS)) };
        self.store_words(&keys.flight, buffers, ttl_ms)?;
        step("flight.begun");
        Ok(Boarding::Begun(token))
    }

    /// `kept` is what an earlier run of this change stored, before the shard had to be rebuilt.
    fn finish_flight(
        &mut self,
        keys: &Keys<'_>,
        buffers: &mut Buffers,
        (me, token): (u32, u64),
        write: &Write<'_>,
        kept: &mut Option<u64>,
    ) -> Result<Landing, Fault> {
        self.record_words(&keys.flight, &mut buffers.words)?;
        let Some(flight) = Board::of(&mut buffers.words).flight().filter(|flight| flight.is(me, token)) else {
            return Ok(kept.map_or(Landing::Refused, Landing::Kept));
        };
        if kept.is_none() && flight.life == self.life {
            let existing = self.find(&keys.value)?;
            *kept = self.set_found(&keys.value, existing, &Write { made_at: Some(flight.clock), ..*write })?;
            self.more_listeners = self.listeners;
            step("flight.landed");
        }
        self.remove_record(&keys.flight)?;
        Ok(kept.map_or(Landing::Dropped, Landing::Kept))
    }

    /// What is being loaded for a key is older than what happens to the key now: whoever waits for it is to look again. True: there
    /// was a flight, and what was found before may have moved.
    #[inline]
    pub(crate) fn outdate_flight(&mut self, key: &Key<'_>) -> Result<bool, Fault> {
        if self.shard.get(Field::PinnedUnits) == 0 || is_record(key.namespace) {
            return Ok(false);
        }
        let flight = Key::new(self.core.geometry(), Space::Flights.of(key.namespace), key.bytes)?;
        if self.find(&flight)?.is_none() {
            return Ok(false);
        }
        self.remove_record(&flight)?;
        self.more_listeners = self.listeners;
        step("flight.outdated");
        Ok(true)
    }
}
