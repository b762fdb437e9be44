//! Questions about byte range locks, from the two calls of the system.

use super::types::Hold;
use super::{lock_in_the_way, try_hold_range};
use std::fs::File;
use std::io;

/// Tries to take (or drop) a lock on one byte; false if another description holds it.
pub(crate) fn try_hold(file: &File, hold: Hold, offset: i64) -> io::Result<bool> {
    try_hold_range(file, hold, offset, 1)
}

/// Whether some *other* description holds a lock on one of `len` bytes.
pub(crate) fn is_held(file: &File, offset: i64, len: i64) -> io::Result<bool> {
    Ok(some_held(file, offset, len)?.is_some())
}

/// A locked byte among `len`, by another description. Caution: of several it is the oldest lock, not the lowest byte.
pub(crate) fn some_held(file: &File, offset: i64, len: i64) -> io::Result<Option<i64>> {
    Ok(lock_in_the_way(file, Hold::Exclusive, offset, len)?.map(|(start, _)| start))
}
