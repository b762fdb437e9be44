//! The bytes of a segment as this process reaches them.
//!
//! `region` gives checked access by atomic words, `bulk` copies many of them, `mapping` maps and unmaps the file, `guard`
//! survives its truncation, `latest` replaces a value under its readers.

mod bulk;
pub(crate) mod guard;
pub(crate) mod latest;
pub(crate) mod mapping;
pub(crate) mod region;
