//! Flights: one owner per key, the results that waiters get, and changes of the key during a load.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Awaited, Cache, Condition, FinishResult, FlightKind, FlightOptions, FlightStart, Increment, Invalidation, Keyspace,
    Listener, MAX_OUTCOME, Notice, Orphan, ReadMode, Write, kind,
};
use std::os::unix::fs::FileExt;
use std::sync::Mutex;
use support::damage::{content, file};
use support::listeners::listen;
use support::{PLAIN, Random, SOON, Scene, assert_valid, bytes, get, put};

const ASK: FlightOptions = FlightOptions { lease_ms: 1000, newer_than: 0, background: false };
const VALUES: FlightKind = FlightKind::Values;

fn ask(cache: &Cache) -> FlightStart {
    cache.begin_flight(VALUES, b"k", &ASK).unwrap()
}

fn begin(cache: &Cache) -> u64 {
    match ask(cache) {
        FlightStart::Begun(token) => token,
        other => panic!("{other:?}"),
    }
}

fn finish(cache: &Cache, token: u64, value: &[u8]) -> FinishResult {
    cache.finish_flight(VALUES, b"k", token, &bytes(value)).unwrap()
}

fn is_kept(result: FinishResult) -> bool {
    matches!(result, FinishResult::Kept(_))
}

#[test]
fn one_caller_loads_and_all_others_join_until_there_is_a_value() {
    let scene = Scene::new("one");
    let cache = scene.open();
    let token = begin(&cache);
    assert_eq!(ask(&cache), FlightStart::Joined(token));
    assert!(cache.is_flight_on(VALUES, b"k", token).unwrap());
    // Another key, another namespace, another kind of load: another flight.
    assert!(matches!(cache.begin_flight(VALUES, b"l", &ASK).unwrap(), FlightStart::Begun(_)));
    assert!(matches!(cache.begin_flight(FlightKind::Once, b"k", &ASK).unwrap(), FlightStart::Begun(_)));
    assert!(matches!(ask(&cache.in_namespace("n").unwrap()), FlightStart::Begun(_)));
    let FinishResult::Kept(version) = finish(&cache, token, b"v") else { panic!() };
    assert!(version > token);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
    assert_eq!(ask(&cache), FlightStart::Fresh(version));
    assert!(!cache.is_flight_on(VALUES, b"k", token).unwrap());
    assert_eq!(finish(&cache, token, b"again"), FinishResult::Refused);
    assert_eq!(cache.len(), 1);
    assert_valid(&cache);
}

#[test]
fn a_caller_that_asks_for_a_newer_value_loads_past_the_old_one() {
    let scene = Scene::new("newer");
    let cache = scene.open();
    let version = put(&cache, "k", b"old");
    let newer = |than| cache.begin_flight(VALUES, b"k", &FlightOptions { newer_than: than, ..ASK }).unwrap();
    assert_eq!(newer(version - 1), FlightStart::Fresh(version));
    let FlightStart::Begun(token) = newer(u64::MAX) else { panic!() };
    assert_eq!(newer(version), FlightStart::Joined(token));
    // A caller that accepts the present value does not wait.
    assert_eq!(ask(&cache), FlightStart::Fresh(version));
    let FinishResult::Kept(next) = finish(&cache, token, b"new") else { panic!() };
    assert_eq!(newer(token), FlightStart::Fresh(next));
    assert!(matches!(newer(next), FlightStart::Begun(_)));
}

#[test]
fn an_expired_lease_gives_the_flight_to_the_next_caller_and_the_late_result_is_refused() {
    let scene = Scene::new("lease");
    let cache = scene.open();
    let first = begin(&cache);
    cache.advance_clock(999).unwrap();
    assert_eq!(ask(&cache), FlightStart::Joined(first));
    cache.advance_clock(1).unwrap();
    let second = begin(&cache);
    assert!(second > first);
    assert_eq!(finish(&cache, first, b"late"), FinishResult::Refused);
    assert!(!cache.fail_flight(VALUES, b"k", first, b"late", true).unwrap());
    assert!(!cache.abandon_flight(VALUES, b"k", first).unwrap());
    assert_eq!(get(&cache, "k"), None);
    assert_eq!(ask(&cache), FlightStart::Joined(second));
    assert!(is_kept(finish(&cache, second, b"v")));
    assert_eq!(finish(&cache, first, b"late"), FinishResult::Refused);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_slow_result_is_kept_without_a_successor_and_its_record_expires() {
    let scene = Scene::new("slow");
    let cache = scene.open();
    let token = begin(&cache);
    cache.advance_clock(50_000).unwrap();
    assert!(is_kept(finish(&cache, token, b"slow")));
    cache.delete(b"k", 0).unwrap();
    let used = cache.stats().used_bytes;
    let token = begin(&cache);
    cache.advance_clock(61_000).unwrap();
    assert_eq!(finish(&cache, token, b"too slow"), FinishResult::Refused);
    let _ = put(&cache, "k", b"v");
    cache.delete(b"k", 0).unwrap();
    assert_eq!(cache.stats().used_bytes, used, "the record of a load without a result stays for ever");
    // A flight without a lease never expires.
    let FlightStart::Begun(token) = cache.begin_flight(VALUES, b"k", &FlightOptions { lease_ms: 0, ..ASK }).unwrap()
    else {
        panic!()
    };
    cache.advance_clock(1_000_000_000).unwrap();
    assert_eq!(ask(&cache), FlightStart::Joined(token));
    assert!(is_kept(finish(&cache, token, b"at last")));
}

#[test]
fn waiters_get_a_failure_for_some_seconds_and_the_next_caller_loads_again() {
    let scene = Scene::new("failure");
    let cache = scene.open();
    let outcome = |token| cache.flight_outcome(VALUES, b"k", token).unwrap();
    let tokens: Vec<u64> = (0..3)
        .map(|i| {
            let token = begin(&cache);
            assert!(cache.fail_flight(VALUES, b"k", token, format!("failure {i}").as_bytes(), true).unwrap());
            token
        })
        .collect();
    let background = FlightOptions { background: true, ..ASK };
    assert_eq!(cache.begin_flight(VALUES, b"k", &background).unwrap(), FlightStart::Resting);
    let other = begin(&cache);
    for (i, token) in tokens.iter().enumerate() {
        assert_eq!(outcome(*token), Some(format!("failure {i}").into_bytes()));
    }
    assert_eq!(outcome(other), None);
    cache.advance_clock(1000).unwrap();
    assert!(cache.abandon_flight(VALUES, b"k", other).unwrap());
    assert_eq!(outcome(other), None);
    assert!(matches!(cache.begin_flight(VALUES, b"k", &background).unwrap(), FlightStart::Begun(_)));
    cache.advance_clock(11_000).unwrap();
    let last = begin(&cache);
    assert!(tokens.iter().all(|token| outcome(*token).is_none()));
    // An outcome that is too long is not kept. Of many outcomes the newest are kept.
    assert!(cache.fail_flight(VALUES, b"k", last, &vec![7; MAX_OUTCOME + 1], true).unwrap());
    assert_eq!(outcome(last), None);
    let many: Vec<u64> = (0..10)
        .map(|_| {
            let token = begin(&cache);
            assert!(cache.fail_flight(VALUES, b"k", token, &vec![7; MAX_OUTCOME], true).unwrap());
            token
        })
        .collect();
    assert_eq!(many.iter().filter(|token| outcome(**token).is_some()).count(), 4);
    assert_eq!(outcome(many[9]).unwrap().len(), MAX_OUTCOME);
    assert_valid(&cache);
}

#[test]
fn a_change_of_the_key_during_a_load_is_newer_than_the_result() {
    let scene = Scene::new("meanwhile");
    let cache = scene.open();
    let own = cache.in_namespace("n").unwrap();
    type Event = fn(&Cache, &Cache);
    let events: [(&str, Event, FinishResult); 3] = [
        ("clear", |_, own| own.clear().unwrap(), FinishResult::Dropped),
        ("clear of the root, in a namespace", |cache, _| cache.clear().unwrap(), FinishResult::Dropped),
        ("set", |_, own| assert!(put(own, "k", b"newer") > 0), FinishResult::Refused),
    ];
    for (what, event, result) in events {
        let token = begin(&own);
        event(&cache, &own);
        let expected = get(&own, "k");
        assert_eq!(finish(&own, token, b"loaded"), result, "{what}");
        assert_eq!(get(&own, "k"), expected, "{what}");
        own.delete(b"k", 0).unwrap();
    }
    // A deleted key is loaded anew at once, even during another load.
    let deletions: [(&str, Event); 3] = [
        ("delete", |_, own| assert!(own.delete(b"k", 0).unwrap())),
        ("delete by prefix", |_, own| assert_eq!(own.delete_prefix(b"k").unwrap(), 1)),
        ("a delete of the version there is", |_, own| {
            assert!(own.delete(b"k", own.version_of(b"k").unwrap().unwrap()).unwrap());
        }),
    ];
    for (what, event) in deletions {
        let _ = put(&own, "k", b"old");
        let anyway = FlightOptions { newer_than: u64::MAX, ..ASK };
        let FlightStart::Begun(token) = own.begin_flight(VALUES, b"k", &anyway).unwrap() else { panic!() };
        event(&cache, &own);
        let next = begin(&own);
        assert_eq!(finish(&own, token, b"older than the deletion"), FinishResult::Refused, "{what}");
        assert!(is_kept(finish(&own, next, b"younger")), "{what}");
        own.clear().unwrap();
    }
    // No caller waits for a load that began before a clear.
    let token = begin(&own);
    own.clear().unwrap();
    assert!(!own.is_flight_on(VALUES, b"k", token).unwrap());
    assert!(begin(&own) > token);
    own.clear().unwrap();
    // Changes of other keys, and clears of other namespaces, do not matter.
    let token = begin(&own);
    cache.delete(b"k", 0).unwrap();
    own.delete(b"l", 0).unwrap();
    cache.in_namespace("m").unwrap().clear().unwrap();
    assert!(is_kept(finish(&own, token, b"v")));
    assert_valid(&cache);
}

/// The version of the present value was compared at the end of the load, and a removed value has none: a load that
/// began before the set brought back the older value. The model `flights.pml` shows this as `SET_KEEPS` and
/// `TAKE_KEEPS`.
#[test]
fn a_value_set_during_a_load_stays_newer_after_its_removal() {
    let scene = Scene::new("removed");
    let cache = scene.open();
    let brief = |value| Write { ttl_ms: 1, ..bytes(value) };
    type Event = fn(&Cache);
    let events: [(&str, Event); 3] = [
        ("expired", |cache| cache.advance_clock(2).unwrap()),
        ("taken", |cache| assert!(cache.take(b"k", &mut Vec::new()).unwrap().is_some())),
        ("evicted", |cache| {
            for i in 0.. {
                if cache.version_of(b"k").unwrap().is_none() {
                    break;
                }
                assert!(i < 100_000, "nothing is evicted");
                let _ = put(cache, &format!("filler {i}"), &[1; 500]);
            }
        }),
    ];
    for (what, go) in events {
        let token = begin(&cache);
        assert!(cache.set(b"k", &brief(b"newer")).unwrap().is_some());
        go(&cache);
        assert!(!is_kept(finish(&cache, token, b"older")), "{what}");
        assert_eq!(get(&cache, "k"), None, "{what}");
    }
    // An increment counts as well. A set that fails its condition does not.
    let token = begin(&cache);
    cache.incr(b"k", 1.0, &Increment { ttl_ms: 1, ..PLAIN }).unwrap();
    cache.advance_clock(2).unwrap();
    assert!(!is_kept(finish(&cache, token, b"older")));
    let token = begin(&cache);
    let replaced = cache.set(b"k", &Write { condition: Condition::Present, ..bytes(b"none") }).unwrap();
    assert_eq!(replaced, None);
    assert!(is_kept(finish(&cache, token, b"v")));
    assert_valid(&cache);
}

#[test]
fn a_take_during_a_load_is_newer_than_the_result() {
    let scene = Scene::new("take");
    let cache = scene.open();
    let version = put(&cache, "k", b"old");
    let refresh = FlightOptions { newer_than: version, ..ASK };
    let FlightStart::Begun(token) = cache.begin_flight(VALUES, b"k", &refresh).unwrap() else { panic!() };
    assert!(cache.take(b"k", &mut Vec::new()).unwrap().is_some());
    assert!(!is_kept(finish(&cache, token, b"older than the take")));
    assert_eq!(get(&cache, "k"), None);
    assert_valid(&cache);
}

/// As after a `delete` of a missing key: a load that began before is older. A miss without a load changes nothing.
#[test]
fn a_take_of_a_missing_key_ends_its_load() {
    let scene = Scene::new("take-none");
    let cache = scene.open();
    let own = cache.in_namespace("n").unwrap();
    let take = |cache: &Cache, key: &[u8]| cache.take(key, &mut Vec::new()).unwrap().is_some();
    let token = begin(&cache);
    assert!(!take(&cache, b"k"));
    assert!(!is_kept(finish(&cache, token, b"older than the take")));
    assert_eq!(get(&cache, "k"), None);
    // An expired entry is a missing one.
    assert!(cache.set(b"k", &Write { ttl_ms: 1, ..bytes(b"brief") }).unwrap().is_some());
    cache.advance_clock(2).unwrap();
    let token = begin(&cache);
    assert!(!take(&cache, b"k"));
    assert!(!is_kept(finish(&cache, token, b"older than the take")));
    // Loads of other keys and namespaces, and tasks that run once, go on.
    let token = begin(&cache);
    assert!(!take(&cache, b"l") && !take(&own, b"k"));
    assert!(is_kept(finish(&cache, token, b"v")));
    let once = |cache: &Cache| cache.begin_flight(FlightKind::Once, b"task", &ASK).unwrap();
    let FlightStart::Begun(token) = once(&cache) else { panic!() };
    assert!(!take(&cache, b"task"));
    assert_eq!(once(&cache), FlightStart::Joined(token));
    assert_valid(&cache);
}

/// Ends all its flights at the first notice of a removal, which comes between two holds of a lock.
struct FinishesOnRemoval(Cache, Mutex<Vec<(String, u64)>>);

impl Listener for FinishesOnRemoval {
    fn notify(&self, notice: Notice) {
        let Notice::Removed { .. } = notice else { return };
        // Not under the mutex: the end of a flight may sweep, and notify of that.
        let flights = std::mem::take(&mut *self.1.lock().unwrap());
        for (key, token) in flights {
            self.0.finish_flight(VALUES, key.as_bytes(), token, &bytes(b"loaded before")).unwrap();
        }
    }
}

/// A deletion by prefix takes the lock many times. The value of a key is in one line and its flight in another. So a
/// flight could end behind the walk, after its value was deleted and before its record was.
#[test]
fn a_load_that_ends_during_a_deletion_by_prefix_is_not_kept() {
    let scene = Scene::new("prefix");
    let cache = scene.open();
    for i in 0..500 {
        let write = Write { ttl_ms: 1, ..bytes(b"brief") };
        assert!(cache.set(format!("k{i}").as_bytes(), &write).unwrap().is_some());
    }
    cache.advance_clock(2).unwrap();
    let begin = |key: &String| match cache.begin_flight(VALUES, key.as_bytes(), &ASK).unwrap() {
        FlightStart::Begun(token) => token,
        other => panic!("{other:?}"),
    };
    let keys: Vec<String> = (500..1000).map(|i| format!("k{i}")).collect();
    let flights = keys.iter().map(|key| (key.clone(), begin(key))).collect();
    let listener = cache.add_listener(Box::new(FinishesOnRemoval(scene.open(), Mutex::new(flights))));
    cache.want_removals(listener, true);
    cache.delete_prefix(b"k").unwrap();
    cache.remove_listener(listener);
    let kept: Vec<&String> = keys.iter().filter(|key| get(&cache, key).is_some()).collect();
    assert!(kept.is_empty(), "{} of 500 were kept", kept.len());
    assert_valid(&cache);
}

#[test]
fn a_tag_invalidated_during_a_load_invalidates_the_result() {
    let scene = Scene::new("tags");
    let cache = scene.open();
    let (red, blue) = (cache.tag("red"), cache.tag("blue"));
    let load = |invalidated: u64| {
        let token = begin(&cache);
        cache.invalidate_tags(&[invalidated], Invalidation::Remove).unwrap();
        let write = Write { tags: &[red], ..bytes(b"v") };
        assert!(is_kept(cache.finish_flight(VALUES, b"k", token, &write).unwrap()));
        let found = get(&cache, "k");
        cache.delete(b"k", 0).unwrap();
        found
    };
    assert_eq!(load(red), None);
    assert_eq!(load(blue).as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_known_absence_is_a_miss_to_every_read() {
    let scene = Scene::new("absent");
    let cache = scene.open();
    let learn_absence = || {
        let token = begin(&cache);
        let write = Write { ttl_ms: 500, ..Write::new(kind::ABSENT, b"") };
        assert!(is_kept(cache.finish_flight(VALUES, b"k", token, &write).unwrap()));
        assert_eq!(ask(&cache), FlightStart::Absent);
    };
    learn_absence();
    assert_eq!(get(&cache, "k"), None);
    assert!(!cache.has(b"k").unwrap());
    for mode in [ReadMode::Use, ReadMode::Peek, ReadMode::UseStale, ReadMode::PeekStale] {
        assert!(cache.get(b"k", mode, &mut Vec::new()).unwrap().is_none());
    }
    assert!(cache.take(b"k", &mut Vec::new()).unwrap().is_none());
    assert!(!cache.touch(b"k", 1000).unwrap());
    assert!(cache.keys(0, b"", 10).unwrap().keys.is_empty());
    assert_eq!(cache.version_of(b"k").unwrap(), None);
    assert!(!cache.delete(b"k", 0).unwrap());
    assert!(matches!(ask(&cache), FlightStart::Begun(_)), "delete forgets it");
    cache.clear().unwrap();
    learn_absence();
    assert_eq!(cache.delete_prefix(b"k").unwrap(), 0);
    learn_absence();
    cache.clear().unwrap();
    learn_absence();
    cache.advance_clock(500).unwrap();
    assert!(matches!(ask(&cache), FlightStart::Begun(_)), "it has a lifetime");
    cache.clear().unwrap();
    learn_absence();
    assert_eq!(cache.incr(b"k", 1.0, &support::PLAIN).unwrap(), 1.0);
    cache.delete(b"k", 0).unwrap();
    learn_absence();
    let absent = Write { condition: cache_machine_core::Condition::Absent, ..bytes(b"v") };
    assert!(cache.set(b"k", &absent).unwrap().is_some());
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
    assert_eq!(cache.stats().total.expirations, 0);
    assert_valid(&cache);
}

#[test]
fn a_result_of_once_outlives_every_clear_and_has_a_lifetime() {
    let scene = Scene::new("once");
    let cache = scene.open();
    let ask = || cache.begin_flight(FlightKind::Once, b"k", &ASK).unwrap();
    let done = || {
        let mut out = Vec::new();
        cache.done_once(b"k", &mut out).unwrap().then_some(out)
    };
    let FlightStart::Begun(token) = ask() else { panic!() };
    assert_eq!(done(), None);
    let write = Write { ttl_ms: 500, ..bytes(b"done") };
    assert!(is_kept(cache.finish_flight(FlightKind::Once, b"k", token, &write).unwrap()));
    cache.clear().unwrap();
    cache.delete(b"k", 0).unwrap();
    cache.delete_prefix(b"k").unwrap();
    for i in 0..20_000 {
        let _ = put(&cache, &format!("filler {i}"), &[1; 500]);
    }
    assert!(matches!(ask(), FlightStart::Fresh(_)));
    assert_eq!(done().as_deref(), Some(&b"done"[..]));
    assert_eq!(get(&cache, "k"), None);
    cache.advance_clock(500).unwrap();
    assert_eq!(done(), None);
    let FlightStart::Begun(token) = ask() else { panic!() };
    cache.clear().unwrap();
    assert!(cache.is_flight_on(FlightKind::Once, b"k", token).unwrap());
    assert_valid(&cache);
}

#[test]
fn a_flight_stays_open_after_an_error() {
    let scene = Scene::new("error");
    let cache = scene.open();
    let token = begin(&cache);
    let huge = vec![1; cache.geometry().max_entry + 1];
    let error = cache.finish_flight(VALUES, b"k", token, &bytes(&huge)).unwrap_err();
    assert_eq!(error.code(), "ERR_VALUE_TOO_LARGE");
    assert_eq!(ask(&cache), FlightStart::Joined(token));
    assert!(cache.fail_flight(VALUES, b"k", token, b"too large", true).unwrap());
    assert_eq!(cache.begin_flight(VALUES, b"", &ASK).unwrap_err().code(), "ERR_INVALID_ARGUMENT");
    assert_eq!(cache.begin_flight(VALUES, &[1; 9000], &ASK).unwrap_err().code(), "ERR_KEY_TOO_LONG");
}

#[test]
fn flights_take_at_most_a_quarter_of_a_shard() {
    let scene = Scene::new("many");
    let cache = scene.open();
    let begin = |i: u64| cache.begin_flight(VALUES, &i.to_le_bytes(), &ASK);
    let error = (0..).find_map(|i| begin(i).err()).unwrap();
    assert_eq!(error.code(), "ERR_NO_SPACE");
    let _ = put(&cache, "k", b"v");
    cache.advance_clock(100_000).unwrap();
    for i in 0..20_000 {
        let _ = put(&cache, &format!("filler {i}"), &[1; 500]);
    }
    assert!(begin(1_000_000).is_ok(), "flights that were never ended expire");
    assert_valid(&cache);
}

#[test]
fn a_record_watch_ends_with_the_flight_its_lease_or_its_owner() {
    let scene = Scene::new("record_watch");
    let cache = scene.open();
    let (notices, listener) = listen(&cache);
    let wait = |token| cache.watch_record(Keyspace::Flights, b"k", Awaited::Flight { token }, listener).unwrap();
    let notified = || notices.recv_timeout(SOON).unwrap();
    let token = begin(&cache);
    let record_watch = wait(token);
    assert!(is_kept(finish(&cache, token, b"v")));
    assert_eq!(notified(), Notice::RecordWatches(vec![record_watch]));
    // A flight that had ended before.
    let record_watch = wait(token);
    assert_eq!(notified(), Notice::RecordWatches(vec![record_watch]));
    cache.delete(b"k", 0).unwrap();
    let token = begin(&cache);
    let record_watch = wait(token);
    cache.advance_clock(1000).unwrap();
    assert_eq!(notified(), Notice::RecordWatches(vec![record_watch]));
    let token = begin(&cache);
    let record_watch = wait(token);
    let namespace = VALUES.flights_of(0);
    cache.give_back([Orphan::Flight { namespace, key: b"k".to_vec(), token }]);
    assert_eq!(notified(), Notice::RecordWatches(vec![record_watch]));
    assert!(begin(&cache) > token);
}

/// A record of any words counts as no flight or as one, and no access is out of bounds.
#[test]
fn a_record_of_any_words_crashes_no_caller() {
    let scene = Scene::new("hostile");
    let cache = scene.open();
    let mut random = Random(7);
    for round in 0..300 {
        let token = begin(&cache);
        assert!(cache.fail_flight(VALUES, b"k", token, &[1; 100], round % 2 == 0).unwrap());
        let next = begin(&cache);
        scribble(&cache, next, &mut random);
        let _ = cache.is_flight_on(VALUES, b"k", next);
        let _ = cache.flight_outcome(VALUES, b"k", token);
        let _ = cache.begin_flight(VALUES, b"k", &FlightOptions { background: true, ..ASK });
        let _ = cache.finish_flight(VALUES, b"k", next, &bytes(b"v"));
        let _ = cache.fail_flight(VALUES, b"k", next, b"x", true);
        let _ = cache.abandon_flight(VALUES, b"k", next);
        cache.delete(b"k", 0).unwrap();
        assert!(matches!(ask(&cache), FlightStart::Begun(_)), "delete ends a flight of any words");
        cache.delete(b"k", 0).unwrap();
    }
    assert_valid(&cache);
}

/// Overwrites the words of the record of the flight with this token, as another process of the same user could.
fn scribble(cache: &Cache, token: u64, random: &mut Random) {
    let file = file(cache);
    let content = content(cache);
    let words: Vec<u64> = content.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    // The words of a record: the key, the owner, the token.
    let key = u64::from(b'k');
    let found = words.windows(3).rposition(|three| three[0] == key && three[2] == token).unwrap();
    for at in found + 1..found + 1 + 6 + 3 + 13 {
        let value = match random.below(6) {
            0 => random.next(),
            1 => u64::MAX,
            2 => random.below(64),
            3 => 0,
            _ => continue,
        };
        file.write_all_at(&value.to_le_bytes(), at as u64 * 8).unwrap();
    }
}

/// A damaged sequence is found when the record of a flight is stored, and a rebuild repairs it.
#[test]
fn a_load_begins_even_if_the_sequence_is_at_its_end() {
    let scene = Scene::new("sequence");
    let cache = scene.open();
    put(&cache, "other", b"1");
    let file = file(&cache);
    // One of the words of the control block is the sequence, which is 1 after one write.
    for word in 1..40 {
        let at = (cache_machine_core::META_AT + word * 8) as u64;
        let mut before = [0; 8];
        file.read_exact_at(&mut before, at).unwrap();
        file.write_all_at(&u64::MAX.to_le_bytes(), at).unwrap();
        let _ = cache.begin_flight(VALUES, format!("k{word}").as_bytes(), &ASK);
        file.write_all_at(&before, at).unwrap();
    }
}
