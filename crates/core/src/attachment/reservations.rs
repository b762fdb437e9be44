//! Notes when the file system last had no room for more of a shard's space. A new attempt comes a second later at the
//! earliest.

use cache_machine_shm::BootClock;
use cache_machine_shm::atomic::{AtomicU64, Ordering};

/// Minimum time between a failed reservation and the next attempt.
const RESERVE_AGAIN_MS: u64 = 1000;

/// The failed reservations of one process, per shard.
pub(crate) struct Reservations {
    clock: BootClock,
    /// Time of a shard's last failed reservation, in milliseconds since boot; 0: none.
    full_since: Vec<AtomicU64>,
}

impl Reservations {
    pub(crate) fn new(shards: usize, clock: BootClock) -> Self {
        Self { clock, full_since: (0..shards).map(|_| AtomicU64::new(0)).collect() }
    }

    /// Whether a shard may try to reserve more space.
    pub(crate) fn may_reserve(&self, shard: usize) -> bool {
        let since = self.full_since[shard].load(Ordering::Relaxed);
        since == 0 || self.clock.now_ms() >= since + RESERVE_AGAIN_MS
    }

    /// Notes that a reservation failed.
    pub(crate) fn note_failure(&self, shard: usize) {
        self.full_since[shard].store(self.clock.now_ms(), Ordering::Relaxed);
    }
}
