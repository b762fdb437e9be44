//! The waits and record watches of this process. The background thread checks one when the stripe of its key is woken,
//! and at each tick, since a process may die before its wake.
//!
//! ```text
//! by_stripe        the table of both kinds
//! waits            waits for an entry of a key
//! record_watches   waits for a change of a record: a permit, the end of a flight
//! ```

pub(crate) mod by_stripe;
pub(crate) mod record_watches;
pub(crate) mod waits;
