//! Kinds of values, as in an entry's head. `lib/native/layout.ts` has the same numbers.
//!
//! The core interprets only two of them: it increments numbers, and it marks texts that are ASCII.

use crate::error::CacheError;

/// UTF-8 text.
pub const STRING: u8 = 1;
/// A double, 8 bytes, little endian.
pub const NUMBER: u8 = 2;
/// One byte: 0 null, 1 false, 2 true.
pub const SIMPLE: u8 = 3;
/// A signed 64-bit integer, 8 bytes, little endian.
pub const BIGINT64: u8 = 4;
/// Any other integer as text: optional minus, hexadecimal digits.
pub const BIGINT_HEX: u8 = 5;
/// Bytes that come back as a Buffer.
pub const BUFFER: u8 = 6;
/// Bytes that come back as a Uint8Array.
pub const UINT8_ARRAY: u8 = 7;
/// JSON text.
pub const JSON: u8 = 8;

/// Words of a record of coordination.
pub const RECORD: u8 = 10;
/// An entry that says that the key has no value. It is a miss for readers.
pub const ABSENT: u8 = 11;
/// A flat object as text; see `lib/codec/flat.ts`.
pub const FLAT: u8 = 12;
/// A hash: see `collections`.
pub const HASH: u8 = 13;
/// A list.
pub const LIST: u8 = 14;
/// A set.
pub const SET: u8 = 15;
/// A sorted set.
pub const SORTED_SET: u8 = 16;

/// Maximum of the numbers that JavaScript counts exactly.
const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;

/// The result of an increment.
///
/// # Errors
/// `Overflow` if it is not finite, or beyond the whole numbers that JavaScript counts exactly.
pub(crate) fn checked_sum(sum: f64) -> Result<f64, CacheError> {
    if sum.is_finite() && sum.abs() <= MAX_SAFE_INTEGER { Ok(sum) } else { Err(CacheError::Overflow) }
}

/// Whether entries of this kind are collections, which are read and changed by their elements.
pub fn is_collection(kind: u8) -> bool {
    matches!(kind, HASH | LIST | SET | SORTED_SET)
}

/// Whether a value of this kind crosses to TypeScript as bytes: buffers, and the output of codecs.
pub fn is_bytes(kind: u8) -> bool {
    !is_text(kind) && !matches!(kind, NUMBER | SIMPLE | BIGINT64)
}

/// Whether a value of this kind is text.
pub fn is_text(kind: u8) -> bool {
    matches!(kind, STRING | BIGINT_HEX | JSON | FLAT)
}
