//! Changes the tables that the whole segment shares, each under its own lock. Their formats, and their reads without a
//! lock, are in `layout`.
//!
//! ```text
//! subscriptions  the subscriptions of processes to channels
//! watchers       notifies watchers of a clear or an invalidation
//! namespaces     names and clears namespaces
//! quotas         sets the quotas of namespaces
//! tags           invalidates tags
//! ```
//!
//! No table needs a repair: a death leaves it as it was, or with the whole change.

pub(crate) mod namespaces;
pub(crate) mod quotas;
pub(crate) mod subscriptions;
pub(crate) mod tags;
pub(crate) mod watchers;
