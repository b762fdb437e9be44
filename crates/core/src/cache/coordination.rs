//! Coordination: waits, locks and semaphores, flights, limiters.

use crate::cache::handle::Cache;
#[cfg(feature = "kill-steps")]
use crate::change::record::Words;
use crate::change::set::Write;
use crate::error::CacheError;
use crate::layout::key::Key;
use crate::layout::keyspaces::Keyspace;
use crate::reading::read::ReadMode;
use crate::records::flights::{FinishResult, FlightKind, FlightOptions, FlightStart, Flights};
use crate::records::gates::Gate;
use crate::records::limits::{Demand, Limiter, Verdict};
use crate::records::meters::Limit;
use crate::records::orphans::Orphan;
use crate::records::permits::{Acquisition, HeldPermits, PermitRecord, PermitRequest, TicketState};
use crate::shard::values::Sink;
use crate::waiting::by_stripe::Begun;
use crate::waiting::record_watches::Awaited;
use cache_machine_shm::lock::Owner;

impl Cache {
    /// Waits for an entry of `key` newer than `after`, on behalf of a listener. Returns the number of the wait; the
    /// notice names it.
    ///
    /// # Errors
    /// An invalid key; `Detached`.
    pub fn wait_for(&self, key: &[u8], after: u64, listener: u64) -> Result<u64, CacheError> {
        let key = self.key(key)?;
        self.check_attached()?;
        let (id, begun) = self.waits.add(self, &key, after, listener);
        if begun != Begun::Further {
            self.segment.member().wake_own();
        }
        Ok(id)
    }

    /// Watches a record on behalf of a listener. Returns the number of the record watch; the notice names it.
    ///
    /// # Errors
    /// An invalid key; `Detached`.
    pub fn watch_record(
        &self,
        keyspace: Keyspace,
        key: &[u8],
        awaited: Awaited,
        listener: u64,
    ) -> Result<u64, CacheError> {
        let key = Key::new(self.geometry(), keyspace.of(self.namespace_of_values()), key)?;
        self.check_attached()?;
        let (id, begun) = self.record_watches.add(self, &key, awaited, listener);
        if begun != Begun::Further {
            self.segment.member().wake_own();
        }
        Ok(id)
    }

    /// Gives back the permits, tickets and flights of a closed handle or an ended thread. If that is not possible now,
    /// the background thread tries again.
    pub fn give_back(&self, orphans: impl IntoIterator<Item = Orphan>) {
        // What cannot be given back now is given back later.
        self.orphans.give_back(self, orphans, self.write_patience().brief());
    }

    /// Takes a permit; otherwise enters the queue if the request waits.
    ///
    /// # Errors
    /// `NoSpace` if there are too many holders and waiters; `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn acquire(&self, keyspace: Keyspace, key: &[u8], request: &PermitRequest) -> Result<Acquisition, CacheError> {
        self.in_area(|| self.permit_record(keyspace, key).acquire(request))
    }

    /// Releases a permit and grants it to the first waiter. False if it was not held any more. If a suspended process
    /// (SIGSTOP) holds the shard, the background thread releases the permit as soon as possible, so the caller need not
    /// try again. A release always has room, since the record does not grow.
    ///
    /// # Errors
    /// `Detached`, `Corrupt`, and an invalid key.
    pub fn release(&self, keyspace: Keyspace, key: &[u8], token: u64, permits: u32) -> Result<bool, CacheError> {
        match self.in_area(|| self.permit_record(keyspace, key).release(token, permits)) {
            Err(CacheError::Busy(_)) => {
                let held = self.holds(keyspace, key, token)?;
                let namespace = keyspace.of(self.namespace());
                let orphan = Orphan::Permit { namespace, key: key.to_vec(), token, permits };
                self.orphans.give_back_later(self, vec![orphan]);
                Ok(held)
            }
            other => other,
        }
    }

    /// Gives a permit a new time to live in milliseconds (0: for ever) and returns its deadline. `None` if it is not
    /// held any more.
    ///
    /// # Errors
    /// As for `acquire`.
    pub fn extend(&self, keyspace: Keyspace, key: &[u8], token: u64, ttl_ms: u64) -> Result<Option<u64>, CacheError> {
        self.in_area(|| self.permit_record(keyspace, key).extend(token, ttl_ms))
    }

    /// Whether a permit is still held; reads without a lock.
    ///
    /// # Errors
    /// `Detached`.
    pub fn holds(&self, keyspace: Keyspace, key: &[u8], token: u64) -> Result<bool, CacheError> {
        self.in_area(|| self.permit_record(keyspace, key).holds(token))
    }

    /// The state of a ticket; reads without a lock.
    ///
    /// # Errors
    /// `Detached`.
    pub fn ticket_state(&self, keyspace: Keyspace, key: &[u8], ticket: u64) -> Result<TicketState, CacheError> {
        self.in_area(|| self.permit_record(keyspace, key).ticket_state(ticket))
    }

    /// Leaves the queue. If the permit was granted meanwhile, the next waiter gets it. If the shard is busy, the
    /// background thread does this later.
    ///
    /// # Errors
    /// As for `release`.
    pub fn leave(&self, keyspace: Keyspace, key: &[u8], ticket: u64, permits: u32) -> Result<(), CacheError> {
        match self.in_area(|| self.permit_record(keyspace, key).cancel_ticket(ticket, permits)) {
            Err(CacheError::Busy(_)) => {
                let namespace = keyspace.of(self.namespace());
                let orphan = Orphan::Ticket { namespace, key: key.to_vec(), ticket, permits };
                self.orphans.give_back_later(self, vec![orphan]);
                Ok(())
            }
            other => other,
        }
    }

    /// Passes the gate of an event, a barrier or a condition, or enters its queue: then `ticket_state`, `watch_record` and
    /// `leave` take the ticket, all with 0 permits. A ticket that is granted is given back by `release` with its token.
    ///
    /// # Errors
    /// `NoSpace` if too many wait; `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn enter_gate(&self, key: &[u8], gate: Gate) -> Result<Acquisition, CacheError> {
        self.in_area(|| self.permit_record(gate.keyspace(), key).enter(gate))
    }

    /// Lets the first waiters of a condition pass, up to `count`, and returns their number.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn notify(&self, key: &[u8], count: u32) -> Result<u32, CacheError> {
        self.in_area(|| self.permit_record(Keyspace::Conditions, key).notify(count))
    }

    /// Sets an event, and lets all its waiters pass; or clears it. Returns whether that changed it.
    ///
    /// # Errors
    /// `NoSpace`, `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn set_event(&self, key: &[u8], is_set: bool) -> Result<bool, CacheError> {
        self.in_area(|| self.permit_record(Keyspace::Events, key).set_event(is_set))
    }

    /// Whether an event is set, and the number of living waiters of any gate. Reads without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn gate_state(&self, keyspace: Keyspace, key: &[u8]) -> Result<(bool, usize), CacheError> {
        self.in_area(|| self.permit_record(keyspace, key).gate_state())
    }

    /// The numbers of holders and waiters. Dead ones may count until the next request.
    ///
    /// # Errors
    /// `Detached`.
    pub fn permit_counts(&self, keyspace: Keyspace, key: &[u8]) -> Result<(usize, usize), CacheError> {
        self.in_area(|| self.permit_record(keyspace, key).counts())
    }

    /// All locks, semaphores or leaderships of this namespace that living processes hold or wait for. Reads without a lock;
    /// one that is taken or released meanwhile may be included or not.
    ///
    /// # Errors
    /// `Detached`, `Corrupt`.
    pub fn held_permits(&self, keyspace: Keyspace) -> Result<Vec<HeldPermits>, CacheError> {
        self.in_area(|| self.held_permits_in(keyspace))
    }

    fn held_permits_in(&self, keyspace: Keyspace) -> Result<Vec<HeldPermits>, CacheError> {
        let records = self.records(keyspace);
        let living = self.segment.member().living();
        let pid_of = |owner: u32| {
            let slot = Owner::of(owner).slot;
            living.iter().find(|process| process.slot == slot).map(|process| process.pid)
        };
        let mut held = Vec::new();
        for key in records.keys()? {
            let (holders, waiters) = PermitRecord { records, key: &key }.parties()?;
            let holders: Vec<_> = holders.iter().filter_map(|h| Some((pid_of(h.owner)?, h.deadline))).collect();
            let waiters: Vec<_> = waiters.into_iter().filter_map(pid_of).collect();
            if !holders.is_empty() || !waiters.is_empty() {
                held.push(HeldPermits { key, holders, waiters });
            }
        }
        Ok(held)
    }

    /// Begins a flight of a key, unless there is a fresh value or a current flight.
    ///
    /// # Errors
    /// `NoSpace`, `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn begin_flight(
        &self,
        loads: FlightKind,
        key: &[u8],
        options: &FlightOptions,
    ) -> Result<FlightStart, CacheError> {
        self.in_area(|| self.flights(loads, key).begin(options))
    }

    /// Stores the result of a flight and ends the flight, in one step. After an error the flight is still current: end
    /// it with `fail_flight` or `abandon_flight`.
    ///
    /// # Errors
    /// As for `set`.
    pub fn finish_flight(
        &self,
        loads: FlightKind,
        key: &[u8],
        token: u64,
        write: &Write<'_>,
    ) -> Result<FinishResult, CacheError> {
        self.in_area(|| self.flights(loads, key).finish(token, write))
    }

    /// Ends a flight without a value. Its waiters can read `outcome` with `flight_outcome` for up to 10 seconds. False
    /// if this process does not own the flight.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn fail_flight(
        &self,
        loads: FlightKind,
        key: &[u8],
        token: u64,
        outcome: &[u8],
        failed: bool,
    ) -> Result<bool, CacheError> {
        self.in_area(|| self.flights(loads, key).fail(token, outcome, failed))
    }

    /// Ends a flight without a value and without an outcome: a waiter begins the next one. False if this process does
    /// not own the flight.
    ///
    /// # Errors
    /// As for `fail_flight`.
    pub fn abandon_flight(&self, loads: FlightKind, key: &[u8], token: u64) -> Result<bool, CacheError> {
        self.in_area(|| self.flights(loads, key).end(token))
    }

    /// The outcome of the flight of this token, for its waiters; reads without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn flight_outcome(&self, loads: FlightKind, key: &[u8], token: u64) -> Result<Option<Vec<u8>>, CacheError> {
        self.in_area(|| self.flights(loads, key).outcome(token))
    }

    /// Whether a new caller may wait for the flight of this token. It reads without a lock, and assumes that the owner
    /// lives.
    ///
    /// # Errors
    /// As for `flight_outcome`.
    pub fn is_flight_on(&self, loads: FlightKind, key: &[u8], token: u64) -> Result<bool, CacheError> {
        self.in_area(|| self.flights(loads, key).is_on(token))
    }

    /// Reads the result of the task that ran once under this name into `sink`. False if there is none.
    ///
    /// # Errors
    /// As for `flight_outcome`.
    pub fn done_once<S: Sink>(&self, name: &[u8], sink: &mut S) -> Result<bool, CacheError> {
        let results = FlightKind::Once.keyspaces(self.namespace()).value;
        let found = self.in_area(|| self.read(results, name, ReadMode::Peek, sink))?;
        Ok(found.is_some_and(|meta| meta.copied))
    }

    /// Takes tokens of a key, or gives some back, in one step for all processes.
    ///
    /// # Errors
    /// `NoSpace` if no entry may be evicted; `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn limit(&self, key: &[u8], limit: &Limit, demand: Demand) -> Result<Verdict, CacheError> {
        self.in_area(|| self.limiter(key).meet(limit, demand, self.write_patience()))
    }

    /// Whether `tokens` tokens are available. It takes none, and reads without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn peek_limit(&self, key: &[u8], limit: &Limit, tokens: u64) -> Result<Verdict, CacheError> {
        self.in_area(|| self.limiter(key).check(limit, tokens))
    }

    /// Gives a key all its tokens back. False if it had all of them.
    ///
    /// # Errors
    /// As for `limit`.
    pub fn reset_limit(&self, key: &[u8]) -> Result<bool, CacheError> {
        self.in_area(|| self.records(Keyspace::Limits).remove(key))
    }

    fn permit_record<'a>(&'a self, keyspace: Keyspace, key: &'a [u8]) -> PermitRecord<'a> {
        PermitRecord { records: self.records(keyspace), key }
    }

    fn flights<'a>(&'a self, loads: FlightKind, key: &'a [u8]) -> Flights<'a> {
        Flights::of(self, loads.keyspaces(self.namespace_of_values()), key, self.write_patience())
    }

    fn limiter<'a>(&'a self, key: &'a [u8]) -> Limiter<'a> {
        Limiter { attachment: self, namespace: Keyspace::Limits.of(self.namespace()), key }
    }
}

#[cfg(feature = "kill-steps")]
impl Cache {
    /// For tests: the raw words of a record; empty if there is no record.
    ///
    /// # Errors
    /// `Detached`.
    pub fn words_of(&self, keyspace: Keyspace, key: &[u8]) -> Result<Vec<u64>, CacheError> {
        let mut words = Words::default();
        self.in_area(|| self.records(keyspace).read(key, &mut words))?;
        Ok(words.0)
    }
}
