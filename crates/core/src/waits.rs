//! Who in this process waits for which key. The background thread looks at a key when its stripe's bell has rung.
//!
//! A wait costs nothing while nothing is written: it is looked at once when it begins, when its stripe rings, and, for what a
//! dead writer did not ring, at a tick after something was written to its shard.
//!
//! The thing to get wrong: the order. A stripe is marked before the key is looked at for the first time, and the mark goes
//! only with the last wait of the stripe; see `shm::bell`.

use crate::cache::Core;
use crate::key::Key;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

/// The waits of one process, by stripe.
#[derive(Default)]
pub(crate) struct Waits {
    table: Mutex<Table>,
    looks: AtomicU64,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    by_stripe: HashMap<usize, HashMap<u64, Wait>>,
    stripe_of: HashMap<u64, usize>,
    /// Over when they began: listener and number.
    over: Vec<(u64, u64)>,
}

struct Wait {
    namespace: u16,
    key: Vec<u8>,
    shard: usize,
    after: u64,
    listener: u64,
}

/// What a wait needs of the background thread.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begun {
    /// The key is there: it must tell at once.
    Over,
    /// It may be asleep for longer than a first wait allows.
    First,
    /// Nothing.
    Further,
}

impl Waits {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.stripe_of.is_empty() && table.over.is_empty()
    }

    /// How often a key was looked at on behalf of a wait.
    pub(crate) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    pub(crate) fn add(&self, core: &Core, key: &Key<'_>, after: u64, listener: u64) -> (u64, Begun) {
        let stripe = key.stripe();
        let mut table = self.table();
        table.last_id += 1;
        let id = table.last_id;
        let is_first = table.stripe_of.is_empty();
        let waits = table.by_stripe.entry(stripe).or_default();
        if waits.is_empty() {
            core.listen(stripe);
        }
        let wait = Wait { namespace: key.namespace, key: key.bytes.to_vec(), shard: key.shard, after, listener };
        // After the mark: whoever writes from here on rings.
        let is_over = self.is_there(core, &wait);
        waits.insert(id, wait);
        table.stripe_of.insert(id, stripe);
        if is_over {
            table.forget(core, id);
            table.over.push((listener, id));
            return (id, Begun::Over);
        }
        (id, if is_first { Begun::First } else { Begun::Further })
    }

    fn is_there(&self, core: &Core, wait: &Wait) -> bool {
        self.looks.fetch_add(1, Ordering::Relaxed); // a count for tests
        let version = core.version_in(wait.namespace, &wait.key);
        version.ok().flatten().is_some_and(|version| version > wait.after)
    }

    pub(crate) fn remove(&self, core: &Core, id: u64) {
        let mut table = self.table();
        table.forget(core, id);
        table.over.retain(|(_, over)| *over != id);
    }

    pub(crate) fn remove_of(&self, core: &Core, listener: u64) {
        let mut table = self.table();
        let of_listener = |waits: &HashMap<u64, Wait>| -> Vec<u64> {
            waits.iter().filter(|(_, wait)| wait.listener == listener).map(|(id, _)| *id).collect()
        };
        let own: Vec<u64> = table.by_stripe.values().flat_map(of_listener).collect();
        for id in own {
            table.forget(core, id);
        }
        table.over.retain(|(other, _)| *other != listener);
    }

    /// Looks at the keys whose stripe or shard is picked; takes out those that are there and returns (listener, waits).
    pub(crate) fn take_ready(
        &self,
        core: &Core,
        rang: impl Fn(usize) -> bool,
        written: &HashSet<usize>,
    ) -> HashMap<u64, Vec<u64>> {
        let mut ready: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut table = self.table();
        for (listener, id) in std::mem::take(&mut table.over) {
            ready.entry(listener).or_default().push(id);
        }
        let mut there = Vec::new();
        for (stripe, waits) in &table.by_stripe {
            let all = rang(*stripe);
            if !all && written.is_empty() {
                continue;
            }
            let looked_at = waits.iter().filter(|(_, wait)| all || written.contains(&wait.shard));
            there
                .extend(looked_at.filter(|(_, wait)| self.is_there(core, wait)).map(|(id, wait)| (wait.listener, *id)));
        }
        for (listener, id) in there {
            table.forget(core, id);
            ready.entry(listener).or_default().push(id);
        }
        // In the order in which they began.
        ready.values_mut().for_each(|ids| ids.sort_unstable());
        ready
    }
}

impl Table {
    fn forget(&mut self, core: &Core, id: u64) {
        let Some(stripe) = self.stripe_of.remove(&id) else { return };
        let Some(waits) = self.by_stripe.get_mut(&stripe) else { return };
        waits.remove(&id);
        if waits.is_empty() {
            core.ignore(stripe);
            self.by_stripe.remove(&stripe);
        }
    }
}
