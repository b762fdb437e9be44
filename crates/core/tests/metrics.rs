//! Metrics: shared numbers, the agreement on a family, refusals, and listings.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Cache, CacheError, Family, Keyspace, MAX_BOUNDS, MAX_HELP, Measured, Measurement, Metric, MetricKind, PermitRequest,
};
use support::{Scene, assert_valid, put};

const COUNTER: Family<'_> = Family { kind: MetricKind::Counter, bounds: &[], help: "" };
const GAUGE: Family<'_> = Family { kind: MetricKind::Gauge, ..COUNTER };
const HISTOGRAM: Family<'_> = Family { kind: MetricKind::Histogram, bounds: &[0.5, 1.0, 2.5], help: "Sizes." };

fn measure(cache: &Cache, key: &str, measurement: Measurement) -> Measured {
    cache.measure(key.as_bytes(), measurement).unwrap()
}

fn metric(cache: &Cache, key: &str) -> Metric {
    cache.metric(key).unwrap().unwrap()
}

fn is_invalid<T>(result: Result<T, CacheError>) -> bool {
    matches!(result, Err(CacheError::InvalidArgument(_)))
}

#[test]
fn a_series_starts_at_zero_and_counts() {
    let scene = Scene::new("count");
    let cache = scene.open();
    assert_eq!(measure(&cache, "c{}", Measurement::Count(1.0)), Measured::Missing);
    for _ in 0..2 {
        cache.declare_metric("c", &COUNTER, "c{}").unwrap();
        cache.declare_metric("g", &GAUGE, "g{a=\"1\"}").unwrap();
    }
    assert_eq!(metric(&cache, "c{}").value, 0.0);
    for by in [1.0, 2.5, 0.0] {
        assert_eq!(measure(&cache, "c{}", Measurement::Count(by)), Measured::Done);
    }
    cache.declare_metric("c", &COUNTER, "c{}").unwrap();
    assert_eq!(metric(&cache, "c{}").value, 3.5);
    measure(&cache, "g{a=\"1\"}", Measurement::Set(7.0));
    measure(&cache, "g{a=\"1\"}", Measurement::Add(-10.0));
    assert_eq!(metric(&cache, "g{a=\"1\"}").value, -3.0);
    measure(&cache, "g{a=\"1\"}", Measurement::Reset);
    assert_eq!(metric(&cache, "g{a=\"1\"}").value, 0.0);
    assert_valid(&cache);
}

#[test]
fn an_observation_counts_in_the_first_bucket_that_fits_and_in_the_sum() {
    let scene = Scene::new("observe");
    let cache = scene.open();
    cache.declare_metric("h", &HISTOGRAM, "h{}").unwrap();
    for value in [-1.0, 0.5, 0.500_001, 1.0, 2.5, 2.6, 1e300] {
        assert_eq!(measure(&cache, "h{}", Measurement::Observe(value)), Measured::Done);
    }
    let found = metric(&cache, "h{}");
    assert_eq!((found.bounds, found.counts), (vec![0.5, 1.0, 2.5], vec![2, 2, 1, 2]));
    assert_eq!(found.value, -1.0 + 0.5 + 0.500_001 + 1.0 + 2.5 + 2.6 + 1e300);
    measure(&cache, "h{}", Measurement::Reset);
    let found = metric(&cache, "h{}");
    assert_eq!((found.value, found.counts), (0.0, vec![0; 4]));
}

#[test]
fn a_sum_that_would_not_be_finite_changes_nothing() {
    let scene = Scene::new("overflow");
    let cache = scene.open();
    for (family, name) in [(&COUNTER, "c"), (&GAUGE, "g"), (&HISTOGRAM, "h")] {
        let key = format!("{name}{{}}");
        cache.declare_metric(name, family, &key).unwrap();
        let add = |by| match family.kind {
            MetricKind::Counter => Measurement::Count(by),
            MetricKind::Gauge => Measurement::Add(by),
            MetricKind::Histogram => Measurement::Observe(by),
        };
        assert_eq!(measure(&cache, &key, add(1e308)), Measured::Done);
        let before = metric(&cache, &key);
        assert_eq!(measure(&cache, &key, add(1e308)), Measured::Overflow);
        assert_eq!(metric(&cache, &key), before);
    }
    // A gauge that was set to an infinite number stays infinite.
    measure(&cache, "g{}", Measurement::Set(f64::NEG_INFINITY));
    assert_eq!(measure(&cache, "g{}", Measurement::Add(1.0)), Measured::Done);
    assert_eq!(metric(&cache, "g{}").value, f64::NEG_INFINITY);
}

#[test]
fn a_name_is_one_kind_of_metric_with_one_set_of_buckets() {
    let scene = Scene::new("agree");
    let cache = scene.open();
    cache.declare_metric("m", &HISTOGRAM, "m{}").unwrap();
    assert!(is_invalid(cache.declare_metric("m", &COUNTER, "m{}")));
    assert!(is_invalid(cache.declare_metric("m", &COUNTER, "m{a=\"1\"}")));
    assert!(is_invalid(cache.declare_metric("m", &Family { bounds: &[0.5, 1.0], ..HISTOGRAM }, "m{a=\"1\"}")));
    assert_eq!(measure(&cache, "m{}", Measurement::Count(1.0)), Measured::OtherKind);
    assert_eq!(cache.metric("m{a=\"1\"}").unwrap(), None);
    // The names of the lines of a histogram are reserved, in either order of declaration.
    for line in ["m_bucket", "m_sum", "m_count"] {
        assert!(is_invalid(cache.declare_metric(line, &COUNTER, &format!("{line}{{}}"))));
    }
    cache.declare_metric("n_sum", &COUNTER, "n_sum{}").unwrap();
    assert!(is_invalid(cache.declare_metric("n", &HISTOGRAM, "n{}")));
    cache.declare_metric("n", &GAUGE, "n{}").unwrap();
    let (many, long) = (vec![0.0; MAX_BOUNDS + 1], "x".repeat(MAX_HELP + 1));
    assert!(is_invalid(cache.declare_metric("o", &Family { bounds: &many, ..HISTOGRAM }, "o{}")));
    assert!(is_invalid(cache.declare_metric("o", &Family { help: &long, ..COUNTER }, "o{}")));
}

#[test]
fn the_last_help_text_is_kept() {
    let scene = Scene::new("help");
    let cache = scene.open();
    cache.declare_metric("c", &COUNTER, "c{}").unwrap();
    assert_eq!(metric(&cache, "c").help, "");
    for (declared, kept) in [("Of old.", "Of old."), ("", "Of old."), ("Grüße\n", "Grüße\n")] {
        cache.declare_metric("c", &Family { help: declared, ..COUNTER }, "c{}").unwrap();
        assert_eq!(metric(&cache, "c").help, kept);
    }
    let max_help = "x".repeat(MAX_HELP);
    cache.declare_metric("c", &Family { help: &max_help, ..COUNTER }, "c{}").unwrap();
    assert_eq!(metric(&cache, "c").help, max_help);
}

#[test]
fn a_listing_finds_each_metric_among_values_locks_and_other_namespaces() {
    let scene = Scene::new("listing");
    let cache = scene.open();
    let own = cache.in_namespace("own").unwrap();
    let mut expected = Vec::new();
    for i in 0..700 {
        put(&cache, &format!("value{i}"), b"1");
        let request = PermitRequest { permits: 1, ttl_ms: 0, wait: false };
        cache.acquire(Keyspace::Locks, format!("lock{i}").as_bytes(), &request).unwrap();
        let key = format!("c{{i=\"{i}\"}}");
        cache.declare_metric("c", &COUNTER, &key).unwrap();
        measure(&cache, &key, Measurement::Count(f64::from(i)));
        expected.push((key, f64::from(i)));
        own.declare_metric("c", &COUNTER, "c{}").unwrap();
    }
    expected.push(("c".to_owned(), 0.0));
    expected.sort_by(|a, b| a.0.cmp(&b.0));
    let listed = |cache: &Cache| -> Vec<(String, f64)> {
        cache.metrics().unwrap().into_iter().map(|metric| (metric.key, metric.value)).collect()
    };
    assert_eq!(listed(&cache), expected);
    assert_eq!(listed(&own), [("c".to_owned(), 0.0), ("c{}".to_owned(), 0.0)]);
    cache.clear().unwrap();
    assert_eq!(listed(&cache), expected, "clear changes no metric");
    assert_eq!((cache.len(), cache.keys(0, b"", 10).unwrap().keys.len()), (0, 0));

    assert!(cache.delete_metric("c{i=\"7\"}").unwrap() && !cache.delete_metric("c{i=\"7\"}").unwrap());
    assert_eq!(listed(&cache).len(), expected.len() - 1);
    cache.declare_metric("c_more", &COUNTER, "c_more{}").unwrap();
    assert!(cache.delete_metric("c").unwrap() && !cache.delete_metric("c").unwrap());
    assert_eq!(listed(&cache), [("c_more".to_owned(), 0.0), ("c_more{}".to_owned(), 0.0)]);
    assert_eq!(listed(&own).len(), 2);
    assert_valid(&cache);
}

#[test]
fn metrics_are_never_evicted_and_are_refused_beyond_a_quarter() {
    let scene = Scene::new("quarter");
    let cache = scene.open();
    cache.declare_metric("c", &COUNTER, "c{}").unwrap();
    measure(&cache, "c{}", Measurement::Count(5.0));
    let full = (0..).find_map(|i| cache.declare_metric("c", &COUNTER, &format!("c{{i=\"{i}\"}}")).err()).unwrap();
    assert!(matches!(full, CacheError::NoSpace(_)), "{full:?}");
    for i in 0..50_000 {
        put(&cache, &format!("flood{i}"), &[7; 100]);
    }
    assert!(cache.stats().total.evictions > 0);
    // The metrics that exist still count.
    assert_eq!(measure(&cache, "c{}", Measurement::Count(1.0)), Measured::Done);
    assert_eq!(metric(&cache, "c{}").value, 6.0);
    assert!(cache.metrics().unwrap().len() > 1000);
    assert_valid(&cache);
}

#[test]
fn a_handle_of_a_redeclared_metric_counts_by_the_new_buckets() {
    let scene = Scene::new("anew");
    let cache = scene.open();
    cache.declare_metric("h", &HISTOGRAM, "h{}").unwrap();
    assert!(cache.delete_metric("h").unwrap());
    assert_eq!(measure(&cache, "h{}", Measurement::Observe(1.0)), Measured::Missing);
    cache.declare_metric("h", &Family { bounds: &[10.0], ..HISTOGRAM }, "h{}").unwrap();
    assert_eq!(measure(&cache, "h{}", Measurement::Observe(1.0)), Measured::Done);
    assert_eq!(metric(&cache, "h{}").counts, [1, 0]);
}
