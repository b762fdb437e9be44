//! Streams: the watches and subscriptions of this process. Their items come from the rings of the shards.
//!
//! ```text
//! items         the filter of a watch, and the items of a stream
//! open_stream   one watch or subscription with its queue
//! table         all streams, and the cursors of the rings
//! reader        polls, notifies, opens and ends
//! ```
//!
//! No ring holds a `clear`: the epochs show it, so a death cannot hide it. Every message carries the life of its entry.
//! A message of an earlier life than the known one comes before the clear, and a message of a later life after it.
//!
//! Caution: a process marks itself as watching before it notes the ends of the rings. Before a stream joins later, the
//! older messages go to the other streams.

pub(crate) mod items;
pub(crate) mod open_stream;
pub(crate) mod reader;
pub(crate) mod table;
