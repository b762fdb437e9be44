//! The lock-free protocols: which word is stored and loaded in what order. Each file draws its protocol at its head.
//!
//! They compile for the loom model checker as well, so nothing here maps memory or calls the system (the futex of a bell apart).

pub mod bell;
pub mod ending;
pub mod index;
pub mod lock;
pub mod publish;
pub mod slot;
pub mod tag_clock;
pub mod tail;
