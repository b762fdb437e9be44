//! File systems without room.

use crate::impatient;
use crate::support::{Random, assert_valid, bytes, get};
use cache_machine_core::{Cache, CacheError, Eviction};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

/// A mounted file system, which is unmounted when it is dropped. Without the right to mount, `new` prints a note and
/// returns `None`.
struct Mount(PathBuf);

impl Mount {
    fn new(kind: &str, size: &str) -> Option<Self> {
        let path = std::env::temp_dir().join(format!("cm-{kind}-{}-{size}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        // The folder is removed on drop even if the mount fails.
        let mount = Self(path);
        let path = mount.0.to_str().unwrap();
        let image = mount.image();
        let mounted = match kind {
            "tmpfs" => succeeds("mount", &["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs", path]),
            _ => {
                succeeds("truncate", &["-s", size, &image])
                    && succeeds("mke2fs", &["-q", "-t", kind, "-m", "0", &image])
                    && succeeds("mount", &["-o", "loop", &image, path])
            }
        };
        if !mounted {
            eprintln!("not run: cannot mount a file system of type {kind}");
        }
        mounted.then_some(mount)
    }

    fn image(&self) -> String {
        format!("{}.image", self.0.to_str().unwrap())
    }
}

fn succeeds(command: &str, args: &[&str]) -> bool {
    std::process::Command::new(command).args(args).output().is_ok_and(|output| output.status.success())
}

impl Drop for Mount {
    fn drop(&mut self) {
        succeeds("umount", &["-l", self.0.to_str().unwrap()]);
        let _ = std::fs::remove_dir(&self.0);
        let _ = std::fs::remove_file(self.image());
    }
}

#[test]
fn a_cache_on_a_tiny_file_system_is_refused_or_evicts_and_raises_no_signal() {
    for (kind, room, size, eviction) in [
        ("tmpfs", "1m", 4 << 20, Eviction::S3Fifo),
        ("tmpfs", "1m", 64 << 20, Eviction::Lru),
        ("tmpfs", "3m", 4 << 20, Eviction::S3Fifo),
        ("tmpfs", "3m", 8 << 20, Eviction::Lru),
        ("tmpfs", "16m", 64 << 20, Eviction::S3Fifo),
        ("tmpfs", "16m", 64 << 20, Eviction::None),
        // A disk.
        ("ext4", "2m", 4 << 20, Eviction::Lru),
        ("ext4", "16m", 64 << 20, Eviction::S3Fifo),
        ("ext4", "16m", 64 << 20, Eviction::None),
    ] {
        let Some(mount) = Mount::new(kind, room) else { continue };
        let left = || {
            std::fs::read_dir(&mount.0)
                .unwrap()
                .filter(|entry| entry.as_ref().unwrap().file_name() != "lost+found")
                .count()
        };
        let what = format!("{size} bytes on {room} of {kind}");
        let mut scene = impatient("full");
        scene.options.directory = Some(mount.0.clone());
        scene.options.size = size;
        scene.options.eviction = eviction;
        let cache = match Cache::open(&scene.options) {
            Ok((cache, _)) => cache,
            Err(error) => {
                assert!(room <= "2m" && matches!(error, CacheError::NoSpace(_)), "{what}: {error}");
                assert_eq!(left(), 0, "a file was left");
                continue;
            }
        };
        let mut random = Random(11);
        let mut refused = 0;
        let limit = cache.geometry().max_entry;
        for i in 0..30_000u64 {
            let key = random.below(30_000);
            let len = if i % 1000 == 0 { limit - 20 } else { random.below(2000) as usize };
            match cache.set(format!("{key}").as_bytes(), &bytes(&vec![key as u8; len])) {
                Ok(Some(_)) => {}
                Ok(None) => refused += 1,
                // One value may be larger than the room of the file system.
                Err(CacheError::NoSpace(_)) if len > 2000 => refused += 1,
                Err(error) => panic!("{what}: {error}"),
            }
            let other = random.below(30_000);
            if let Some(value) = get(&cache, &format!("{other}")) {
                assert!(value.iter().all(|b| *b == other as u8));
            }
        }
        assert!(cache.is_attached());
        let stats = cache.stats();
        assert_eq!(refused > 40, eviction == Eviction::None, "{what}: {refused} refused");
        assert!(stats.reserved_bytes < cache.geometry().len as u64, "{what}: {stats:?}");
        assert_eq!(stats.total.evictions > 0, eviction != Eviction::None);
        assert_valid(&cache);
        // Another file fills the rest to the last page.
        let filler = File::create(mount.0.join("filler")).unwrap();
        let mut at = 0;
        while filler.write_all_at(&[1; 4096], at).is_ok() {
            at += 4096;
        }
        for i in 0..5000u64 {
            let _ = cache.set(format!("{i}").as_bytes(), &bytes(&vec![i as u8; random.below(3000) as usize]));
        }
        assert!(cache.is_attached());
        assert_valid(&cache);
    }
}

#[test]
fn a_resize_without_room_for_both_sizes_changes_nothing_and_one_with_room_succeeds() {
    for (kind, room) in [("tmpfs", "24m"), ("ext4", "32m")] {
        let Some(mount) = Mount::new(kind, room) else { continue };
        let mut scene = impatient("resize-full");
        scene.options.directory = Some(mount.0.clone());
        scene.options.size = 16 << 20;
        let cache = scene.open();
        let value = vec![7; 1000];
        (0..9000).for_each(|i| _ = cache.set(format!("k{i}").as_bytes(), &bytes(&value)).unwrap());
        let entries = cache.len();
        let reserved = cache.stats().reserved_bytes;
        let refused = cache.resize(40 << 20);
        assert!(matches!(refused, Err(CacheError::NoSpace(_))), "{kind}: {refused:?}");
        assert_eq!((cache.geometry().len, cache.len()), (16 << 20, entries), "{kind}");
        // A disk counts blocks of its own for a file.
        assert!(cache.stats().reserved_bytes <= reserved + (1 << 20), "{kind}: what was made is given back");
        assert_eq!(get(&cache, "k8999"), Some(value.clone()), "{kind}");
        assert!(cache.set(b"more", &bytes(&value)).unwrap().is_some());
        assert_valid(&cache);
        // Less is possible, with evictions.
        let resized = cache.resize(4 << 20).unwrap().unwrap();
        assert!(resized.evicted > 0, "{kind}: {resized:?}");
        assert_eq!(cache.geometry().len, 4 << 20);
        assert_valid(&cache);
    }
}
