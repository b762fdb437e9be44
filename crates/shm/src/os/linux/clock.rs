//! The clock of this boot, and the id of this boot.

use std::io;
use std::sync::OnceLock;

/// Milliseconds of CLOCK_BOOTTIME in the caller's time namespace.
#[inline]
pub(crate) fn boottime_ms() -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to be written.
    unsafe { libc::clock_gettime(libc::CLOCK_BOOTTIME, &mut time) };
    time.tv_sec as u64 * 1000 + time.tv_nsec as u64 / 1_000_000
}

/// By how many milliseconds this process's time namespace shifts `boottime_ms`.
pub(crate) fn boottime_offset_ms() -> i64 {
    parse_boottime_offset(&std::fs::read_to_string("/proc/self/timens_offsets").unwrap_or_default())
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

/// The kernel's id of this boot. An error does not mean another boot: it also occurs without a free descriptor.
pub fn boot_id() -> io::Result<u128> {
    static KNOWN: OnceLock<u128> = OnceLock::new();
    if let Some(id) = KNOWN.get() {
        return Ok(*id);
    }
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    let id = u128::from_str_radix(&text.trim().replace('-', ""), 16).map_err(io::Error::other)?;
    Ok(*KNOWN.get_or_init(|| id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_offset_of_a_time_namespace_is_read_in_milliseconds() {
        assert_eq!(parse_boottime_offset("monotonic  10 0\nboottime  -86400 500000000\n"), -86_399_500);
        assert_eq!(parse_boottime_offset(""), 0);
    }
}
