//! What in this process waits for a change of a record: for a turn, or for the end of a flight.
//!
//! The background thread looks at a record when its stripe's bell has rung; and every 25 ms at all of them, since whom they
//! wait for may have died.
//!
//! The thing to get wrong: the order. A stripe is marked before the record is looked at for the first time; see
//! `shm::bell`.

use crate::cache::Core;
use crate::error::CacheError;
use crate::key::Key;
use crate::turns::{Queue, Turn};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// What is waited for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Awaited {
    /// The turn of this ticket, where so many can have theirs at once.
    Turn {
        /// Of the one who waits.
        ticket: u64,
        /// How many can hold it at once.
        permits: u32,
    },
    /// The end of the flight of this token, or of its owner.
    Flight {
        /// Of the flight.
        token: u64,
    },
}

/// The vigils of one process, by stripe.
#[derive(Default)]
pub(crate) struct Vigils {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    by_stripe: HashMap<usize, HashMap<u64, Vigil>>,
    stripe_of: HashMap<u64, usize>,
    /// Over when they began: listener and number.
    over: Vec<(u64, u64)>,
}

struct Vigil {
    namespace: u16,
    key: Vec<u8>,
    awaited: Awaited,
    listener: u64,
}

/// The background thread does not wait for long: there is another tick.
const PATIENCE: Duration = Duration::from_millis(10);

impl Vigils {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.stripe_of.is_empty() && table.over.is_empty()
    }

    pub(crate) fn add(&self, core: &Core, key: &Key<'_>, awaited: Awaited, listener: u64) -> u64 {
        let stripe = key.stripe();
        let mut table = self.table();
        table.last_id += 1;
        let id = table.last_id;
        let of_stripe = table.by_stripe.entry(stripe).or_default();
        if of_stripe.is_empty() {
            core.listen(stripe);
        }
        let vigil = Vigil { namespace: key.namespace, key: key.bytes.to_vec(), awaited, listener };
        // After the mark: whoever changes the record from here on rings.
        let is_over = vigil.is_over(core, true).unwrap_or(false);
        of_stripe.insert(id, vigil);
        table.stripe_of.insert(id, stripe);
        if is_over {
            table.forget(core, id);
            table.over.push((listener, id));
        }
        id
    }

    pub(crate) fn remove(&self, core: &Core, id: u64) {
        let mut table = self.table();
        table.forget(core, id);
        table.over.retain(|(_, over)| *over != id);
    }

    pub(crate) fn remove_of(&self, core: &Core, listener: u64) {
        let mut table = self.table();
        let of_it = |of_stripe: &HashMap<u64, Vigil>| -> Vec<u64> {
            of_stripe.iter().filter(|(_, vigil)| vigil.listener == listener).map(|(id, _)| *id).collect()
        };
        let ids: Vec<u64> = table.by_stripe.values().flat_map(of_it).collect();
        for id in ids {
            table.forget(core, id);
        }
        table.over.retain(|(other, _)| *other != listener);
    }

    /// Looks at the records of the stripes that `rang` picks; takes out those that are over and returns (listener, ids).
    /// With `probe`, passes over the dead before.
    pub(crate) fn take_ready(&self, core: &Core, probe: bool, rang: impl Fn(usize) -> bool) -> HashMap<u64, Vec<u64>> {
        let mut ready: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut table = self.table();
        let Table { by_stripe, stripe_of, over, .. } = &mut *table;
        for (listener, id) in over.drain(..) {
            ready.entry(listener).or_default().push(id);
        }
        by_stripe.retain(|stripe, of_stripe| {
            if !probe && !rang(*stripe) {
                return true;
            }
            of_stripe.retain(|id, vigil| {
                if probe {
                    // Busy: the next tick tries again. Gone: the handle is told.
                    let _ = vigil.probe(core);
                }
                let is_over = vigil.is_over(core, probe).unwrap_or(false);
                if is_over {
                    stripe_of.remove(id);
                    ready.entry(vigil.listener).or_default().push(*id);
                }
                !is_over
            });
            if of_stripe.is_empty() {
                core.ignore(*stripe);
            }
            !of_stripe.is_empty()
        });
        ready
    }
}

impl Table {
    fn forget(&mut self, core: &Core, id: u64) {
        let Some(stripe) = self.stripe_of.remove(&id) else { return };
        if let Some(of_stripe) = self.by_stripe.get_mut(&stripe) {
            of_stripe.remove(&id);
            if of_stripe.is_empty() {
                self.by_stripe.remove(&stripe);
                core.ignore(stripe);
            }
        }
    }
}

impl Vigil {
    fn is_over(&self, core: &Core, probe: bool) -> Result<bool, CacheError> {
        match self.awaited {
            Awaited::Turn { ticket, .. } => Ok(core.turn_of(self.namespace, &self.key, ticket)? != Turn::Waiting),
            Awaited::Flight { token } => core.flight_is_over(self.namespace, &self.key, token, probe),
        }
    }

    fn probe(&self, core: &Core) -> Result<(), CacheError> {
        match self.awaited {
            Awaited::Turn { permits, .. } => {
                let Self { namespace, ref key, .. } = *self;
                core.advance_queue(&Queue { namespace, key, permits, timeout: PATIENCE })
            }
            // The one who waits begins a flight of its own, and passes over the dead.
            Awaited::Flight { .. } => Ok(()),
        }
    }
}
