//! The scenarios: changes of a cache that are killed at every step.

pub(crate) mod collections;
pub(crate) mod entries;
pub(crate) mod flights;
pub(crate) mod gates;
pub(crate) mod limits_and_metrics;
pub(crate) mod permits;
pub(crate) mod queues;
pub(crate) mod quotas;
pub(crate) mod resizes;
pub(crate) mod restores;
pub(crate) mod streams;
pub(crate) mod tags;
pub(crate) mod transactions;

use crate::scenarios::collections::collections;
use crate::scenarios::entries::entries;
use crate::scenarios::flights::flights;
use crate::scenarios::gates::gates;
use crate::scenarios::limits_and_metrics::limits_and_metrics;
use crate::scenarios::permits::permits;
use crate::scenarios::queues::queues;
use crate::scenarios::quotas::quotas;
use crate::scenarios::resizes::resizes;
use crate::scenarios::restores::restores;
use crate::scenarios::streams::streams;
use crate::scenarios::tags::tags;
use crate::scenarios::transactions::transactions;
use crate::support::listeners::Deaf;
use crate::support::put;
use cache_machine_core::{Cache, Eviction, ReadMode, Watch};

/// A change. After a death in it, each key is as before the change, or as after a change without a death.
pub(crate) struct Scenario {
    pub(crate) name: &'static str,
    pub(crate) eviction: Eviction,
    /// Number of the entries that exist from the start: `e0`, `e1` and so on.
    pub(crate) entries: u64,
    pub(crate) prepare: fn(&Cache),
    /// Runs before the act, in the same process.
    pub(crate) ready: fn(&Cache),
    pub(crate) act: fn(&Cache),
    /// For an act that changes the record of a lock in two steps: turns the words before it into those in between.
    pub(crate) halfway: Option<fn(&mut Vec<u64>)>,
    /// The keys of each of these prefixes change all at once: all are old or all are new.
    pub(crate) together: &'static [&'static str],
}

pub(crate) const BASE: Scenario = Scenario {
    name: "",
    eviction: Eviction::S3Fifo,
    entries: 60,
    prepare: |_| {},
    ready: |_| {},
    act: |_| {},
    halfway: None,
    together: &["e"],
};

pub(crate) fn scenarios() -> Vec<Scenario> {
    let of_one_area = [
        quotas(),
        entries(),
        collections(),
        tags(),
        restores(),
        flights(),
        streams(),
        limits_and_metrics(),
        permits(),
        gates(),
        queues(),
        transactions(),
    ];
    // Only those with this text in their names, while a part is worked on.
    let chosen = std::env::var("SCENARIO").unwrap_or_default();
    of_one_area.into_iter().flatten().chain(resizes()).filter(|scenario| scenario.name.contains(&chosen)).collect()
}

pub(crate) fn set(cache: &Cache, key: &str, value: &[u8]) {
    put(cache, key, value);
}

/// A read that does not mark the entry as used.
pub(crate) fn get(cache: &Cache, key: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    cache.get(key.as_bytes(), ReadMode::Peek, &mut out).unwrap().map(|_| out)
}

pub(crate) fn value_of(n: u64) -> Vec<u8> {
    n.to_le_bytes().repeat(20 + (n % 30) as usize)
}

/// Sets keys until one is evicted.
pub(crate) fn fill(cache: &Cache) {
    (0..).take_while(|_| cache.stats().total.evictions == 0).for_each(|i| set(cache, &format!("x{i}"), &value_of(i)));
}

/// Watches everything; the listener ignores its notices.
pub(crate) fn watch_all(cache: &Cache) -> u64 {
    let listener = cache.add_listener(Box::new(Deaf));
    cache.watch(&Watch::default(), 100, listener).unwrap()
}
