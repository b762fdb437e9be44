//! Gates: events, barriers and conditions. A gate is a record of permits without permits: its waiters pass by another
//! waiter's arrival, or by a call of another process, and not by a release.
//!
//! Promises: each waiter has a ticket of its own, and passes exactly once for it. All that one step lets pass are decided
//! in that step, in the order of their arrival. A waiter that dies leaves the gate: it is passed over, and a barrier no
//! longer counts it, from the moment at which the next waiter comes or looks for the dead.

use crate::change::record::Words;
use crate::error::CacheError;
use crate::layout::keyspaces::{Keyspace, space};
use crate::records::permit_table::PermitTable;
use crate::records::permits::{Acquisition, Grant, PermitRecord};

/// What opens a gate for those that come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Gate {
    /// An event: they pass while it is set.
    Event,
    /// A barrier for so many: the last of them passes, and all waiters with it.
    Barrier(u32),
    /// A condition: each waits for `notify`.
    Condition,
}

impl Gate {
    /// Where the records of such gates are.
    pub(crate) fn keyspace(self) -> Keyspace {
        match self {
            Self::Event => Keyspace::Events,
            Self::Barrier(_) => Keyspace::Barriers,
            Self::Condition => Keyspace::Conditions,
        }
    }
}

impl PermitRecord<'_> {
    /// For waiters of a condition that were notified and have left before they noticed it: the next ones pass instead.
    pub(crate) fn pass_on(&self, table: &mut PermitTable<'_>, count: usize) {
        // mutant: notice-dies-with-waiter
        if space(self.records.namespace) == Keyspace::Conditions as u16 {
            table.let_pass(count);
        }
    }

    /// Passes the gate, or waits before it. `Granted`: it passes, holds nothing, and was the last one of a barrier.
    pub(crate) fn enter(&self, gate: Gate) -> Result<Acquisition, CacheError> {
        // Only a barrier counts its waiters. Other gates are cleared of the dead by their living waiters.
        let dead = if matches!(gate, Gate::Barrier(_)) { self.dead_owners()? } else { Vec::new() };
        let owner = u64::from(self.me());
        self.change_table(0, &dead, |table, version, _| {
            let passed = Acquisition::Granted(Grant { token: version, deadline: 0 });
            match gate {
                Gate::Event if table.is_set() => return Ok((false, passed)),
                Gate::Barrier(parties) if table.queued() + 1 >= parties as usize => {
                    table.let_pass(usize::MAX);
                    return Ok((true, passed));
                }
                _ => {}
            }
            if table.words.push(&[owner, version, 0, 0]) {
                Ok((true, Acquisition::Waiting(version)))
            } else {
                Err(CacheError::NoSpace("too many wait for it at once".into()))
            }
        })
    }

    /// Lets the first waiters pass, up to `count`, in the order of their arrival. Returns their number. The dead do not
    /// count.
    pub(crate) fn notify(&self, count: u32) -> Result<u32, CacheError> {
        let dead = self.dead_owners()?;
        self.change_table(0, &dead, |table, _, _| {
            let passed = table.let_pass(count as usize);
            Ok((passed > 0, passed as u32))
        })
    }

    /// Sets the event, and lets all waiters pass; or clears it. Returns whether that changed it.
    pub(crate) fn set_event(&self, is_set: bool) -> Result<bool, CacheError> {
        // Otherwise waiters that died after they were let pass would stay in the record of an event without other waiters.
        let dead = self.dead_owners()?;
        self.change_table(0, &dead, |table, _, _| {
            if table.is_set() == is_set {
                return Ok((false, false));
            }
            table.set(is_set);
            if is_set {
                table.let_pass(usize::MAX);
            }
            Ok((true, true))
        })
    }

    /// Whether the event is set, and the number of living waiters. Reads without a lock.
    pub(crate) fn gate_state(&self) -> Result<(bool, usize), CacheError> {
        let mut words = Words::default();
        if self.records.read(self.key, &mut words)?.is_none() {
            return Ok((false, 0));
        }
        let mut table = PermitTable::of(&mut words);
        let dead = self.records.attachment.dead_of(table.owners());
        table.purge(&dead, self.records.now_ms());
        Ok((table.is_set(), table.queued()))
    }
}
