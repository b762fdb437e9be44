//! Who in this process waits for which key. The background thread looks at a key when its stripe's bell has rung.
//!
//! The thing to get wrong: the order. A stripe is marked before the key is looked at for the first time, and the mark goes
//! only with the last wait of the stripe; see `shm::bell`.

use crate::cache::Core;
use crate::key::Key;
use std::collections::HashMap;
use std::sync::Mutex;

/// The waits of one process, by stripe.
#[derive(Default)]
pub(crate) struct Waits {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    by_stripe: HashMap<usize, Vec<Wait>>,
    stripe_of: HashMap<u64, usize>,
}

struct Wait {
    id: u64,
    namespace: u16,
    key: Vec<u8>,
    after: u64,
    listener: u64,
}

impl Waits {
    fn table(&self) -> std::sync::MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.table().stripe_of.is_empty()
    }

    pub(crate) fn add(&self, core: &Core, key: &Key<'_>, after: u64, listener: u64) -> u64 {
        let stripe = key.stripe();
        let mut table = self.table();
        table.last_id += 1;
        let id = table.last_id;
        let waits = table.by_stripe.entry(stripe).or_default();
        if waits.is_empty() {
            core.listen(stripe);
        }
        waits.push(Wait { id, namespace: key.namespace, key: key.bytes.to_vec(), after, listener });
        table.stripe_of.insert(id, stripe);
        id
    }

    pub(crate) fn remove(&self, core: &Core, id: u64) {
        self.remove_where(core, |wait| wait.id == id);
    }

    pub(crate) fn remove_of(&self, core: &Core, listener: u64) {
        self.remove_where(core, |wait| wait.listener == listener);
    }

    fn remove_where(&self, core: &Core, gone: impl Fn(&Wait) -> bool) {
        let mut table = self.table();
        let Table { by_stripe, stripe_of, .. } = &mut *table;
        by_stripe.retain(|stripe, waits| {
            waits.retain(|wait| !gone(wait) || stripe_of.remove(&wait.id).is_none());
            if waits.is_empty() {
                core.ignore(*stripe);
            }
            !waits.is_empty()
        });
    }

    /// Looks at the keys of the stripes that `rang` picks; takes out those that are there and returns (listener, waits).
    pub(crate) fn take_ready(&self, core: &Core, rang: impl Fn(usize) -> bool) -> HashMap<u64, Vec<u64>> {
        let mut ready: HashMap<u64, Vec<u64>> = HashMap::new();
        let mut table = self.table();
        let Table { by_stripe, stripe_of, .. } = &mut *table;
        by_stripe.retain(|stripe, waits| {
            if !rang(*stripe) {
                return true;
            }
            waits.retain(|wait| {
                let version = core.version_in(wait.namespace, &wait.key);
                let there = version.ok().flatten().is_some_and(|version| version > wait.after);
                if there {
                    stripe_of.remove(&wait.id);
                    ready.entry(wait.listener).or_default().push(wait.id);
                }
                !there
            });
            if waits.is_empty() {
                core.ignore(*stripe);
            }
            !waits.is_empty()
        });
        ready
    }
}
