//! A collection as one value: a header of 16 bytes, then its elements one behind the other.
//!
//! ```text
//!  0  format u8 (1) · 3 bytes of zeros · number of elements u32
//!  8  earliest deadline of an element u64, milliseconds since boot; 0: none has one
//! 16  the elements: of hashes and sets in the order of their keys (kind, then bytes), of sorted sets in that of
//!     (score, key), of lists in their own
//! ```
//!
//! Promise: an edit allocates nothing while the capacity of the buffer suffices, so it may run under a shard's lock.
//! Bytes that are no collection count as an empty one.

use crate::collections::element::{Element, Item};
use std::cmp::Ordering;
use std::ops::Range;

pub(crate) const HEADER: usize = 16;
const FORMAT: u8 = 1;
const COUNT_AT: usize = 4;
const EARLIEST_AT: usize = 8;

/// The elements of a collection, in a buffer.
#[derive(Debug)]
pub(crate) struct Packed<'b> {
    bytes: &'b mut Vec<u8>,
}

/// An element, and where it lies.
#[derive(Clone, Debug)]
pub(crate) struct Place<'a> {
    pub(crate) at: Range<usize>,
    pub(crate) element: Element<'a>,
}

/// Walks the elements from a position on.
pub(crate) struct Places<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Places<'a> {
    type Item = Place<'a>;

    fn next(&mut self) -> Option<Place<'a>> {
        let mut rest = self.bytes.get(self.at..)?;
        let before = rest.len();
        let element = Element::take(&mut rest)?;
        let start = self.at;
        self.at += before - rest.len();
        Some(Place { at: start..self.at, element })
    }
}

/// The order of keys: by kind, then by bytes.
pub(crate) fn compare(a: Item<'_>, b: Item<'_>) -> Ordering {
    a.kind.cmp(&b.kind).then_with(|| a.bytes.cmp(b.bytes))
}

pub(crate) fn score_of(element: &Element<'_>) -> f64 {
    element.score.unwrap_or(0.0)
}

/// The order of members with scores. -0 equals 0, and there is no NaN.
pub(crate) fn compare_scored(a: &Element<'_>, b: &Element<'_>) -> Ordering {
    let by_score = score_of(a).partial_cmp(&score_of(b)).unwrap_or(Ordering::Equal);
    by_score.then_with(|| compare(a.key, b.key))
}

/// The elements of `bytes`; none if they are no collection.
pub(crate) fn places(bytes: &[u8]) -> Places<'_> {
    Places { bytes, at: HEADER }
}

/// The number of elements that the header tells.
pub(crate) fn count_in(bytes: &[u8]) -> usize {
    bytes.get(COUNT_AT..EARLIEST_AT).and_then(|word| word.try_into().ok()).map_or(0, u32::from_le_bytes) as usize
}

fn earliest_in(bytes: &[u8]) -> u64 {
    bytes.get(EARLIEST_AT..HEADER).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

/// Whether `bytes` are a collection: a header, and exactly as many elements as it tells.
pub(crate) fn is_sound(bytes: &[u8]) -> bool {
    if bytes.len() < HEADER || bytes[..COUNT_AT] != [FORMAT, 0, 0, 0] {
        return false;
    }
    let mut all = places(bytes);
    let count = all.by_ref().count();
    all.at == bytes.len() && count == count_in(bytes)
}

/// Moves the deadlines of all elements by `by` milliseconds, to at least 1. A snapshot counts time from another zero.
pub(crate) fn shift_deadlines(bytes: &mut [u8], by: i64) {
    if earliest_in(bytes) == 0 || !is_sound(bytes) {
        return;
    }
    let shifted = |deadline: u64| deadline.saturating_add_signed(by).clamp(1, (1 << 48) - 1);
    let mut at = HEADER;
    while let Some((deadline, place, end)) = places_from(bytes, at) {
        if deadline != 0 {
            bytes[place..place + 6].copy_from_slice(&shifted(deadline).to_le_bytes()[..6]);
        }
        at = end;
    }
    let earliest = shifted(earliest_in(bytes));
    bytes[EARLIEST_AT..HEADER].copy_from_slice(&earliest.to_le_bytes());
}

fn places_from(bytes: &[u8], at: usize) -> Option<(u64, usize, usize)> {
    let Place { at, element } = Places { bytes, at }.next()?;
    let place = if element.deadline == 0 { 0 } else { at.start + element.deadline_at() };
    Some((element.deadline, place, at.end))
}

impl<'b> Packed<'b> {
    /// The collection in `bytes`. Bytes that are none become an empty one.
    pub(crate) fn of(bytes: &'b mut Vec<u8>) -> Self {
        if !is_sound(bytes) {
            bytes.clear();
            bytes.extend_from_slice(&[FORMAT, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        }
        Self { bytes }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.bytes
    }

    pub(crate) fn count(&self) -> usize {
        count_in(self.bytes)
    }

    pub(crate) fn places(&self) -> Places<'_> {
        places(self.bytes)
    }

    /// The end of the last element.
    pub(crate) fn end(&self) -> usize {
        self.bytes.len()
    }

    /// The element of this key, where keys are in order, or else where it would be.
    pub(crate) fn find(&self, key: Item<'_>) -> Result<Place<'_>, usize> {
        for place in self.places() {
            match compare(place.element.key, key) {
                Ordering::Less => {}
                Ordering::Equal => return Ok(place),
                Ordering::Greater => return Err(place.at.start),
            }
        }
        Err(self.end())
    }

    /// Where the `index`th element begins; the end if there are not so many.
    pub(crate) fn offset_of(&self, index: usize) -> usize {
        self.places().nth(index).map_or(self.end(), |place| place.at.start)
    }

    /// Puts an element at a place between two others.
    pub(crate) fn insert(&mut self, at: usize, element: &Element<'_>) {
        self.splice(at..at, element);
        self.put_count(self.count() + 1);
    }

    /// Puts an element in the place of another one.
    pub(crate) fn replace(&mut self, place: Range<usize>, element: &Element<'_>) {
        self.splice(place, element);
    }

    /// Removes `count` elements, which lie in `range`.
    pub(crate) fn remove(&mut self, range: Range<usize>, count: usize) {
        let end = self.bytes.len();
        self.bytes.copy_within(range.end..end, range.start);
        self.bytes.truncate(end - range.len());
        self.put_count(self.count().saturating_sub(count));
    }

    /// Removes the elements for which `is_wanted` holds. Returns their number.
    pub(crate) fn remove_where(&mut self, mut is_wanted: impl FnMut(&Element<'_>) -> bool) -> usize {
        let (mut read, mut write, mut removed) = (HEADER, HEADER, 0);
        while let Some(Place { at, element }) = (Places { bytes: self.bytes, at: read }).next() {
            read = at.end;
            if is_wanted(&element) {
                removed += 1;
                continue;
            }
            let len = at.len();
            if at.start != write {
                self.bytes.copy_within(at, write);
            }
            write += len;
        }
        self.bytes.truncate(write);
        self.put_count(self.count().saturating_sub(removed));
        removed
    }

    /// Removes the elements that have expired. True: there were some.
    pub(crate) fn expire(&mut self, now: u64) -> bool {
        let earliest = earliest_in(self.bytes);
        if earliest == 0 || now < earliest {
            return false;
        }
        let mut next = 0;
        let removed = self.remove_where(|element| {
            let is_over = element.is_over(now);
            if !is_over && element.deadline != 0 && (next == 0 || element.deadline < next) {
                next = element.deadline;
            }
            is_over
        });
        self.put_earliest(next);
        removed != 0
    }

    /// Replaces bytes by an element, without a change of the count.
    fn splice(&mut self, place: Range<usize>, element: &Element<'_>) {
        let (old_end, len) = (self.bytes.len(), element.len());
        // Written behind all others, and turned into its place: an element has no other way into a vector without a
        // second buffer.
        element.put(self.bytes);
        self.bytes[place.start..].rotate_right(len);
        let replaced = place.start + len..place.end + len;
        self.bytes.copy_within(replaced.end..old_end + len, replaced.start);
        self.bytes.truncate(old_end + len - replaced.len());
        let earliest = earliest_in(self.bytes);
        if element.deadline != 0 && (earliest == 0 || element.deadline < earliest) {
            self.put_earliest(element.deadline);
        }
    }

    /// Makes `new` the bytes of the collection, with this number of elements, and this deadline if it is earlier.
    pub(crate) fn become_new(&mut self, new: &mut Vec<u8>, count: usize, deadline: u64) {
        std::mem::swap(self.bytes, new);
        self.put_count(count);
        let earliest = earliest_in(self.bytes);
        if deadline != 0 && (earliest == 0 || deadline < earliest) {
            self.put_earliest(deadline);
        }
    }

    fn put_count(&mut self, count: usize) {
        self.bytes[COUNT_AT..EARLIEST_AT].copy_from_slice(&(count as u32).to_le_bytes());
    }

    /// It may be too early, never too late.
    fn put_earliest(&mut self, deadline: u64) {
        self.bytes[EARLIEST_AT..HEADER].copy_from_slice(&deadline.to_le_bytes());
    }
}
