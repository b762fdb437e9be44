//! The filter of a watch, and the items of watches and subscriptions.

use crate::layout::messages::{Frame, Message, What};

/// The filter of a watch. A change must meet every condition.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch<'a> {
    /// Only this key.
    pub key: Option<&'a [u8]>,
    /// Only keys that start with this.
    pub prefix: &'a [u8],
    /// Only entries that carry one of these tags, by `Cache::tag`; empty: all entries.
    pub tags: &'a [u64],
}

/// A change or a message, for a stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamItem {
    /// The kind of the change, or `Message`.
    pub what: What,
    /// The entry's key, or the channel; empty if the item concerns a whole namespace.
    pub key: Vec<u8>,
    /// The key was given as bytes.
    pub binary_key: bool,
    /// Version of the entry; 0 if there is none.
    pub version: u64,
    /// The watched tags that the entry carries, or that were invalidated, as positions in `Watch::tags`.
    pub tags: Vec<usize>,
    /// The published value.
    pub value: Vec<u8>,
    /// Kind of the published value.
    pub value_kind: u8,
    /// Number of items lost before this one.
    pub lost: u64,
}

impl StreamItem {
    pub(crate) fn about_all(what: What) -> Self {
        Self {
            what,
            key: Vec::new(),
            binary_key: false,
            version: 0,
            tags: Vec::new(),
            value: Vec::new(),
            value_kind: 0,
            lost: 0,
        }
    }
}

/// An owned copy of a message of a ring.
pub(crate) struct Owned {
    pub(crate) frame: Frame,
    pub(crate) what: What,
    pub(crate) tags: Vec<u64>,
    pub(crate) key: Vec<u8>,
    pub(crate) value: Vec<u8>,
}

impl Owned {
    pub(crate) fn of(message: &Message<'_>) -> Self {
        let Message { what, binary_key, namespace, version, life, key, value, .. } = *message;
        Self {
            frame: Frame {
                what,
                binary_key,
                namespace,
                version,
                life,
                tags: 0,
                key_len: key.len(),
                value_len: value.len(),
            },
            what,
            tags: message.tags().collect(),
            key: key.to_vec(),
            value: value.to_vec(),
        }
    }

    pub(crate) fn item(&self) -> StreamItem {
        let is_message = self.what == What::Message;
        StreamItem {
            what: self.what,
            key: self.key.clone(),
            binary_key: self.frame.binary_key,
            version: if is_message { 0 } else { self.frame.version },
            tags: Vec::new(),
            value: self.value.clone(),
            value_kind: if is_message { (self.frame.version >> 32) as u8 } else { 0 },
            lost: 0,
        }
    }
}
