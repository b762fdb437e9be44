//! The raw call that measures.

use super::call::{Call, MISS, Outcome, Value, invalid};
use crate::layout::Measure;
use cache_machine_core::{CacheError, Measured, Measurement};

/// See `RawCalls.measure`.
pub(super) fn measure(call: &Call<'_>, [key, how, value]: [Value; 3]) -> Outcome {
    let value = call.number(value)?;
    let measurement = match Measure::of(call.flags(how)?).ok_or_else(invalid)? {
        Measure::Count => Measurement::Count(value),
        Measure::Set => Measurement::Set(value),
        Measure::Add => Measurement::Add(value),
        Measure::Observe => Measurement::Observe(value),
        Measure::Reset => Measurement::Reset,
    };
    call.with_key(key, |cache, key, _| match cache.measure(key, measurement)? {
        Measured::Done => call.boolean(true),
        Measured::OtherKind => call.boolean(false),
        Measured::Missing => Err(MISS),
        Measured::Overflow => Err(CacheError::Overflow.into()),
    })
}
