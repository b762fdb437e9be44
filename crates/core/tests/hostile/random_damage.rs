//! Random words that are overwritten, in live segments and in images.

use crate::support::damage::{LOCK, SUSPECT, content, file, mapped, reopen_suspect};
use crate::support::listeners::Deaf;
use crate::support::{PLAIN, Random, assert_valid, bytes, get, number_from_env, put};
use crate::{TABLE_WORDS, TABLES, UNIT, impatient, panics, use_tables};
use cache_machine_core::{Cache, CacheError, Eviction, Invalidation, ReadMode, Write, inspect, list};
use cache_machine_shm::atomic::{AtomicBool, AtomicU64, Ordering};
use cache_machine_shm::{HEADER_BYTES, Region};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

/// Overwrites a random word as a bug or an attacker would: with noise, one flipped bit, a small number or another word.
fn scribble(region: &Region, from: usize, to: usize, random: &mut Random) {
    let words = ((to - from) / 8) as u64;
    let at = from + random.below(words) as usize * 8;
    let word = region.u64(at);
    let value = match random.below(8) {
        0 => random.next(),
        1 | 2 => word.load(Ordering::Relaxed) ^ 1 << random.below(64),
        3 => random.below(70_000),
        4 => random.below(70_000) << 32 | random.below(70_000),
        5 => region.u64(from + random.below(words) as usize * 8).load(Ordering::Relaxed),
        6 => word.load(Ordering::Relaxed).wrapping_add(random.below(5)).wrapping_sub(2),
        _ => [0, u64::MAX, 1 << 63, u64::from(u32::MAX)][random.below(4) as usize],
    };
    word.store(value, Ordering::Relaxed);
}

/// Overwrites `WORDS` words (default 5,000,000) of live segments while three threads use them.
#[test]
fn random_words_cost_data_but_no_crash_and_no_hang() {
    let words: u64 = number_from_env("WORDS").unwrap_or(5_000_000);
    let seed: u64 = number_from_env("SEED").unwrap_or(20_261_124);
    println!("{words} words, seed {seed}");
    let panics = panics();
    let before = panics.lock().unwrap().len();
    let longest = AtomicU64::new(0);
    let answers = AtomicU64::new(0);
    let errors = AtomicU64::new(0);
    let start = Instant::now();
    let rounds = 24;
    for round in 0..rounds {
        let mut scene = impatient("scribble");
        scene.options.size = 2 << 20;
        scene.options.manual_clock = false;
        scene.options.write_timeout = Duration::from_millis(5);
        scene.options.eviction = if round % 2 == 0 { Eviction::S3Fifo } else { Eviction::Lru };
        let cache = scene.open();
        let mut header = [0; HEADER_BYTES];
        file(&cache).read_exact_at(&mut header, 0).unwrap();
        let len = cache.geometry().len;
        let space = len - cache.geometry().capacity() - UNIT;
        // Everything but the first lines of the header, which only decide whether the segment can be attached; or only
        // some of the structures, so that more of the words matter.
        let range =
            [192..len, LOCK..len, LOCK..space, LOCK..LOCK + 320, TABLES, TABLE_WORDS][round as usize / 2 % 6].clone();
        let own = cache.in_namespace("own").unwrap();
        let listener = cache.add_listener(Box::new(Deaf));
        cache.want_removals(listener, round % 3 == 0);
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for worker in 0..3u64 {
                let (root, own, done, longest, answers, errors) = (&cache, &own, &done, &longest, &answers, &errors);
                scope.spawn(move || {
                    let mut random = Random(seed + round * 10 + worker);
                    let limit = root.geometry().max_entry as u64;
                    while !done.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        let cache = if random.below(3) == 0 { own } else { root };
                        let key = random.below(3000);
                        let key = format!("{key}-{}", "k".repeat((key % 70) as usize));
                        let key = key.as_bytes();
                        let len = if random.below(200) == 0 { random.below(limit - 100) } else { random.below(900) };
                        let ttl_ms = random.below(2) * random.below(50);
                        let value = vec![1; len as usize];
                        let tags = [random.below(20) + 1, random.below(5000) << 32 | 1];
                        let tags = &tags[..random.below(3) as usize];
                        let stale_ms = random.below(2) * random.below(50);
                        let write = Write { ttl_ms, stale_ms, tags, keep_tags: stale_ms == 7, ..bytes(&value) };
                        let mut out = Vec::new();
                        let result = match random.below(20) {
                            16 => cache.invalidate_tags(tags, Invalidation::Remove),
                            17 => cache.get(key, ReadMode::UseStale, &mut out).map(|_| ()),
                            18 => cache.keys(random.below(3000), &key[..1], 50).map(|_| ()),
                            19 if random.below(100) == 0 => cache.delete_prefix(&key[..1]).map(|_| ()),
                            19 if random.below(50) == 0 => match cache.in_namespace(&format!("{stale_ms}")) {
                                Ok(other) => other.set(b"k", &write).map(|_| ()),
                                Err(error) => Err(error),
                            },
                            0..=4 => cache.set(key, &write).map(|_| ()),
                            5 => cache.delete(key, 0).map(|_| ()),
                            6 => cache.touch(key, ttl_ms).map(|_| ()),
                            7 => cache.incr(key, 1.0, &PLAIN).map(|_| ()),
                            8 => cache.take(key, &mut out).map(|_| ()),
                            9 if random.below(50) == 0 => cache.clear(),
                            10 if random.below(50) == 0 => cache.validate().map(|_| ()),
                            11 if random.below(20) == 0 => {
                                let _ = (cache.stats(), cache.len(), cache.tallies(), cache.namespace_names());
                                let _ = inspect(&scene_name(cache), None);
                                Ok(())
                            }
                            _ => cache.get(key, ReadMode::Use, &mut out).map(|_| ()),
                        };
                        answers.fetch_add(1, Ordering::Relaxed);
                        match result {
                            Ok(()) | Err(CacheError::NotANumber | CacheError::Overflow) => {}
                            Err(CacheError::Corrupt(_) | CacheError::Busy(_) | CacheError::NoSpace(_)) => {
                                errors.fetch_add(1, Ordering::Relaxed);
                            }
                            Err(error) => panic!("{error}"),
                        }
                        longest.fetch_max(begun.elapsed().as_micros() as u64, Ordering::Relaxed);
                    }
                });
            }
            let (cache, done, answers) = (&cache, &done, &answers);
            scope.spawn(move || {
                mapped(cache, |region| {
                    let mut random = Random(seed ^ (round + 1) << 20);
                    for i in 0..words / rounds {
                        scribble(region, range.start, range.end, &mut random);
                        if i % 10_000 == 0 {
                            // As after the death of the process that a damaged lock word names.
                            region.u32(LOCK).store(SUSPECT, Ordering::Relaxed);
                        }
                        if i % 512 == 0 {
                            let (before, since) = (answers.load(Ordering::Relaxed), Instant::now());
                            while answers.load(Ordering::Relaxed) < before + 100 && since.elapsed().as_millis() < 1 {
                                std::thread::yield_now();
                            }
                        }
                    }
                });
                done.store(true, Ordering::Relaxed);
            });
        });
        drop(own);
        // A damaged header would be refused by `open`; this test is about the rest.
        file(&cache).write_all_at(&header, 0).unwrap();
        // A rebuild makes a valid shard of any damage, and the cache works again.
        let cache = reopen_suspect(&scene, cache);
        put(&cache, "afterwards", b"1");
        assert_valid(&cache);
        assert_eq!(get(&cache, "afterwards").as_deref(), Some(&b"1"[..]));
        assert!(cache.is_attached());
    }
    println!(
        "{} answers, {} of them errors; the longest took {} ms; {:?} in all",
        answers.load(Ordering::Relaxed),
        errors.load(Ordering::Relaxed),
        longest.load(Ordering::Relaxed) / 1000,
        start.elapsed()
    );
    // Copied first: a panic with the list locked would wait in the hook for ever.
    let panicked = panics.lock().unwrap()[before..].to_vec();
    assert_eq!(panicked, Vec::<String>::new());
    assert!(longest.load(Ordering::Relaxed) < 5_000_000, "an answer took too long");
}

fn scene_name(cache: &Cache) -> String {
    cache.path().file_name().unwrap().to_str().unwrap().splitn(4, '.').last().unwrap().to_owned()
}

/// Damages images of a segment at rest. Each is opened by a fresh handle, read, written and rebuilt. `IMAGES`: their
/// number.
#[test]
fn damaged_images_are_opened_read_written_and_repaired() {
    let images: u64 = number_from_env("IMAGES").unwrap_or(400);
    let panics = panics();
    let before = panics.lock().unwrap().len();
    let mut random = Random(77);
    let mut scene = impatient("image");
    scene.options.size = 2 << 20;
    let template = {
        let cache = scene.open();
        for i in 0..2500u64 {
            put(&cache, &format!("{i}"), &vec![i as u8; random.below(600) as usize]);
        }
        for name in ["first", "second"] {
            let own = cache.in_namespace(name).unwrap();
            for i in 0..200u64 {
                let tags = [own.tag("red"), own.tag("blue")];
                let value = [i as u8; 100];
                let write = Write { tags: &tags, ttl_ms: 1000, stale_ms: 10 * (i % 2), ..bytes(&value) };
                own.set(format!("{i}").as_bytes(), &write).unwrap();
                own.invalidate_tags(&[own.tag(&format!("tag {i}"))], Invalidation::Remove).unwrap();
            }
        }
        content(&cache)
    };
    let mut opened = 0;
    for image in 0..images {
        let mut refused = false;
        {
            let file = file(&scene.open());
            file.write_all_at(&template, 0).unwrap();
            let first = if image % 4 == 0 { 0 } else { 192 };
            for _ in 0..1 << random.below(12) {
                let at = first + random.below((template.len() as u64 - first) / 8) * 8;
                let bit = random.below(64);
                let mut word = [0; 8];
                file.read_exact_at(&mut word, at).unwrap();
                let noise = if random.below(2) == 0 { 1 << bit } else { random.next() >> bit };
                file.write_all_at(&(u64::from_le_bytes(word) ^ noise).to_le_bytes(), at).unwrap();
            }
        }
        let _ = (list(None), inspect(&scene.options.name, None));
        match Cache::open(&scene.options) {
            Ok((cache, _)) => {
                opened += 1;
                let _ = cache.validate();
                for i in 0..2500u64 {
                    let _ = cache.get(format!("{i}").as_bytes(), ReadMode::Use, &mut Vec::new()).unwrap();
                }
                for i in 0..200 {
                    let _ = cache.set(format!("{i}").as_bytes(), &bytes(&[1; 100]));
                }
                for own in ["first", "second"].into_iter().filter_map(|name| cache.in_namespace(name).ok()) {
                    for i in 0..200 {
                        let _ = own.get(format!("{i}").as_bytes(), ReadMode::UseStale, &mut Vec::new()).unwrap();
                    }
                }
                use_tables(&cache, image);
                if cache.is_attached() {
                    let cache = reopen_suspect(&scene, cache);
                    let written = cache.set(b"k", &bytes(b"v"));
                    if matches!(written, Ok(Some(_))) {
                        assert_valid(&cache);
                        assert_eq!(get(&cache, "k").as_deref(), Some(&b"v"[..]));
                    }
                }
            }
            Err(CacheError::Corrupt(_) | CacheError::Version { .. }) => refused = true,
            Err(error) => panic!("image {image}: {error}"),
        }
        if refused {
            cache_machine_core::destroy(&scene.options.name, None, true).unwrap();
        }
    }
    println!("{opened} of {images} images opened");
    assert!(opened > images / 2);
    let panicked = panics.lock().unwrap()[before..].to_vec();
    assert_eq!(panicked, Vec::<String>::new());
}
