//! Lists: elements in their own order. Ranges of positions serve sorted sets as well.

use crate::collections::element::{Element, Item};
use crate::collections::maps::Merge;
use crate::collections::packed::{HEADER, Packed, count_in, places};
use crate::collections::request::{Answer, Batch};
use std::ops::Range;

/// A position; below 0 it counts from the end. NaN is 0.
fn position(index: f64, count: usize) -> usize {
    let index = index.trunc();
    if index < 0.0 { (count as f64 + index).max(0.0) as usize } else { index.min(count as f64) as usize }
}

/// The positions from `start` to before `end`.
fn range_of(start: f64, end: f64, count: usize) -> Range<usize> {
    let start = position(start, count);
    start..position(end, count).max(start)
}

/// With `from_end` positions count from the last element on. The answer is in the order of the collection all the same.
pub(crate) fn slice(bytes: &[u8], start: f64, end: f64, from_end: bool, mut answer: Answer<'_>) {
    let count = count_in(bytes);
    let range = range_of(start, end, count);
    let from = if from_end { count - range.end } else { range.start };
    places(bytes).skip(from).take(range.len()).for_each(|place| answer.element(&place.element));
}

pub(crate) fn index_of(bytes: &[u8], item: Item<'_>, from: f64, mut answer: Answer<'_>) {
    let from = position(from, count_in(bytes));
    let found = places(bytes).skip(from).position(|place| place.element.key == item);
    answer.number(found.map_or(-1.0, |index| (from + index) as f64));
}

pub(crate) fn push(
    packed: &mut Packed<'_>,
    spare: &mut Vec<u8>,
    front: bool,
    max: usize,
    batch: &Batch<'_>,
    mut answer: Answer<'_>,
) -> bool {
    let mut merged = Merge::new(packed, spare);
    let at = if front { HEADER } else { packed.end() };
    for item in &batch.elements {
        merged.put(packed, at, None, item);
    }
    merged.finish(packed);
    let count = packed.count();
    if max != 0 && count > max {
        let surplus = count - max;
        let range = if front { packed.offset_of(max)..packed.end() } else { HEADER..packed.offset_of(surplus) };
        packed.remove(range, surplus);
    }
    answer.count(packed.count());
    !batch.elements.is_empty()
}

/// The answer is in the order of the collection, also from the end.
pub(crate) fn pop(packed: &mut Packed<'_>, front: bool, count: usize, mut answer: Answer<'_>) -> bool {
    let count = count.min(packed.count());
    if count == 0 {
        return false;
    }
    let first = if front { 0 } else { packed.count() - count };
    packed.places().skip(first).take(count).for_each(|place| answer.element(&place.element));
    let range = if front { HEADER..packed.offset_of(count) } else { packed.offset_of(first)..packed.end() };
    packed.remove(range, count);
    true
}

pub(crate) fn set_at(packed: &mut Packed<'_>, index: f64, item: &Element<'_>, mut answer: Answer<'_>) -> bool {
    let count = packed.count();
    let place = if index < -(count as f64) { None } else { packed.places().nth(position(index, count)) };
    let place = place.map(|place| place.at);
    answer.byte(u8::from(place.is_some()));
    let Some(place) = place else { return false };
    packed.replace(place, item);
    true
}

pub(crate) fn insert(
    packed: &mut Packed<'_>,
    after: bool,
    pivot: Item<'_>,
    item: &Element<'_>,
    mut answer: Answer<'_>,
) -> bool {
    let place = packed.places().find(|place| place.element.key == pivot).map(|place| place.at);
    let Some(place) = place else {
        answer.number(-1.0);
        return false;
    };
    packed.insert(if after { place.end } else { place.start }, item);
    answer.number(packed.count() as f64);
    true
}

pub(crate) fn remove(packed: &mut Packed<'_>, count: f64, item: Item<'_>, mut answer: Answer<'_>) -> bool {
    let equal = packed.places().filter(|place| place.element.key == item).count();
    let wanted = if count == 0.0 { equal } else { equal.min(count.abs() as usize) };
    let spared = if count < 0.0 { equal - wanted } else { 0 };
    let mut seen = 0;
    packed.remove_where(|element| {
        let is_equal = element.key == item;
        seen += usize::from(is_equal);
        is_equal && seen > spared && seen <= spared + wanted
    });
    answer.count(wanted);
    wanted != 0
}

pub(crate) fn trim(packed: &mut Packed<'_>, start: f64, end: f64, keep: bool, mut answer: Answer<'_>) -> bool {
    let count = packed.count();
    let range = range_of(start, end, count);
    let bytes = packed.offset_of(range.start)..packed.offset_of(range.end);
    let removed = if keep { count - range.len() } else { range.len() };
    if keep {
        packed.remove(bytes.end..packed.end(), count - range.end);
        packed.remove(HEADER..bytes.start, range.start);
    } else {
        packed.remove(bytes, removed);
    }
    answer.count(removed);
    removed != 0
}
