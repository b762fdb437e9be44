//! The raw call of collections: a request in, an answer out, both as bytes.

use super::call::{Call, Outcome, Value, invalid, milliseconds};
use crate::layout::SCRATCH_BYTES;
use cache_machine_core::NewCollection;

/// See `RawCalls.collect`.
pub(super) fn collect(call: &Call<'_>, [key, kind, request, length, ttl, names]: [Value; 6]) -> Outcome {
    let kind = call.flags(kind)? as u8;
    let request = call.bytes(request)?.get(..call.flags(length)? as usize).ok_or_else(invalid)?;
    let ttl_ms = if call.count > 4 { milliseconds(call.number(ttl)?) } else { 0 };
    let tags = if call.count > 5 { call.tags(names)? } else { Vec::new() };
    call.with_key(key, |cache, key, binary_key| {
        call.with_buffer(|reply| {
            cache.collection(key, kind, request, &NewCollection { ttl_ms, tags: &tags, binary_key }, reply)?;
            call.reply(reply)
        })
    })
}

impl Call<'_> {
    /// The length of bytes that fit in `scratch`, where they are put; a Buffer for more.
    fn reply(&self, bytes: &[u8]) -> Outcome {
        if bytes.len() > SCRATCH_BYTES {
            return self.buffer_copy(bytes);
        }
        // SAFETY: `scratch` has SCRATCH_BYTES, kept alive like `meta`; JavaScript does not run meanwhile.
        let scratch = unsafe { std::slice::from_raw_parts_mut(self.bound.shared.scratch, SCRATCH_BYTES) };
        scratch[..bytes.len()].copy_from_slice(bytes);
        self.double(bytes.len() as f64)
    }
}
