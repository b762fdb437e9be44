//! Milliseconds since boot, sleep included, the same for every process of the host.
//!
//! The thing to get wrong: a time namespace shifts CLOCK_BOOTTIME for the processes in it; the shift is taken out here.

use crate::os;

/// The clock that deadlines are counted on. Copy it freely.
#[derive(Clone, Copy, Debug)]
pub struct BootClock {
    namespace_offset_ms: i64,
}

impl BootClock {
    /// Reads the time namespace's offset once.
    pub fn new() -> Self {
        let offsets = std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default();
        Self { namespace_offset_ms: parse_boottime_offset(&offsets) }
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

/// Lines look like `boottime  86400  0`: clock, seconds, nanoseconds.
fn parse_boottime_offset(text: &str) -> i64 {
    text.lines()
        .find_map(|line| {
            let mut words = line.split_whitespace();
            let (clock, seconds, nanos) = (words.next()?, words.next()?, words.next()?);
            (clock == "boottime").then_some(())?;
            Some(seconds.parse::<i64>().ok()? * 1000 + nanos.parse::<i64>().ok()? / 1_000_000)
        })
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read_in_milliseconds() {
        assert_eq!(parse_boottime_offset("monotonic  10 0\nboottime  -86400 500000000\n"), -86_399_500);
        assert_eq!(parse_boottime_offset(""), 0);
    }

    #[test]
    fn two_clocks_of_one_host_agree() {
        let (a, b) = (BootClock::new().now_ms(), BootClock::new().now_ms());
        assert!(b >= a && b - a < 10_000);
    }
}
