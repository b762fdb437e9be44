//! Watches and subscriptions in one process: which items are delivered, in which order, and which are counted as lost
//! when a reader is slow, the ring was reset or its bytes are damaged. `crash` and `processes` cover other processes
//! and deaths.

mod support;

use cache_machine_core::{
    Cache, CacheError, Invalidation, Listener, META_AT, Notice, StreamItem, Watch, What, Write, kind,
};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};
use support::damage::{file, make_suspect};
use support::{Random, SOON, Scene, assert_valid, bytes, put};

/// A listener that remembers the streams with new items.
#[derive(Default)]
struct Ear {
    streams: Mutex<Vec<u64>>,
    changed: Condvar,
}

struct Shared(Arc<Ear>);

impl Listener for Shared {
    fn notify(&self, notice: Notice) {
        if let Notice::Streams(ids) = notice {
            self.0.streams.lock().unwrap().extend(ids);
            self.0.changed.notify_all();
        }
    }
}

/// A cache and a listener.
struct Audience {
    cache: Cache,
    ear: Arc<Ear>,
    listener: u64,
}

impl Audience {
    fn of(cache: Cache) -> Self {
        let ear = Arc::<Ear>::default();
        let listener = cache.add_listener(Box::new(Shared(ear.clone())));
        Self { cache, ear, listener }
    }

    fn watch(&self, watch: &Watch<'_>) -> u64 {
        self.cache.watch(watch, 1_000_000, self.listener).unwrap()
    }

    fn subscribe(&self, name: &str) -> u64 {
        self.cache.subscribe(name.as_bytes(), false, 1_000_000, self.listener).unwrap()
    }

    /// Takes until `count` items came.
    fn take(&self, stream: u64, count: usize) -> Vec<StreamItem> {
        let start = Instant::now();
        let mut items = Vec::new();
        loop {
            items.extend(self.cache.read_stream(stream, 100));
            if items.len() >= count {
                return items;
            }
            assert!(start.elapsed() < SOON, "{count} items never came: {items:?}");
            // Waits for a notice of more items.
            let mut streams = self.ear.streams.lock().unwrap();
            while !streams.contains(&stream) {
                let (next, timeout) = self.ear.changed.wait_timeout(streams, SOON).unwrap();
                assert!(!timeout.timed_out(), "no notice; {items:?} came");
                streams = next;
            }
            streams.retain(|id| *id != stream);
        }
    }

    /// Takes until `count` items came. Returns them as text.
    fn texts(&self, stream: u64, count: usize) -> Vec<String> {
        self.take(stream, count).iter().map(show).collect()
    }
}

fn show(item: &StreamItem) -> String {
    let lost = if item.lost > 0 { format!(" lost {}", item.lost) } else { String::new() };
    let key = String::from_utf8_lossy(&item.key);
    format!("{:?} {key}{}{lost}", item.what, String::from_utf8_lossy(&item.value))
}

fn everything() -> Watch<'static> {
    Watch::default()
}

#[test]
fn each_kind_of_change_is_delivered_with_its_version() {
    let scene = Scene::new("ways");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let stream = audience.watch(&everything());
    let first = put(cache, "a", b"1");
    let second = put(cache, "a", b"2");
    assert!(cache.delete(b"a", 0).unwrap());
    assert!(!cache.delete(b"a", 0).unwrap(), "there is no change to deliver");
    put(cache, "b", b"1");
    assert!(cache.take(b"b", &mut Vec::new()).unwrap().is_some());
    cache.touch(b"none", 1).unwrap();
    cache.set(&[0xFF, 0], &Write { binary_key: true, ..bytes(b"x") }).unwrap();
    cache.set(b"c", &Write { ttl_ms: 10, ..bytes(b"x") }).unwrap();
    cache.advance_clock(10).unwrap();
    let items = audience.take(stream, 8);
    let seen: Vec<_> = items.iter().map(|item| (item.what, item.key.as_slice(), item.binary_key)).collect();
    let expected: [(What, &[u8], bool); 8] = [
        (What::Set, b"a", false),
        (What::Set, b"a", false),
        (What::Delete, b"a", false),
        (What::Set, b"b", false),
        (What::Delete, b"b", false),
        (What::Set, &[0xFF, 0], true),
        (What::Set, b"c", false),
        (What::Expire, b"c", false),
    ];
    assert_eq!(seen, expected);
    assert_eq!(items.iter().map(|item| item.version).take(3).collect::<Vec<_>>(), [first, second, second]);
    assert!(items.iter().all(|item| item.lost == 0 && item.tags.is_empty()));
}

#[test]
fn an_eviction_is_delivered_before_the_set_that_needed_the_room() {
    let scene = Scene::new("evict");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    while cache.stats().total.evictions == 0 {
        put(cache, &format!("f{}", cache.stats().total.sets), &[1; 20_000]);
    }
    let stream = audience.watch(&everything());
    let before = cache.stats().total.evictions;
    put(cache, "last", &[2; 100_000]);
    let evicted = (cache.stats().total.evictions - before) as usize;
    assert!(evicted > 0);
    let items = audience.take(stream, evicted + 1);
    assert_eq!(items.iter().filter(|item| item.what == What::Evict).count(), evicted);
    assert_eq!(show(items.last().unwrap()), "Set last");
}

#[test]
fn a_watch_delivers_only_its_key_prefix_and_tags() {
    let scene = Scene::new("filters");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let tags = [cache.tag("red"), cache.tag("blue"), cache.tag("green")];
    let by_key = audience.watch(&Watch { key: Some(b"user:1"), ..everything() });
    let by_prefix = audience.watch(&Watch { prefix: b"user:", ..everything() });
    let by_tags = audience.watch(&Watch { tags: &tags[1..], ..everything() });
    let by_both = audience.watch(&Watch { prefix: b"user:", tags: &tags, ..everything() });
    let set = |key: &str, tags: &[u64]| cache.set(key.as_bytes(), &Write { tags, ..bytes(b"x") }).unwrap();
    set("user:1", &[]);
    set("user:10", &tags[..1]);
    set("other", &[tags[2], tags[1]]);
    set("user:2", &tags[1..2]);
    set("end", &[tags[2]]);
    cache.delete(b"user:1", 0).unwrap();
    assert_eq!(audience.texts(by_key, 2), ["Set user:1", "Delete user:1"]);
    assert_eq!(audience.texts(by_prefix, 4), ["Set user:1", "Set user:10", "Set user:2", "Delete user:1"]);
    let tagged = audience.take(by_tags, 3);
    assert_eq!(tagged.iter().map(show).collect::<Vec<_>>(), ["Set other", "Set user:2", "Set end"]);
    assert_eq!(tagged.iter().map(|item| item.tags.clone()).collect::<Vec<_>>(), [vec![0, 1], vec![0], vec![1]]);
    assert_eq!(audience.texts(by_both, 2), ["Set user:10", "Set user:2"]);
}

#[test]
fn invalidations_reach_watches_of_their_tags_and_watches_without_tags() {
    let scene = Scene::new("invalidate");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let tags = [cache.tag("red"), cache.tag("blue")];
    let all = audience.watch(&Watch { key: Some(b"some key"), ..everything() });
    let red = audience.watch(&Watch { tags: &tags[..1], ..everything() });
    let elsewhere = Audience::of(cache.in_namespace("elsewhere").unwrap());
    let other = elsewhere.watch(&everything());
    cache.invalidate_tags(&tags[1..], Invalidation::Remove).unwrap();
    cache.invalidate_tags(&tags, Invalidation::Outdate).unwrap();
    put(&elsewhere.cache, "end", b"x");
    assert_eq!(audience.texts(all, 2), ["Invalidate ", "Invalidate "]);
    assert_eq!(audience.take(red, 1)[0].tags, [0]);
    assert_eq!(elsewhere.texts(other, 1), ["Set end"]);
}

#[test]
fn a_clear_is_delivered_between_the_changes_before_and_after_it() {
    let mut scene = Scene::new("clear");
    scene.options.size = 64 << 20; // four shards; their rings are read one after the other
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let own = audience.cache.in_namespace("own").unwrap();
    let stream = audience.watch(&everything());
    let in_own = own.watch(&everything(), 1_000_000, audience.listener).unwrap();
    for round in 0..200 {
        (0..8).for_each(|i| _ = put(cache, &format!("before {i}"), b"x"));
        put(&own, "n", b"x");
        if round % 2 == 0 {
            cache.clear().unwrap()
        } else {
            own.clear().unwrap()
        }
        (0..8).for_each(|i| _ = put(cache, &format!("after {i}"), b"x"));
        put(&own, "m", b"x");
        cache.clear().unwrap();
        put(cache, "end", b"x");
        put(&own, "end", b"x");
        // The keys that the items leave are the keys in the cache.
        let there = |stream: u64| {
            let mut keys = std::collections::BTreeSet::new();
            loop {
                for item in audience.take(stream, 1) {
                    match item.what {
                        What::Clear => keys.clear(),
                        What::Set => _ = keys.insert(String::from_utf8(item.key).unwrap()),
                        what => panic!("{what:?}"),
                    }
                }
                if keys.contains("end") {
                    return keys.into_iter().collect::<Vec<_>>();
                }
            }
        };
        assert_eq!(there(stream), ["end"], "round {round}");
        assert_eq!(there(in_own), ["end"], "round {round}");
        cache.clear().unwrap();
        assert_eq!(audience.texts(stream, 1), ["Clear "]);
        assert_eq!(audience.texts(in_own, 1), ["Clear "]);
    }
}

#[test]
fn the_root_and_each_namespace_get_their_own_changes() {
    let scene = Scene::new("keyspaces");
    let audience = Audience::of(scene.open());
    let own = audience.cache.in_namespace("own").unwrap();
    let of_root = audience.watch(&everything());
    let of_own = own.watch(&everything(), 10, audience.listener).unwrap();
    let channel_of_own = own.subscribe(b"news", false, 10, audience.listener).unwrap();
    put(&audience.cache, "a", b"x");
    put(&own, "b", b"x");
    own.clear().unwrap();
    put(&own, "c", b"x");
    put(&audience.cache, "d", b"x");
    assert_eq!(audience.cache.publish(b"news", kind::STRING, b"unheard").unwrap(), 0);
    assert_eq!(own.publish(b"news", kind::STRING, b"!").unwrap(), 1);
    assert_eq!(audience.texts(of_root, 2), ["Set a", "Set d"]);
    let items = audience.texts(of_own, 2);
    assert!(items == ["Set b", "Clear ", "Set c"] || items == ["Clear ", "Set c"], "{items:?}");
    assert_eq!(audience.texts(channel_of_own, 1), ["Message news!"]);
}

#[test]
fn a_watch_delivers_only_changes_after_its_start() {
    let scene = Scene::new("start");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let mut streams = Vec::new();
    for i in 0..50 {
        streams.push(audience.watch(&everything()));
        put(cache, &format!("k{i}"), b"x");
    }
    for (i, stream) in streams.iter().enumerate() {
        let items = audience.texts(*stream, 50 - i);
        assert_eq!(items, (i..50).map(|i| format!("Set k{i}")).collect::<Vec<_>>());
    }
    streams.drain(..).for_each(|stream| cache.end_stream(stream));
    put(cache, "unwatched", b"x");
    let stream = audience.watch(&everything());
    put(cache, "again", b"x");
    assert_eq!(audience.texts(stream, 1), ["Set again"]);
}

#[test]
fn a_full_buffer_drops_the_oldest_and_counts_them_exactly() {
    let scene = Scene::new("buffer");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let small = cache.watch(&everything(), 10, audience.listener).unwrap();
    let news = cache.subscribe(b"news", false, 1, audience.listener).unwrap();
    let large = audience.watch(&everything());
    for i in 0..100 {
        put(cache, &format!("k{i}"), b"x");
        assert_eq!(cache.publish(b"news", kind::STRING, i.to_string().as_bytes()).unwrap(), 1);
    }
    assert_eq!(audience.take(large, 100).len(), 100);
    let items = audience.texts(small, 10);
    assert_eq!((items[0].as_str(), items[9].as_str()), ("Set k90 lost 90", "Set k99"));
    let start = Instant::now();
    let mut lost = 0;
    let mut last = String::new();
    while last != "99" && start.elapsed() < SOON {
        for item in cache.read_stream(news, 1) {
            lost += item.lost + 1;
            last = String::from_utf8(item.value).unwrap();
        }
    }
    assert_eq!((last.as_str(), lost), ("99", 100));
}

#[test]
fn publish_counts_the_live_subscriptions_and_writes_nothing_without_any() {
    let scene = Scene::new("publish");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let publish = |channel: &str| cache.publish(channel.as_bytes(), kind::STRING, b"!").unwrap();
    assert_eq!(publish("news"), 0);
    let exact = [audience.subscribe("news"), audience.subscribe("news")];
    let prefix = cache.subscribe(b"ne", true, 10, audience.listener).unwrap();
    assert_eq!(["news", "ne", "net", "n", "new", "News"].map(publish), [3, 1, 1, 0, 1, 0]);
    assert_eq!(audience.texts(exact[0], 1), ["Message news!"]);
    assert_eq!(audience.texts(prefix, 4), ["Message news!", "Message ne!", "Message net!", "Message new!"]);
    cache.end_stream(exact[0]);
    cache.end_stream(exact[0]);
    assert_eq!(publish("news"), 2);
    cache.end_stream(prefix);
    assert_eq!(publish("news"), 1);
    cache.remove_listener(audience.listener);
    assert_eq!(publish("news"), 0);
}

#[test]
fn messages_wrap_round_the_ring_whole_and_in_order() {
    let scene = Scene::new("wrap");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let stream = audience.subscribe("news");
    let mut random = Random(7);
    let mut message = vec![0; 8000];
    for i in 0..2000u64 {
        let len = random.below(8000) as usize;
        message[..len].fill(i as u8);
        assert_eq!(cache.publish(b"news", i as u8, &message[..len]).unwrap(), 1);
        let item = audience.take(stream, 1).remove(0);
        assert_eq!((item.lost, item.value_kind, item.value.len()), (0, i as u8, len));
        assert!(item.value.iter().all(|byte| *byte == i as u8));
    }
    let too_long = cache.publish(b"news", 1, &vec![0; 20_000]);
    assert!(
        matches!(too_long, Err(CacheError::MessageTooLarge { needed, limit }) if needed > 20_000 && limit < 20_000)
    );
}

#[test]
fn a_full_table_of_channels_refuses_more_until_some_are_free() {
    let scene = Scene::new("table");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let mut streams: Vec<u64> = (0..4096).map(|i| audience.subscribe(&format!("channel {i}"))).collect();
    let more = cache.subscribe(b"one more", false, 10, audience.listener);
    assert!(matches!(more, Err(CacheError::NoSpace(_))));
    assert_eq!(cache.publish(b"channel 4095", 1, b"").unwrap(), 1);
    let twice = audience.subscribe("channel 7");
    assert_eq!(cache.publish(b"channel 7", 1, b"").unwrap(), 2);
    cache.end_stream(twice);
    let mut random = Random(3);
    for round in 0..3000 {
        let index = random.below(streams.len() as u64) as usize;
        cache.end_stream(streams.swap_remove(index));
        let name = format!("round {round}");
        streams.push(audience.subscribe(&name));
        assert_eq!(cache.publish(name.as_bytes(), 1, b"").unwrap(), 1);
    }
    streams.drain(..).for_each(|stream| cache.end_stream(stream));
    assert_eq!(cache.publish(b"round 2999", 1, b"").unwrap(), 0);
}

/// The offset of the three control words of a ring. The first message of its writer changes only these words in front
/// of the space.
fn ring_of(cache: &Cache, write: impl FnOnce()) -> u64 {
    let front = cache.index_view().1;
    let content = || {
        let mut content = vec![0; front];
        file(cache).read_exact_at(&mut content, 0).unwrap();
        content
    };
    let before = content();
    write();
    let after = content();
    let changed = |at: usize| before[at..at + 8] != after[at..at + 8];
    let at = (META_AT..front - 24).step_by(8).find(|at| {
        let word = |at: usize| u64::from_le_bytes(after[at..at + 8].try_into().unwrap());
        changed(*at) && changed(at + 16) && word(at + 8) == 0 && word(at + 16) == word(*at) | 1 << 32
    });
    at.expect("the control words of the ring") as u64
}

#[test]
fn a_rebuild_is_delivered_at_once_as_a_loss_and_later_changes_follow() {
    let scene = Scene::new("rebuild");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let (stream, news) = (audience.watch(&everything()), audience.subscribe("news"));
    put(cache, "a", b"x");
    assert_eq!(audience.texts(stream, 1), ["Set a"]);
    make_suspect(&file(cache));
    assert_valid(cache);
    let items = audience.take(stream, 1);
    assert_eq!((items[0].what, items[0].lost), (What::Invalidate, 1));
    put(cache, "b", b"x");
    cache.publish(b"news", kind::STRING, b"!").unwrap();
    assert_eq!(audience.texts(stream, 1), ["Set b"]);
    assert_eq!(audience.texts(news, 1), ["Message news! lost 1"]);
}

/// A reader that reads nothing for a while is overrun by the ring.
#[test]
fn an_overrun_reader_gets_the_newest_items_and_the_exact_count_of_the_others() {
    let scene = Scene::new("overrun");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let stream = audience.watch(&everything());
    // A listener that blocks in its notice holds the table of streams, and so blocks the reader, which runs in the same
    // thread.
    let gate = Arc::new((Mutex::new(true), Condvar::new()));
    struct Gate(Arc<(Mutex<bool>, Condvar)>);
    impl Listener for Gate {
        fn notify(&self, notice: Notice) {
            if let Notice::Streams(_) = notice {
                let closed = self.0.0.lock().unwrap();
                let (_closed, timeout) = self.0.1.wait_timeout_while(closed, SOON, |closed| *closed).unwrap();
                assert!(!timeout.timed_out());
            }
        }
    }
    let keeper = cache.add_listener(Box::new(Gate(gate.clone())));
    cache.watch(&Watch { key: Some(b"first"), ..everything() }, 10, keeper).unwrap();
    put(cache, "first", b"x");
    assert_eq!(audience.texts(stream, 1), ["Set first"]);
    // From here on the reader waits in the gate, or will, and reads nothing before.
    let count = 20_000;
    for i in 0..count {
        put(cache, &format!("k{i}"), b"x");
    }
    *gate.0.lock().unwrap() = false;
    gate.1.notify_all();
    let mut items = Vec::new();
    while items.last().is_none_or(|item: &StreamItem| show(item) != format!("Set k{}", count - 1)) {
        items.extend(audience.take(stream, 1));
    }
    let lost: u64 = items.iter().map(|item| item.lost).sum();
    assert!(lost > 0, "the ring holds all of these");
    assert_eq!(lost + items.len() as u64, count);
    let numbers: Vec<u64> = items.iter().map(|item| String::from_utf8_lossy(&item.key[1..]).parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
}

#[test]
fn any_bytes_in_a_ring_cost_messages_and_nothing_else() {
    let scene = Scene::new("hostile");
    let audience = Audience::of(scene.open());
    let cache = &audience.cache;
    let stream = audience.watch(&everything());
    let news = audience.subscribe("news");
    let rings = [
        ring_of(cache, || _ = put(cache, "a", b"x")),
        ring_of(cache, || _ = cache.publish(b"news", kind::STRING, b"!").unwrap()),
    ];
    let (file, mut random) = (file(cache), Random(11));
    let max_bytes = 32 << 10;
    for round in 0..3000u64 {
        for ring in rings {
            let words = random.below(4) + 1;
            for _ in 0..words {
                // The control words are as likely as all other words together, and small numbers as likely as large
                // ones.
                let control = random.below(2) == 0;
                let at = ring + if control { random.below(3) * 8 } else { 64 + random.below(max_bytes / 8) * 8 };
                let word = match random.below(3) {
                    0 => random.next(),
                    1 => random.below(5000),
                    _ => u64::MAX - random.below(5000),
                };
                file.write_all_at(&word.to_le_bytes(), at).unwrap();
            }
        }
        put(cache, &format!("k{round}"), b"x");
        cache.publish(b"news", kind::STRING, b"!").unwrap();
        // The notices end: the items are taken, and then there are none.
        cache.read_stream(stream, usize::MAX);
        cache.read_stream(news, usize::MAX);
    }
    // Sound messages are delivered again once a writer has reset the ring.
    put(cache, "mended", b"x");
    let start = Instant::now();
    loop {
        put(cache, "end", b"x");
        cache.publish(b"news", kind::STRING, b"end").unwrap();
        let changes = cache.read_stream(stream, usize::MAX);
        let messages = cache.read_stream(news, usize::MAX);
        if changes.iter().any(|item| item.key == b"end") && messages.iter().any(|item| item.value == b"end") {
            break;
        }
        assert!(start.elapsed() < SOON, "the rings do not recover");
    }
    assert_valid(cache);
}

#[test]
fn ten_thousand_waits_are_not_checked_while_nothing_is_written() {
    let scene = Scene::new("waits");
    let cache = scene.open();
    static WOKEN: AtomicU64 = AtomicU64::new(0);
    struct Count;
    impl Listener for Count {
        fn notify(&self, notice: Notice) {
            if let Notice::Waits(ids) = notice {
                WOKEN.fetch_add(ids.len() as u64, Ordering::SeqCst);
            }
        }
    }
    const COUNT: u64 = 10_000;
    let listener = cache.add_listener(Box::new(Count));
    let key = |i: u64| format!("job {i}");
    let waits: Vec<u64> = (0..COUNT).map(|i| cache.wait_for(key(i).as_bytes(), 0, listener).unwrap()).collect();
    assert!(cache.checks_of_waits() <= 2 * COUNT, "each is checked when it begins, and once more at the first tick");
    // The first tick checks all of them.
    let settled = |quiet: Duration| {
        let (start, mut looks) = (Instant::now(), cache.checks_of_waits());
        let mut since = Instant::now();
        while since.elapsed() < quiet {
            assert!(start.elapsed() < SOON, "they are checked again and again");
            std::thread::sleep(Duration::from_millis(10));
            if cache.checks_of_waits() != looks {
                (looks, since) = (cache.checks_of_waits(), Instant::now());
            }
        }
        looks
    };
    let before = settled(Duration::from_millis(500));
    assert!(before <= 3 * COUNT);
    put(&cache, &key(7), b"x");
    let start = Instant::now();
    while WOKEN.load(Ordering::SeqCst) < 1 {
        assert!(start.elapsed() < SOON);
        std::thread::yield_now();
    }
    // The waits of one stripe in 256, and once all of them, because there was a write.
    let after = settled(Duration::from_millis(200));
    assert!(after - before <= COUNT + COUNT / 64, "{} checks for one write", after - before);
    waits[100..].iter().for_each(|wait| cache.cancel_wait(*wait));
    (0..COUNT).for_each(|i| _ = put(&cache, &key(i), b"x"));
    let start = Instant::now();
    while WOKEN.load(Ordering::SeqCst) < 100 {
        assert!(start.elapsed() < SOON);
        std::thread::yield_now();
    }
    settled(Duration::from_millis(200));
    assert_eq!(WOKEN.load(Ordering::SeqCst), 100, "cancelled waits are not notified");
}
