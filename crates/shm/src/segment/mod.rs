//! Named segments and the processes in them.
//!
//! From the bottom: `header` (fields that never move), `process_table` (slots, leases, bells), `opened` (a file and what its
//! header says), `gate` (openers and destroyers), `place` (names), `joined` (a segment that this process is in), `file` (create,
//! attach, destroy, inspect), `listing` (all of a user's segments).

pub(crate) mod file;
pub(crate) mod gate;
pub(crate) mod header;
pub(crate) mod joined;
pub(crate) mod listing;
pub(crate) mod opened;
pub(crate) mod place;
pub(crate) mod process_table;
