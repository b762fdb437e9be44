//! Files that are no segments, and damaged headers.

use crate::impatient;
use crate::support::damage::file;
use crate::support::{Random, Scene};
use cache_machine_core::{
    Cache, CacheError, RegionOptions, SharedRegion, destroy_region, inspect, inspect_region, list,
};
use cache_machine_shm::{HEADER_BYTES, ProcessTable};
use std::fs::OpenOptions;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

#[test]
fn files_that_are_no_segments_are_listed_without_contents() {
    let scene = impatient("list");
    let cache = scene.open();
    let directory = cache.path().parent().unwrap().to_owned();
    let of_layout = |layout: u32| {
        let own = cache.path().file_name().unwrap().to_str().unwrap();
        let (_, rest) = own.strip_prefix("cache-machine.").unwrap().split_once('.').unwrap();
        directory.join(format!("cache-machine.{layout}.{rest}"))
    };
    let make = |path: &Path, content: &[u8]| {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).unwrap();
        file.write_all_at(content, 0).unwrap();
    };
    // The header promises 2,048 processes, and the file has no room for one.
    make(&of_layout(99), &[0xFF; 8192]);
    make(&of_layout(98), &[0xFF; 10]);
    let found: Vec<_> = list(None).unwrap().into_iter().filter(|info| info.name == scene.options.name).collect();
    std::fs::remove_file(of_layout(99)).unwrap();
    std::fs::remove_file(of_layout(98)).unwrap();
    let seen: Vec<_> = found.iter().map(|info| (info.layout, info.contents.is_some(), info.processes.len())).collect();
    assert!(seen.contains(&(99, false, 0)), "{seen:?}");
    assert!(seen.iter().any(|(layout, contents, _)| *layout < 98 && *contents), "{seen:?}");
}

/// The first area of a segment in its header: base, length, shards, maximum entry, number.
const AREA: u64 = 704;

/// An area that is not inside the file, or is not the one that the root epoch names.
#[test]
fn an_impossible_area_is_refused() {
    let scene = impatient("area");
    let file = file(&scene.open());
    let mut good = [0; 40];
    file.read_exact_at(&mut good, AREA).unwrap();
    let wrong =
        [(0, 0), (0, 4096), (0, u64::MAX), (0, 1 << 40), (8, 5), (8, u64::MAX), (24, u64::MAX), (32, 1), (32, 256)];
    for (at, value) in wrong {
        file.write_all_at(&value.to_le_bytes(), AREA + at).unwrap();
        let opened = Cache::open(&scene.options).map(|_| ());
        assert!(matches!(opened, Err(CacheError::Corrupt(_))), "{value} at {at}: {opened:?}");
        file.write_all_at(&good, AREA).unwrap();
    }
    assert!(Cache::open(&scene.options).is_ok());
}

/// A sparse file costs nothing, so a header may promise a shard of a terabyte. An index word cannot number its units.
#[test]
fn a_header_that_promises_a_giant_shard_is_refused() {
    let scene = impatient("giant");
    let file = file(&scene.open());
    let len = 1u64 << 40;
    file.set_len(len).unwrap();
    file.write_all_at(&len.to_le_bytes(), 32).unwrap();
    file.write_all_at(&len.to_le_bytes(), AREA + 8).unwrap();
    for shards in [0, 1, 2, 40, len, u64::MAX] {
        file.write_all_at(&shards.to_le_bytes(), AREA + 16).unwrap();
        let opened = Cache::open(&scene.options).map(|_| ());
        assert!(matches!(opened, Err(CacheError::Corrupt(_))), "{shards} shards: {opened:?}");
        let found = inspect(&scene.options.name, None).unwrap();
        assert!(found.is_some_and(|info| info.contents.is_none()));
    }
}

/// Overwrites each word of a region's header and process table under an open handle. A call of `lock` gets the lock or
/// an error.
#[test]
fn a_region_with_a_damaged_header_gives_its_lock_or_an_error() {
    let cache = Scene::new("region").options.name.clone();
    let options = RegionOptions { cache: cache.clone(), name: "bytes".into(), directory: None, group: None, size: 100 };
    let mut random = Random(5);
    let (mut region, _) = SharedRegion::open(&options).unwrap();
    let file = OpenOptions::new().read(true).write(true).open(region.path()).unwrap();
    let mut image = vec![0; file.metadata().unwrap().len() as usize];
    file.read_exact_at(&mut image, 0).unwrap();
    let mut answers = [0, 0];
    // All of the header, and the first slots of the process table: the taken ones and some free ones.
    for at in (0..HEADER_BYTES + ProcessTable::BYTES / 16).step_by(8) {
        for value in [0, u64::MAX, 1 << 20, random.next()] {
            file.write_all_at(&value.to_le_bytes(), at as u64).unwrap();
            for _ in 0..2 {
                match region.lock(Duration::from_millis(1)) {
                    Ok(_) => {
                        answers[0] += 1;
                        let _ = region.unlock();
                    }
                    Err(CacheError::Busy(_) | CacheError::Detached | CacheError::Corrupt(_)) => answers[1] += 1,
                    Err(error) => panic!("{value} at {at}: {error}"),
                }
            }
            let _ = inspect_region(&cache, "bytes", None);
            file.write_all_at(&image, 0).unwrap();
            if !region.is_attached() {
                drop(region);
                region = SharedRegion::open(&options).unwrap().0;
            }
        }
    }
    assert!(answers[0] > 0 && answers[1] > 0, "{answers:?}");
    assert!(region.lock(Duration::from_secs(10)).is_ok());
    region.unlock().unwrap();
    drop(region);
    assert!(destroy_region(&cache, "bytes", None, true).unwrap());
}
