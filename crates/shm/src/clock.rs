//! Milliseconds since boot, sleep included, the same for every process of the host.
//!
//! A time namespace shifts the clock of the system for the processes in it. This module subtracts that offset.

use crate::os;

/// The clock of all deadlines.
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    namespace_offset_ms: i64,
}

impl BootClock {
    /// Reads the time namespace's offset once.
    pub fn new() -> Self {
        Self { namespace_offset_ms: os::boottime_offset_ms() }
    }

    /// Milliseconds since boot; never 0.
    #[inline]
    pub fn now_ms(&self) -> u64 {
        (os::boottime_ms() as i64 - self.namespace_offset_ms).max(1) as u64
    }
}

impl Default for BootClock {
    fn default() -> Self {
        Self::new()
    }
}

/// Epoch milliseconds. For display only: it jumps when the wall clock is set.
pub fn wall_ms() -> u64 {
    std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_millis() as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_clocks_of_one_host_agree() {
        let (a, b) = (BootClock::new().now_ms(), BootClock::new().now_ms());
        assert!(b >= a && b - a < 10_000);
    }
}
