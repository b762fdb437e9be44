//! Collections: hashes, lists, sets and sorted sets, each as one packed value of an entry.
//!
//! From the bottom: `element` (one element as bytes), `packed` (all elements of a collection, and how they are edited),
//! `request` (what a caller asks, and the answers as bytes), `maps`, `lists`, `sorted` (the operations), `run` (the
//! dispatch to them).
//!
//! Nothing here touches shared memory. An operation works on a copy of the value, and the change stores the edited copy
//! as a new entry, so a collection is as atomic as any other value.

pub(crate) mod element;
pub(crate) mod lists;
pub(crate) mod maps;
pub(crate) mod packed;
pub(crate) mod request;
pub(crate) mod run;
pub(crate) mod sorted;
