//! Tags, namespaces, invalidation and deletion by prefix.

use crate::scenarios::entries::{count_to, fragment};
use crate::scenarios::{BASE, Deaf, Scenario, fill, set, value_of};
use crate::support::bytes;
use cache_machine_core::{Cache, Eviction, Invalidation, MAX_TAGS, Write, kind};

pub(crate) fn tags() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "set with a stale window and tags",
            act: |c| set_tagged(c, "target", &["red", "blue"], 50),
            ..BASE
        },
        Scenario {
            name: "replace a tagged one",
            prepare: |c| set_tagged(c, "target", &["red"], 0),
            act: |c| set_tagged(c, "target", &["blue"], 70),
            ..BASE
        },
        Scenario {
            name: "replace, and keep its tags",
            prepare: |c| set_tagged(c, "target", &["red", "blue"], 50),
            act: |c| {
                let write = Write { keep_tags: true, keep_ttl: true, ..bytes(b"new") };
                assert!(c.set(b"target", &write).unwrap().is_some());
            },
            ..BASE
        },
        Scenario {
            name: "set with 128 tags into a fragmented shard",
            prepare: fragment,
            act: |c| {
                let tags: Vec<u64> = (0..MAX_TAGS).map(|i| c.tag(&format!("tag {i}"))).collect();
                assert!(c.set(b"target", &Write { tags: &tags, ..bytes(b"new") }).unwrap().is_some());
            },
            ..BASE
        },
        Scenario {
            name: "incr a tagged one",
            prepare: |c| {
                let write =
                    Write { tags: &[c.tag("red")], ttl_ms: 10, stale_ms: 5, ..Write::new(kind::NUMBER, &[0; 8]) };
                assert!(c.set(b"target", &write).unwrap().is_some());
            },
            act: |c| count_to(c, 1.0),
            ..BASE
        },
        Scenario {
            name: "the first use of a namespace",
            prepare: |c| set(&c.in_namespace("ns").unwrap(), "n0", b"1"),
            act: |c| set(&c.in_namespace("fresh").unwrap(), "target", b"new"),
            ..BASE
        },
        Scenario {
            name: "clear a namespace, then set",
            prepare: in_a_namespace,
            act: |c| {
                let own = c.in_namespace("ns").unwrap();
                own.clear().unwrap();
                set(&own, "target", b"new");
            },
            together: &["@ns/n"],
            ..BASE
        },
        Scenario {
            name: "clear all, then set in a namespace",
            prepare: in_a_namespace,
            act: |c| {
                c.clear().unwrap();
                set(&c.in_namespace("ns").unwrap(), "target", b"new");
            },
            together: &["e", "@ns/n"],
            ..BASE
        },
        Scenario {
            name: "invalidate a tag for the first time",
            prepare: tagged,
            act: |c| invalidate(c, "green", Invalidation::Remove),
            together: &["g"],
            ..BASE
        },
        Scenario {
            name: "invalidate a tag again",
            prepare: |c| {
                tagged(c);
                (0..10).for_each(|i| set_tagged(c, &format!("d{i}"), &["yellow"], 0));
                invalidate(c, "yellow", Invalidation::Remove);
                (0..20).for_each(|i| set_tagged(c, &format!("h{i}"), &["yellow"], 0));
            },
            act: |c| invalidate(c, "yellow", Invalidation::Remove),
            together: &["h"],
            ..BASE
        },
        Scenario {
            name: "outdate two tags",
            prepare: tagged,
            act: |c| {
                c.invalidate_tags(&[c.tag("green"), c.tag("black")], Invalidation::Outdate).unwrap();
            },
            together: &["g", "h"],
            ..BASE
        },
        Scenario {
            name: "invalidate a tag that takes the oldest record",
            prepare: |c| {
                (0..10).for_each(|i| set_tagged(c, &format!("d{i}"), &["yellow"], 0));
                invalidate(c, "yellow", Invalidation::Remove);
                (0..20).for_each(|i| set_tagged(c, &format!("h{i}"), &["black"], 0));
                invalidate_others(c, 0..1100);
                (0..20).for_each(|i| set_tagged(c, &format!("g{i}"), &["green"], 0));
            },
            act: |c| {
                invalidate(c, "green", Invalidation::Remove);
                assert_eq!(c.stats().tags_unjudged, 0);
            },
            together: &["g", "h"],
            ..BASE
        },
        judged(),
        Scenario {
            name: "delete by prefix",
            prepare: |c| {
                (0..40).for_each(|i| set(c, &format!("p{i}"), &value_of(i)));
                set_tagged(&c.in_namespace("ns").unwrap(), "p0", &["red"], 0);
            },
            act: |c| assert_eq!(c.delete_prefix(b"p").unwrap(), 40),
            ..BASE
        },
        Scenario {
            name: "evict many beside a listener of removals",
            entries: 0,
            prepare: fill,
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                c.want_removals(listener, true);
                set(c, "target", &[3; 9000]);
            },
            ..BASE
        },
        Scenario {
            name: "set into the room of dead entries",
            eviction: Eviction::None,
            prepare: |c| {
                let own = c.in_namespace("ns").unwrap();
                let value = vec![7; 100_000];
                (0..5).for_each(|i| set(&own, &format!("d{i}"), &value));
                let write = Write { tags: &[c.tag("red")], ..bytes(&value) };
                (0..5).for_each(|i| assert!(c.set(format!("d{i}").as_bytes(), &write).unwrap().is_some()));
                set(c, "kept", &value);
                own.clear().unwrap();
                invalidate(c, "red", Invalidation::Remove);
            },
            act: |c| set(c, "target", &[3; 300_000]),
            ..BASE
        },
    ]
}

pub(crate) fn set_tagged(cache: &Cache, key: &str, names: &[&str], stale_ms: u64) {
    let tags: Vec<u64> = names.iter().map(|name| cache.tag(name)).collect();
    let write = Write { tags: &tags, ttl_ms: 2 * stale_ms, stale_ms, ..bytes(key.as_bytes()) };
    assert!(cache.set(key.as_bytes(), &write).unwrap().is_some());
}

/// Invalidates tags that no entry has, one after the other.
pub(crate) fn invalidate_others(cache: &Cache, numbers: std::ops::Range<u64>) {
    numbers.for_each(|i| invalidate(cache, &format!("other {i}"), Invalidation::Remove));
}

/// Invalidations that judge all entries once. No entry changes: some are dead and some stale before.
pub(crate) fn judged() -> Scenario {
    Scenario {
        name: "judge a shard",
        prepare: |c| {
            (0..10).for_each(|i| set_tagged(c, &format!("d{i}"), &["yellow"], 0));
            (0..20).for_each(|i| set_tagged(c, &format!("h{i}"), &["black"], 0));
            (0..20).for_each(|i| set_tagged(c, &format!("g{i}"), &["green"], 0));
            invalidate(c, "yellow", Invalidation::Remove);
            invalidate(c, "black", Invalidation::Outdate);
            // An eighth of the records; then the shard has its turn.
            invalidate_others(c, 0..127);
        },
        act: |c| invalidate_others(c, 200..300),
        together: &["g", "h"],
        ..BASE
    }
}

pub(crate) fn invalidate(cache: &Cache, name: &str, how: Invalidation) {
    cache.invalidate_tags(&[cache.tag(name)], how).unwrap();
}

/// Sets entries with one or two of three tags.
pub(crate) fn tagged(cache: &Cache) {
    (0..20).for_each(|i| set_tagged(cache, &format!("g{i}"), if i < 10 { &["green"] } else { &["green", "blue"] }, 0));
    (0..20).for_each(|i| set_tagged(cache, &format!("h{i}"), if i < 10 { &["black"] } else { &["blue", "black"] }, 0));
}

/// Sets entries in the namespace `ns` before and after a clear.
fn in_a_namespace(cache: &Cache) {
    let own = cache.in_namespace("ns").unwrap();
    (0..10).for_each(|i| set(&own, &format!("d{i}"), &value_of(i)));
    own.clear().unwrap();
    (0..20).for_each(|i| set(&own, &format!("n{i}"), &value_of(i)));
}
