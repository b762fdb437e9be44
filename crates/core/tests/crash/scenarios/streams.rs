//! Waits, watches and subscriptions.

use crate::scenarios::entries::mortal;
use crate::scenarios::tags::{invalidate, set_tagged, tagged};
use crate::scenarios::{BASE, Deaf, Scenario, fill, set, watch_all};
use cache_machine_core::{Invalidation, kind};

pub(crate) fn streams() -> Vec<Scenario> {
    vec![
        Scenario {
            name: "wait, then set",
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                c.wait_for(b"target", 0, listener).unwrap();
                set(c, "target", b"new");
            },
            ..BASE
        },
        Scenario {
            name: "watch, then set with tags, replace and delete",
            prepare: |c| ["key", "kept"].into_iter().for_each(|key| set(c, key, b"old")),
            act: |c| {
                let watch = watch_all(c);
                set_tagged(c, "target", &["red", "blue"], 50);
                set(c, "kept", b"new");
                assert!(c.delete(b"key", 0).unwrap());
                c.end_stream(watch);
            },
            ..BASE
        },
        Scenario {
            name: "watch, then evict and expire",
            entries: 0,
            prepare: |c| {
                fill(c);
                mortal(c, 3, 10);
            },
            act: |c| {
                watch_all(c);
                set(c, "target", &[3; 9000]);
            },
            ..BASE
        },
        Scenario {
            name: "watch, then clear and invalidate",
            prepare: tagged,
            act: |c| {
                watch_all(c);
                invalidate(c, "green", Invalidation::Remove);
                c.clear().unwrap();
            },
            together: &["g", "h", "e"],
            ..BASE
        },
        Scenario {
            name: "subscribe twice and by prefix, publish, and end it",
            act: |c| {
                let listener = c.add_listener(Box::new(Deaf));
                let subscribe = |name: &[u8], is_prefix| c.subscribe(name, is_prefix, 10, listener).unwrap();
                let streams = [subscribe(b"news", false), subscribe(b"news", false), subscribe(b"ne", true)];
                assert_eq!(c.publish(b"news", kind::BUFFER, b"a message").unwrap(), 3);
                streams.into_iter().for_each(|stream| c.end_stream(stream));
                assert_eq!(c.publish(b"news", kind::BUFFER, b"a message").unwrap(), 0);
            },
            ..BASE
        },
    ]
}
