//! A file under a segment's name whose bytes are anything, or a sound image with some words changed: it is refused by an error
//! that says so, or opened, and then used like any other.

#![no_main]

use arbitrary::Arbitrary;
use cache_machine_core::{Cache, CacheError, Eviction, destroy};
use cache_machine_fuzz::{OPERATIONS, Patch, Template, look_from_outside, operate, options};
use libfuzzer_sys::fuzz_target;
use std::fs::File;
use std::os::unix::fs::FileExt;

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

/// Puts a file of these bytes where the segment belongs.
fn write(template: &Template, image: &Image<'_>) {
    match image {
        Image::Anything { pages, rest, bytes } => {
            fill(&template.file(), u64::from(pages % 600) * 4096 + u64::from(*rest), bytes);
        }
        Image::Header { pages, bytes } => {
            let file = template.file();
            fill(&file, u64::from(pages % 600) * 4096, bytes);
            let _ = file.write_all_at(&template.bytes[..256], 0);
        }
        Image::Changed(patches) => {
            let file = template.write();
            for patch in patches {
                let read = |at: usize| {
                    let mut word = [0; 8];
                    file.read_exact_at(&mut word, at as u64).expect("a word");
                    u64::from_le_bytes(word)
                };
                let (at, new) = patch.apply(&template.geometry, read);
                file.write_all_at(&new.to_le_bytes(), at as u64).expect("a word");
            }
        }
    }
}

/// The bytes again and again, as far as a few pages go; holes behind them.
fn fill(file: &File, len: u64, bytes: &[u8]) {
    file.set_len(0).and_then(|()| file.set_len(len)).expect("a length");
    let most = len.min(32768) as usize;
    let some = bytes.repeat(most.div_ceil(bytes.len().max(1)));
    file.write_all_at(&some[..most.min(some.len())], 0).expect("room");
}

thread_local! {
    static TEMPLATE: Template = Template::new();
}

fuzz_target!(|input: Input<'_>| {
    TEMPLATE.with(|template| write(template, &input.image));
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
