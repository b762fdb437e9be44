//! A table of items that wait for a key, by the stripe of the key.
//!
//! Promises: each item ends once, and its listener gets its number once. The table is never locked during a check, so
//! a call that begins or ends an item waits for no check of another.
//!
//! Caution: the table marks a stripe before the first check of an item, and removes the mark with the last item of the
//! stripe. So the check sees every earlier write, and every writer after the mark wakes the process. See `shm::bell`.

use crate::attachment::attached::Attachment;
use crate::notices::listeners::Quiet;
use cache_machine_shm::BELL_STRIPES;
use cache_machine_shm::steps::visit;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

/// Items that are taken out of the table at once to be checked: some microseconds under its lock.
const BATCH: usize = 64;

/// No time at which an item has to be checked.
pub(crate) const NEVER: u64 = u64::MAX;

/// Items of one process, by stripe.
pub(crate) struct ByStripe<T> {
    table: Mutex<Table<T>>,
}

struct Table<T> {
    last_id: u64,
    items: BTreeMap<u64, Item<T>>,
    by_stripe: HashMap<usize, BTreeSet<u64>>,
    by_listener: HashMap<u64, BTreeSet<u64>>,
    /// Items with a time at which they have to be checked: the time and the number.
    by_time: BTreeSet<(u64, u64)>,
    /// Items that were over when they began, with their listeners.
    over: BTreeMap<u64, u64>,
}

struct Item<T> {
    listener: u64,
    stripe: usize,
    due: u64,
    awaits: Arc<T>,
}

/// An item that is being checked, outside of the table's lock.
struct Candidate<T> {
    id: u64,
    due: u64,
    awaits: Arc<T>,
}

/// The state of a new item.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Begun {
    /// It is over: its listener must be notified at once.
    Over,
    /// It is the first item: the background thread may be asleep for too long.
    First,
    /// The background thread checks already.
    Further,
}

/// The result of a check.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Checked {
    Over,
    /// The item waits, and has to be checked at this time by the segment's clock; `NEVER`: at none.
    Waits(u64),
}

/// The numbers of items that are over, by listener.
pub(crate) type Ready = HashMap<u64, Vec<u64>>;

impl<T> Default for ByStripe<T> {
    fn default() -> Self {
        let table = Table {
            last_id: 0,
            items: BTreeMap::new(),
            by_stripe: HashMap::new(),
            by_listener: HashMap::new(),
            by_time: BTreeSet::new(),
            over: BTreeMap::new(),
        };
        Self { table: Mutex::new(table) }
    }
}

impl<T> ByStripe<T> {
    fn table(&self) -> Quiet<MutexGuard<'_, Table<T>>> {
        Quiet::new(self.table.lock().unwrap_or_else(|e| e.into_inner()))
    }

    pub(crate) fn is_empty(&self) -> bool {
        let table = self.table();
        table.items.is_empty() && table.over.is_empty()
    }

    pub(crate) fn len(&self) -> usize {
        self.table().items.len()
    }

    /// Adds an item and checks once whether it is over. Returns its number. `due`: as in `Checked::Waits`.
    pub(crate) fn add(
        &self,
        attachment: &Attachment,
        (stripe, listener): (usize, u64),
        (awaits, due): (T, u64),
        is_over: impl FnOnce(&T) -> bool,
    ) -> (u64, Begun) {
        let awaits = Arc::new(awaits);
        let (id, is_first) = {
            let mut table = self.table();
            let is_first = table.items.is_empty();
            (table.insert(attachment, Item { listener, stripe, due, awaits: awaits.clone() }), is_first)
        };
        // The check comes after the mark: every later writer wakes the process.
        if !is_over(&awaits) {
            return (id, if is_first { Begun::First } else { Begun::Further });
        }
        let mut table = self.table();
        // Otherwise the background thread found it meanwhile, and notifies its listener.
        if table.forget(attachment, id).is_some() {
            table.over.insert(id, listener);
        }
        (id, Begun::Over)
    }

    /// Ends an item before its notice.
    pub(crate) fn remove(&self, attachment: &Attachment, id: u64) {
        let mut table = self.table();
        table.forget(attachment, id);
        table.over.remove(&id);
    }

    /// Ends all items of a listener.
    pub(crate) fn remove_of(&self, attachment: &Attachment, listener: u64) {
        let mut table = self.table();
        for id in table.by_listener.remove(&listener).unwrap_or_default() {
            table.forget(attachment, id);
        }
        table.over.retain(|_, other| *other != listener);
    }

    /// Takes the items that were over when they began.
    pub(crate) fn take_over(&self, ready: &mut Ready) {
        for (id, listener) in std::mem::take(&mut self.table().over) {
            ready.entry(listener).or_default().push(id);
        }
    }

    /// Checks the items of the stripes that `is_woken` picks, and takes those that are over.
    pub(crate) fn take_woken(
        &self,
        attachment: &Attachment,
        is_woken: impl Fn(usize) -> bool,
        mut check: impl FnMut(&T) -> Checked,
        ready: &mut Ready,
    ) {
        for stripe in (0..BELL_STRIPES).filter(|stripe| is_woken(*stripe)) {
            let mut from = 0;
            loop {
                let batch = self.table().batch_of_stripe(stripe, from);
                let Some(last) = batch.last() else { break };
                from = last.id + 1;
                self.check(attachment, batch, &mut check, ready);
            }
        }
    }

    /// Checks the items that are due at `now`, and takes those that are over.
    pub(crate) fn take_due(
        &self,
        attachment: &Attachment,
        now: u64,
        mut check: impl FnMut(&T) -> Checked,
        ready: &mut Ready,
    ) {
        loop {
            let batch = self.table().batch_due(now);
            if batch.is_empty() {
                return;
            }
            // An item that is still due after its check is checked at a later time: otherwise this loop would not end.
            self.check(attachment, batch, |awaits| check(awaits).after(now), ready);
        }
    }

    /// Checks at most `most` items, from the number `from` on, and takes those that are over. Returns the number to go
    /// on from; `None` after the last item.
    pub(crate) fn take_from(
        &self,
        attachment: &Attachment,
        (mut from, most): (u64, usize),
        mut check: impl FnMut(&T) -> Checked,
        ready: &mut Ready,
    ) -> Option<u64> {
        let mut checked = 0;
        while checked < most {
            let batch = self.table().batch_from(from);
            from = batch.last()?.id + 1;
            checked += batch.len();
            self.check(attachment, batch, &mut check, ready);
        }
        self.table().items.range(from..).next().map(|(id, _)| *id)
    }

    fn check(
        &self,
        attachment: &Attachment,
        batch: Vec<Candidate<T>>,
        mut check: impl FnMut(&T) -> Checked,
        ready: &mut Ready,
    ) {
        let mut results = Vec::new();
        for Candidate { id, due, awaits } in batch {
            visit("waiting item");
            let result = check(&awaits);
            if result != Checked::Waits(due) {
                results.push((id, result));
            }
        }
        if results.is_empty() {
            return;
        }
        let mut table = self.table();
        for (id, result) in results {
            match result {
                Checked::Waits(due) => table.put_due(id, due),
                Checked::Over => {
                    if let Some(item) = table.forget(attachment, id) {
                        ready.entry(item.listener).or_default().push(id);
                    }
                }
            }
        }
    }
}

impl Checked {
    fn after(self, now: u64) -> Self {
        match self {
            Self::Over => Self::Over,
            Self::Waits(due) => Self::Waits(due.max(now.saturating_add(1))),
        }
    }
}

impl<T> Table<T> {
    fn insert(&mut self, attachment: &Attachment, item: Item<T>) -> u64 {
        self.last_id += 1;
        let id = self.last_id;
        let of_stripe = self.by_stripe.entry(item.stripe).or_default();
        if of_stripe.is_empty() {
            attachment.stripes.listen(attachment.segment.member(), item.stripe);
        }
        of_stripe.insert(id);
        self.by_listener.entry(item.listener).or_default().insert(id);
        if item.due != NEVER {
            self.by_time.insert((item.due, id));
        }
        self.items.insert(id, item);
        id
    }

    fn forget(&mut self, attachment: &Attachment, id: u64) -> Option<Item<T>> {
        let item = self.items.remove(&id)?;
        self.by_time.remove(&(item.due, id));
        take_from_set(&mut self.by_listener, &item.listener, id);
        if take_from_set(&mut self.by_stripe, &item.stripe, id) {
            attachment.stripes.ignore(attachment.segment.member(), item.stripe);
        }
        Some(item)
    }

    fn put_due(&mut self, id: u64, due: u64) {
        let Some(item) = self.items.get_mut(&id) else { return };
        self.by_time.remove(&(item.due, id));
        item.due = due;
        if due != NEVER {
            self.by_time.insert((due, id));
        }
    }

    fn batch_of_stripe(&self, stripe: usize, from: u64) -> Vec<Candidate<T>> {
        let ids = self.by_stripe.get(&stripe).into_iter().flat_map(|ids| ids.range(from..));
        ids.filter_map(|id| self.candidate(*id)).take(BATCH).collect()
    }

    fn batch_due(&self, now: u64) -> Vec<Candidate<T>> {
        let due = self.by_time.iter().take_while(|(due, _)| *due <= now);
        due.filter_map(|(_, id)| self.candidate(*id)).take(BATCH).collect()
    }

    fn batch_from(&self, from: u64) -> Vec<Candidate<T>> {
        self.items.range(from..).take(BATCH).map(|(id, item)| item.candidate(*id)).collect()
    }

    fn candidate(&self, id: u64) -> Option<Candidate<T>> {
        self.items.get(&id).map(|item| item.candidate(id))
    }
}

impl<T> Item<T> {
    fn candidate(&self, id: u64) -> Candidate<T> {
        Candidate { id, due: self.due, awaits: self.awaits.clone() }
    }
}

/// Removes a number from the set of a key. True: the set became empty and was removed.
fn take_from_set<K: std::hash::Hash + Eq>(sets: &mut HashMap<K, BTreeSet<u64>>, key: &K, id: u64) -> bool {
    let Some(ids) = sets.get_mut(key) else { return false };
    ids.remove(&id);
    let is_empty = ids.is_empty();
    if is_empty {
        sets.remove(key);
    }
    is_empty
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

    use super::*;
    use crate::cache::handle::Cache;
    use crate::process::options::OpenOptions;
    use std::cell::Cell;

    const LISTENER: u64 = 7;

    struct Scene(Cache, String);

    impl Scene {
        fn new(test: &str) -> Self {
            let name = format!("by-stripe-{test}-{}", std::process::id());
            let options = OpenOptions::of_test(&name);
            Self(Cache::open(&options).unwrap().0, name)
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = crate::segments::destroy(&self.1, None, true);
        }
    }

    /// The check of one of many items took the lock of all: a call that began another waited for them.
    #[test]
    fn items_begin_and_end_while_others_are_checked() {
        let scene = Scene::new("during");
        let items = ByStripe::default();
        for number in 0..1000u64 {
            items.add(&scene.0, (number as usize % BELL_STRIPES, LISTENER), (number, NEVER), |_| false);
        }
        let checked = Cell::new(0);
        let check = |number: &u64| {
            checked.set(checked.get() + 1);
            // Each would wait for ever, were the table locked.
            let (id, begun) = items.add(&scene.0, (3, LISTENER), (5000, NEVER), |_| false);
            assert_eq!(begun, Begun::Further);
            items.remove(&scene.0, id);
            if number.is_multiple_of(10) { Checked::Over } else { Checked::Waits(NEVER) }
        };
        let mut ready = Ready::new();
        assert!(items.take_from(&scene.0, (0, 500), check, &mut ready).is_some());
        assert_eq!(checked.get(), 512, "whole batches");
        items.take_woken(&scene.0, |_| true, check, &mut ready);
        let mut over = ready.remove(&LISTENER).unwrap();
        over.sort_unstable();
        assert_eq!(over, (0..100).map(|i| i * 10 + 1).collect::<Vec<_>>());
        assert_eq!(items.len(), 900);
        items.remove_of(&scene.0, LISTENER);
        assert!(items.is_empty() && items.table().by_stripe.is_empty() && items.table().by_listener.is_empty());
    }

    #[test]
    fn an_item_ends_once_and_is_checked_at_its_time() {
        let scene = Scene::new("once");
        let items = ByStripe::default();
        let over = items.add(&scene.0, (1, LISTENER), ('a', NEVER), |_| true);
        let first = items.add(&scene.0, (1, LISTENER), ('b', 10), |_| false);
        let later = items.add(&scene.0, (2, LISTENER), ('c', 20), |_| false);
        assert_eq!([over.1, first.1, later.1], [Begun::Over, Begun::First, Begun::Further]);
        let mut ready = Ready::new();
        items.take_over(&mut ready);
        assert_eq!(ready.remove(&LISTENER), Some(vec![over.0]));
        let mut checked = Vec::new();
        // Still due after its check: it is checked once, and again at the next time.
        for now in [9, 10, 10, 11] {
            let check = |item: &char| {
                checked.push(*item);
                if now > 10 { Checked::Over } else { Checked::Waits(10) }
            };
            items.take_due(&scene.0, now, check, &mut ready);
        }
        assert_eq!((checked, ready.remove(&LISTENER)), (vec!['b', 'b'], Some(vec![first.0])));
        items.take_due(&scene.0, u64::MAX - 1, |_| Checked::Waits(NEVER), &mut ready);
        items.take_due(&scene.0, u64::MAX - 1, |_| panic!("it has no time"), &mut ready);
        items.remove(&scene.0, later.0);
        items.take_over(&mut ready);
        assert!(ready.is_empty() && items.is_empty());
    }
}
