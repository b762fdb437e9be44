//! Processes, as the system knows them, and this one.

use crate::os::types::ProcessStatus;
use std::os::unix::fs::MetadataExt;
use std::sync::OnceLock;

/// The status of a process of this PID namespace; `None` if there is none, or if it may not be read.
pub(crate) fn process_status(pid: u32) -> Option<ProcessStatus> {
    let text = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    parse_process_status(&text)
}

/// The name of the program comes second, in parentheses, and may contain any bytes.
fn parse_process_status(text: &[u8]) -> Option<ProcessStatus> {
    const STARTED: usize = 19;
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let rest = std::str::from_utf8(&text[end + 1..]).ok()?;
    let mut fields = rest.split_whitespace();
    let state = fields.next()?;
    let started = fields.nth(STARTED - 1)?.parse().ok()?;
    Some(ProcessStatus { is_suspended: matches!(state, "T" | "t"), started })
}

/// The lower half of the number of this process's PID namespace; 0 where it is not known.
pub(crate) fn pid_namespace() -> u32 {
    static KNOWN: OnceLock<u32> = OnceLock::new();
    *KNOWN.get_or_init(|| std::fs::metadata("/proc/self/ns/pid").map_or(0, |meta| meta.ino() as u32))
}

/// Unpredictable bits from the kernel.
pub fn random_u64() -> u64 {
    let mut bytes = [0u8; 8];
    // SAFETY: the buffer is 8 writable bytes. So few bytes are never cut short.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), 8, 0) };
    assert_eq!(got, 8, "the kernel gives random bytes");
    u64::from_le_bytes(bytes)
}

/// Ends this process at once, as `kill -9` does.
#[cfg(feature = "kill-steps")]
pub(crate) fn kill_self() {
    signal_self(libc::SIGKILL);
    loop {
        // SAFETY: waits for the signal that is on its way.
        unsafe { libc::pause() };
    }
}

/// Suspends this process until another one resumes it.
#[cfg(feature = "kill-steps")]
pub(crate) fn stop_self() {
    signal_self(libc::SIGSTOP);
}

#[cfg(feature = "kill-steps")]
fn signal_self(signal: libc::c_int) {
    // SAFETY: signals the calling thread; both signals used here act on the whole process.
    unsafe { libc::raise(signal) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_is_read_behind_any_name() {
        let stat = |state: &str| {
            format!("12 (a) T (b\u{e9}) {state} 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 4711 20 21\n")
        };
        for (state, is_suspended) in [("R", false), ("S", false), ("T", true), ("t", true), ("D", false)] {
            let status = parse_process_status(stat(state).as_bytes()).unwrap();
            assert_eq!((status.is_suspended, status.started), (is_suspended, 4711));
        }
        assert!(parse_process_status(b"12 (cut").is_none());
        let me = process_status(std::process::id()).unwrap();
        assert!(!me.is_suspended && me.started > 0);
        assert_ne!(pid_namespace(), 0);
    }
}
