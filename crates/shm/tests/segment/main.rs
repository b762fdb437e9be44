//! Files of segments: which file a name may mean, which process may remove it, and what damage from outside does.

mod creation;
mod destruction;
mod faults;
mod headers;
mod limits;
mod ownership;
mod processes;
mod scratch;
