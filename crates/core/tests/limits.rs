//! Limiters: when tokens come back, numbers at their limits, and the effect of eviction, `clear` and deaths.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

mod support;

use cache_machine_core::{Algorithm, Cache, CacheError, Demand, Eviction, Limit, MAX_TOKENS, Verdict};
use support::{Random, Scene, assert_valid, put};

const ALL: [Algorithm; 3] = [Algorithm::Gcra, Algorithm::SlidingWindow, Algorithm::FixedWindow];
/// A hundred years.
const CENTURY: u64 = 3_155_760_000_000;

fn limit(algorithm: Algorithm, tokens: u64, window_ms: u64) -> Limit {
    Limit { algorithm, tokens, window_ms }
}

fn consume(cache: &Cache, limit: &Limit, tokens: u64) -> Verdict {
    cache.limit(b"k", limit, Demand::Consume(tokens)).unwrap()
}

fn peek(cache: &Cache, limit: &Limit, tokens: u64) -> Verdict {
    cache.peek_limit(b"k", limit, tokens).unwrap()
}

/// The key of a limiter: one for each algorithm.
fn key_of(limit: &Limit) -> [u8; 1] {
    [limit.algorithm as u8 + b'a']
}

#[test]
fn a_refusal_says_to_the_millisecond_when_tokens_are_back() {
    let mut random = Random(0x11A2_33C4_55E6);
    for round in 0..60 {
        let scene = Scene::new("retry");
        let cache = scene.open();
        for algorithm in ALL {
            let limit = limit(algorithm, 1 + random.below(20), 1 + random.below(5000));
            let key = key_of(&limit);
            for _ in 0..30 {
                let tokens = 1 + random.below(limit.tokens);
                let verdict = cache.limit(&key, &limit, Demand::Consume(tokens)).unwrap();
                assert!(verdict.remaining <= limit.tokens);
                assert!(verdict.reset_after_ms <= limit.window_ms + limit.window_ms.div_ceil(16) + 1);
                if verdict.allowed {
                    assert_eq!(verdict.retry_after_ms, Some(0));
                    cache.advance_clock(random.below(limit.window_ms / 4 + 1)).unwrap();
                    continue;
                }
                let seen = cache.peek_limit(&key, &limit, tokens).unwrap();
                assert_eq!(seen, verdict, "{limit:?}: a refusal changes nothing (round {round})");
                let wait = verdict.retry_after_ms.unwrap();
                assert!(wait > 0 && wait <= verdict.reset_after_ms, "{limit:?} {verdict:?}");
                cache.advance_clock(wait - 1).unwrap();
                assert!(!cache.limit(&key, &limit, Demand::Consume(tokens)).unwrap().allowed, "{limit:?}: too early");
                cache.advance_clock(1).unwrap();
                assert!(cache.limit(&key, &limit, Demand::Consume(tokens)).unwrap().allowed, "{limit:?}: too late");
            }
            let Verdict { reset_after_ms, .. } = cache.peek_limit(&key, &limit, 1).unwrap();
            if reset_after_ms > 0 {
                cache.advance_clock(reset_after_ms - 1).unwrap();
                assert!(cache.peek_limit(&key, &limit, 1).unwrap().remaining < limit.tokens, "{limit:?}");
                cache.advance_clock(1).unwrap();
            }
            assert_eq!(cache.peek_limit(&key, &limit, 1).unwrap().remaining, limit.tokens, "{limit:?}");
            assert!(!cache.reset_limit(&key).unwrap(), "{limit:?}: the state ends with its last token");
        }
        assert_valid(&cache);
    }
}

#[test]
fn a_sliding_window_never_exceeds_its_limit_and_forgets_at_most_a_sixteenth_late() {
    let mut random = Random(0x5EED_0F11);
    for _ in 0..40 {
        let scene = Scene::new("sliding");
        let cache = scene.open();
        let limit = limit(Algorithm::SlidingWindow, 1 + random.below(12), 1 + random.below(700));
        let mut taken: Vec<(u64, u64)> = Vec::new();
        for _ in 0..300 {
            cache.advance_clock(random.below(limit.window_ms / 3 + 2)).unwrap();
            let (now, tokens) = (cache.now_ms(), 1 + random.below(limit.tokens.min(4)));
            let since = |age: u64| taken.iter().filter(|(at, _)| now - at < age).map(|(_, tokens)| tokens).sum::<u64>();
            let verdict = consume(&cache, &limit, tokens);
            if verdict.allowed {
                assert!(since(limit.window_ms) + tokens <= limit.tokens, "{limit:?}: more than the limit in a window");
                taken.push((now, tokens));
            } else {
                let max_span = limit.window_ms + limit.window_ms.div_ceil(16) + 1;
                assert!(since(max_span) + tokens > limit.tokens, "{limit:?}: refused because of old tokens");
            }
        }
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let scene = Scene::new("largest");
    let cache = scene.open();
    for algorithm in ALL {
        let limit = limit(algorithm, MAX_TOKENS, CENTURY);
        let key = key_of(&limit);
        let all = cache.limit(&key, &limit, Demand::Consume(MAX_TOKENS)).unwrap();
        assert!(all.allowed && all.remaining == 0 && all.reset_after_ms >= CENTURY, "{all:?}");
        let refused = cache.limit(&key, &limit, Demand::Consume(MAX_TOKENS)).unwrap();
        assert!(!refused.allowed && refused.retry_after_ms.unwrap() >= CENTURY, "{refused:?}");
        for _ in 0..3 {
            let owed = cache.limit(&key, &limit, Demand::Penalty(u64::MAX)).unwrap();
            assert!(!owed.allowed && owed.remaining == 0, "{owed:?}");
        }
        let back = cache.limit(&key, &limit, Demand::Reward(u64::MAX)).unwrap();
        assert!(back.allowed && back.remaining == MAX_TOKENS && back.reset_after_ms == 0, "{back:?}");
        // The smallest window with the largest limit, and numbers that no correct caller passes.
        assert!(cache.limit(b"small", &Limit { window_ms: 1, ..limit }, Demand::Consume(MAX_TOKENS)).unwrap().allowed);
        assert!(cache.reset_limit(b"small").unwrap());
        assert!(cache.limit(b"none", &Limit { tokens: 0, window_ms: 0, ..limit }, Demand::Consume(0)).unwrap().allowed);
    }
    assert_valid(&cache);
}

#[test]
fn a_cost_of_zero_is_allowed_and_a_cost_above_the_limit_never_is() {
    let scene = Scene::new("costs");
    let cache = scene.open();
    for algorithm in ALL {
        let limit = limit(algorithm, 5, 1000);
        let key = key_of(&limit);
        let ask = |tokens| cache.limit(&key, &limit, Demand::Consume(tokens)).unwrap();
        let never = ask(6);
        assert_eq!((never.allowed, never.retry_after_ms, never.remaining), (false, None, 5));
        assert!(ask(5).allowed && !ask(1).allowed && ask(0).allowed);
        assert_eq!((ask(0).remaining, ask(6).retry_after_ms), (0, None));
    }
}

#[test]
fn a_clock_that_moves_back_returns_no_tokens() {
    let scene = Scene::new("clock");
    let cache = scene.open();
    for algorithm in ALL {
        let limit = limit(algorithm, 3, 1000);
        let key = key_of(&limit);
        assert!(cache.limit(&key, &limit, Demand::Consume(3)).unwrap().allowed);
        cache.advance_clock(u64::MAX - 499).unwrap(); // back by half a second
        let refused = cache.limit(&key, &limit, Demand::Consume(1)).unwrap();
        assert!(!refused.allowed && refused.reset_after_ms <= 1563, "{algorithm:?} {refused:?}");
        cache.advance_clock(2064).unwrap();
        assert!(cache.limit(&key, &limit, Demand::Consume(3)).unwrap().allowed, "{algorithm:?}");
    }
}

#[test]
fn the_limit_may_change_while_tokens_are_out() {
    let scene = Scene::new("change");
    let cache = scene.open();
    for algorithm in ALL {
        let (old, new) = (limit(algorithm, 10, 1000), limit(algorithm, 4, 1000));
        let key = key_of(&old);
        assert!(cache.limit(&key, &old, Demand::Consume(3)).unwrap().allowed);
        assert_eq!(cache.peek_limit(&key, &new, 1).unwrap().remaining, 1, "{algorithm:?}");
        assert!(cache.limit(&key, &old, Demand::Consume(6)).unwrap().allowed);
        assert_eq!(cache.peek_limit(&key, &new, 1).unwrap().remaining, 0, "{algorithm:?}");
    }
}

#[test]
fn clear_tags_and_walks_leave_limiters_alone() {
    let scene = Scene::new("apart");
    let cache = scene.open();
    let limit = limit(Algorithm::Gcra, 2, 60_000);
    let own = cache.in_namespace("own").unwrap();
    assert!(consume(&cache, &limit, 2).allowed);
    assert_eq!(peek(&own, &limit, 1).remaining, 2, "a namespace has limiters of its own");
    assert_eq!((cache.len(), cache.keys(0, b"", 10).unwrap().keys.len()), (0, 0));
    cache.clear().unwrap();
    assert_eq!(cache.delete_prefix(b"k").unwrap(), 0);
    assert!(!cache.delete(b"k", 0).unwrap());
    assert!(!consume(&cache, &limit, 1).allowed);
    assert_valid(&cache);
}

#[test]
fn a_limiter_in_use_outlives_a_flood_and_an_idle_one_is_evicted_and_counted() {
    for eviction in [Eviction::S3Fifo, Eviction::Lru] {
        let mut scene = Scene::new("flood");
        scene.options.eviction = eviction;
        let cache = scene.open();
        let limit = limit(Algorithm::SlidingWindow, 1_000_000, CENTURY);
        for i in 0..500_u64 {
            assert!(cache.limit(format!("idle{i}").as_bytes(), &limit, Demand::Consume(1)).unwrap().allowed);
        }
        let mut used = 0;
        for i in 0..100_000_u64 {
            put(&cache, &format!("flood{i}"), &[7; 100]);
            if i % 20 == 0 {
                used += 1;
                assert_eq!(consume(&cache, &limit, 1).remaining, limit.tokens - used, "{eviction:?}: lost at {i}");
            }
        }
        assert!(cache.stats().limits_evicted > 0, "{eviction:?}");
        assert_eq!(cache.peek_limit(b"idle0", &limit, 1).unwrap().remaining, limit.tokens);
        assert_valid(&cache);
    }
}

#[test]
fn limiters_are_swept_when_their_time_is_up() {
    let scene = Scene::new("swept");
    let cache = scene.open();
    let limit = limit(Algorithm::FixedWindow, 5, 1000);
    let empty = cache.stats().used_bytes;
    for i in 0..2000_u64 {
        assert!(cache.limit(format!("k{i}").as_bytes(), &limit, Demand::Consume(1)).unwrap().allowed);
    }
    assert!(cache.stats().used_bytes > empty);
    cache.advance_clock(1000).unwrap();
    // Other writers sweep as they go.
    (0..200_000).take_while(|_| cache.stats().used_bytes > empty + 4096).for_each(|_| {
        put(&cache, "other", b"1");
    });
    assert!(cache.stats().used_bytes <= empty + 4096);
    assert_eq!((cache.stats().limits_evicted, cache.stats().total.expirations), (0, 0));
}

#[test]
fn a_full_segment_without_eviction_refuses_a_new_limiter() {
    let mut scene = Scene::new("full");
    scene.options.eviction = Eviction::None;
    let cache = scene.open();
    for i in 0.. {
        let value = support::bytes(&[7; 1000]);
        if cache.set(format!("k{i}").as_bytes(), &value).unwrap().is_none() {
            break;
        }
    }
    while cache.set(format!("s{}", cache.len()).as_bytes(), &support::bytes(b"")).unwrap().is_some() {}
    let limit = limit(Algorithm::Gcra, 1, 1000);
    let refused = cache.limit(b"k", &limit, Demand::Consume(1));
    assert!(matches!(refused, Err(CacheError::NoSpace(_))), "{refused:?}");
    assert_valid(&cache);
}
