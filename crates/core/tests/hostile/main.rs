//! Damage by another process of the same user: it overwrites or truncates a segment, or fills the file system. Damage
//! may cost data and writes. It never causes a crash, a hang or a wrong answer.

mod entries;
mod file_systems;
mod files;
mod flips;
mod limits;
mod random_damage;
#[path = "../support/mod.rs"]
mod support;
mod truncation;

use crate::support::damage::content;
use crate::support::{Scene, bytes};
use cache_machine_core::{Cache, Invalidation, META_AT, NoSink, ReadMode, Write, list};
use cache_machine_shm::{HEADER_BYTES, Header, ProcessTable};
use std::sync::Mutex;
use std::time::Duration;

pub(crate) const UNIT: usize = 64;

/// The tables: names, epochs and counts of namespaces, and the records of tags.
pub(crate) const TABLES: std::ops::Range<usize> = HEADER_BYTES + ProcessTable::BYTES..META_AT;

/// The words of the header that belong to the tables: two locks, counts, the tag clock and its floor, lock waits.
pub(crate) const TABLE_WORDS: std::ops::Range<usize> = Header::CACHE + 64..Header::CACHE + 256 + 24 * 8;

/// The offset of the head of the only entry with this key.
pub(crate) fn head_of(cache: &Cache, key: &str) -> u64 {
    let body = content(cache).chunks(UNIT).position(|unit| unit.starts_with(key.as_bytes())).expect("the key's body");
    (body as u64 - 1) * UNIT as u64
}

/// A damaged lock word may name a live process, which will not release the lock. So the timeout is short.
pub(crate) fn impatient(test: &str) -> Scene {
    let mut scene = Scene::new(test);
    scene.options.write_timeout = Duration::from_millis(100);
    scene
}

/// The panics of all threads of this process, with the background threads.
pub(crate) fn panics() -> &'static Mutex<Vec<String>> {
    static PANICS: Mutex<Vec<String>> = Mutex::new(Vec::new());
    static HOOK: std::sync::Once = std::sync::Once::new();
    HOOK.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.lock().unwrap().push(info.to_string());
            before(info);
        }));
    });
    &PANICS
}

/// Makes all calls that use names, epochs, counts and tags. Any result is fine.
pub(crate) fn use_tables(cache: &Cache, round: u64) {
    for name in ["first".into(), "second".into(), format!("new {round}")] {
        let own = cache.in_namespace(&name).unwrap_or(cache.clone());
        let key = format!("k{round}");
        let tags = [own.tag("red"), own.tag(&name)];
        let write = Write { tags: &tags, ttl_ms: 5, stale_ms: 5, made_at: Some(round), ..bytes(b"v") };
        let _ = own.set(key.as_bytes(), &write);
        let _ = own
            .invalidate_tags(&tags, if round.is_multiple_of(2) { Invalidation::Remove } else { Invalidation::Outdate });
        let _ = own.set(key.as_bytes(), &Write { keep_tags: true, keep_ttl: true, made_at: None, ..write });
        for mode in [ReadMode::Use, ReadMode::Peek, ReadMode::UseStale, ReadMode::PeekStale] {
            let _ = own.get(key.as_bytes(), mode, &mut Vec::new()).unwrap();
        }
        let _ = (own.len(), own.tallies(), own.tag_clock(), own.namespace_names(), own.namespace_name(u16::MAX));
        let _ = own.keys(0, b"k", 100).unwrap();
        let _ = own.touch(key.as_bytes(), 5);
        if let Some(meta) = own.get(key.as_bytes(), ReadMode::Peek, &mut NoSink).unwrap() {
            let _ = own.tag_clock_of_copy(meta.depends.word_at, meta.depends.generation);
        }
        if round.is_multiple_of(3) {
            own.clear().unwrap();
        }
        let _ = own.delete_prefix(b"k");
    }
    let _ = (cache.stats(), cache.validate(), list(None));
}
