//! One watch or subscription: its filter and its queue.
//!
//! The queue is bounded: the oldest items make room, and the stream counts them as lost.

use crate::layout::keyspaces::number;
use crate::layout::messages::{ANY_NAMESPACE, RingKind, What};
use crate::streams::items::{Owned, StreamItem};
use std::collections::VecDeque;

pub(crate) enum Wanted {
    Changes { key: Option<Vec<u8>>, prefix: Vec<u8>, tags: Vec<u64> },
    Messages { name: Vec<u8>, is_prefix: bool },
}

/// One `watch` or `subscribe`.
pub(crate) struct OpenStream {
    pub(crate) listener: u64,
    pub(crate) namespace: u16,
    pub(crate) wanted: Wanted,
    /// The upper bits of the hash of the stream's key or channel, which select its shard; `None`: any shard.
    pub(crate) upper: Option<u16>,
    pub(crate) queue: VecDeque<StreamItem>,
    /// Maximum number of items in the queue.
    pub(crate) most: usize,
    /// Number of items lost behind the last item of the queue.
    pub(crate) lost: u64,
    /// Whether its listener was notified and has not emptied the queue since.
    pub(crate) notified: bool,
}

impl OpenStream {
    pub(crate) fn ring_kind(&self) -> RingKind {
        match self.wanted {
            Wanted::Changes { .. } => RingKind::Changes,
            Wanted::Messages { .. } => RingKind::Messages,
        }
    }

    /// The positions of its tags in the message; `None`: the message is not for this stream.
    pub(crate) fn wants(&self, message: &Owned) -> Option<Vec<usize>> {
        let is_known = message.frame.namespace == self.namespace;
        match &self.wanted {
            Wanted::Messages { name, is_prefix } => {
                let fits = if *is_prefix { message.key.starts_with(name) } else { message.key == *name };
                (is_known && fits && message.what == What::Message).then(Vec::new)
            }
            Wanted::Changes { key, prefix, tags } => {
                let own: Vec<usize> = (0..tags.len()).filter(|i| message.tags.contains(&tags[*i])).collect();
                let is_tagged = tags.is_empty() || !own.is_empty();
                let wanted = match message.what {
                    What::Invalidate if message.frame.namespace == ANY_NAMESPACE => true,
                    // An invalidation spans the versions of its namespace.
                    What::Invalidate => message.frame.namespace == number(self.namespace) && is_tagged,
                    What::Message => false,
                    _ => {
                        let fits = key.as_ref().is_none_or(|key| *key == message.key);
                        is_known && is_tagged && fits && message.key.starts_with(prefix)
                    }
                };
                wanted.then_some(own)
            }
        }
    }

    pub(crate) fn push(&mut self, item: StreamItem) {
        self.queue.push_back(StreamItem { lost: std::mem::take(&mut self.lost), ..item });
        while self.queue.len() > self.most {
            let dropped = self.queue.pop_front().map_or(0, |item| item.lost.saturating_add(1));
            match self.queue.front_mut() {
                Some(first) => first.lost = first.lost.saturating_add(dropped),
                None => self.lost = self.lost.saturating_add(dropped),
            }
        }
    }
}
