//! Loads of values, and calls of `once`.

use crate::scenarios::tags::set_tagged;
use crate::scenarios::{BASE, Scenario, set};
use crate::support::bytes;
use cache_machine_core::{Cache, FinishResult, FlightKind, FlightOptions, FlightStart, Write, kind};

pub(crate) fn flights() -> Vec<Scenario> {
    vec![
        Scenario { name: "begin to load", act: |c| assert!(begin(c, FlightKind::Values) > 0), ..BASE },
        Scenario {
            name: "load, and keep the result",
            prepare: |c| set_tagged(c, "target", &["red"], 50),
            act: |c| {
                let token = begin(c, FlightKind::Values);
                let write = Write { tags: &[c.tag("red"), c.tag("blue")], ttl_ms: 70, ..bytes(b"loaded") };
                let result = c.finish_flight(FlightKind::Values, b"target", token, &write).unwrap();
                assert!(matches!(result, FinishResult::Kept(_)));
            },
            ..BASE
        },
        Scenario {
            name: "load, and fail twice",
            act: |c| {
                for _ in 0..2 {
                    let token = begin(c, FlightKind::Values);
                    assert!(c.fail_flight(FlightKind::Values, b"target", token, &[7; 300], true).unwrap());
                }
            },
            ..BASE
        },
        Scenario {
            name: "delete a key during its load",
            prepare: |c| set(c, "target", b"old"),
            act: |c| {
                let token = begin(c, FlightKind::Values);
                assert!(c.delete(b"target", 0).unwrap());
                let result = c.finish_flight(FlightKind::Values, b"target", token, &bytes(b"older")).unwrap();
                assert_eq!(result, FinishResult::Refused);
            },
            ..BASE
        },
        Scenario {
            name: "delete by prefix during a load",
            prepare: |c| set(c, "target", b"old"),
            act: |c| {
                assert!(begin(c, FlightKind::Values) > 0);
                assert_eq!(c.delete_prefix(b"tar").unwrap(), 1);
            },
            ..BASE
        },
        Scenario {
            name: "load an absence",
            prepare: |c| set(c, "target", b"old"),
            act: |c| {
                let token = begin(c, FlightKind::Values);
                let write = Write { ttl_ms: 70, ..Write::new(kind::ABSENT, b"") };
                let result = c.finish_flight(FlightKind::Values, b"target", token, &write).unwrap();
                assert!(matches!(result, FinishResult::Kept(_)));
            },
            ..BASE
        },
        Scenario {
            name: "run once",
            act: |c| {
                let token = begin(c, FlightKind::Once);
                let result = c.finish_flight(FlightKind::Once, b"target", token, &bytes(&[1; 500])).unwrap();
                assert!(matches!(result, FinishResult::Kept(_)));
            },
            ..BASE
        },
    ]
}

/// Begins to load the target, even if it has a value.
pub(crate) fn begin(cache: &Cache, kind: FlightKind) -> u64 {
    let options = FlightOptions { lease_ms: 1000, newer_than: u64::MAX, background: false };
    match cache.begin_flight(kind, b"target", &options).unwrap() {
        FlightStart::Begun(token) => token,
        // A flight of this process, which panicked: it may abandon it. No process joins a flight of a dead one.
        FlightStart::Joined(token) => {
            assert!(cache.abandon_flight(kind, b"target", token).unwrap(), "joined a flight of a dead process");
            begin(cache, kind)
        }
        other => panic!("{other:?}"),
    }
}
