//! The allocator of one shard against a list of lengths: units are allocated and freed, in any number of pieces.
//!
//! Entries that stay take all but a few hundred units, so an input soon meets a space that is full or in pieces.
//! Nothing is evicted, so no entry may be missing. When all entries of an input are deleted, every unit is free again.

#![no_main]

use arbitrary::Arbitrary;
use cache_machine_core::{Cache, CacheError, Eviction, OpenOptions, ReadMode, destroy};
use cache_machine_fuzz::{bytes, options};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

const UNIT: u64 = 64;
/// Units for the entries of an input.
const ROOM: u64 = 400;
/// Units that stay free: for the new head of a touched entry, and for the record of a limiter.
const KEPT_BACK: u64 = 1 + 8;

#[derive(Arbitrary, Debug)]
struct Input {
    /// One input in sixteen validates: see `cache_vs_model`.
    validate: u8,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
enum Operation {
    Set {
        key: u8,
        len: u16,
    },
    /// Sets many small entries.
    Fill {
        from: u8,
        count: u8,
        len: u8,
    },
    /// Makes holes.
    DeleteEach {
        from: u8,
        count: u8,
        step: u8,
    },
    Delete {
        key: u8,
    },
    Touch {
        key: u8,
    },
    Read {
        key: u8,
    },
    TakeAndFree {
        units: u8,
    },
    Rebuild,
    Validate,
}

struct Shard {
    cache: Cache,
    /// Units of the entries that stay.
    ballast: u64,
    capacity: u64,
}

impl Shard {
    fn new() -> Self {
        let options = OpenOptions { write_timeout: Duration::from_secs(20), ..options(Eviction::None) };
        destroy(&options.name, options.directory.as_deref(), true).expect("no other process has it open");
        let cache = Cache::open(&options).expect("a new segment").0;
        let capacity = cache.stats().capacity_bytes / UNIT;
        let used = |cache: &Cache| cache.stats().used_bytes / UNIT;
        let mut count = 0;
        while used(&cache) + ROOM < capacity {
            let units = (capacity - used(&cache) - ROOM).clamp(2, 500);
            let value = vec![0xBA; (units as usize - 1) * UNIT as usize - 16];
            cache.set(format!("ballast {count}").as_bytes(), &bytes(&value)).expect("set").expect("room");
            count += 1;
        }
        Self { ballast: used(&cache), capacity, cache }
    }

    fn used(&self) -> u64 {
        self.cache.stats().used_bytes / UNIT
    }

    fn is_sound(&self) {
        assert_eq!(self.cache.validate().expect("validate"), Vec::<String>::new());
    }
}

/// Each word has the key, the length and its position, so pieces in the wrong order differ.
fn value_of(key: u8, len: usize) -> Vec<u8> {
    let words = (0..len.div_ceil(8) as u32)
        .flat_map(|i| (u64::from(i) << 32 | (len as u64) << 8 | u64::from(key)).to_le_bytes());
    words.take(len).collect()
}

fn name_of(key: u8) -> [u8; 2] {
    [b'p', key]
}

/// Units of head and body. A body in pieces needs extents as well.
fn units_of(len: usize) -> u64 {
    1 + (8 + len as u64).div_ceil(UNIT)
}

struct Run<'a> {
    shard: &'a Shard,
    lengths: BTreeMap<u8, usize>,
}

impl Run<'_> {
    fn step(&mut self, operation: &Operation) {
        match *operation {
            Operation::Set { key, len } => self.set(key, usize::from(len) % 30_000),
            Operation::Fill { from, count, len } => {
                (0..count).for_each(|i| self.set(from.wrapping_add(i), usize::from(len)));
            }
            Operation::DeleteEach { from, count, step } => {
                (0..count).step_by(usize::from(step % 8) + 1).for_each(|i| self.delete(from.wrapping_add(i)));
            }
            Operation::Delete { key } => self.delete(key),
            Operation::Touch { key } => match self.shard.cache.touch(&name_of(key), 0) {
                Ok(touched) => assert_eq!(touched, self.lengths.contains_key(&key)),
                Err(error) => assert!(matches!(error, CacheError::NoSpace(_)) && self.free() == 0, "{error}"),
            },
            Operation::Read { key } => self.read(key),
            Operation::TakeAndFree { units } => self.take_and_free(usize::from(units)),
            Operation::Rebuild => self.shard.cache.rebuild_shard(0).expect("rebuild"),
            Operation::Validate => self.shard.is_sound(),
        }
        self.count();
    }

    fn free(&self) -> u64 {
        self.shard.capacity - self.shard.used()
    }

    fn set(&mut self, key: u8, len: usize) {
        let body = units_of(len) - 1;
        // In the worst case each unit of the body is a piece of its own. Some units are kept back.
        let room = self.free() >= 1 + body + body.div_ceil(7) + KEPT_BACK;
        let stored = self.shard.cache.set(&name_of(key), &bytes(&value_of(key, len))).expect("set").is_some();
        assert_eq!(stored, room, "{body} units of body where {} are free", self.free());
        if stored {
            self.lengths.insert(key, len);
        }
    }

    fn delete(&mut self, key: u8) {
        let there = self.lengths.remove(&key).is_some();
        assert_eq!(self.shard.cache.delete(&name_of(key), 0).expect("delete"), there);
    }

    fn read(&self, key: u8) {
        let mut out = Vec::new();
        let found = self.shard.cache.get(&name_of(key), ReadMode::Use, &mut out).expect("get");
        assert_eq!(found.map(|meta| meta.len), self.lengths.get(&key).copied());
        assert!(out == self.lengths.get(&key).map_or(Vec::new(), |len| value_of(key, *len)), "another value");
    }

    fn take_and_free(&self, body: usize) {
        if self.free() > 2 + body as u64 + (body as u64).div_ceil(7) {
            let before = self.shard.used();
            self.shard.cache.allocate_and_free(0, body.max(1), 3).expect("room");
            assert_eq!(self.shard.used(), before);
        }
    }

    /// Checks that the units in use are those that the entries need.
    fn count(&self) {
        let min: u64 = self.lengths.values().map(|len| units_of(*len)).sum();
        let max: u64 = self.lengths.values().map(|len| units_of(*len) + (units_of(*len) - 1).div_ceil(7)).sum();
        let used = self.shard.used() - self.shard.ballast;
        assert!((min..=max).contains(&used), "{used} units, {min} to {max} are needed");
    }

    fn end(mut self, validate: bool) {
        for key in self.lengths.keys().copied().collect::<Vec<_>>() {
            self.read(key);
        }
        if validate {
            self.shard.is_sound();
        }
        for key in self.lengths.keys().copied().collect::<Vec<_>>() {
            self.delete(key);
        }
        assert_eq!(self.shard.used(), self.shard.ballast, "units that no entry has");
    }
}

thread_local! {
    static SHARD: RefCell<Option<Shard>> = const { RefCell::new(None) };
}

fuzz_target!(|input: Input| {
    SHARD.with_borrow_mut(|shard| {
        let mut run = Run { shard: shard.get_or_insert_with(Shard::new), lengths: BTreeMap::new() };
        for operation in &input.operations {
            run.step(operation);
        }
        run.end(input.validate % 16 == 1);
    });
});
