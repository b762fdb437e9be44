//! Namespaces, tags, checks of near copies, stale values, walks over keys, deletion by prefix and removal notices, in one process.

mod exact_tags;
mod keys;
mod namespaces;
mod near_copies;
mod notices;
mod prefix;
mod quotas;
mod random_mix;
mod removals;
mod stale;
#[path = "../support/mod.rs"]
mod support;
mod tags;

use crate::support::{Scene, bytes, put};
use cache_machine_core::{Cache, Invalidation, NoSink, ReadMode, Write};

/// A segment of one shard, so all keys share one lock and one index.
pub(crate) fn small(test: &str) -> Scene {
    Scene::sized(test, 2 << 20)
}

pub(crate) fn set(cache: &Cache, key: &str, write: &Write<'_>) -> u64 {
    cache.set(key.as_bytes(), write).expect("set").expect("stored")
}

pub(crate) fn tag_numbers(cache: &Cache, names: &[&str]) -> Vec<u64> {
    names.iter().map(|name| cache.tag(name)).collect()
}

pub(crate) fn put_tagged(cache: &Cache, key: &str, names: &[&str]) {
    set(cache, key, &Write { tags: &tag_numbers(cache, names), ..bytes(key.as_bytes()) });
}

pub(crate) fn remove_tag(cache: &Cache, name: &str) {
    cache.invalidate_tags(&[cache.tag(name)], Invalidation::Remove).expect("invalidate");
}

pub(crate) fn outdate_tag(cache: &Cache, name: &str) {
    cache.invalidate_tags(&[cache.tag(name)], Invalidation::Outdate).expect("invalidate");
}

/// For each mode of reading (use, peek, use stale, peek stale): whether it finds the key, and whether it calls it
/// stale.
pub(crate) fn found_by(cache: &Cache, key: &str) -> [Option<bool>; 4] {
    [ReadMode::Use, ReadMode::Peek, ReadMode::UseStale, ReadMode::PeekStale]
        .map(|mode| cache.get(key.as_bytes(), mode, &mut NoSink).expect("get").map(|meta| meta.stale))
}

pub(crate) const FRESH: [Option<bool>; 4] = [Some(false); 4];
pub(crate) const STALE: [Option<bool>; 4] = [None, None, Some(true), Some(true)];
pub(crate) const DEAD: [Option<bool>; 4] = [None; 4];

/// All keys with a prefix, page by page.
pub(crate) fn all_keys(cache: &Cache, prefix: &[u8], page_size: usize) -> Vec<Vec<u8>> {
    let mut keys = Vec::new();
    let mut cursor = Some(0);
    while let Some(at) = cursor {
        let page = cache.keys(at, prefix, page_size).expect("keys");
        assert!(page.next.is_none_or(|next| next > at), "a page that does not move on");
        keys.extend(page.keys.into_iter().map(|key| key.bytes));
        cursor = page.next;
    }
    keys
}

/// Writes a key until the whole index was swept at least once. Every eighth write sweeps a line.
pub(crate) fn sweep_all(cache: &Cache) {
    let lines = cache.geometry().capacity() / 128 / 7 * 2;
    (0..lines * 8).for_each(|_| {
        put(cache, "sweeper", b"1");
    });
}
