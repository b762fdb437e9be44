//! The format of messages in the two rings of a shard, and the checks of a copied message.
//!
//! ```text
//! message   words u32 · kind u8 · flags u8 · namespace u16
//!           version u64, or length u32 and kind u8 of the value
//!           life of the entry u64
//!           length of the key u16 · number of tags u16
//!           tags u64 … · key, filled up to 8 bytes · value, filled up · words u64
//! ```
//!
//! A copy is not trusted: lengths are checked, the walk is bounded, and a contradiction yields no message.

use crate::layout::sizes::MAX_KEY;

/// The rings of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum RingKind {
    /// Changes of entries.
    Changes = 0,
    /// Messages on channels.
    Messages = 1,
}

/// Words of a message around its tags, key and value.
pub(crate) const FRAME: usize = 5;
/// The namespace of an invalidation that may concern every namespace.
pub(crate) const ANY_NAMESPACE: u16 = u16::MAX;

/// The kind of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum What {
    /// An entry was written.
    Set = 1,
    /// The user deleted an entry.
    Delete = 2,
    /// An entry was evicted.
    Evict = 3,
    /// An entry expired.
    Expire = 4,
    /// Tags were invalidated, or messages were lost: copies may be outdated.
    Invalidate = 5,
    /// All entries of the namespace were cleared. It is never in a ring: readers compare the epochs.
    Clear = 6,
    /// A message was published on a channel.
    Message = 7,
}

impl What {
    fn of(number: u8) -> Option<Self> {
        [Self::Set, Self::Delete, Self::Evict, Self::Expire, Self::Invalidate, Self::Message]
            .into_iter()
            .find(|what| *what as u8 == number)
    }
}

/// The first words of a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Frame {
    pub(crate) what: What,
    /// The key was given as bytes.
    pub(crate) binary_key: bool,
    pub(crate) namespace: u16,
    /// Version of the entry. For a message on a channel: length and kind of the value.
    pub(crate) version: u64,
    pub(crate) life: u64,
    pub(crate) tags: usize,
    pub(crate) key_len: usize,
    pub(crate) value_len: usize,
}

impl Frame {
    /// Words of the whole message.
    pub(crate) fn words(&self) -> usize {
        FRAME + self.tags + self.key_len.div_ceil(8) + self.value_len.div_ceil(8)
    }
}

/// A message that was copied out of a ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Message<'b> {
    pub(crate) what: What,
    pub(crate) binary_key: bool,
    pub(crate) namespace: u16,
    pub(crate) version: u64,
    pub(crate) life: u64,
    tags: &'b [u8],
    pub(crate) key: &'b [u8],
    pub(crate) value: &'b [u8],
}

impl<'b> Message<'b> {
    pub(crate) fn tags(&self) -> impl Iterator<Item = u64> + 'b {
        self.tags.chunks_exact(8).map(|tag| word_at(tag, 0))
    }

    /// Parses the bytes of one whole message. `None`: the bytes contradict themselves, or the writer gave up.
    pub(crate) fn of(bytes: &'b [u8]) -> Option<Self> {
        let first = word_at(bytes, 0);
        let what = What::of((first >> 32) as u8)?;
        let (version, lengths) = (word_at(bytes, 1), word_at(bytes, 3));
        let (key_len, tags) = (usize::from(lengths as u16), usize::from((lengths >> 16) as u16));
        let value_len = if what == What::Message { version as u32 as usize } else { 0 };
        let key_at = (FRAME - 1 + tags) * 8;
        let value_at = key_at + key_len.next_multiple_of(8);
        if key_len > MAX_KEY || value_at + value_len.next_multiple_of(8) + 8 > bytes.len() {
            return None;
        }
        Some(Self {
            what,
            binary_key: first >> 40 & 1 == 1,
            namespace: (first >> 48) as u16,
            version,
            life: word_at(bytes, 2),
            tags: &bytes[(FRAME - 1) * 8..key_at],
            key: &bytes[key_at..key_at + key_len],
            value: &bytes[value_at..value_at + value_len],
        })
    }
}

/// The 8-byte word at an index of copied bytes; 0 behind their end.
pub(crate) fn word_at(bytes: &[u8], index: usize) -> u64 {
    let word = bytes.get(index * 8..index * 8 + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(word.unwrap_or_default())
}

/// The bytes of each message in turn, while their lengths are possible.
pub(crate) fn whole_messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = len_at_start(rest)?;
        let (message, after) = rest.split_at(len);
        rest = after;
        Some(message)
    })
}

/// Length of the message at the start of `bytes`.
pub(crate) fn len_at_start(bytes: &[u8]) -> Option<usize> {
    let words = word_at(bytes, 0) as u32 as usize;
    let fits = (FRAME..=bytes.len() / 8).contains(&words);
    (fits && word_at(bytes, words - 1) == words as u64).then_some(words * 8)
}

/// Length of the message at the end of `bytes`.
pub(crate) fn len_at_end(bytes: &[u8]) -> Option<usize> {
    let words = word_at(bytes, (bytes.len() / 8).checked_sub(1)?);
    let from = (bytes.len() / 8).checked_sub(usize::try_from(words).ok()?)?;
    let len = len_at_start(&bytes[from * 8..])?;
    (len == bytes.len() - from * 8).then_some(len)
}
