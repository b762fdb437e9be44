//! Reads without a lock: one entry, the tags of a near copy, the keys of a line, the keys of a namespace.
//!
//! ```text
//! read   one entry
//! near   whether a near copy outlives invalidations of other tags
//! walk   the keys of index lines
//! scan   pages of keys; deletion by prefix, which walks the same lines
//! export pages of whole entries, for snapshots
//! ```

pub(crate) mod export;
pub(crate) mod near;
pub(crate) mod read;
pub(crate) mod scan;
pub(crate) mod walk;
