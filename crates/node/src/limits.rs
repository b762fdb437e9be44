//! The raw call of limiters: a key, what is asked, and three numbers in; a boolean and three numbers out.

use crate::raw::{Call, Failed, INVALID_ARGUMENT, Outcome, Value};
use cache_machine_core::{Algorithm, Demand, Limit, Verdict};

/// Positions in `meta`; see `LimitFloat` of `lib/native.ts`.
const REMAINING: usize = 2;
const RETRY_AFTER: usize = 3;
const RESET_AFTER: usize = 4;

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
pub(crate) fn limit(call: &Call<'_>, [key, how, tokens, limit, window]: [Value; 5]) -> Outcome {
    let how = call.flags(how)?;
    let tokens = call.number(tokens)? as u64;
    let limit = Limit {
        algorithm: algorithm(how)?,
        tokens: call.number(limit)? as u64,
        window_ms: call.number(window)? as u64,
    };
    call.with_key(key, |cache, key, _| match how >> 2 {
        0 => put(call, cache.limit(key, &limit, Demand::Consume(tokens))?),
        1 => put(call, cache.look_at_limit(key, &limit, tokens)?),
        2 => put(call, cache.limit(key, &limit, Demand::Penalty(tokens))?),
        3 => put(call, cache.limit(key, &limit, Demand::Reward(tokens))?),
        4 => call.boolean(cache.reset_limit(key)?),
        _ => Err(Failed(INVALID_ARGUMENT)),
    })
}
