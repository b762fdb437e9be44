//! Flags that this process keeps between two locks.

use crate::attachment::patience::Outlasted;
use cache_machine_shm::atomic::AtomicBool;

/// One flag of each kind per shard, and one per lock in the header.
pub(crate) struct LockFlags {
    /// Acquisitions of shard locks that outlasted a writer.
    pub(crate) outlasted: Vec<Outlasted>,
    /// The same for the locks in the header, by `HeaderTable`.
    pub(crate) header: [Outlasted; 3],
    /// Shards in which a reader met damage.
    pub(crate) damaged: Vec<AtomicBool>,
}

impl LockFlags {
    pub(crate) fn new(shards: usize) -> Self {
        Self {
            outlasted: (0..shards).map(|_| Outlasted::default()).collect(),
            header: Default::default(),
            damaged: (0..shards).map(|_| AtomicBool::new(false)).collect(),
        }
    }
}
