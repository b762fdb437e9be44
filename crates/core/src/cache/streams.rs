//! Watches, subscriptions and messages.

use crate::attachment::attached::Attachment;
use crate::cache::handle::Cache;
use crate::error::CacheError;

use crate::layout::key::Key;
use crate::layout::messages::{Frame, RingKind, What};
use crate::layout::namespaces::ROOT;
use crate::layout::sizes::{MAX_KEY, MAX_TAGS};
use crate::streams::items::Watch;
use crate::streams::open_stream::{OpenStream, Wanted};
use crate::tables::subscriptions::Name;
use std::collections::VecDeque;

impl Cache {
    /// Watches changes of this namespace from now on, on behalf of a listener. Returns the number of the stream; a
    /// notice names it when `read_stream` has something to read. The queue holds at most `most` changes; older ones are
    /// dropped and counted.
    ///
    /// # Errors
    /// An invalid key or prefix; too many tags; `Detached`.
    pub fn watch(&self, watch: &Watch<'_>, most: usize, listener: u64) -> Result<u64, CacheError> {
        self.check_attached()?;
        if watch.tags.len() > MAX_TAGS || watch.prefix.len() > MAX_KEY {
            return Err(CacheError::InvalidArgument(format!("at most {MAX_TAGS} tags and {MAX_KEY} bytes of prefix")));
        }
        let key = watch.key.map(|key| self.key(key)).transpose()?;
        let stream = OpenStream {
            listener,
            namespace: self.namespace_of_values(),
            wanted: Wanted::Changes {
                key: watch.key.map(<[u8]>::to_vec),
                prefix: watch.prefix.to_vec(),
                tags: watch.tags.to_vec(),
            },
            upper: key.map(|key| key.upper),
            queue: VecDeque::new(),
            most: most.max(1),
            lost: 0,
            notified: false,
        };
        self.streams.open(self, stream, || Ok(()))
    }

    /// Subscribes to a channel of this namespace from now on, or with `is_prefix` to all channels that start with
    /// `channel`. Otherwise it behaves like `watch`.
    ///
    /// # Errors
    /// A channel or prefix that is not a valid key; `Busy`, `NoSpace`, `Detached`.
    pub fn subscribe(&self, channel: &[u8], is_prefix: bool, most: usize, listener: u64) -> Result<u64, CacheError> {
        self.check_attached()?;
        let namespace = self.namespace();
        let key = Key::new(self.geometry(), namespace, channel)?;
        let stream = OpenStream {
            listener,
            namespace,
            wanted: Wanted::Messages { name: channel.to_vec(), is_prefix },
            upper: (!is_prefix).then_some(key.upper),
            queue: VecDeque::new(),
            most: most.max(1),
            lost: 0,
            notified: false,
        };
        let name = Name { namespace, is_prefix, bytes: channel };
        // The subscription is noted after the cursors are set: a counted subscriber gets the message.
        self.streams.open(self, stream, || self.note_subscription(&name, self.write_patience()))
    }

    /// Publishes a message on a channel of this namespace. Returns the number of subscriptions to it in living
    /// processes. If there are none, it writes nothing.
    ///
    /// # Errors
    /// A channel that is not a valid key; `MessageTooLarge`, `Busy`, `Detached`.
    pub fn publish(&self, channel: &[u8], kind: u8, value: &[u8]) -> Result<u32, CacheError> {
        self.in_area(|| self.publish_in(self, channel, kind, value))
    }

    fn publish_in(&self, area: &Attachment, channel: &[u8], kind: u8, value: &[u8]) -> Result<u32, CacheError> {
        area.check_attached()?;
        let namespace = self.namespace();
        let key = Key::new(area.geometry(), namespace, channel)?;
        let frame = Frame {
            what: What::Message,
            binary_key: false,
            namespace,
            version: value.len() as u64 | u64::from(kind) << 32,
            life: 0,
            tags: 0,
            key_len: channel.len(),
            value_len: value.len(),
        };
        let limit = area.shard(key.shard).ring(RingKind::Messages).most() * 8;
        let needed = frame.words() * 8;
        if needed > limit {
            return Err(CacheError::MessageTooLarge { needed, limit });
        }
        let audience = area.audience(namespace, channel);
        if audience.count == 0 {
            return Ok(0);
        }
        area.try_change((&area.shard(key.shard), ROOT), self.write_patience(), |locked| {
            locked.append_message(&frame, channel, value);
            Ok(())
        })?;
        self.segment.member().wake_slots(&audience.slots, key.shard);
        Ok(audience.count)
    }
}
