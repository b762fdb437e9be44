//! Values that carry the number of their write, and the time of a call.

use std::time::{Duration, Instant};

/// Makes a call. Returns its result and how long it took.
pub(crate) fn timed<R>(call: impl FnOnce() -> R) -> (R, Duration) {
    let start = Instant::now();
    let result = call();
    (result, start.elapsed())
}

/// The value of a key's `n`-th write. Its length and every byte differ from those of the writes before and after it.
pub(crate) fn nth_value(key: usize, n: u64) -> Vec<u8> {
    let len = 8 + (n.wrapping_mul(2_654_435_761) >> 7) as usize % if n.is_multiple_of(50) { 20_000 } else { 500 };
    let mut value = n.to_le_bytes().to_vec();
    value.resize(len, (n as u8).wrapping_mul(31).wrapping_add(key as u8));
    value
}

/// The number of the write. Panics if the value is torn.
pub(crate) fn number_of(key: usize, value: &[u8]) -> u64 {
    let n = u64::from_le_bytes(value[..8].try_into().expect("8 bytes"));
    assert!(value == nth_value(key, n), "key {key}: torn around {n}");
    n
}
