//! Counts the listeners of each stripe of keys in this process. The process's slot has the mark of a stripe while the
//! stripe has a listener.

use cache_machine_shm::{BELL_STRIPES, Member};
use std::sync::Mutex;

/// The stripes that one process listens to.
pub(crate) struct ListenedStripes {
    counts: Mutex<[u32; BELL_STRIPES]>,
}

impl Default for ListenedStripes {
    fn default() -> Self {
        Self { counts: Mutex::new([0; BELL_STRIPES]) }
    }
}

impl ListenedStripes {
    /// Adds a listener to a stripe. Each call needs its own call of `ignore`.
    pub(crate) fn listen(&self, member: &Member, stripe: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        counts[stripe] += 1;
        if counts[stripe] == 1 {
            member.listen(stripe);
        }
    }

    pub(crate) fn ignore(&self, member: &Member, stripe: usize) {
        let mut counts = self.counts.lock().unwrap_or_else(|e| e.into_inner());
        counts[stripe] -= 1;
        if counts[stripe] == 0 {
            member.ignore(stripe);
        }
    }
}
