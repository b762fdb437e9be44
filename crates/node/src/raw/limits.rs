//! The raw call of limiters: a key in, a boolean out, and all else in `meta`.
//!
//! A number in `meta` costs a nanosecond, a number as an argument costs ten.

use super::call::{Call, Failed, Outcome, Value, invalid};
use crate::layout::{ALGORITHM_BITS, ALGORITHMS, Demand, LimitFloat, LimitInt};
use cache_machine_core::{Algorithm, Demand as Tokens, Limit, Verdict};
use std::result::Result;

fn algorithm(how: u32) -> Result<Algorithm, Failed> {
    ALGORITHMS.into_iter().find(|algorithm| *algorithm as u32 == how & ALGORITHM_BITS).ok_or_else(invalid)
}

fn put_verdict(call: &Call<'_>, verdict: Verdict) -> Outcome {
    call.put_float(LimitFloat::Remaining, verdict.remaining as f64);
    call.put_float(LimitFloat::RetryAfter, verdict.retry_after_ms.map_or(f64::INFINITY, |ms| ms as f64));
    call.put_float(LimitFloat::ResetAfter, verdict.reset_after_ms as f64);
    call.boolean(verdict.allowed)
}

/// See `RawCalls.limit`.
pub(super) fn limit(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    let how = call.given_int(LimitInt::How);
    let identity = u64::from(call.given_int(LimitInt::Low)) | u64::from(call.given_int(LimitInt::High)) << 32;
    let tokens = call.given_float(LimitFloat::Tokens) as u64;
    let limit = Limit {
        algorithm: algorithm(how)?,
        tokens: call.given_float(LimitFloat::Limit) as u64,
        window_ms: call.given_float(LimitFloat::Window) as u64,
    };
    let demand = Demand::of(how & !ALGORITHM_BITS).ok_or_else(invalid)?;
    call.with_key_of(identity, key, |cache, key| match demand {
        Demand::Consume => put_verdict(call, cache.limit(key, &limit, Tokens::Consume(tokens))?),
        Demand::Peek => put_verdict(call, cache.peek_limit(key, &limit, tokens)?),
        Demand::Penalty => put_verdict(call, cache.limit(key, &limit, Tokens::Penalty(tokens))?),
        Demand::Reward => put_verdict(call, cache.limit(key, &limit, Tokens::Reward(tokens))?),
        Demand::Reset => call.boolean(cache.reset_limit(key)?),
    })
}
