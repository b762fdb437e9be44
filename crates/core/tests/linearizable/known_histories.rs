//! Histories with a known answer, which test the checker.

use crate::key::{Begun, Call, Key, Seen, State, When};
use crate::linearize::{Event, is_linearizable};

pub(crate) fn seen(number: u64, version: u64) -> Call {
    Call::Get { found: Some(Seen { number, version }) }
}

fn set(number: u64, version: u64) -> Call {
    Call::Set { number, ttl: 0, tagged: false, condition: When::Always, stored: Some(version) }
}

const MISS: Call = Call::Get { found: None };

/// The end of a call of a killed process.
const NO_END: u64 = u64::MAX;

/// A call, its beginning and its end.
type Timed = (Call, u64, u64);

/// Whether the checker accepts these calls. Each call begins at the time that the calls before it have made.
fn judge(calls: &[Timed]) -> bool {
    let mut now = Begun { clock: 1, era: 0 };
    let mut events = Vec::new();
    for &(call, begun, ended) in calls {
        events.push(Event { call: (call, now), begun, ended: (ended != NO_END).then_some(ended) });
        match call {
            Call::Advance { by } => now.clock += by,
            Call::Invalidate => now.era += 1,
            _ => {}
        }
    }
    is_linearizable::<Key>(State { clock: 1, ..State::default() }, &events)
}

pub(crate) fn accepted() {
    let timed = Call::Set { number: 1, ttl: 10, tagged: true, condition: When::Always, stored: Some(1) };
    let added = |stored| Call::Set { number: 2, ttl: 0, tagged: false, condition: When::Absent, stored };
    let swapped = |stored| Call::Set { number: 3, ttl: 0, tagged: false, condition: When::Version(1), stored };
    let histories: &[(&str, &[Timed])] = &[
        ("nothing at all", &[]),
        ("a read after a write", &[(set(1, 1), 1, 2), (seen(1, 1), 3, 4)]),
        ("a read beside a write, before it", &[(set(1, 1), 1, 4), (MISS, 2, 3)]),
        ("a read beside a write, after it", &[(set(1, 1), 1, 4), (seen(1, 1), 2, 3)]),
        ("a killed write that took effect late", &[(set(1, 1), 1, NO_END), (MISS, 2, 3), (seen(1, 7), 4, 5)]),
        ("a killed write that never did", &[(set(1, 1), 1, NO_END), (MISS, 2, 3), (MISS, 4, 5)]),
        ("an expired entry", &[(timed, 1, 2), (Call::Advance { by: 10 }, 3, 4), (MISS, 5, 6)]),
        ("an add over an expired entry", &[(timed, 1, 2), (Call::Advance { by: 10 }, 3, 4), (added(Some(2)), 5, 6)]),
        (
            "a touched entry",
            &[
                (timed, 1, 2),
                (Call::Touch { ttl: 20, touched: true }, 3, 4),
                (Call::Advance { by: 10 }, 5, 6),
                (seen(1, 1), 7, 8),
            ],
        ),
        ("two writers of one version", &[(set(1, 1), 1, 2), (swapped(Some(2)), 3, 6), (swapped(None), 4, 5)]),
        ("invalidated and cleared", &[(timed, 1, 2), (Call::Invalidate, 3, 4), (MISS, 5, 6), (Call::Clear, 7, 8)]),
        (
            "counters beside each other",
            &[
                (Call::Incr { sum: 2 }, 1, 4),
                (Call::Incr { sum: 1 }, 2, 3),
                (Call::Take { found: Some(2) }, 5, 6),
                (Call::Incr { sum: 1 }, 7, 8),
            ],
        ),
        ("a killed increment", &[(Call::Incr { sum: 0 }, 1, NO_END), (Call::Incr { sum: 2 }, 2, 3)]),
        (
            "a write that an invalidation beside it took",
            &[
                (set(5, 1), 1, 2),
                (Call::Set { number: 6, ttl: 0, tagged: true, condition: When::Always, stored: Some(2) }, 3, 8),
                (Call::Invalidate, 4, 5),
                (seen(5, 1), 6, 7),
                (MISS, 9, 10),
            ],
        ),
    ];
    for (what, calls) in histories {
        assert!(judge(calls), "{what} was rejected");
    }
}

pub(crate) fn rejected() {
    let timed = Call::Set { number: 1, ttl: 10, tagged: true, condition: When::Always, stored: Some(1) };
    let swapped = |number, version| Call::Set {
        number,
        ttl: 0,
        tagged: false,
        condition: When::Version(1),
        stored: Some(version),
    };
    let added = |number, stored| Call::Set { number, ttl: 0, tagged: false, condition: When::Absent, stored };
    let histories: &[(&str, &[Timed])] = &[
        ("an acknowledged write that is lost", &[(set(1, 1), 1, 2), (MISS, 3, 4)]),
        ("a value without a write", &[(seen(1, 1), 1, 2)]),
        ("a stale read", &[(set(1, 1), 1, 2), (set(2, 2), 3, 4), (seen(1, 1), 5, 6)]),
        ("a read before its write began", &[(seen(1, 1), 1, 2), (set(1, 1), 3, 4)]),
        (
            "two reads in the wrong order",
            &[(set(1, 1), 1, 2), (set(2, 2), 3, 10), (seen(2, 2), 4, 5), (seen(1, 1), 6, 7)],
        ),
        ("a killed write that was read and then lost", &[(set(1, 1), 1, NO_END), (seen(1, 1), 2, 3), (MISS, 4, 5)]),
        ("two values of one version", &[(set(1, 1), 1, NO_END), (seen(1, 7), 2, 3), (seen(1, 8), 4, 5)]),
        ("one version won twice", &[(set(1, 1), 1, 2), (swapped(2, 2), 3, 6), (swapped(3, 3), 4, 5)]),
        ("an add over an entry", &[(set(1, 1), 1, 2), (added(2, Some(2)), 3, 4)]),
        ("an add that is refused over nothing", &[(added(2, None), 3, 4)]),
        ("an entry past its time", &[(timed, 1, 2), (Call::Advance { by: 10 }, 3, 4), (seen(1, 1), 5, 6)]),
        ("an entry that is missing before its time", &[(timed, 1, 2), (Call::Advance { by: 9 }, 3, 4), (MISS, 5, 6)]),
        (
            "a touch without effect",
            &[
                (timed, 1, 2),
                (Call::Touch { ttl: 20, touched: true }, 3, 4),
                (Call::Advance { by: 10 }, 5, 6),
                (MISS, 7, 8),
            ],
        ),
        ("what was cleared", &[(set(1, 1), 1, 2), (Call::Clear, 3, 4), (seen(1, 1), 5, 6)]),
        ("what was invalidated", &[(timed, 1, 2), (Call::Invalidate, 3, 4), (seen(1, 1), 5, 6)]),
        ("invalidated without the tag", &[(set(1, 1), 1, 2), (Call::Invalidate, 3, 4), (MISS, 5, 6)]),
        ("a lost increment", &[(Call::Incr { sum: 1 }, 1, 4), (Call::Incr { sum: 1 }, 2, 3)]),
        ("an increment counted twice", &[(Call::Incr { sum: 1 }, 1, 2), (Call::Incr { sum: 3 }, 3, 4)]),
        (
            "taken twice",
            &[(set(1, 1), 1, 2), (Call::Take { found: Some(1) }, 3, 6), (Call::Take { found: Some(1) }, 4, 5)],
        ),
        (
            "deleted twice",
            &[
                (set(1, 1), 1, 2),
                (Call::Delete { version: 0, deleted: true }, 3, 4),
                (Call::Delete { version: 0, deleted: true }, 5, 6),
            ],
        ),
    ];
    for (what, calls) in histories {
        assert!(!judge(calls), "{what} was accepted");
    }
}
