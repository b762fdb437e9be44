//! Loads: one owner per key, what those who wait learn, and what happens to the key meanwhile.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{
    Awaited, Boarding, Cache, Condition, Departure, Increment, Invalidation, Landing, Listener, Loads, MAX_OUTCOME,
    Manner, Notice, Orphan, Space, Write, kind,
};
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, mpsc};
use std::time::Duration;
use support::{PLAIN, Random, Scene, assert_valid, bytes, get, put};

const ASK: Departure = Departure { lease_ms: 1000, newer_than: 0, background: false };
const VALUES: Loads = Loads::Values;

fn ask(cache: &Cache) -> Boarding {
    cache.begin_flight(VALUES, b"k", &ASK).unwrap()
}

fn begin(cache: &Cache) -> u64 {
    match ask(cache) {
        Boarding::Begun(token) => token,
        other => panic!("{other:?}"),
    }
}

fn finish(cache: &Cache, token: u64, value: &[u8]) -> Landing {
    cache.finish_flight(VALUES, b"k", token, &bytes(value)).unwrap()
}

fn is_kept(landing: Landing) -> bool {
    matches!(landing, Landing::Kept(_))
}

#[test]
fn one_loads_and_all_others_join_until_there_is_a_value() {
    let scene = Scene::new("one");
    let cache = scene.open();
    let token = begin(&cache);
    assert_eq!(ask(&cache), Boarding::Joined(token));
    assert!(cache.is_flying(VALUES, b"k", token).unwrap());
    // Another key, another namespace, another kind of load: another flight.
    assert!(matches!(cache.begin_flight(VALUES, b"l", &ASK).unwrap(), Boarding::Begun(_)));
    assert!(matches!(cache.begin_flight(Loads::Once, b"k", &ASK).unwrap(), Boarding::Begun(_)));
    assert!(matches!(ask(&cache.in_namespace("n").unwrap()), Boarding::Begun(_)));
    let Landing::Kept(version) = finish(&cache, token, b"v") else { panic!() };
    assert!(version > token);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
    assert_eq!(ask(&cache), Boarding::Fresh(version));
    assert!(!cache.is_flying(VALUES, b"k", token).unwrap());
    assert_eq!(finish(&cache, token, b"again"), Landing::Refused);
    assert_eq!(cache.len(), 1);
    assert_valid(&cache);
}

#[test]
fn only_a_newer_value_will_do_for_those_who_say_so() {
    let scene = Scene::new("newer");
    let cache = scene.open();
    let version = put(&cache, "k", b"old");
    let newer = |than| cache.begin_flight(VALUES, b"k", &Departure { newer_than: than, ..ASK }).unwrap();
    assert_eq!(newer(version - 1), Boarding::Fresh(version));
    let Boarding::Begun(token) = newer(u64::MAX) else { panic!() };
    assert_eq!(newer(version), Boarding::Joined(token));
    // Those who are content with what is there do not wait.
    assert_eq!(ask(&cache), Boarding::Fresh(version));
    let Landing::Kept(next) = finish(&cache, token, b"new") else { panic!() };
    assert_eq!(newer(token), Boarding::Fresh(next));
    assert!(matches!(newer(next), Boarding::Begun(_)));
}

#[test]
fn a_lease_that_passed_gives_the_flight_to_the_next_and_the_late_one_stores_nothing() {
    let scene = Scene::new("lease");
    let cache = scene.open();
    let first = begin(&cache);
    cache.advance_clock(999).unwrap();
    assert_eq!(ask(&cache), Boarding::Joined(first));
    cache.advance_clock(1).unwrap();
    let second = begin(&cache);
    assert!(second > first);
    assert_eq!(finish(&cache, first, b"late"), Landing::Refused);
    assert!(!cache.fail_flight(VALUES, b"k", first, b"late", true).unwrap());
    assert!(!cache.abandon_flight(VALUES, b"k", first).unwrap());
    assert_eq!(get(&cache, "k"), None);
    assert_eq!(ask(&cache), Boarding::Joined(second));
    assert!(is_kept(finish(&cache, second, b"v")));
    assert_eq!(finish(&cache, first, b"late"), Landing::Refused);
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_slow_result_is_kept_if_nobody_took_over_and_the_record_goes_in_time() {
    let scene = Scene::new("slow");
    let cache = scene.open();
    let token = begin(&cache);
    cache.advance_clock(50_000).unwrap();
    assert!(is_kept(finish(&cache, token, b"slow")));
    cache.delete(b"k", 0).unwrap();
    let used = cache.stats().used_bytes;
    let token = begin(&cache);
    cache.advance_clock(61_000).unwrap();
    assert_eq!(finish(&cache, token, b"too slow"), Landing::Refused);
    let _ = put(&cache, "k", b"v");
    cache.delete(b"k", 0).unwrap();
    assert_eq!(cache.stats().used_bytes, used, "the record of a loader that never settled stays for ever");
    // Without a lease it has no end.
    let Boarding::Begun(token) = cache.begin_flight(VALUES, b"k", &Departure { lease_ms: 0, ..ASK }).unwrap() else {
        panic!()
    };
    cache.advance_clock(1_000_000_000).unwrap();
    assert_eq!(ask(&cache), Boarding::Joined(token));
    assert!(is_kept(finish(&cache, token, b"at last")));
}

#[test]
fn those_who_waited_learn_of_a_failure_for_some_seconds_and_the_next_loads_again() {
    let scene = Scene::new("failure");
    let cache = scene.open();
    let learn = |token| cache.flight_outcome(VALUES, b"k", token).unwrap();
    let tokens: Vec<u64> = (0..3)
        .map(|i| {
            let token = begin(&cache);
            assert!(cache.fail_flight(VALUES, b"k", token, format!("failure {i}").as_bytes(), true).unwrap());
            token
        })
        .collect();
    let background = Departure { background: true, ..ASK };
    assert_eq!(cache.begin_flight(VALUES, b"k", &background).unwrap(), Boarding::Resting);
    let other = begin(&cache);
    for (i, token) in tokens.iter().enumerate() {
        assert_eq!(learn(*token), Some(format!("failure {i}").into_bytes()));
    }
    assert_eq!(learn(other), None);
    cache.advance_clock(1000).unwrap();
    assert!(cache.abandon_flight(VALUES, b"k", other).unwrap());
    assert_eq!(learn(other), None);
    assert!(matches!(cache.begin_flight(VALUES, b"k", &background).unwrap(), Boarding::Begun(_)));
    cache.advance_clock(11_000).unwrap();
    let last = begin(&cache);
    assert!(tokens.iter().all(|token| learn(*token).is_none()));
    // Many: the oldest are forgotten. Too long: nothing is learnt.
    assert!(cache.fail_flight(VALUES, b"k", last, &vec![7; MAX_OUTCOME + 1], true).unwrap());
    assert_eq!(learn(last), None);
    let many: Vec<u64> = (0..10)
        .map(|_| {
            let token = begin(&cache);
            assert!(cache.fail_flight(VALUES, b"k", token, &vec![7; MAX_OUTCOME], true).unwrap());
            token
        })
        .collect();
    assert_eq!(many.iter().filter(|token| learn(**token).is_some()).count(), 4);
    assert_eq!(learn(many[9]).unwrap().len(), MAX_OUTCOME);
    assert_valid(&cache);
}

#[test]
fn what_happens_to_the_key_during_a_load_is_newer_than_what_it_brings() {
    let scene = Scene::new("meanwhile");
    let cache = scene.open();
    let own = cache.in_namespace("n").unwrap();
    type Event = fn(&Cache, &Cache);
    let events: [(&str, Event, Landing); 3] = [
        ("clear", |_, own| own.clear().unwrap(), Landing::Dropped),
        ("clear of the root, in a namespace", |cache, _| cache.clear().unwrap(), Landing::Dropped),
        ("set", |_, own| assert!(put(own, "k", b"newer") > 0), Landing::Refused),
    ];
    for (what, event, landing) in events {
        let token = begin(&own);
        event(&cache, &own);
        let expected = get(&own, "k");
        assert_eq!(finish(&own, token, b"loaded"), landing, "{what}");
        assert_eq!(get(&own, "k"), expected, "{what}");
        own.delete(b"k", 0).unwrap();
    }
    // What was deleted is loaded anew at once, whatever is under way.
    let deletions: [(&str, Event); 3] = [
        ("delete", |_, own| assert!(own.delete(b"k", 0).unwrap())),
        ("delete by prefix", |_, own| assert_eq!(own.delete_prefix(b"k").unwrap(), 1)),
        ("a delete of the version there is", |_, own| {
            assert!(own.delete(b"k", own.version_of(b"k").unwrap().unwrap()).unwrap());
        }),
    ];
    for (what, event) in deletions {
        let _ = put(&own, "k", b"old");
        let anyway = Departure { newer_than: u64::MAX, ..ASK };
        let Boarding::Begun(token) = own.begin_flight(VALUES, b"k", &anyway).unwrap() else { panic!() };
        event(&cache, &own);
        let next = begin(&own);
        assert_eq!(finish(&own, token, b"older than the deletion"), Landing::Refused, "{what}");
        assert!(is_kept(finish(&own, next, b"younger")), "{what}");
        own.clear().unwrap();
    }
    // Nobody waits for what began before a clear.
    let token = begin(&own);
    own.clear().unwrap();
    assert!(!own.is_flying(VALUES, b"k", token).unwrap());
    assert!(begin(&own) > token);
    own.clear().unwrap();
    // Others' keys, and a delete of another version, change nothing.
    let token = begin(&own);
    cache.delete(b"k", 0).unwrap();
    own.delete(b"l", 0).unwrap();
    cache.in_namespace("m").unwrap().clear().unwrap();
    assert!(is_kept(finish(&own, token, b"v")));
    assert_valid(&cache);
}

/// The version of what was set was compared at the landing, and what had gone by then had none: a load that began before the
/// set brought back the older value. The model `flights.pml` shows it as `SET_KEEPS` and `TAKE_KEEPS`.
#[test]
fn what_was_set_during_a_load_stays_newer_when_it_is_gone() {
    let scene = Scene::new("gone");
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
    // A number counts as well; a set whose condition does not hold does not.
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
fn a_take_during_a_load_is_newer_than_what_it_brings() {
    let scene = Scene::new("take");
    let cache = scene.open();
    let version = put(&cache, "k", b"old");
    let refresh = Departure { newer_than: version, ..ASK };
    let Boarding::Begun(token) = cache.begin_flight(VALUES, b"k", &refresh).unwrap() else { panic!() };
    assert!(cache.take(b"k", &mut Vec::new()).unwrap().is_some());
    assert!(!is_kept(finish(&cache, token, b"older than the take")));
    assert_eq!(get(&cache, "k"), None);
    assert_valid(&cache);
}

/// Ends all its flights when it hears that something has gone, which is between two holds of a lock.
struct Lander(Cache, Mutex<Vec<(String, u64)>>);

impl Listener for Lander {
    fn notify(&self, notice: Notice) {
        let Notice::Gone { .. } = notice else { return };
        // The lock is not held meanwhile: a landing may sweep, and tell of that.
        let flights = std::mem::take(&mut *self.1.lock().unwrap());
        for (key, token) in flights {
            self.0.finish_flight(VALUES, key.as_bytes(), token, &bytes(b"loaded before")).unwrap();
        }
    }
}

/// A deletion by prefix takes many holds of a lock. A key's value is in one line and its flight in another, so the flight
/// could land behind the walk after its value was deleted and before its record was.
#[test]
fn a_load_that_lands_during_a_deletion_by_prefix_is_not_kept() {
    let scene = Scene::new("prefix");
    let cache = scene.open();
    for i in 0..500 {
        let write = Write { ttl_ms: 1, ..bytes(b"brief") };
        assert!(cache.set(format!("k{i}").as_bytes(), &write).unwrap().is_some());
    }
    cache.advance_clock(2).unwrap();
    let begin = |key: &String| match cache.begin_flight(VALUES, key.as_bytes(), &ASK).unwrap() {
        Boarding::Begun(token) => token,
        other => panic!("{other:?}"),
    };
    let keys: Vec<String> = (500..1000).map(|i| format!("k{i}")).collect();
    let flights = keys.iter().map(|key| (key.clone(), begin(key))).collect();
    let listener = cache.add_listener(Box::new(Lander(scene.open(), Mutex::new(flights))));
    cache.want_gone(listener, true);
    cache.delete_prefix(b"k").unwrap();
    cache.remove_listener(listener);
    let back: Vec<&String> = keys.iter().filter(|key| get(&cache, key).is_some()).collect();
    assert!(back.is_empty(), "{} of 500 are back", back.len());
    assert_valid(&cache);
}

#[test]
fn a_tag_invalidated_during_a_load_kills_what_it_brings() {
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
fn the_knowledge_that_there_is_no_value_is_a_miss_to_all_who_read() {
    let scene = Scene::new("absent");
    let cache = scene.open();
    let know = || {
        let token = begin(&cache);
        let write = Write { ttl_ms: 500, ..Write::new(kind::ABSENT, b"") };
        assert!(is_kept(cache.finish_flight(VALUES, b"k", token, &write).unwrap()));
        assert_eq!(ask(&cache), Boarding::Absent);
    };
    know();
    assert_eq!(get(&cache, "k"), None);
    assert!(!cache.has(b"k").unwrap());
    for manner in [Manner::Use, Manner::Peek, Manner::UseStale, Manner::PeekStale] {
        assert!(cache.get(b"k", manner, &mut Vec::new()).unwrap().is_none());
    }
    assert!(cache.take(b"k", &mut Vec::new()).unwrap().is_none());
    assert!(!cache.touch(b"k", 1000).unwrap());
    assert!(cache.keys(0, b"", 10).unwrap().keys.is_empty());
    assert_eq!(cache.version_of(b"k").unwrap(), None);
    assert!(!cache.delete(b"k", 0).unwrap());
    assert!(matches!(ask(&cache), Boarding::Begun(_)), "delete forgets it");
    cache.clear().unwrap();
    know();
    assert_eq!(cache.delete_prefix(b"k").unwrap(), 0);
    know();
    cache.clear().unwrap();
    know();
    cache.advance_clock(500).unwrap();
    assert!(matches!(ask(&cache), Boarding::Begun(_)), "it has a lifetime");
    cache.clear().unwrap();
    know();
    assert_eq!(cache.incr(b"k", 1.0, &support::PLAIN).unwrap(), 1.0);
    cache.delete(b"k", 0).unwrap();
    know();
    let absent = Write { condition: cache_machine_core::Condition::Absent, ..bytes(b"v") };
    assert!(cache.set(b"k", &absent).unwrap().is_some());
    assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
    assert_eq!(cache.stats().total.expirations, 0);
    assert_valid(&cache);
}

#[test]
fn what_was_done_once_outlives_every_clear_and_has_a_lifetime() {
    let scene = Scene::new("once");
    let cache = scene.open();
    let ask = || cache.begin_flight(Loads::Once, b"k", &ASK).unwrap();
    let done = || {
        let mut out = Vec::new();
        cache.done_once(b"k", &mut out).unwrap().then_some(out)
    };
    let Boarding::Begun(token) = ask() else { panic!() };
    assert_eq!(done(), None);
    let write = Write { ttl_ms: 500, ..bytes(b"done") };
    assert!(is_kept(cache.finish_flight(Loads::Once, b"k", token, &write).unwrap()));
    cache.clear().unwrap();
    cache.delete(b"k", 0).unwrap();
    cache.delete_prefix(b"k").unwrap();
    for i in 0..20_000 {
        let _ = put(&cache, &format!("filler {i}"), &[1; 500]);
    }
    assert!(matches!(ask(), Boarding::Fresh(_)));
    assert_eq!(done().as_deref(), Some(&b"done"[..]));
    assert_eq!(get(&cache, "k"), None);
    cache.advance_clock(500).unwrap();
    assert_eq!(done(), None);
    let Boarding::Begun(token) = ask() else { panic!() };
    cache.clear().unwrap();
    assert!(cache.is_flying(Loads::Once, b"k", token).unwrap());
    assert_valid(&cache);
}

#[test]
fn after_an_error_the_flight_is_still_to_be_ended() {
    let scene = Scene::new("error");
    let cache = scene.open();
    let token = begin(&cache);
    let huge = vec![1; cache.geometry().max_entry + 1];
    let error = cache.finish_flight(VALUES, b"k", token, &bytes(&huge)).unwrap_err();
    assert_eq!(error.code(), "ERR_VALUE_TOO_LARGE");
    assert_eq!(ask(&cache), Boarding::Joined(token));
    assert!(cache.fail_flight(VALUES, b"k", token, b"too large", true).unwrap());
    assert_eq!(cache.begin_flight(VALUES, b"", &ASK).unwrap_err().code(), "ERR_INVALID_ARGUMENT");
    assert_eq!(cache.begin_flight(VALUES, &[1; 9000], &ASK).unwrap_err().code(), "ERR_KEY_TOO_LONG");
}

#[test]
fn flights_take_a_quarter_of_a_shard_at_most() {
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
    assert!(begin(1_000_000).is_ok(), "what nobody ended goes in time");
    assert_valid(&cache);
}

struct Told(mpsc::Sender<Notice>);

impl Listener for Told {
    fn notify(&self, notice: Notice) {
        let _ = self.0.send(notice);
    }
}

#[test]
fn a_vigil_ends_with_the_flight_with_its_lease_and_with_its_owner() {
    let scene = Scene::new("vigil");
    let cache = scene.open();
    let (sender, notices) = mpsc::channel();
    let listener = cache.add_listener(Box::new(Told(sender)));
    let wait = |token| cache.keep_vigil(Space::Flights, b"k", Awaited::Flight { token }, listener).unwrap();
    let told = || notices.recv_timeout(Duration::from_secs(10)).unwrap();
    let token = begin(&cache);
    let vigil = wait(token);
    assert!(is_kept(finish(&cache, token, b"v")));
    assert_eq!(told(), Notice::Vigils(vec![vigil]));
    // One that was over before.
    let vigil = wait(token);
    assert_eq!(told(), Notice::Vigils(vec![vigil]));
    cache.delete(b"k", 0).unwrap();
    let token = begin(&cache);
    let vigil = wait(token);
    cache.advance_clock(1000).unwrap();
    assert_eq!(told(), Notice::Vigils(vec![vigil]));
    let token = begin(&cache);
    let vigil = wait(token);
    let namespace = VALUES.flights_of(0);
    cache.give_back([Orphan::Flight { namespace, key: b"k".to_vec(), token }]);
    assert_eq!(told(), Notice::Vigils(vec![vigil]));
    assert!(begin(&cache) > token);
}

/// Any words may stand in a record: they are none, or a flight, and nothing is out of bounds.
#[test]
fn a_record_of_any_words_crashes_nobody() {
    let scene = Scene::new("hostile");
    let cache = scene.open();
    let mut random = Random(7);
    for round in 0..300 {
        let token = begin(&cache);
        assert!(cache.fail_flight(VALUES, b"k", token, &[1; 100], round % 2 == 0).unwrap());
        let next = begin(&cache);
        scribble(&cache, next, &mut random);
        let _ = cache.is_flying(VALUES, b"k", next);
        let _ = cache.flight_outcome(VALUES, b"k", token);
        let _ = cache.begin_flight(VALUES, b"k", &Departure { background: true, ..ASK });
        let _ = cache.finish_flight(VALUES, b"k", next, &bytes(b"v"));
        let _ = cache.fail_flight(VALUES, b"k", next, b"x", true);
        let _ = cache.abandon_flight(VALUES, b"k", next);
        cache.delete(b"k", 0).unwrap();
        assert!(matches!(ask(&cache), Boarding::Begun(_)), "delete ends whatever stands there");
        cache.delete(b"k", 0).unwrap();
    }
    assert_valid(&cache);
}

/// Writes nonsense over the words of the record of the flight with this token, as another process of the same user could.
fn scribble(cache: &Cache, token: u64, random: &mut Random) {
    use std::os::unix::fs::FileExt;
    let file = std::fs::OpenOptions::new().read(true).write(true).open(cache.path()).unwrap();
    let content = std::fs::read(cache.path()).unwrap();
    let words: Vec<u64> = content.chunks_exact(8).map(|word| u64::from_le_bytes(word.try_into().unwrap())).collect();
    // The key, then the owner and the token.
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

/// What a scribbler leaves of the sequence is found out when the flight's record is stored, and mended by a rebuild.
#[test]
fn a_load_begins_where_the_sequence_is_at_its_end() {
    let scene = Scene::new("sequence");
    let cache = scene.open();
    put(&cache, "other", b"1");
    let file = std::fs::OpenOptions::new().read(true).write(true).open(cache.path()).unwrap();
    // Of the words of the control block one is the sequence: 1, as there was one write.
    for word in 1..40 {
        let at = (cache_machine_core::META_AT + word * 8) as u64;
        let mut before = [0; 8];
        file.read_exact_at(&mut before, at).unwrap();
        file.write_all_at(&u64::MAX.to_le_bytes(), at).unwrap();
        let _ = cache.begin_flight(VALUES, format!("k{word}").as_bytes(), &ASK);
        file.write_all_at(&before, at).unwrap();
    }
}
