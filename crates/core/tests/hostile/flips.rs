//! Flipped bits and zeroed pages, under an open handle.

use crate::support::damage::{LOCK, SUSPECT, file, mapped};
use crate::support::{SOON, Scene, assert_valid, bytes, open, put, with_timeout};
use crate::{UNIT, impatient, panics};
use cache_machine_core::{Cache, CacheError, Invalidation, JOURNAL_AT, ReadMode, Write};
use cache_machine_shm::Region;
use cache_machine_shm::atomic::Ordering;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Damage to the smallest segment (2 MiB), one bit or one range at a time.
struct Flips<'a> {
    scene: &'a Scene,
    cache: Cache,
    file: File,
    image: Vec<u8>,
    longest: Duration,
}

impl Flips<'_> {
    /// A segment that uses each structure, and its bytes at rest.
    fn of(scene: &Scene) -> Flips<'_> {
        let cache = scene.open();
        let own = cache.in_namespace("own").unwrap();
        let tags = [own.tag("red")];
        // Few entries, so that a rebuild is short, and long ones, so that they fill the space.
        let long = vec![7; cache.geometry().max_entry / 2];
        for i in 0..9 {
            put(&cache, &format!("long {i}"), &long);
        }
        for i in 0..40u64 {
            put(&cache, &format!("{i}"), &vec![i as u8; i as usize * 9]);
            own.set(format!("{i}").as_bytes(), &Write { tags: &tags, ttl_ms: 1000, stale_ms: 5, ..bytes(b"v") })
                .unwrap();
        }
        // This entry is stored in pieces, between the others.
        (0..40).step_by(2).for_each(|i| assert!(cache.delete(format!("{i}").as_bytes(), 0).unwrap()));
        put(&cache, "pieces", &[1; 4000]);
        own.invalidate_tags(&[own.tag("blue")], Invalidation::Remove).unwrap();
        let file = file(&cache);
        let mut image = vec![0; cache.geometry().len];
        file.read_exact_at(&mut image, 0).unwrap();
        Flips { scene, cache, file, image, longest: Duration::ZERO }
    }

    /// Zeros a range of bytes, uses the open handle, and restores the bytes.
    fn zero(&mut self, range: std::ops::Range<usize>) {
        self.file.write_all_at(&vec![0; range.len()], range.start as u64).unwrap();
        let begun = Instant::now();
        (0..3).for_each(|n| self.use_it(range.start / UNIT + n));
        self.longest = self.longest.max(begun.elapsed());
        self.file.write_all_at(&self.image, 0).unwrap();
        if !self.cache.is_attached() {
            self.cache = self.scene.open();
        }
    }

    /// Flips a bit, uses the open handle, and flips the bit back.
    fn flip(&mut self, region: &Region, bit: usize) {
        let (at, mask) = (bit / 64 * 8, 1 << (bit % 64));
        let word = region.u64(at);
        word.store(word.load(Ordering::Relaxed) ^ mask, Ordering::Relaxed);
        let begun = Instant::now();
        self.use_it(bit);
        self.longest = self.longest.max(begun.elapsed());
        // Used bits are as before. Unused words may differ, in bits that no call reads.
        word.store(word.load(Ordering::Relaxed) ^ mask, Ordering::Relaxed);
        if !self.cache.is_attached() {
            self.file.write_all_at(&self.image, 0).unwrap();
            self.cache = self.scene.open();
        }
    }

    fn use_it(&self, bit: usize) {
        let cache = &self.cache;
        let mut out = Vec::new();
        let key = format!("{}", bit % 40);
        let answers = [
            cache.get(key.as_bytes(), ReadMode::Use, &mut out).map(|_| ()),
            cache.get(b"pieces", ReadMode::Use, &mut out).map(|_| ()),
            cache.set(b"pieces", &bytes(&[1; 3000])).map(|_| ()),
            cache.set(key.as_bytes(), &bytes(&out[..out.len().min(100)])).map(|_| ()),
            cache.keys(bit as u64 % 1000, b"", 3).map(|_| ()),
            cache.delete(b"missing", 0).map(|_| ()),
        ];
        for answer in answers {
            let expected = matches!(
                answer,
                Ok(())
                    | Err(CacheError::Corrupt(_) | CacheError::Busy(_) | CacheError::Detached | CacheError::NoSpace(_))
            );
            assert!(expected, "bit {bit}: {answer:?}");
        }
    }

    /// A handle with a long timeout, for a segment without damage on a slow machine.
    fn patient(&self) -> Cache {
        open(&with_timeout(&self.scene.options, SOON))
    }

    /// Rebuilds the shard, checks that it is valid and works, and restores the bytes.
    fn restore(&mut self, region: &Region) {
        // Waits until the lock is free: the background thread may hold it.
        let start = Instant::now();
        while region.u32(LOCK).compare_exchange(0, SUSPECT, Ordering::SeqCst, Ordering::SeqCst).is_err() {
            assert!(start.elapsed() < SOON, "the lock is never free");
            std::thread::yield_now();
        }
        region.u64(JOURNAL_AT).store(u64::MAX, Ordering::SeqCst);
        let rebuilt = self.patient().set(b"rebuilt", &bytes(b"1"));
        assert!(matches!(rebuilt, Ok(Some(_))), "{rebuilt:?}");
        assert_valid(&self.patient());
        self.file.write_all_at(&self.image, 0).unwrap();
    }
}

/// Damages the smallest segment with `damage`. Checks that no use of it panics or takes long. Returns the longest time
/// of a use.
fn with_flips(test: &str, damage: impl FnOnce(&mut Flips<'_>, &Region)) -> Duration {
    let panics = panics();
    let before = panics.lock().unwrap().len();
    let mut scene = impatient(test);
    scene.options.size = 2 << 20;
    scene.options.write_timeout = Duration::from_millis(2);
    let mut flips = Flips::of(&scene);
    let path = flips.cache.clone();
    mapped(&path, |region| damage(&mut flips, region));
    assert!(flips.longest < Duration::from_secs(5));
    let panicked = panics.lock().unwrap()[before..].to_vec();
    assert_eq!(panicked, Vec::<String>::new());
    flips.longest
}

/// `BITS=all` flips every bit of the segment. Otherwise each 997th bit is flipped.
#[test]
fn every_single_bit_may_flip_under_an_open_handle() {
    let stride = if std::env::var("BITS").is_ok_and(|bits| bits == "all") { 1 } else { 997 };
    let (mut bits, start) = (0, Instant::now());
    let longest = with_flips("bits", |flips, region| {
        bits = flips.image.len() * 8;
        for (count, bit) in (0..bits).step_by(stride).enumerate() {
            flips.flip(region, bit);
            if count % 256 == 255 {
                flips.restore(region);
            }
        }
        flips.restore(region);
    });
    println!("{} of {bits} bits in {:?}; the longest use {longest:?}", bits / stride, start.elapsed());
}

/// Zeros each page of the segment, and then all of it.
#[test]
fn zeros_under_an_open_handle_cost_data_but_no_crash_and_no_hang() {
    const PAGE: usize = 4096;
    with_flips("zeros", |flips, region| {
        let len = flips.image.len();
        let pages = (0..len).step_by(PAGE).map(|at| at..(at + PAGE).min(len));
        for range in pages.chain(std::iter::once(0..len)) {
            flips.zero(range);
            flips.restore(region);
        }
    });
}
