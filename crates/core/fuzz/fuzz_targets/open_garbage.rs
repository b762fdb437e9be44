//! A file under a segment's name has random bytes, or a sound image with some words changed. An open refuses it with a
//! fitting error, or opens it, and then it is used like any other segment.

#![no_main]

use arbitrary::Arbitrary;
use cache_machine_core::{Cache, CacheError, Eviction, destroy};
use cache_machine_fuzz::{OPERATIONS, Patch, Template, list_and_inspect, operate, options};
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
    /// The number of whole pages, the bytes of the last page, and the start of the file.
    Anything { pages: u16, rest: u8, bytes: &'a [u8] },
    /// A sound header, followed by noise.
    Header { pages: u16, bytes: &'a [u8] },
    /// A sound image with changes of these words.
    Changed(Vec<Patch>),
}

/// Writes these bytes to the file of the segment.
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

/// Repeats the bytes over the first pages. The rest of the file is a hole.
fn fill(file: &File, len: u64, bytes: &[u8]) {
    file.set_len(0).and_then(|()| file.set_len(len)).expect("a length");
    let max = len.min(32768) as usize;
    let some = bytes.repeat(max.div_ceil(bytes.len().max(1)));
    file.write_all_at(&some[..max.min(some.len())], 0).expect("room");
}

thread_local! {
    static TEMPLATE: Template = Template::new();
}

fuzz_target!(|input: Input<'_>| {
    TEMPLATE.with(|template| write(template, &input.image));
    let options = options(Eviction::S3Fifo);
    list_and_inspect(&options);
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
    list_and_inspect(&options);
});
