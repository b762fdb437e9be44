//! Moves all entries into an area of another size while the segment is in use.
//!
//! ```text
//! place     finds room in the file for another area, and makes it
//! copy      copies entries, one queue after the other
//! carry     carries counts and the records of tags over
//! run       the steps in order, under the locks
//! release   gives the bytes of areas back that no process uses
//! ```
//!
//! A resize holds all locks of the present area while it copies: writers wait for it as for any holder, and readers go on.
//! One store of the root epoch then switches to the new area. Before that store nothing has happened, after it everything:
//! a death needs no repair. docs/decisions/0025-resizing.md says why.
//!
//! Promises: a read finds each entry before, during and after the switch. A write that returned is in the new area. Pinned
//! records are kept, or nothing is changed.

mod carry;
mod copy;
mod place;
pub(crate) mod release;
pub(crate) mod run;

pub use run::Resized;
