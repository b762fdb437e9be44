//! Notifies watchers of clears and invalidations, which belong to no change of a shard.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::layout::namespaces::ROOT;
use cache_machine_shm::bell;

impl Attachment {
    /// Wakes the processes that watch, which then read the epochs. The caller has changed an epoch.
    pub(crate) fn wake_for_clear(&self) {
        bell::after_publish();
        let member = self.segment.member();
        if member.is_watched() {
            member.wake_watchers(0);
        }
    }

    /// Notifies all watchers that tags were invalidated. If that takes longer than `patience`, they are notified of a
    /// loss.
    pub(crate) fn notify_invalidation(&self, namespace: u16, tags: &[u64], patience: Patience) {
        bell::after_publish();
        let member = self.segment.member();
        if !member.is_watched() {
            return;
        }
        match self.lock(&self.shard(0), ROOT, patience.brief()) {
            Ok(mut locked) => locked.append_invalidation(namespace, tags),
            Err(_) => {
                self.note_unwritten();
                member.wake_watchers(0);
            }
        }
    }
}
