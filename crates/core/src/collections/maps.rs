//! Hashes and sets: elements in the order of their keys. What needs no order serves sorted sets as well.

use crate::collections::element::{Element, Item};
use crate::collections::packed::{HEADER, Packed, Place, compare, places};
use crate::collections::request::{Answer, Batch, Only};
use crate::error::CacheError;
use crate::kind;
use std::cmp::Ordering;

/// The elements that have not expired.
fn living(bytes: &[u8], now: u64) -> impl Iterator<Item = Element<'_>> {
    places(bytes).map(|place| place.element).filter(move |element| !element.is_over(now))
}

pub(crate) fn count(bytes: &[u8], mut answer: Answer<'_>) {
    let count = living(bytes, answer.now).count();
    answer.count(count);
}

/// A position counts living elements only, so an element that expires between two pages moves the others.
pub(crate) fn page(bytes: &[u8], from: usize, count: usize, mut answer: Answer<'_>) {
    let mut rest = living(bytes, answer.now).skip(from);
    let page: Vec<Element<'_>> = rest.by_ref().take(count).collect();
    answer.byte(u8::from(rest.next().is_some()));
    page.iter().for_each(|element| answer.element(element));
}

/// Calls `each` with the position in the batch of each key, in the order of the batch, and its living element.
fn each_found<'a>(bytes: &'a [u8], batch: &Batch<'_>, now: u64, mut each: impl FnMut(Option<Element<'a>>)) {
    let mut found = vec![None; batch.elements.len()];
    for element in living(bytes, now) {
        for position in batch.positions(element.key) {
            found[*position as usize] = Some(element);
        }
    }
    found.into_iter().for_each(&mut each);
}

pub(crate) fn get(bytes: &[u8], batch: &Batch<'_>, mut answer: Answer<'_>) {
    each_found(bytes, batch, answer.now, |element| match element {
        Some(element) => {
            answer.byte(1);
            answer.element(&element);
        }
        None => answer.byte(0),
    });
}

pub(crate) fn has(bytes: &[u8], batch: &Batch<'_>, mut answer: Answer<'_>) {
    each_found(bytes, batch, answer.now, |element| answer.byte(u8::from(element.is_some())));
}

pub(crate) fn ttl(bytes: &[u8], batch: &Batch<'_>, mut answer: Answer<'_>) {
    let now = answer.now;
    each_found(bytes, batch, now, |element| {
        answer.number(match element {
            None => -1.0,
            Some(Element { deadline: 0, .. }) => f64::INFINITY,
            Some(Element { deadline, .. }) => deadline.saturating_sub(now) as f64,
        });
    });
}

/// Numbers by xorshift. Both engines draw the same.
struct Draw(u32);

impl Draw {
    fn new(seed: u32) -> Self {
        Self(seed | 1)
    }

    /// A number from 0 to below `end`.
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 17;
        self.0 ^= self.0 << 5;
        ((u64::from(self.0) * end as u64) >> 32) as usize
    }
}

/// Calls `pick` with true for each of `wanted` of `total` things, by chance.
fn picker(total: usize, wanted: usize, seed: u32) -> impl FnMut() -> bool {
    let (mut left, mut missing, mut draw) = (total, wanted.min(total), Draw::new(seed));
    move || {
        let is_picked = missing > 0 && draw.below(left) < missing;
        left = left.saturating_sub(1);
        missing -= usize::from(is_picked);
        is_picked
    }
}

pub(crate) fn sample(bytes: &[u8], count: usize, seed: u32, mut answer: Answer<'_>) {
    let mut is_picked = picker(living(bytes, answer.now).count(), count, seed);
    for element in living(bytes, answer.now) {
        if is_picked() {
            answer.element(&element);
        }
    }
}

pub(crate) fn take_sample(packed: &mut Packed<'_>, count: usize, seed: u32, mut answer: Answer<'_>) -> bool {
    let mut is_picked = picker(packed.count(), count, seed);
    let removed = packed.remove_where(|element| {
        let is_wanted = is_picked();
        if is_wanted {
            answer.element(element);
        }
        is_wanted
    });
    removed != 0
}

/// Merges the batch with the elements into `spare`, which then becomes the collection.
pub(crate) fn put(
    packed: &mut Packed<'_>,
    spare: &mut Vec<u8>,
    only: Only,
    batch: &Batch<'_>,
    mut answer: Answer<'_>,
) -> bool {
    let (mut added, mut stored) = (0, 0);
    let mut given = batch.last_of_each_key().peekable();
    let mut merged = Merge::new(packed, spare);
    let mut old = packed.places().peekable();
    loop {
        let order = match (old.peek(), given.peek()) {
            (None, None) => break,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(old), Some(new)) => compare(old.element.key, new.key),
        };
        if order == Ordering::Less {
            old.next();
            continue;
        }
        let replaced = if order == Ordering::Equal { old.next() } else { None };
        let at =
            replaced.as_ref().map_or_else(|| old.peek().map_or(packed.end(), |old| old.at.start), |old| old.at.start);
        let Some(new) = given.next() else { break };
        if only == Only::All || (only == Only::Present) == replaced.is_some() {
            let deadline = answer.deadline_of(new.deadline as f64);
            merged.put(packed, at, replaced.as_ref(), &Element { deadline, ..*new });
            added += usize::from(replaced.is_none());
            stored += 1;
        }
    }
    answer.count(added);
    answer.count(stored);
    if stored == 0 {
        return false;
    }
    merged.finish(packed);
    true
}

/// A collection that is written anew with some elements inserted or replaced.
pub(crate) struct Merge<'s> {
    spare: &'s mut Vec<u8>,
    /// The old bytes before this are written or replaced.
    done: usize,
    count: usize,
    earliest: u64,
}

impl<'s> Merge<'s> {
    pub(crate) fn new(packed: &Packed<'_>, spare: &'s mut Vec<u8>) -> Self {
        spare.clear();
        spare.extend_from_slice(&packed.bytes()[..HEADER]);
        Self { spare, done: HEADER, count: packed.count(), earliest: 0 }
    }

    /// Writes `element` at the place `at` of the old bytes, in place of `replaced`. Places only grow.
    pub(crate) fn put(&mut self, packed: &Packed<'_>, at: usize, replaced: Option<&Place<'_>>, element: &Element<'_>) {
        self.spare.extend_from_slice(&packed.bytes()[self.done..at]);
        element.put(self.spare);
        self.done = replaced.map_or(at, |place| place.at.end);
        self.count += usize::from(replaced.is_none());
        if element.deadline != 0 && (self.earliest == 0 || element.deadline < self.earliest) {
            self.earliest = element.deadline;
        }
    }

    /// Leaves out an element of the old bytes.
    pub(crate) fn skip(&mut self, packed: &Packed<'_>, place: &Place<'_>) {
        self.spare.extend_from_slice(&packed.bytes()[self.done..place.at.start]);
        self.done = place.at.end;
        self.count -= 1;
    }

    /// Makes the new bytes the collection.
    pub(crate) fn finish(self, packed: &mut Packed<'_>) {
        self.spare.extend_from_slice(&packed.bytes()[self.done..]);
        packed.become_new(self.spare, self.count, self.earliest);
    }
}

pub(crate) fn delete(packed: &mut Packed<'_>, batch: &Batch<'_>, mut answer: Answer<'_>) -> bool {
    let removed = packed.remove_where(|element| !batch.positions(element.key).is_empty());
    answer.count(removed);
    removed != 0
}

pub(crate) fn take(packed: &mut Packed<'_>, batch: &Batch<'_>, mut answer: Answer<'_>) -> bool {
    // In the order of the batch. Under the lock nothing is allocated, so each key is searched for.
    for wanted in &batch.elements {
        match packed.find(wanted.key) {
            Ok(place) => {
                answer.byte(1);
                answer.element(&place.element);
            }
            Err(_) => answer.byte(0),
        }
    }
    packed.remove_where(|element| !batch.positions(element.key).is_empty()) != 0
}

pub(crate) fn incr(
    packed: &mut Packed<'_>,
    key: Item<'_>,
    by: f64,
    init: f64,
    mut answer: Answer<'_>,
) -> Result<bool, CacheError> {
    let (at, start, deadline) = match packed.find(key) {
        Ok(place) => {
            let value = place.element.value.filter(|value| value.kind == kind::NUMBER);
            let bytes = value.and_then(|value| value.bytes.try_into().ok()).ok_or(CacheError::NotANumber)?;
            (Ok(place.at), f64::from_le_bytes(bytes), place.element.deadline)
        }
        Err(at) => (Err(at), init, 0),
    };
    let sum = kind::checked_sum(start + by)?;
    let bytes = sum.to_le_bytes();
    let element = Element { value: Some(Item { kind: kind::NUMBER, bytes: &bytes }), deadline, ..Element::of(key) };
    match at {
        Ok(place) => packed.replace(place, &element),
        Err(at) => packed.insert(at, &element),
    }
    answer.number(sum);
    Ok(true)
}

pub(crate) fn expire(
    packed: &mut Packed<'_>,
    spare: &mut Vec<u8>,
    ttl: f64,
    batch: &Batch<'_>,
    mut answer: Answer<'_>,
) -> bool {
    let deadline = answer.deadline_of(ttl);
    let mut found = 0;
    let mut merged = Merge::new(packed, spare);
    for place in packed.places() {
        if !batch.positions(place.element.key).is_empty() {
            merged.put(packed, place.at.start, Some(&place), &Element { deadline, ..place.element });
            found += 1;
        }
    }
    if found != 0 {
        merged.finish(packed);
    }
    answer.count(found);
    found != 0
}
