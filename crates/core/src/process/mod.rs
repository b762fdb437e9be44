//! One process's open segment: its attachment, the process memory of its features, its background thread.
//!
//! ```text
//! options    options of an open, and its result
//! core       the attachment with waits, record watches, orphans and streams
//! sweeper    sweeps dead entries in the background
//! service    the background thread
//! registry   the open segments and regions of this process, by file
//! open       creates or attaches
//! ```

pub(crate) mod core;
pub(crate) mod open;
pub(crate) mod options;
pub(crate) mod registry;
pub(crate) mod service;
pub(crate) mod sweeper;
