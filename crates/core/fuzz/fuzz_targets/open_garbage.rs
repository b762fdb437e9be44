//! A file under a segment's name whose bytes are anything, or a sound image with some words changed: it is refused by an error
//! that says so, or opened, and then used like any other.

#![no_main]

use arbitrary::Arbitrary;
use cache_machine_core::{Cache, CacheError, Eviction, Geometry, destroy};
use cache_machine_fuzz::{OPERATIONS, Patch, furnish, look_from_outside, operate, options};
use libfuzzer_sys::fuzz_target;
use std::cell::RefCell;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    image: Image<'a>,
    operations: Vec<(u8, u8)>,
}

#[derive(Arbitrary, Debug)]
enum Image<'a> {
    /// The start of a file of so many pages, and the last one in part.
    Anything { pages: u16, rest: u8, bytes: &'a [u8] },
    /// A sound header with noise behind it.
    Header { pages: u16, bytes: &'a [u8] },
    /// Of a sound image these words are changed.
    Changed(Vec<Patch>),
}

/// A sound image of a segment that nobody holds, and where its file belongs.
struct Template {
    path: PathBuf,
    bytes: Vec<u8>,
    geometry: Geometry,
}

impl Template {
    fn new() -> Self {
        let options = options(Eviction::S3Fifo);
        let cache = Cache::open(&options).expect("a new segment").0;
        furnish(&cache);
        let (path, geometry) = (cache.path().to_owned(), cache.geometry().clone());
        drop(cache);
        let bytes = std::fs::read(&path).expect("its bytes");
        Self { path, bytes, geometry }
    }

    fn write(&self, image: &Image<'_>) {
        let mode = |options: &mut OpenOptions| options.read(true).write(true).create(true).mode(0o600).open(&self.path);
        let file = mode(&mut OpenOptions::new()).expect("our own file");
        match image {
            Image::Anything { pages, rest, bytes } => {
                fill(&file, u64::from(pages % 600) * 4096 + u64::from(*rest), bytes);
            }
            Image::Header { pages, bytes } => {
                fill(&file, u64::from(pages % 600) * 4096, bytes);
                let _ = file.write_all_at(&self.bytes[..256], 0);
            }
            Image::Changed(patches) => {
                file.set_len(self.bytes.len() as u64).expect("a length");
                file.write_all_at(&self.bytes, 0).expect("room");
                for patch in patches {
                    let read = |at: usize| {
                        let mut word = [0; 8];
                        file.read_exact_at(&mut word, at as u64).expect("a word");
                        u64::from_le_bytes(word)
                    };
                    let (at, new) = patch.apply(&self.geometry, read);
                    file.write_all_at(&new.to_le_bytes(), at as u64).expect("a word");
                }
            }
        }
    }
}

/// The bytes again and again, as far as a few pages go; holes behind them.
fn fill(file: &File, len: u64, bytes: &[u8]) {
    file.set_len(0).and_then(|()| file.set_len(len)).expect("a length");
    let some: Vec<u8> =
        bytes.iter().copied().cycle().take(if bytes.is_empty() { 0 } else { len.min(32768) as usize }).collect();
    file.write_all_at(&some, 0).expect("room");
}

thread_local! {
    static TEMPLATE: RefCell<Option<Template>> = const { RefCell::new(None) };
}

fuzz_target!(|input: Input<'_>| {
    TEMPLATE.with_borrow_mut(|template| {
        template.get_or_insert_with(Template::new).write(&input.image);
    });
    let options = options(Eviction::S3Fifo);
    look_from_outside(&options);
    match Cache::open(&options) {
        Ok((cache, _)) => {
            for (operation, number) in &input.operations {
                operate(&cache, operation % OPERATIONS, *number);
            }
        }
        Err(CacheError::Corrupt(_) | CacheError::Version { .. } | CacheError::NoSpace(_)) => {}
        Err(error) => panic!("{error}"),
    }
    let destroyed = destroy(&options.name, options.directory.as_deref(), true);
    assert!(
        matches!(destroyed, Ok(_) | Err(CacheError::Corrupt(_) | CacheError::Version { .. } | CacheError::Busy(_))),
        "{destroyed:?}"
    );
    look_from_outside(&options);
});
