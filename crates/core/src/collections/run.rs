//! The dispatch of a request to its operation.

use crate::collections::packed::Packed;
use crate::collections::request::{Answer, Request, Scratch, malformed};
use crate::collections::{lists, maps, sorted};
use crate::error::CacheError;

impl Request<'_> {
    /// Answers a request that changes nothing.
    pub(crate) fn answer(&self, bytes: &[u8], reply: &mut Vec<u8>, now: u64) -> Result<(), CacheError> {
        let answer = Answer { now, reply };
        match self {
            Self::Count => maps::count(bytes, answer),
            Self::Page { from, count } => maps::page(bytes, *from, *count, answer),
            Self::Get(batch) => maps::get(bytes, batch, answer),
            Self::Has(batch) => maps::has(bytes, batch, answer),
            Self::Ttl(batch) => maps::ttl(bytes, batch, answer),
            Self::Sample { count, seed } => maps::sample(bytes, *count, *seed, answer),
            Self::Slice { start, end, from_end } => lists::slice(bytes, *start, *end, *from_end, answer),
            Self::IndexOf { item, from } => lists::index_of(bytes, item.key, *from, answer),
            Self::Rank { key, from_end } => sorted::rank(bytes, key.key, *from_end, answer),
            Self::ByScore { scores, offset, limit, from_end } => {
                sorted::by_score(bytes, scores, (*offset, *limit), *from_end, answer);
            }
            Self::CountByScore(scores) => sorted::count_by_score(bytes, scores, answer),
            _ => return Err(malformed()),
        }
        Ok(())
    }

    /// Edits the collection in `scratch`, and answers. True: it has changed.
    pub(crate) fn edit(&self, scratch: &mut Scratch, reply: &mut Vec<u8>, now: u64) -> Result<bool, CacheError> {
        let Scratch { bytes, spare } = scratch;
        let mut packed = Packed::of(bytes);
        let has_expired = packed.expire(now);
        let answer = Answer { now, reply };
        let has_changed = match self {
            Self::Put { only, batch } => maps::put(&mut packed, spare, *only, batch, answer),
            Self::Delete(batch) => maps::delete(&mut packed, batch, answer),
            Self::Take(batch) => maps::take(&mut packed, batch, answer),
            Self::Incr { key, by, init } => maps::incr(&mut packed, key.key, *by, *init, answer)?,
            Self::Expire { ttl, batch } => maps::expire(&mut packed, spare, *ttl, batch, answer),
            Self::TakeSample { count, seed } => maps::take_sample(&mut packed, *count, *seed, answer),
            Self::Push { front, max, batch } => lists::push(&mut packed, spare, *front, *max, batch, answer),
            Self::Pop { front, count } => lists::pop(&mut packed, *front, *count, answer),
            Self::SetAt { index, item } => lists::set_at(&mut packed, *index, item, answer),
            Self::Insert { after, pivot, item } => lists::insert(&mut packed, *after, pivot.key, item, answer),
            Self::Remove { count, item } => lists::remove(&mut packed, *count, item.key, answer),
            Self::Trim { start, end, keep } => lists::trim(&mut packed, *start, *end, *keep, answer),
            Self::Add { flags, batch } => sorted::add(&mut packed, spare, *flags, batch, answer),
            Self::IncrScore { flags, key, by } => sorted::incr(&mut packed, *flags, key.key, *by, answer)?,
            Self::DeleteByScore(scores) => sorted::delete_by_score(&mut packed, scores, answer),
            _ => return Err(malformed()),
        };
        Ok(has_changed || has_expired)
    }
}
