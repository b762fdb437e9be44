//! What a caller asks of a collection, and the answers, as bytes. `run` has the dispatch to the operations.
//!
//! ```text
//! operation u8 · operands: varints, f64, elements (see `element`), lists of elements up to the end
//! ```
//!
//! A request is read before the lock is taken, since that allocates. In a request, the deadline of an element is a
//! lifetime in milliseconds; in a reply, it is what is left of it.

use crate::collections::element::{Element, Item, put_varint, take_byte, take_f64, take_varint};
use crate::collections::packed::{compare, compare_scored};
use crate::error::CacheError;
use crate::kind;
use crate::layout::entry::LATEST;
use std::cell::RefCell;

/// Bytes of a reply beyond the elements of the collection and 9 bytes for each byte of the request.
pub(crate) const MAX_REPLY: usize = 64;

/// Operations. From `Put` on they change the collection.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
#[allow(missing_docs, reason = "the request of each says what it does")]
pub enum Operation {
    Count = 1,
    Page = 2,
    Get = 3,
    Has = 4,
    Ttl = 5,
    Sample = 6,
    Slice = 7,
    IndexOf = 8,
    Rank = 9,
    ByScore = 10,
    CountByScore = 11,
    Put = 64,
    Delete = 65,
    Take = 66,
    Incr = 67,
    Expire = 68,
    TakeSample = 69,
    Push = 70,
    Pop = 71,
    SetAt = 72,
    Insert = 73,
    Remove = 74,
    Trim = 75,
    Add = 76,
    IncrScore = 77,
    DeleteByScore = 78,
}

/// All operations, in the order of their numbers.
pub const OPERATIONS: [Operation; 26] = {
    use Operation::*;
    [
        Count,
        Page,
        Get,
        Has,
        Ttl,
        Sample,
        Slice,
        IndexOf,
        Rank,
        ByScore,
        CountByScore,
        Put,
        Delete,
        Take,
        Incr,
        Expire,
        TakeSample,
        Push,
        Pop,
        SetAt,
        Insert,
        Remove,
        Trim,
        Add,
        IncrScore,
        DeleteByScore,
    ]
};

/// Elements of a request, and their order by key.
#[derive(Debug)]
pub(crate) struct Batch<'r> {
    pub(crate) elements: Vec<Element<'r>>,
    /// Positions in `elements`, sorted by key. Equal keys keep their order.
    order: Vec<u32>,
    /// Positions in `elements`, sorted by score and key. Empty where they have no scores.
    pub(crate) by_score: Vec<u32>,
    /// For `Add`: the score of each key before it, at the position of the last element with this key. Made before the
    /// lock is taken, since nothing is allocated under it.
    pub(crate) old_scores: RefCell<Vec<Option<f64>>>,
}

impl<'r> Batch<'r> {
    fn take(rest: &mut &'r [u8]) -> Option<Self> {
        let mut elements = Vec::new();
        while !rest.is_empty() {
            elements.push(Element::take(rest)?);
        }
        let mut order: Vec<u32> = (0..elements.len() as u32).collect();
        order.sort_by(|a, b| compare(elements[*a as usize].key, elements[*b as usize].key));
        let mut by_score = Vec::new();
        let mut old_scores = Vec::new();
        if elements.first().is_some_and(|element| element.score.is_some()) {
            by_score.clone_from(&order);
            by_score.sort_by(|a, b| compare_scored(&elements[*a as usize], &elements[*b as usize]));
            old_scores.resize(elements.len(), None);
        }
        Some(Self { elements, order, by_score, old_scores: RefCell::new(old_scores) })
    }

    /// The positions of the elements with this key.
    pub(crate) fn positions(&self, key: Item<'_>) -> &[u32] {
        let of = |position: &u32| compare(self.elements[*position as usize].key, key);
        let from = self.order.partition_point(|position| of(position).is_lt());
        let len = self.order[from..].partition_point(|position| of(position).is_eq());
        &self.order[from..from + len]
    }

    /// The last element of each key, in the order of the keys.
    pub(crate) fn last_of_each_key(&self) -> impl Iterator<Item = &Element<'r>> {
        self.order.iter().enumerate().filter_map(|(index, position)| {
            let element = &self.elements[*position as usize];
            let next = self.order.get(index + 1).map(|next| self.elements[*next as usize].key);
            (next != Some(element.key)).then_some(element)
        })
    }
}

/// The elements that a `Put` may store.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Only {
    All,
    Absent,
    Present,
}

/// An interval of scores.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scores {
    pub(crate) min: f64,
    pub(crate) max: f64,
    pub(crate) without_min: bool,
    pub(crate) without_max: bool,
}

impl Scores {
    pub(crate) fn has(&self, score: f64) -> bool {
        let low = if self.without_min { score > self.min } else { score >= self.min };
        low && if self.without_max { score < self.max } else { score <= self.max }
    }
}

/// The conditions of an `Add`, as bits.
pub(crate) const ADD_ABSENT: u8 = 1;
pub(crate) const ADD_PRESENT: u8 = 2;
pub(crate) const ADD_GREATER: u8 = 4;
pub(crate) const ADD_LESS: u8 = 8;

/// A request that was read.
#[derive(Debug)]
pub(crate) enum Request<'r> {
    /// → the number of elements.
    Count,
    /// Elements from a position on → these, and whether there are more.
    Page { from: usize, count: usize },
    /// → for each key 1 and its element, or 0.
    Get(Batch<'r>),
    /// → for each key 1 or 0.
    Has(Batch<'r>),
    /// → for each key the milliseconds left, Infinity without a deadline, -1 if it is missing.
    Ttl(Batch<'r>),
    /// → different elements, picked by chance.
    Sample { count: usize, seed: u32 },
    /// Elements from `start` to before `end`; negative numbers count from the end. With `from_end`, all positions count
    /// from the last element on → these, in the order of the collection.
    Slice { start: f64, end: f64, from_end: bool },
    /// → the position of the first such item from `from` on, or -1.
    IndexOf { item: Element<'r>, from: f64 },
    /// → the position by score, with `from_end` from the highest on, or -1.
    Rank { key: Element<'r>, from_end: bool },
    /// → elements in the order of the set. With `from_end`, `offset` counts from the highest score on.
    ByScore { scores: Scores, offset: usize, limit: usize, from_end: bool },
    /// → their number.
    CountByScore(Scores),
    /// → the numbers of new and of stored elements.
    Put { only: Only, batch: Batch<'r> },
    /// → the number of deleted elements.
    Delete(Batch<'r>),
    /// As `Get`, and deletes them.
    Take(Batch<'r>),
    /// → the sum.
    Incr { key: Element<'r>, by: f64, init: f64 },
    /// Sets lifetimes; 0: unlimited → the number of elements that are there.
    Expire { ttl: f64, batch: Batch<'r> },
    /// As `Sample`, and deletes them.
    TakeSample { count: usize, seed: u32 },
    /// Items at the front or the end. With `max`, as many at the other side go as exceed it → the length.
    Push { front: bool, max: usize, batch: Batch<'r> },
    /// → items from the front or the end, which are deleted.
    Pop { front: bool, count: usize },
    /// → 1, or 0 if there is no such position.
    SetAt { index: f64, item: Element<'r> },
    /// Before or after the first item that equals `pivot` → the length, or -1.
    Insert { after: bool, pivot: Element<'r>, item: Element<'r> },
    /// At most `count` such items from the front, below 0 from the end, 0: all → their number.
    Remove { count: f64, item: Element<'r> },
    /// Deletes the elements outside (`keep`) or inside a range as of `Slice` → their number.
    Trim { start: f64, end: f64, keep: bool },
    /// → the numbers of new and of changed members.
    Add { flags: u8, batch: Batch<'r> },
    /// → the score; NaN: the conditions did not hold.
    IncrScore { flags: u8, key: Element<'r>, by: f64 },
    /// → the number of deleted members.
    DeleteByScore(Scores),
}

/// The buffers of a request that changes a collection.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    /// The value, which is edited in place.
    pub(crate) bytes: Vec<u8>,
    /// The value anew, where it is merged with a batch.
    pub(crate) spare: Vec<u8>,
}

pub(crate) fn malformed() -> CacheError {
    CacheError::InvalidArgument("a request to a collection is malformed".into())
}

fn take_scores(rest: &mut &[u8]) -> Option<Scores> {
    let flags = take_byte(rest)?;
    let (min, max) = (take_f64(rest)?, take_f64(rest)?);
    Some(Scores { min, max, without_min: flags & 1 != 0, without_max: flags & 2 != 0 })
}

impl<'r> Request<'r> {
    /// Reads a request to a collection of this kind.
    pub(crate) fn read(kind: u8, bytes: &'r [u8]) -> Result<Self, CacheError> {
        let mut rest = bytes;
        let request = Self::take(&mut rest).filter(|request| rest.is_empty() && request.fits(kind));
        request.ok_or_else(malformed)
    }

    fn take(rest: &mut &'r [u8]) -> Option<Self> {
        let number = take_byte(rest)?;
        let operation = OPERATIONS.into_iter().find(|operation| *operation as u8 == number)?;
        Some(match operation {
            Operation::Count => Self::Count,
            Operation::Page => Self::Page { from: take_varint(rest)?, count: take_varint(rest)? },
            Operation::Get => Self::Get(Batch::take(rest)?),
            Operation::Has => Self::Has(Batch::take(rest)?),
            Operation::Ttl => Self::Ttl(Batch::take(rest)?),
            Operation::Sample => Self::Sample { count: take_varint(rest)?, seed: take_varint(rest)? as u32 },
            Operation::Slice => {
                Self::Slice { from_end: take_byte(rest)? != 0, start: take_f64(rest)?, end: take_f64(rest)? }
            }
            Operation::IndexOf => Self::IndexOf { from: take_f64(rest)?, item: Element::take(rest)? },
            Operation::Rank => Self::Rank { from_end: take_byte(rest)? != 0, key: Element::take(rest)? },
            Operation::ByScore => Self::ByScore {
                from_end: take_byte(rest)? != 0,
                scores: take_scores(rest)?,
                offset: take_varint(rest)?,
                limit: take_varint(rest)?,
            },
            Operation::CountByScore => Self::CountByScore(take_scores(rest)?),
            Operation::Put => {
                let only = match take_byte(rest)? {
                    0 => Only::All,
                    1 => Only::Absent,
                    2 => Only::Present,
                    _ => return None,
                };
                Self::Put { only, batch: Batch::take(rest)? }
            }
            Operation::Delete => Self::Delete(Batch::take(rest)?),
            Operation::Take => Self::Take(Batch::take(rest)?),
            Operation::Incr => Self::Incr { by: take_f64(rest)?, init: take_f64(rest)?, key: Element::take(rest)? },
            Operation::Expire => Self::Expire { ttl: take_f64(rest)?, batch: Batch::take(rest)? },
            Operation::TakeSample => Self::TakeSample { count: take_varint(rest)?, seed: take_varint(rest)? as u32 },
            Operation::Push => {
                Self::Push { front: take_byte(rest)? != 0, max: take_varint(rest)?, batch: Batch::take(rest)? }
            }
            Operation::Pop => Self::Pop { front: take_byte(rest)? != 0, count: take_varint(rest)? },
            Operation::SetAt => Self::SetAt { index: take_f64(rest)?, item: Element::take(rest)? },
            Operation::Insert => {
                Self::Insert { after: take_byte(rest)? != 0, pivot: Element::take(rest)?, item: Element::take(rest)? }
            }
            Operation::Remove => Self::Remove { count: take_f64(rest)?, item: Element::take(rest)? },
            Operation::Trim => Self::Trim { keep: take_byte(rest)? != 0, start: take_f64(rest)?, end: take_f64(rest)? },
            Operation::Add => Self::Add { flags: take_byte(rest)?, batch: Batch::take(rest)? },
            Operation::IncrScore => {
                Self::IncrScore { flags: take_byte(rest)?, by: take_f64(rest)?, key: Element::take(rest)? }
            }
            Operation::DeleteByScore => Self::DeleteByScore(take_scores(rest)?),
        })
    }

    /// Whether a collection of this kind has this operation, with such elements.
    fn fits(&self, kind: u8) -> bool {
        let is_map = matches!(kind, kind::HASH | kind::SET);
        let is_ranked = matches!(kind, kind::LIST | kind::SORTED_SET);
        match self {
            Self::Count | Self::Page { .. } => true,
            Self::Get(_) | Self::Has(_) | Self::Delete(_) | Self::Sample { .. } | Self::TakeSample { .. } => {
                kind != kind::LIST
            }
            Self::Ttl(_) | Self::Take(_) | Self::Expire { .. } => kind == kind::HASH,
            Self::Incr { .. } => kind == kind::HASH,
            Self::Put { batch, .. } => {
                let has_values = kind == kind::HASH;
                is_map && batch.elements.iter().all(|e| e.value.is_some() == has_values && e.score.is_none())
            }
            Self::Slice { .. } | Self::Pop { .. } | Self::Trim { .. } => is_ranked,
            Self::Push { batch, .. } => kind == kind::LIST && batch.elements.iter().all(is_plain),
            Self::SetAt { item, .. } | Self::Insert { item, .. } => kind == kind::LIST && is_plain(item),
            Self::IndexOf { .. } | Self::Remove { .. } => kind == kind::LIST,
            Self::Add { batch, .. } => {
                let is_scored = |e: &Element<'_>| e.score.is_some_and(|score| !score.is_nan()) && e.value.is_none();
                kind == kind::SORTED_SET && batch.elements.iter().all(|e| is_scored(e) && e.deadline == 0)
            }
            Self::IncrScore { by, .. } => kind == kind::SORTED_SET && !by.is_nan(),
            Self::Rank { .. } | Self::ByScore { .. } | Self::CountByScore(_) | Self::DeleteByScore(_) => {
                kind == kind::SORTED_SET
            }
        }
    }

    /// Whether it may change the collection.
    pub(crate) fn is_change(operation: u8) -> bool {
        operation >= Operation::Put as u8
    }
}

fn is_plain(element: &Element<'_>) -> bool {
    element.value.is_none() && element.score.is_none() && element.deadline == 0
}

/// Where an answer goes, and its time.
pub(crate) struct Answer<'a> {
    pub(crate) now: u64,
    pub(crate) reply: &'a mut Vec<u8>,
}

impl Answer<'_> {
    pub(crate) fn byte(&mut self, byte: u8) {
        self.reply.push(byte);
    }

    pub(crate) fn number(&mut self, number: f64) {
        self.reply.extend_from_slice(&number.to_le_bytes());
    }

    pub(crate) fn count(&mut self, count: usize) {
        put_varint(self.reply, count);
    }

    /// An element, with what is left of its lifetime.
    pub(crate) fn element(&mut self, element: &Element<'_>) {
        let deadline = if element.deadline == 0 { 0 } else { element.deadline.saturating_sub(self.now).max(1) };
        Element { deadline, ..*element }.put(self.reply);
    }

    /// The deadline of a lifetime in milliseconds; 0 is unlimited.
    pub(crate) fn deadline_of(&self, ttl: f64) -> u64 {
        if ttl > 0.0 { self.now.saturating_add(ttl.ceil() as u64).min(LATEST) } else { 0 }
    }
}
