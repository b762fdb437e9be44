//! Writes the messages of a change into the rings of its shard, for watchers and subscribers.
//!
//! The ring of changes is written only while a process watches. A message that is not whole counts as lost for its
//! readers.

use crate::change::locked::Locked;
use crate::layout::entry::{BINARY_KEY, Damaged, Head, STALE, TAGGED};
use crate::layout::keyspaces::is_record;
use crate::layout::messages::{ANY_NAMESPACE, Frame, RingKind, What};
use crate::layout::sizes::MAX_KEY;
use crate::shard::pieces::pieces;

impl Locked<'_> {
    /// Writes the change of an entry if a process watches. The caller has published the change and passed the full
    /// fence.
    #[inline]
    pub(crate) fn notify_change(&mut self, what: What, head: &Head) {
        if self.attachment.segment.member().is_watched() && !is_record(head.namespace) {
            self.append_change(what, head);
        }
    }

    #[cold]
    fn append_change(&mut self, what: What, head: &Head) {
        let tagged = head.flags & TAGGED != 0 && head.has_sound_extras();
        let stale = usize::from(head.flags & STALE != 0);
        let frame = Frame {
            what,
            binary_key: head.flags & BINARY_KEY != 0,
            namespace: head.namespace,
            version: head.version,
            life: head.life,
            tags: if tagged { head.extras - stale - 1 } else { 0 },
            key_len: head.key_len.min(MAX_KEY),
            value_len: 0,
        };
        let Some(mut message) = self.shard.ring(RingKind::Changes).begin(&frame) else { return };
        let mut words = 0;
        let mut written = Ok(());
        if tagged {
            written = head.each_tag(self.shard, |word| {
                if words > 0 {
                    message.put(word); // the first word is the tag clock
                }
                words += 1;
            });
        }
        let whole: Result<(), Damaged> = written.and_then(|()| {
            pieces(self.shard, head, head.key_at(), frame.key_len, |offset, len| message.put_from(offset, len))
        });
        message.finish(whole.is_ok());
        self.has_news = true;
    }

    /// Writes that these tags of a namespace were invalidated.
    pub(crate) fn append_invalidation(&mut self, namespace: u16, tags: &[u64]) {
        let frame = Frame {
            what: What::Invalidate,
            binary_key: false,
            namespace,
            version: 0,
            life: self.life_of(namespace),
            tags: tags.len(),
            key_len: 0,
            value_len: 0,
        };
        // An invalidation can have more tags than fit. Its message then stands for all tags.
        let ring = self.shard.ring(RingKind::Changes);
        let fits = tags.len() <= usize::from(u16::MAX) && frame.words() <= ring.most();
        let frame = if fits { frame } else { Frame { tags: 0, namespace: ANY_NAMESPACE, ..frame } };
        let Some(mut message) = ring.begin(&frame) else { return };
        for tag in tags.iter().take(frame.tags) {
            message.put(*tag);
        }
        message.finish(true);
        self.has_news = true;
    }

    /// Writes a message on a channel.
    pub(crate) fn append_message(&self, frame: &Frame, channel: &[u8], value: &[u8]) {
        if let Some(mut message) = self.shard.ring(RingKind::Messages).begin(frame) {
            message.put_bytes(channel);
            message.put_bytes(value);
            message.finish(true);
        }
    }
}
