//! Gives namespaces their numbers, and clears them.
//!
//! Promises: a name keeps its number. A `clear` ends every entry that a write stored and returned before it. The first
//! word of a name, which contains the length, is stored last, so a death before that store leaves a free place.

use crate::attachment::attached::Attachment;
use crate::attachment::locks::HeaderTable;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::geometry::{Geometry, MAX_NAMESPACES, NAME_BYTES, NAMES_USED};
use crate::layout::namespaces::{MAX_NAME, ROOT, first_word};
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::ending;
use cache_machine_shm::steps::step;
use cache_machine_shm::{Header, Region};

impl Attachment {
    /// The number of a name that has one.
    pub(crate) fn existing_namespace(&self, name: &str) -> Result<u16, CacheError> {
        check_name(name)?;
        self.check_attached()?;
        find_name(self.region(), &words_of(name))
            .ok_or_else(|| CacheError::NoSegment(format!("the segment has no namespace {name:?}")))
    }

    /// The number of a name. A new name gets the next number.
    pub(crate) fn namespace_number(&self, name: &str, patience: Patience) -> Result<u16, CacheError> {
        check_name(name)?;
        self.check_attached()?;
        let region = self.region();
        let words = words_of(name);
        if let Some(number) = find_name(region, &words) {
            return Ok(number);
        }
        let guard = self.lock_header(HeaderTable::Namespaces, patience)?;
        // A suspect needs no repair: an unfinished name has no length yet.
        let number = match find_name(region, &words) {
            Some(number) => number,
            None => add_name(region, &words)?,
        };
        drop(guard);
        Ok(number)
    }

    /// Ends the life of all entries of a namespace, or of the whole segment for the root.
    pub(crate) fn clear_namespace(&self, namespace: u16) -> Result<(), CacheError> {
        self.check_attached()?;
        let region = self.region();
        if namespace == ROOT {
            ending::clear(Header::of(region).epoch());
        } else {
            let epoch = region.u32(Geometry::namespace_epoch(usize::from(namespace)));
            // SeqCst: as in `ending::clear`; pairs with the Acquire load in `life`.
            epoch.fetch_add(1, Ordering::SeqCst);
            step("clear.published");
        }
        self.wake_for_clear();
        self.check_not_lost()
    }
}

fn check_name(name: &str) -> Result<(), CacheError> {
    if name.is_empty() || name.len() > MAX_NAME {
        let text = format!("a namespace's name has 1 to {MAX_NAME} bytes, not {}", name.len());
        return Err(CacheError::InvalidArgument(text));
    }
    Ok(())
}

/// The number of a name, if it has one.
fn find_name(region: &Region, words: &[u64; NAME_BYTES / 8]) -> Option<u16> {
    (1..MAX_NAMESPACES)
        .map(|number| region.words(Geometry::name(number), NAME_BYTES / 8))
        // Acquire: pairs with the Release store in `add_name`.
        .take_while(|stored| stored[0].load(Ordering::Acquire) != 0)
        .position(|stored| stored.iter().zip(words).all(|(a, b)| a.load(Ordering::Relaxed) == *b))
        .map(|index| index as u16 + 1)
}

/// Gives a name the next number. The caller holds the lock.
fn add_name(region: &Region, words: &[u64; NAME_BYTES / 8]) -> Result<u16, CacheError> {
    // The names are searched: `NAMES_USED` may be wrong, and a name behind a free place is never found.
    let free = (1..MAX_NAMESPACES).find(|number| first_word(region, *number).load(Ordering::Relaxed) == 0);
    let Some(number) = free else {
        return Err(CacheError::NoSpace(format!("the segment has {MAX_NAMESPACES} namespaces, which is the most")));
    };
    let stored = region.words(Geometry::name(number), NAME_BYTES / 8);
    let rest = stored.iter().zip(words).skip(1);
    rest.for_each(|(to, from)| to.store(*from, Ordering::Relaxed)); // published by the first word
    step("namespace.text");
    stored[0].store(words[0], Ordering::Release); // Release: pairs with the Acquire in `find_name`
    step("namespace.named");
    region.u32(NAMES_USED).store(number as u32 + 1, Ordering::Relaxed);
    step("namespace.counted");
    Ok(number as u16)
}

fn words_of(name: &str) -> [u64; NAME_BYTES / 8] {
    let mut bytes = [0; NAME_BYTES];
    bytes[0] = name.len() as u8;
    bytes[1..=name.len()].copy_from_slice(name.as_bytes());
    std::array::from_fn(|i| u64::from_le_bytes(bytes[i * 8..i * 8 + 8].try_into().unwrap_or_default()))
}
