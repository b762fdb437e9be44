//! The promises of a region within one process: one size, one lock, and threads that exclude each other.

#![expect(clippy::unwrap_used, reason = "a failed step of a test ends it")]

use cache_machine_core::{
    Acquired, CacheError, MAX_REGION, Opened, RegionOptions, SharedRegion, destroy_region, inspect_region, list,
    list_regions,
};
use cache_machine_shm::atomic::Ordering::Relaxed;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

const PATIENT: Duration = Duration::from_secs(10);

/// A folder in memory with a region in it. It is removed with its files when it is dropped.
struct Scratch {
    path: PathBuf,
}

impl Scratch {
    fn new() -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Relaxed);
        let path = Path::new("/dev/shm").join(format!("cm-region-{}-{number}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self { path }
    }

    fn options(&self, size: usize) -> RegionOptions {
        RegionOptions {
            cache: "app".into(),
            name: "bytes".into(),
            directory: Some(self.path.clone()),
            group: None,
            size,
        }
    }

    fn open(&self, size: usize) -> SharedRegion {
        SharedRegion::open(&self.options(size)).unwrap().0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.path);
    }
}

fn word(region: &SharedRegion) -> u64 {
    region.word(0).unwrap().load(Relaxed)
}

#[test]
fn the_first_open_makes_a_region_of_zeros_and_all_others_attach() {
    let scratch = Scratch::new();
    let (first, opened) = SharedRegion::open(&scratch.options(100)).unwrap();
    assert_eq!((opened, first.size()), (Opened::Created, 100));
    assert!((0..12).all(|n| first.word(n).unwrap().load(Relaxed) == 0));
    assert!(first.word(12).is_none(), "100 bytes have 12 whole words");
    let (memory, start) = first.memory();
    assert!(memory.at(start, 100).is_some() && memory.at(start, 4097).is_none());
    first.word(0).unwrap().store(7, Relaxed);
    let (second, opened) = SharedRegion::open(&scratch.options(100)).unwrap();
    assert_eq!((opened, word(&second)), (Opened::Attached, 7));
    drop((first, second));
    assert_eq!(word(&scratch.open(100)), 7);
}

#[test]
fn another_size_is_refused_whether_this_process_has_it_open_or_not() {
    let scratch = Scratch::new();
    let region = scratch.open(100);
    let mismatch = |size| match SharedRegion::open(&scratch.options(size)) {
        Err(CacheError::Mismatch(text)) => text.contains("100 bytes"),
        _ => false,
    };
    assert!(mismatch(99) && mismatch(4096));
    drop(region);
    assert!(mismatch(99) && mismatch(5000));
    for size in [0, MAX_REGION + 1, usize::MAX] {
        assert!(matches!(SharedRegion::open(&scratch.options(size)), Err(CacheError::InvalidArgument(_))));
    }
    for name in ["", "a@b", "a/b", "a~b", &"x".repeat(65)] {
        for options in [
            RegionOptions { name: name.into(), ..scratch.options(8) },
            RegionOptions { cache: name.into(), ..scratch.options(8) },
        ] {
            assert!(matches!(SharedRegion::open(&options), Err(CacheError::InvalidArgument(_))), "{name:?}");
        }
    }
}

#[test]
fn only_a_holder_that_finished_leaves_a_clean_lock() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.open(8), scratch.open(8));
    assert_eq!(one.lock(PATIENT).unwrap(), Acquired::Clean);
    one.abandon().unwrap();
    for _ in 0..2 {
        assert_eq!(other.lock(PATIENT).unwrap(), Acquired::Suspect);
        other.abandon().unwrap();
    }
    assert_eq!(one.lock(PATIENT).unwrap(), Acquired::Suspect);
    one.unlock().unwrap();
    // A handle that does not hold the lock releases nothing.
    assert_eq!(other.lock(PATIENT).unwrap(), Acquired::Clean);
    one.unlock().unwrap();
    one.abandon().unwrap();
    assert!(matches!(one.lock(Duration::ZERO), Err(CacheError::Busy(_))));
    drop(other);
    assert_eq!(one.lock(PATIENT).unwrap(), Acquired::Suspect, "a handle was dropped inside");
}

#[test]
fn a_thread_does_not_wait_for_itself_but_for_others() {
    let scratch = Scratch::new();
    let (one, other) = (scratch.open(8), scratch.open(8));
    let _ = one.lock(PATIENT).unwrap();
    let start = Instant::now();
    for handle in [&one, &other] {
        assert!(matches!(handle.lock(PATIENT), Err(CacheError::Busy(text)) if text.contains("this thread")));
    }
    assert!(start.elapsed() < PATIENT);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| other.lock(PATIENT));
        assert!(matches!(
            scope.spawn(|| scratch.open(8).lock(Duration::ZERO)).join().unwrap(),
            Err(CacheError::Busy(_))
        ));
        one.unlock().unwrap();
        assert_eq!(waiting.join().unwrap().unwrap(), Acquired::Clean);
    });
}

#[test]
fn threads_of_one_process_count_exactly() {
    let scratch = Scratch::new();
    std::thread::scope(|scope| {
        for region in (0..4).map(|_| scratch.open(8)).collect::<Vec<_>>() {
            scope.spawn(move || {
                let number = region.word(0).unwrap();
                for _ in 0..20_000 {
                    assert_eq!(region.lock(PATIENT).unwrap(), Acquired::Clean);
                    number.store(number.load(Relaxed) + 1, Relaxed);
                    region.unlock().unwrap();
                }
            });
        }
    });
    assert_eq!(word(&scratch.open(8)), 80_000);
}

#[test]
fn a_destroyed_region_has_no_lock_and_the_next_one_starts_at_zero() {
    let scratch = Scratch::new();
    let region = scratch.open(8);
    region.word(0).unwrap().store(7, Relaxed);
    let destroy = |force| destroy_region("app", "bytes", Some(scratch.path.as_path()), force);
    assert!(matches!(destroy(false), Err(CacheError::InUse(1))));
    assert!(region.is_attached());
    assert!(destroy(true).unwrap());
    assert!(!region.is_attached());
    assert!(matches!(region.lock(PATIENT), Err(CacheError::Detached)));
    assert_eq!(word(&region), 7);
    let (next, opened) = SharedRegion::open(&scratch.options(16)).unwrap();
    assert_eq!((opened, word(&next)), (Opened::Created, 0));
    drop((region, next));
    assert!(destroy(false).unwrap());
    assert!(!destroy(true).unwrap());
}

#[test]
fn a_region_with_a_header_that_contradicts_its_length_is_corrupt() {
    use std::os::unix::fs::FileExt;
    let scratch = Scratch::new();
    let region = scratch.open(100);
    let path = region.path().to_owned();
    drop(region);
    let file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    for size in [0u64, 5000, 1 << 40, u64::MAX] {
        file.write_all_at(&size.to_le_bytes(), 200).unwrap();
        assert!(matches!(SharedRegion::open(&scratch.options(100)), Err(CacheError::Corrupt(_))), "{size}");
        assert!(inspect_region("app", "bytes", Some(scratch.path.as_path())).unwrap().unwrap().contents.is_none());
    }
    file.write_all_at(&100u64.to_le_bytes(), 200).unwrap();
    assert_eq!(scratch.open(100).size(), 100);
}

#[test]
fn regions_and_caches_are_listed_apart() {
    let scratch = Scratch::new();
    let region = scratch.open(100);
    assert!(list(Some(scratch.path.as_path())).unwrap().is_empty());
    let found = list_regions(Some(scratch.path.as_path())).unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].cache.as_str(), found[0].name.as_str()), ("app", "bytes"));
    assert_eq!(found[0].contents.map(|(size, _)| size), Some(100));
    assert_eq!(found[0].processes.len(), 1);
    drop(region);
    assert!(inspect_region("app", "bytes", Some(scratch.path.as_path())).unwrap().unwrap().processes.is_empty());
    assert!(inspect_region("app", "none", Some(scratch.path.as_path())).unwrap().is_none());
}
