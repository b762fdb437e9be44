//! The gate of a segment: byte locks on its file by which processes that open it and processes that destroy it exclude each
//! other.
//!
//! ```text
//! open               shared, 1 byte at GATE + number
//! destroy            exclusive, 1 + number bytes from DESTROYERS on: one process at a time
//! … without force    exclusive as well, GATE_BYTES + number bytes from GATE on: no process is opening
//! ```
//!
//! Promises: only one process at a time unlinks the name of a file. A destroy without force excludes all processes that are
//! opening, so it destroys no segment under one of them. A destroy with force waits for none of them: an opener finds out at its
//! first operation that the segment was destroyed.
//!
//! The system tells which bytes are in the way. The number of a process is in them, so a waiter learns whether that process is
//! suspended.

use crate::error::ShmError;
use crate::os::{self, Hold};
use crate::segment::header::{DESTROYERS, GATE, GATE_BYTES};
use crate::steps::visit;
use std::fs::File;
use std::time::{Duration, Instant};

/// Maximum wait at the gate.
pub const MAX_GATE_PATIENCE: Duration = Duration::from_secs(2);
/// Wait for a process that is suspended.
const SUSPENDED_PATIENCE: Duration = Duration::from_millis(100);
/// Bits of a pid. Linux has no larger ones.
const PID_BITS: u32 = 22;

/// A way through the gate.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pass {
    /// For a process that opens the segment.
    Open,
    /// For a process that destroys it, or finishes its destruction.
    Destroy,
    /// In addition, for a destruction without force.
    AloneInside,
}

/// The number of this process: its PID namespace and its pid.
fn own_number() -> i64 {
    i64::from(os::pid_namespace()) << PID_BITS | i64::from(std::process::id()) & ((1 << PID_BITS) - 1)
}

/// Whether the process with a number is suspended. `None` where the system cannot say.
fn is_suspended(number: i64) -> Option<bool> {
    let namespace = (number >> PID_BITS) as u32;
    if namespace == 0 || namespace != os::pid_namespace() {
        return None;
    }
    os::process_status((number & ((1 << PID_BITS) - 1)) as u32).map(|status| status.is_suspended)
}

impl Pass {
    fn bytes(self) -> (Hold, i64, i64) {
        match self {
            Self::Open => (Hold::Shared, GATE + own_number(), 1),
            Self::Destroy => (Hold::Exclusive, DESTROYERS, 1 + own_number()),
            Self::AloneInside => (Hold::Exclusive, GATE, GATE_BYTES + own_number()),
        }
    }

    /// The number of the process that holds these bytes, which are in the way.
    fn holder(self, (start, len): (i64, i64)) -> i64 {
        match self {
            Self::Open => len - GATE_BYTES,
            Self::Destroy => len - 1,
            Self::AloneInside => start - GATE,
        }
    }

    /// Tries to pass. False if another process is in the way.
    pub(crate) fn try_take(self, file: &File) -> Result<bool, ShmError> {
        let (hold, start, len) = self.bytes();
        os::try_hold_range(file, hold, start, len).map_err(|e| ShmError::from_io("enter the gate", e))
    }

    /// Passes, and waits at most `patience` for others, and less for a suspended one. False if `is_wanted` says that there is
    /// nothing to wait for any more.
    pub(crate) fn take(self, file: &File, patience: Duration, is_wanted: impl Fn() -> bool) -> Result<bool, ShmError> {
        if self.try_take(file)? {
            return Ok(true);
        }
        let begun = Instant::now();
        let (mut in_the_way, mut since) = (None, begun);
        loop {
            if !is_wanted() {
                return Ok(false);
            }
            let (hold, start, len) = self.bytes();
            let found =
                os::lock_in_the_way(file, hold, start, len).map_err(|e| ShmError::from_io("ask the gate", e))?;
            if found != in_the_way {
                (in_the_way, since) = (found, Instant::now());
            }
            let is_long = since.elapsed() >= SUSPENDED_PATIENCE;
            // mutant: gate-waits-for-suspended
            if is_long && found.is_some_and(|bytes| is_suspended(self.holder(bytes)) == Some(true)) {
                let text = "a process that is suspended (SIGSTOP) is opening or destroying the segment";
                return Err(ShmError::Busy(text.into()));
            }
            if begun.elapsed() >= patience {
                return Err(ShmError::Busy("another process is opening or destroying the segment".into()));
            }
            visit("gate wait");
            std::thread::sleep(Duration::from_millis(1));
            if self.try_take(file)? {
                return Ok(true);
            }
        }
    }
}

/// Gives back the pass of an opener.
pub(crate) fn leave(file: &File) -> Result<(), ShmError> {
    let (_, start, len) = Pass::Open.bytes();
    os::try_hold_range(file, Hold::None, start, len).map_err(|e| ShmError::from_io("leave the gate", e))?;
    Ok(())
}
