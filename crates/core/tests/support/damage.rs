//! Damage from outside: the file of a segment, a second mapping of it, and a shard that needs a rebuild.

use super::Scene;
use cache_machine_core::{Cache, JOURNAL_AT, META_AT};
use cache_machine_shm::{Place, Region, SegmentFile};
use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;

/// The first shard's lock.
pub(crate) const LOCK: usize = META_AT;
/// The word that a panic leaves in a lock.
pub(crate) const SUSPECT: u32 = 1 << 20;

/// The cache's file, to read and to write.
pub(crate) fn file(cache: &Cache) -> File {
    OpenOptions::new().read(true).write(true).open(cache.path()).expect("the segment's file")
}

/// All bytes of the cache's segment.
pub(crate) fn content(cache: &Cache) -> Vec<u8> {
    let mut content = vec![0; cache.geometry().len];
    file(cache).read_exact_at(&mut content, 0).expect("the segment's bytes");
    content
}

/// Calls `use_it` with another mapping of the cache's file.
pub(crate) fn mapped<R>(cache: &Cache, use_it: impl FnOnce(&Region) -> R) -> R {
    let path = cache.path();
    let name = path.file_name().and_then(|name| name.to_str()).expect("a file name");
    let (layout, rest) = name.strip_prefix("cache-machine.").and_then(|rest| rest.split_once('.')).expect("a layout");
    let name = rest.split_once('.').expect("a user").1;
    let place = Place::Directory(path.parent().expect("a folder").to_owned());
    let file = SegmentFile::new(place, name, layout.parse().expect("a number"));
    file.inspect(|region, _, _| use_it(region)).expect("a second mapping")
}

/// Leaves the first shard's lock as a panic does, and a journal that cannot be undone: the next writer rebuilds the shard.
pub(crate) fn make_suspect(file: &File) {
    make_unsound(file);
    file.write_all_at(&SUSPECT.to_le_bytes(), LOCK as u64).expect("written");
}

/// Marks the journal of the first shard as one that cannot be undone.
pub(crate) fn make_unsound(file: &File) {
    file.write_all_at(&u64::MAX.to_le_bytes(), JOURNAL_AT as u64).expect("written");
}

/// Leaves the lock as a panic does, and opens the cache again. While it is closed no thread holds the lock, not even
/// the handle's background thread.
pub(crate) fn reopen_suspect(scene: &Scene, cache: Cache) -> Cache {
    let file = file(&cache);
    drop(cache);
    make_suspect(&file);
    scene.open()
}
