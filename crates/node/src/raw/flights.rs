//! The raw call that ends a flight with a value.

use super::call::{Call, Outcome, Value, milliseconds};
use crate::holdings;
use crate::layout::{FinishResult, MetaFloat};
use cache_machine_core::{FinishResult as Finished, FlightKind, Write};

/// See `RawCalls.flightFinish`.
pub(super) fn flight_finish(call: &Call<'_>, [key, value, kind, ttl, stale, names, token]: [Value; 7]) -> Outcome {
    let kind = call.flags(kind)? as u8;
    let (ttl_ms, stale_ms) = (milliseconds(call.number(ttl)?), milliseconds(call.number(stale)?));
    let token = call.number(token)? as u64;
    let tags = call.tags(names)?;
    call.with_key(key, |cache, key, binary_key| {
        call.with_value(value, kind, |value| {
            let write = Write { binary_key, ttl_ms, stale_ms, tags: &tags, ..Write::new(kind, value) };
            let result = cache.finish_flight(FlightKind::Values, key, token, &write)?;
            call.bound.handle.no_longer_hold(&holdings::flight(cache, FlightKind::Values, key, token));
            if let Finished::Kept(version) = result {
                call.put_float(MetaFloat::Version, version as f64);
            }
            call.double(FinishResult::from(result).number().into())
        })
    })
}
