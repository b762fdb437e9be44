//! The state of each key that a scenario may use, as one number.

use crate::scenarios::limits_and_metrics::LIMIT;
use crate::scenarios::permits::LOCK;
use cache_machine_core::{Algorithm, Cache, Keyspace, Limit, ReadMode};
use std::hash::{DefaultHasher, Hash, Hasher};

/// Every key that any scenario uses. A key of a namespace is written `@namespace/key`. Keys with `d` are dead from the
/// start.
pub(crate) fn universe() -> Vec<String> {
    let series = [("e", 60), ("x", 6000), ("f", 6000), ("b", 20), ("o", 12_000), ("m", 8000), ("y", 3)];
    let new = [("d", 10), ("g", 20), ("h", 20), ("p", 40), ("@ns/d", 10), ("@ns/n", 20), ("@ns/p", 1)];
    let numbered = series.iter().chain(&new).flat_map(|(name, count)| (0..*count).map(move |i| format!("{name}{i}")));
    let records = [
        LIMIT_STATE,
        DRAIN_STATE,
        METRIC_FAMILY,
        METRIC_SERIES,
        "#locks",
        "#semaphores",
        "#events",
        "#barriers",
        "#conditions",
        "#queues",
    ];
    let others = ["target", "key", "kept", "@ns/target", "@fresh/target"];
    numbered.chain(others.into_iter().chain(records).map(String::from)).collect()
}

pub(crate) fn is_dead_from_the_start(key: &str) -> bool {
    key.starts_with('d') || key.starts_with("@ns/d")
}

/// Keys of records, which are no values; each kind has a way of its own to be read.
const LIMIT_STATE: &str = "#limit";
const DRAIN_STATE: &str = "#drain";
const METRIC_FAMILY: &str = "#metric";
const METRIC_SERIES: &str = "#metric{}";

fn record_state(cache: &Cache, name: &str) -> u64 {
    let algorithm = match name {
        "limit" => Some(Algorithm::SlidingWindow),
        "drain" => Some(Algorithm::Gcra),
        _ => None,
    };
    if let Some(algorithm) = algorithm {
        let seen = cache.peek_limit(name.as_bytes(), &Limit { algorithm, ..LIMIT }, 1).unwrap();
        return LIMIT.tokens - seen.remaining;
    }
    cache.metric(name).unwrap().map_or(0, |metric| hash_of(format!("{metric:?}")))
}

/// Value, kind, deadline and freshness of a key in one number. 0: there is none.
pub(crate) fn state(cache: &Cache, key: &str) -> u64 {
    if let Some(keyspace) = keyspace_of(key) {
        return state_of_record(&cache.words_of(keyspace, LOCK).unwrap());
    }
    if let Some(name) = key.strip_prefix('#') {
        return record_state(cache, name);
    }
    if let Some((name, key)) = key.strip_prefix('@').and_then(|key| key.split_once('/')) {
        // `in_namespace` would make a missing one.
        let is_there = cache.namespace_names().iter().any(|other| other == name);
        return if is_there { state(&cache.in_namespace(name).unwrap(), key) } else { 0 };
    }
    let mut out = Vec::new();
    let Some(meta) = cache.get(key.as_bytes(), ReadMode::PeekStale, &mut out).unwrap() else { return 0 };
    hash_of((out, meta.kind, meta.remaining_ms(cache.now_ms()), meta.stale))
}

/// The keyspace of a record of permits.
fn keyspace_of(key: &str) -> Option<Keyspace> {
    match key {
        "#locks" => Some(Keyspace::Locks),
        "#semaphores" => Some(Keyspace::Semaphores),
        "#events" => Some(Keyspace::Events),
        "#barriers" => Some(Keyspace::Barriers),
        "#conditions" => Some(Keyspace::Conditions),
        "#queues" => Some(Keyspace::Queues),
        _ => None,
    }
}

pub(crate) fn state_of_record(words: &[u64]) -> u64 {
    if words.is_empty() {
        return 0;
    }
    hash_of(words)
}

/// A hash that is not 0.
fn hash_of(value: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish().max(1)
}
