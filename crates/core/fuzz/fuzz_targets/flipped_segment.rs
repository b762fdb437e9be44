//! Words of a live segment are overwritten between the operations of an open handle. Each operation ends soon, with a
//! hit, a miss or an error that damage may cause, and a rebuild makes a sound shard of any damage.

#![no_main]

use arbitrary::Arbitrary;
use cache_machine_core::{Cache, CacheError, Eviction, ReadMode, destroy};
use cache_machine_fuzz::{
    OPERATIONS, Patch, Template, bytes, is_expected, list_and_inspect, operate, options, restore,
};
use cache_machine_shm::HEADER_BYTES;
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[derive(Arbitrary, Debug)]
struct Input {
    steps: Vec<(Patch, [(u8, u8); 2])>,
    inspect: bool,
    /// One input in sixteen validates: that costs as much as a hundred operations.
    validate: u8,
}

/// A handle, its file, and the bytes without damage.
struct Segment {
    cache: Cache,
    file: File,
    image: Vec<u8>,
}

impl Segment {
    fn new(template: &Template) -> Self {
        let options = options(Eviction::S3Fifo);
        let _ = destroy(&options.name, options.directory.as_deref(), true);
        let file = template.write();
        let cache = Cache::open(&options).expect("a sound segment").0;
        // The bytes behind this length are not in use.
        let len = cache.geometry().len - cache.geometry().capacity() / 2;
        let mut image = vec![0; len];
        file.read_exact_at(&mut image, 0).expect("its bytes");
        Self { cache, file, image }
    }

    /// Changes a word through the file: a second mapping costs a hundred times as much as an operation.
    fn scribble(&self, patch: &Patch) {
        let read = |at: usize| {
            let mut word = [0; 8];
            self.file.read_exact_at(&mut word, at as u64).expect("a word");
            u64::from_le_bytes(word)
        };
        let (at, new) = patch.apply(self.cache.geometry(), read);
        self.file.write_all_at(&new.to_le_bytes(), at as u64).expect("a word");
    }

    /// Checks that a rebuild makes a sound shard, if its lock can be taken.
    fn rebuild(&self, validate: bool) {
        // The header has the attached processes, and a damaged one may have none.
        self.file.write_all_at(&self.image[..HEADER_BYTES], 0).expect("its bytes");
        match self.cache.rebuild_shard(0) {
            Ok(()) if validate => {
                let problems = self.cache.validate();
                assert!(!problems.as_ref().is_ok_and(|found| !found.is_empty()), "{problems:?}");
            }
            Ok(()) => {}
            Err(error) => assert!(is_expected(&error), "{error}"),
        }
    }

    /// Restores the bytes, and checks that the cache works.
    fn restore(&self) {
        restore(&self.file, &self.image);
        let mut out = Vec::new();
        match self.cache.set(b"afterwards", &bytes(b"1")) {
            // The background thread may hold the lock.
            Err(CacheError::Busy(_)) => {}
            stored => {
                stored.expect("set").expect("stored");
                assert!(self.cache.get(b"afterwards", ReadMode::Use, &mut out).expect("get").is_some());
            }
        }
    }
}

thread_local! {
    static TEMPLATE: Template = Template::new();
    static SEGMENT: RefCell<Option<Segment>> = const { RefCell::new(None) };
}

fuzz_target!(|input: Input| {
    SEGMENT.with_borrow_mut(|segment| {
        if segment.as_ref().is_none_or(|segment| !segment.cache.is_attached()) {
            *segment = None;
            *segment = Some(TEMPLATE.with(Segment::new));
        }
        let Some(segment) = segment else { return };
        for (patch, operations) in &input.steps {
            segment.scribble(patch);
            for (operation, number) in operations {
                operate(&segment.cache, operation % OPERATIONS, *number);
            }
        }
        if input.inspect {
            list_and_inspect(&options(Eviction::S3Fifo));
        }
        if segment.cache.is_attached() {
            segment.rebuild(input.validate % 16 == 1);
            segment.restore();
        }
    });
});
