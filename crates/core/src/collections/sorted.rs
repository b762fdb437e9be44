//! Sorted sets: members in the order of their scores, and of their bytes where scores are equal.

use crate::collections::element::{Element, Item};
use crate::collections::maps::Merge;
use crate::collections::packed::{Packed, Place, compare_scored, places, score_of};
use crate::collections::request::{ADD_ABSENT, ADD_GREATER, ADD_LESS, ADD_PRESENT, Answer, Batch, Scores};
use crate::error::CacheError;

pub(crate) fn rank(bytes: &[u8], key: Item<'_>, from_end: bool, mut answer: Answer<'_>) {
    let count = places(bytes).count();
    let found = places(bytes).position(|place| place.element.key == key);
    answer.number(found.map_or(-1.0, |index| if from_end { count - 1 - index } else { index } as f64));
}

fn within<'a>(bytes: &'a [u8], scores: &'a Scores) -> impl Iterator<Item = Element<'a>> {
    places(bytes).map(|place| place.element).filter(|element| scores.has(score_of(element)))
}

/// With `from_end`, `offset` counts from the highest score on. The answer is in the order of the set all the same.
pub(crate) fn by_score(
    bytes: &[u8],
    scores: &Scores,
    (offset, limit): (usize, usize),
    from_end: bool,
    mut answer: Answer<'_>,
) {
    let (skip, take) = if from_end {
        let left = within(bytes, scores).count().saturating_sub(offset);
        (left.saturating_sub(limit), left.min(limit))
    } else {
        (offset, limit)
    };
    within(bytes, scores).skip(skip).take(take).for_each(|element| answer.element(&element));
}

pub(crate) fn count_by_score(bytes: &[u8], scores: &Scores, mut answer: Answer<'_>) {
    answer.count(within(bytes, scores).count());
}

/// Whether a member gets a new score, by the conditions `flags`. `old`: its score so far.
fn is_allowed(flags: u8, old: Option<f64>, new: f64) -> bool {
    match old {
        None => flags & ADD_PRESENT == 0,
        Some(old) => {
            flags & ADD_ABSENT == 0 && (flags & ADD_GREATER == 0 || new > old) && (flags & ADD_LESS == 0 || new < old)
        }
    }
}

pub(crate) fn add(
    packed: &mut Packed<'_>,
    spare: &mut Vec<u8>,
    flags: u8,
    batch: &Batch<'_>,
    mut answer: Answer<'_>,
) -> bool {
    let mut old_scores = batch.old_scores.borrow_mut();
    old_scores.fill(None);
    for Place { element, .. } in packed.places() {
        if let Some(last) = batch.positions(element.key).last() {
            old_scores[*last as usize] = element.score;
        }
    }
    // Of several elements with one key the last counts.
    let is_stored = |position: u32| {
        let element = &batch.elements[position as usize];
        let old = old_scores[position as usize];
        let score = score_of(element);
        batch.positions(element.key).last() == Some(&position) && old != Some(score) && is_allowed(flags, old, score)
    };
    let count = |is_new: bool| {
        let counts = |position: &&u32| is_stored(**position) && old_scores[**position as usize].is_none() == is_new;
        batch.by_score.iter().filter(counts).count()
    };
    let (added, changed) = (count(true), count(false));
    answer.count(added);
    answer.count(changed);
    if added + changed == 0 {
        return false;
    }
    let stored = batch.by_score.iter().filter(|position| is_stored(**position));
    let mut stored = stored.map(|position| &batch.elements[*position as usize]).peekable();
    let mut merged = Merge::new(packed, spare);
    for place in packed.places() {
        while let Some(new) = stored.next_if(|new| compare_scored(new, &place.element).is_lt()) {
            merged.put(packed, place.at.start, None, new);
        }
        if batch.positions(place.element.key).last().is_some_and(|last| is_stored(*last)) {
            merged.skip(packed, &place);
        }
    }
    for new in stored {
        merged.put(packed, packed.end(), None, new);
    }
    merged.finish(packed);
    true
}

fn place_of(packed: &Packed<'_>, key: Item<'_>) -> Option<(std::ops::Range<usize>, f64)> {
    packed.places().find(|place| place.element.key == key).map(|Place { at, element }| (at, score_of(&element)))
}

fn insert(packed: &mut Packed<'_>, new: &Element<'_>) {
    let at = packed
        .places()
        .find(|place| compare_scored(&place.element, new).is_gt())
        .map_or(packed.end(), |place| place.at.start);
    packed.insert(at, new);
}

pub(crate) fn incr(
    packed: &mut Packed<'_>,
    flags: u8,
    key: Item<'_>,
    by: f64,
    mut answer: Answer<'_>,
) -> Result<bool, CacheError> {
    let old = place_of(packed, key);
    let score = old.as_ref().map_or(0.0, |(_, score)| *score) + by;
    if score.is_nan() {
        return Err(CacheError::Overflow);
    }
    if !is_allowed(flags, old.as_ref().map(|(_, score)| *score), score) {
        answer.number(f64::NAN);
        return Ok(false);
    }
    if let Some((at, _)) = old {
        packed.remove(at, 1);
    }
    insert(packed, &Element { score: Some(score), ..Element::of(key) });
    answer.number(score);
    Ok(true)
}

pub(crate) fn delete_by_score(packed: &mut Packed<'_>, scores: &Scores, mut answer: Answer<'_>) -> bool {
    let removed = packed.remove_where(|element| scores.has(score_of(element)));
    answer.count(removed);
    removed != 0
}
