//! Limiters and metrics.

use crate::scenarios::{BASE, Scenario, fill};
use cache_machine_core::{Algorithm, Cache, Demand, Family, Limit, Measured, Measurement, MetricKind};

pub(crate) fn limits_and_metrics() -> Vec<Scenario> {
    vec![
        Scenario { name: "consume the first tokens", act: consume, ..BASE },
        Scenario { name: "consume more tokens", prepare: consume, act: consume, ..BASE },
        Scenario {
            name: "consume in a later bucket",
            prepare: |c| {
                consume(c);
                c.advance_clock(LIMIT.window_ms / 4).unwrap();
            },
            act: consume,
            ..BASE
        },
        Scenario { name: "consume from a bucket that drains", prepare: drain, act: drain, ..BASE },
        Scenario { name: "consume in a full shard", entries: 0, prepare: fill, act: consume, ..BASE },
        Scenario {
            name: "reset a limit",
            prepare: consume,
            act: |c| assert!(c.reset_limit(b"limit").unwrap()),
            ..BASE
        },
        Scenario { name: "declare a metric", act: declare, ..BASE },
        Scenario { name: "observe", prepare: declare, act: observe, ..BASE },
        Scenario {
            name: "delete a metric",
            prepare: |c| {
                declare(c);
                observe(c);
            },
            act: |c| assert!(c.delete_metric("metric").unwrap()),
            ..BASE
        },
    ]
}

pub(crate) const LIMIT: Limit = Limit { algorithm: Algorithm::SlidingWindow, tokens: 1000, window_ms: 60_000 };

fn consume(cache: &Cache) {
    assert!(cache.limit(b"limit", &LIMIT, Demand::Consume(3)).unwrap().allowed);
}

fn drain(cache: &Cache) {
    let limit = Limit { algorithm: Algorithm::Gcra, ..LIMIT };
    assert!(cache.limit(b"drain", &limit, Demand::Consume(3)).unwrap().allowed);
}

fn declare(cache: &Cache) {
    let family = Family { kind: MetricKind::Histogram, bounds: &[0.5, 1.0, 2.5, 5.0, 10.0], help: "Sizes." };
    cache.declare_metric("metric", &family, "metric{}").unwrap();
}

fn observe(cache: &Cache) {
    assert_eq!(cache.measure(b"metric{}", Measurement::Observe(2.0)).unwrap(), Measured::Done);
}
