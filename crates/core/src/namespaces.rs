//! Namespaces: a name, an epoch, and what was read of each. The table only grows; a number once given stays.
//!
//! ```text
//! name      64 bytes: length u8, text; a length of 0 ends the table         truth
//! epoch     u32; `clear` of a namespace is one addition to it               truth
//! reads     hits u64 · misses u64, in a few places by process slot          statistics
//! ```
//!
//! A *life* is the root's epoch and the namespace's in one word: an entry lives while its life is the present one.
//!
//! The thing to get wrong: the order of a name's words. Its first one, with the length, is stored last, so that a death
//! in between leaves a free place.

use crate::cache::Core;
use crate::error::CacheError;
use crate::geometry::{Geometry, MAX_NAMESPACES, NAME_BYTES, NAMES_LOCK, NAMES_USED};
use crate::spaces::{RECORD_LIFE, is_record};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::steps::step;
use cache_machine_shm::{Header, Region};
use std::time::Duration;

/// The number of the root, which has no name.
pub(crate) const ROOT: u16 = 0;
/// Longest name, in bytes.
pub const MAX_NAME: usize = NAME_BYTES - 1;

/// What was read of a namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Read {
    Hit = 0,
    Miss = 8,
}

/// The life of a namespace's entries at this moment.
#[inline]
pub(crate) fn life(region: &Region, root_epoch: u32, namespace: u16) -> u64 {
    if namespace == ROOT {
        return u64::from(root_epoch);
    }
    if is_record(namespace) {
        return RECORD_LIFE;
    }
    // Acquire: pairs with the addition in `clear_namespace`.
    let own = region.u32(Geometry::namespace_epoch(usize::from(namespace))).load(Ordering::Acquire);
    u64::from(root_epoch) | u64::from(own) << 32
}

/// How many numbers are given, the root's included.
pub(crate) fn registered(region: &Region) -> u16 {
    let noted = region.u32(NAMES_USED).load(Ordering::Relaxed) as usize;
    let mut count = noted.clamp(1, MAX_NAMESPACES);
    // A death between a name and this count.
    while count < MAX_NAMESPACES && first_word(region, count).load(Ordering::Acquire) != 0 {
        count += 1;
    }
    count as u16
}

/// The name of a number, empty for the root and for none.
pub(crate) fn name_of(region: &Region, namespace: u16) -> String {
    let words = region.words(Geometry::name(usize::from(namespace)), NAME_BYTES / 8);
    // Acquire: pairs with the Release store in `add_name`.
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.load(Ordering::Acquire).to_le_bytes()).collect();
    let len = usize::from(bytes[0]).min(MAX_NAME);
    String::from_utf8_lossy(&bytes[1..=len]).into_owned()
}

fn first_word(region: &Region, namespace: usize) -> &AtomicU64 {
    region.u64(Geometry::name(namespace))
}

/// Hits or misses of a namespace, over all processes.
pub(crate) fn reads(region: &Region, namespace: u16, read: Read) -> u64 {
    (0..crate::geometry::READ_STRIPES)
        .map(|stripe| region.u64(Geometry::reads(usize::from(namespace), stripe) + read as usize))
        .fold(0, |sum, count| sum.wrapping_add(count.load(Ordering::Relaxed)))
}

impl Core {
    /// Counts reads of a namespace.
    #[inline]
    pub(crate) fn count_reads(&self, namespace: u16, read: Read, count: u64) {
        let at = Geometry::reads(usize::from(namespace), self.segment.member().slot().into());
        self.segment.region().u64(at + read as usize).fetch_add(count, Ordering::Relaxed); // statistics
    }

    /// The number of a name; given now if it has none.
    pub(crate) fn namespace_number(&self, name: &str, timeout: Duration) -> Result<u16, CacheError> {
        if name.is_empty() || name.len() > MAX_NAME {
            let text = format!("a namespace's name has 1 to {MAX_NAME} bytes, not {}", name.len());
            return Err(CacheError::InvalidArgument(text));
        }
        self.check_attached()?;
        let words = words_of(name);
        if let Some(number) = self.find_name(&words) {
            return Ok(number);
        }
        let guard = self.lock_header(NAMES_LOCK, "the table of namespaces", timeout)?;
        // A suspect needs no repair: what its owner had not finished has no length yet.
        let number = match self.find_name(&words) {
            Some(number) => number,
            None => self.add_name(&words)?,
        };
        drop(guard);
        Ok(number)
    }

    fn find_name(&self, words: &[u64; NAME_BYTES / 8]) -> Option<u16> {
        let region = self.segment.region();
        (1..MAX_NAMESPACES)
            .map(|number| region.words(Geometry::name(number), NAME_BYTES / 8))
            // Acquire: pairs with the Release store in `add_name`.
            .take_while(|stored| stored[0].load(Ordering::Acquire) != 0)
            .position(|stored| stored.iter().zip(words).all(|(a, b)| a.load(Ordering::Relaxed) == *b))
            .map(|index| index as u16 + 1)
    }

    fn add_name(&self, words: &[u64; NAME_BYTES / 8]) -> Result<u16, CacheError> {
        let region = self.segment.region();
        // Not what `NAMES_USED` says: a name behind a free place is never found.
        let free = (1..MAX_NAMESPACES).find(|number| first_word(region, *number).load(Ordering::Relaxed) == 0);
        let Some(number) = free else {
            return Err(CacheError::NoSpace(format!("the segment has {MAX_NAMESPACES} namespaces, which is the most")));
        };
        let stored = region.words(Geometry::name(number), NAME_BYTES / 8);
        for (to, from) in stored.iter().zip(words).skip(1) {
            to.store(*from, Ordering::Relaxed); // published by the first word
        }
        step("namespace.text");
        stored[0].store(words[0], Ordering::Release); // Release: pairs with the Acquire in `find_name`
        step("namespace.named");
        region.u32(NAMES_USED).store(number as u32 + 1, Ordering::Relaxed);
        step("namespace.counted");
        Ok(number as u16)
    }

    /// Ends the life of all entries of a namespace, or of the whole segment for the root.
    pub(crate) fn clear_namespace(&self, namespace: u16) -> Result<(), CacheError> {
        self.check_attached()?;
        let region = self.segment.region();
        let epoch = match namespace {
            ROOT => Header::of(region).epoch(),
            _ => region.u32(Geometry::namespace_epoch(usize::from(namespace))),
        };
        // SeqCst: every read that begins after this sees it, and so does every writer that takes a lock after it. Pairs
        // with the Acquire loads in `root_epoch` and `life`.
        epoch.fetch_add(1, Ordering::SeqCst);
        step("clear.published");
        self.ring_for_clear();
        self.check_not_lost()
    }
}

fn words_of(name: &str) -> [u64; NAME_BYTES / 8] {
    let mut bytes = [0; NAME_BYTES];
    bytes[0] = name.len() as u8;
    bytes[1..=name.len()].copy_from_slice(name.as_bytes());
    std::array::from_fn(|i| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().unwrap_or_default()))
}
