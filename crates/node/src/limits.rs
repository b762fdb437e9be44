//! The raw call of limiters: a key and what is asked of which limiter in, a boolean and three numbers out.
//!
//! Numbers cross in `meta`, which costs a nanosecond where an argument costs ten.

use crate::raw::{Call, Failed, INVALID_ARGUMENT, Outcome, Value};
use cache_machine_core::{Algorithm, Demand, Limit, Verdict};

/// Positions in `meta`; see `LimitFloat` of `lib/native.ts`.
const REMAINING: usize = 2;
const RETRY_AFTER: usize = 3;
const RESET_AFTER: usize = 4;
/// And those that JavaScript fills.
const LIMIT: usize = 13;
const WINDOW: usize = 14;
const IDENTITY: usize = 15;

/// The lower two bits of `how`.
fn algorithm(how: u32) -> Result<Algorithm, Failed> {
    match how & 3 {
        0 => Ok(Algorithm::Gcra),
        1 => Ok(Algorithm::SlidingWindow),
        2 => Ok(Algorithm::FixedWindow),
        _ => Err(Failed(INVALID_ARGUMENT)),
    }
}

fn put(call: &Call<'_>, verdict: Verdict) -> Outcome {
    call.put_float(REMAINING, verdict.remaining as f64);
    call.put_float(RETRY_AFTER, verdict.retry_after_ms.map_or(f64::INFINITY, |ms| ms as f64));
    call.put_float(RESET_AFTER, verdict.reset_after_ms as f64);
    call.boolean(verdict.allowed)
}

/// See `RawCalls.limit`.
pub(crate) fn limit(call: &Call<'_>, [key, how, tokens]: [Value; 3]) -> Outcome {
    let how = call.flags(how)?;
    let tokens = call.number(tokens)? as u64;
    let limit = Limit {
        algorithm: algorithm(how)?,
        tokens: call.taken_float(LIMIT) as u64,
        window_ms: call.taken_float(WINDOW) as u64,
    };
    call.with_key_of(call.taken_float(IDENTITY).to_bits(), key, |cache, key| match how >> 2 {
        0 => put(call, cache.limit(key, &limit, Demand::Consume(tokens))?),
        1 => put(call, cache.look_at_limit(key, &limit, tokens)?),
        2 => put(call, cache.limit(key, &limit, Demand::Penalty(tokens))?),
        3 => put(call, cache.limit(key, &limit, Demand::Reward(tokens))?),
        4 => call.boolean(cache.reset_limit(key)?),
        _ => Err(Failed(INVALID_ARGUMENT)),
    })
}
