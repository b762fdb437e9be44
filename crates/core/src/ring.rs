//! A ring of messages in shared memory: written under its shard's lock, read by everybody without one.
//!
//! ```text
//! control   reserved u64 · floor u64 · state u64: how many messages, 32 bits · where they end, 32 bits       derived
//! message   words u32 · kind u8 · flags u8 · namespace u16
//!           version u64, or length u32 and kind u8 of the value
//!           life of the entry u64
//!           length of the key u16 · number of tags u16
//!           tags u64 … · key, filled up to 8 bytes · value, filled up · words u64
//! ```
//!
//! Positions count 8-byte words since the segment was made and never go back. A writer moves `reserved` past its message,
//! writes it, and publishes it by one store of `state`. A reader copies what is between its cursor and the end, then looks
//! at `reserved` again: what lies further back than the ring is long may have been overwritten under the copy, and counts
//! as lost. So does what was there when a rebuild reset the ring: that moves both words further than the ring is long.
//!
//! The thing to get wrong: believing what was copied. Lengths are checked, the walk is bounded, and whatever does not add
//! up is counted among the lost: `state` tells how many there were in all.

use crate::geometry::Geometry;
use crate::key::MAX_KEY;
use crate::shard::ShardView;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::steps::step;
use cache_machine_shm::tail;

/// The rings of a shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(usize)]
pub(crate) enum Stream {
    /// What becomes of entries.
    Changes = 0,
    /// What is published on channels.
    Messages = 1,
}

/// Bytes in front of a ring.
pub(crate) const RING_CONTROL: usize = 64;
const RESERVED: usize = 0;
const FLOOR: usize = 8;
const STATE: usize = 16;
/// Words of a message around its tags, key and value.
const FRAME: usize = 5;
/// Positions beyond this were scribbled: no ring lives that long.
const LAST_POSITION: u64 = 1 << 60;

/// What a message tells.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum What {
    /// An entry was written.
    Set = 1,
    /// An entry was deleted by a user.
    Delete = 2,
    /// An entry was removed for room.
    Evict = 3,
    /// An entry was removed because its time was up.
    Expire = 4,
    /// Tags were invalidated, or something was lost: what is known may be outdated.
    Invalidate = 5,
    /// All entries of the namespace are gone. Not in the ring: the epochs tell.
    Clear = 6,
    /// Published on a channel.
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
    /// Of the entry; or length and kind of the value.
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

/// A message as copied out of the ring.
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

    /// Of whole bytes of one message; `None`: they do not add up, or its writer gave up.
    fn of(bytes: &'b [u8]) -> Option<Self> {
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

/// The word at an index of bytes that were copied; 0 behind their end.
fn word_at(bytes: &[u8], index: usize) -> u64 {
    let word = bytes.get(index * 8..index * 8 + 8).and_then(|bytes| bytes.try_into().ok());
    u64::from_le_bytes(word.unwrap_or_default())
}

/// How far a reader has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Cursor {
    at: u64,
    state: u64,
}

/// What is there for a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct News {
    before: Cursor,
    now: Cursor,
    /// The cursor, or the oldest that the ring can have, where that is later.
    from: u64,
}

/// What a reader found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Batch<'b> {
    /// Messages before these that nobody can read any more.
    pub(crate) lost: u64,
    bytes: &'b [u8],
}

impl<'b> Batch<'b> {
    pub(crate) fn messages(&self) -> impl Iterator<Item = Message<'b>> + use<'b> {
        whole_messages(self.bytes).filter_map(Message::of)
    }
}

/// The bytes of one message after the other, as long as their lengths are possible.
fn whole_messages(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let len = len_at_start(rest)?;
        let (message, after) = rest.split_at(len);
        rest = after;
        Some(message)
    })
}

/// Bytes of the message that `bytes` starts with.
fn len_at_start(bytes: &[u8]) -> Option<usize> {
    let words = word_at(bytes, 0) as u32 as usize;
    let fits = (FRAME..=bytes.len() / 8).contains(&words);
    (fits && word_at(bytes, words - 1) == words as u64).then_some(words * 8)
}

/// Bytes of the message that `bytes` ends with.
fn len_at_end(bytes: &[u8]) -> Option<usize> {
    let words = word_at(bytes, (bytes.len() / 8).checked_sub(1)?);
    let from = (bytes.len() / 8).checked_sub(usize::try_from(words).ok()?)?;
    let len = len_at_start(&bytes[from * 8..])?;
    (len == bytes.len() - from * 8).then_some(len)
}

/// One ring of a shard.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    region: &'a Region,
    at: usize,
    /// How many words it has.
    words: usize,
}

impl<'a> Ring<'a> {
    pub(crate) fn of(region: &'a Region, geometry: &Geometry, shard: usize, stream: Stream) -> Self {
        let (at, words) = geometry.ring(shard, stream);
        Self { region, at, words }
    }

    fn control(&self, word: usize) -> &'a AtomicU64 {
        self.region.u64(self.at + word)
    }

    /// Where a position's word is.
    fn offset(&self, position: u64) -> usize {
        self.at + RING_CONTROL + (position % self.words as u64) as usize * 8
    }

    /// Most words of one message.
    pub(crate) fn most(&self) -> usize {
        self.words / 4
    }

    /// No writer is in the middle of a message, or died there.
    pub(crate) fn is_quiet(&self) -> bool {
        // Guarded by the shard's lock.
        let (reserved, state) = (self.control(RESERVED), self.control(STATE));
        reserved.load(Ordering::Relaxed) as u32 == end_of(state.load(Ordering::Relaxed))
    }

    /// Under the lock: room for a message, which overwrites the oldest ones. `None`: it is too long.
    pub(crate) fn begin(self, frame: &Frame) -> Option<Appending<'a>> {
        let words = frame.words();
        if words > self.words / 2 {
            return None;
        }
        if !self.is_quiet() || self.control(RESERVED).load(Ordering::Relaxed) > LAST_POSITION {
            self.reset();
        }
        let start = self.control(RESERVED).load(Ordering::Relaxed);
        let end = start + words as u64;
        tail::reserve(self.control(RESERVED), end);
        let mut appending = Appending { ring: self, frame: *frame, start, at: start + 1, end };
        appending.put(frame.version);
        appending.put(frame.life);
        appending.put(frame.key_len as u64 | (frame.tags as u64) << 16);
        Some(appending)
    }

    /// Under the lock: what is in the ring is lost, one message at least, and every reader will see that.
    pub(crate) fn reset(&self) {
        let reserved = self.control(RESERVED).load(Ordering::Relaxed);
        let start = if reserved > LAST_POSITION { 0 } else { reserved };
        // Every cursor is further back than the ring is long.
        let next = start + self.words as u64;
        self.control(RESERVED).store(next, Ordering::Relaxed);
        step("ring.moved");
        self.control(FLOOR).store(next, Ordering::Relaxed); // published by the state
        step("ring.floor");
        let state = self.control(STATE).load(Ordering::Relaxed);
        // Whoever sees the state sees the floor.
        tail::publish(self.control(STATE), state_of(count_of(state).wrapping_add(1), next));
        step("ring.reset");
    }

    /// The state, and the position at which its messages end.
    fn look(&self) -> (u64, u64) {
        let mut tries = 0;
        loop {
            let (state, reserved) = tail::look(self.control(STATE), self.control(RESERVED));
            tries += 1;
            // Unchanged: `reserved` is the end, or ahead of it by what is being written.
            if self.control(STATE).load(Ordering::Relaxed) == state || tries == TRIES {
                let ahead = (reserved as u32).wrapping_sub(end_of(state));
                return (state, reserved.saturating_sub(u64::from(ahead)));
            }
        }
    }

    /// A reader that begins now.
    pub(crate) fn now(&self) -> Cursor {
        let (state, at) = self.look();
        Cursor { at, state }
    }

    /// What came since the cursor, copied into `bytes`.
    pub(crate) fn read<'b>(&self, cursor: &mut Cursor, bytes: &'b mut Vec<u8>) -> Option<Batch<'b>> {
        let news = self.news(cursor)?;
        bytes.clear();
        self.copy(news.from, news.now.at, bytes);
        Some(self.valid(&news, bytes))
    }

    /// Where to find what came since the cursor, which is moved behind it.
    fn news(&self, cursor: &mut Cursor) -> Option<News> {
        if self.control(STATE).load(Ordering::Relaxed) == cursor.state {
            return None;
        }
        let now = self.now();
        let before = std::mem::replace(cursor, now);
        let oldest = now.at.saturating_sub(self.words as u64);
        let from = if (oldest..=now.at).contains(&before.at) { before.at } else { oldest };
        Some(News { before, now, from })
    }

    /// Of a copy from `news.from` on, what nobody can have changed under it.
    fn valid<'b>(&self, news: &News, bytes: &'b [u8]) -> Batch<'b> {
        let News { before, now, from } = *news;
        let reserved = tail::reserved_after(self.control(RESERVED));
        let overwritten = reserved.saturating_sub(self.words as u64);
        let valid = overwritten.max(self.control(FLOOR).load(Ordering::Relaxed));
        let start = if from == before.at && from >= valid { 0 } else { oldest_whole(bytes, from, valid) };
        let bytes = &bytes[start..];
        let all = count_of(now.state).wrapping_sub(count_of(before.state));
        let whole = whole_messages(bytes).filter_map(Message::of).count() as u64;
        // A count that goes back was scribbled.
        let all = if all > u32::MAX / 2 { whole + 1 } else { u64::from(all) };
        Batch { lost: all.saturating_sub(whole), bytes }
    }

    fn copy(&self, from: u64, end: u64, bytes: &mut Vec<u8>) {
        let mut at = from;
        while at < end {
            let until_wrap = self.words as u64 - at % self.words as u64;
            let words = until_wrap.min(end - at);
            self.region.append_to(self.offset(at), words as usize * 8, bytes);
            at += words;
        }
    }
}

/// Looks at a ring that is written all the time; the last one is good enough unless 2^32 words were written meanwhile.
const TRIES: u32 = 100;

/// Where the oldest message starts in `bytes`, a copy from the position `from` on, of those that are all behind `valid`.
/// Found from the end, since only there a message is known to end.
fn oldest_whole(bytes: &[u8], from: u64, valid: u64) -> usize {
    let first = usize::try_from(valid.saturating_sub(from)).unwrap_or(usize::MAX).saturating_mul(8);
    let mut start = bytes.len();
    while let Some(len) = len_at_end(&bytes[..start]) {
        if start - len < first {
            break;
        }
        start -= len;
    }
    start
}

fn state_of(count: u32, end: u64) -> u64 {
    u64::from(count) << 32 | u64::from(end as u32)
}

fn count_of(state: u64) -> u32 {
    (state >> 32) as u32
}

fn end_of(state: u64) -> u32 {
    state as u32
}

/// A message that is being written. Whoever drops it before `finish` leaves the ring to the next writer's reset.
pub(crate) struct Appending<'a> {
    ring: Ring<'a>,
    frame: Frame,
    start: u64,
    at: u64,
    end: u64,
}

impl Appending<'_> {
    /// The next word. What does not fit is dropped: the frame told how much there is.
    pub(crate) fn put(&mut self, word: u64) {
        if self.at < self.end {
            self.ring.region.u64(self.ring.offset(self.at)).store(word, Ordering::Relaxed); // published by the state
            step("ring.word");
            self.at += 1;
        }
    }

    pub(crate) fn put_bytes(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.put(u64::from_le_bytes(word));
        }
    }

    /// Words of the segment, from an offset that is in it.
    pub(crate) fn put_from(&mut self, offset: usize, len: usize) {
        for word in self.ring.region.words(offset, len.div_ceil(8)) {
            self.put(word.load(Ordering::Relaxed)); // guarded by the lock
        }
    }

    /// Publishes it. Not whole: what it was to tell cannot be read, and readers count it as lost.
    pub(crate) fn finish(mut self, is_whole: bool) {
        while self.at + 1 < self.end {
            self.put(0);
        }
        self.put(self.end - self.start);
        let Frame { what, binary_key, namespace, .. } = self.frame;
        let kind = if is_whole { u64::from(what as u8) } else { 0 };
        let first = (self.end - self.start) | kind << 32 | u64::from(binary_key) << 40 | u64::from(namespace) << 48;
        self.ring.region.u64(self.ring.offset(self.start)).store(first, Ordering::Relaxed); // published by the state
        step("ring.framed");
        let state = self.ring.control(STATE);
        let count = count_of(state.load(Ordering::Relaxed)).wrapping_add(1);
        tail::publish(state, state_of(count, self.end));
        step("ring.published");
    }
}

impl<'a> ShardView<'a> {
    #[inline]
    pub(crate) fn ring(&self, stream: Stream) -> Ring<'a> {
        Ring::of(self.region, self.geometry, self.index, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::{Cache, OpenOptions};
    use crate::geometry::Eviction;
    use crate::namespaces::ROOT;
    use std::time::Duration;

    /// A cache of one shard, in a segment of its own.
    struct Own(Cache, String);

    impl Own {
        fn open(test: &str) -> Self {
            let name = format!("ring-{test}-{}", std::process::id());
            let options = OpenOptions {
                name: name.clone(),
                directory: None,
                size: 4 << 20,
                max_entry: None,
                eviction: Eviction::S3Fifo,
                lock_memory: false,
                write_timeout: Duration::from_secs(10),
                manual_clock: true,
            };
            Self(Cache::open(&options).unwrap().0, name)
        }

        fn ring(&self) -> Ring<'_> {
            self.0.shard(0).ring(Stream::Messages)
        }

        /// Message number `number`, whose 60 words of value are all that number.
        fn write(&self, number: u64) {
            let _locked = self.0.lock(0, ROOT, Duration::from_secs(10)).unwrap();
            let frame = Frame {
                what: What::Message,
                binary_key: false,
                namespace: ROOT,
                version: 480,
                life: number,
                tags: 0,
                key_len: 0,
                value_len: 480,
            };
            let mut message = self.ring().begin(&frame).unwrap();
            (0..60).for_each(|_| message.put(number));
            message.finish(true);
        }
    }

    impl Drop for Own {
        fn drop(&mut self) {
            let _ = crate::destroy(&self.1, None, true);
        }
    }

    /// The numbers of what was read, each of them whole.
    fn numbers(batch: &Batch<'_>) -> Vec<u64> {
        let number = |message: Message<'_>| {
            assert!(message.value.chunks(8).all(|word| word_at(word, 0) == message.life), "torn: {message:?}");
            message.life
        };
        batch.messages().map(number).collect()
    }

    /// However much of the copy was made before, and wherever in the ring it was, when a writer goes past it.
    #[test]
    fn what_is_overwritten_under_a_reader_is_lost_and_never_mixed() {
        let own = Own::open("overrun");
        let ring = own.ring();
        let message = (FRAME + 60) as u64;
        let most = ring.words as u64 / message;
        let mut bytes = Vec::new();
        let mut number = 0;
        for overrun in (0..=2 * most).step_by(3) {
            for copied_before in [0, 1, message / 2, most / 2 * message + 7, (most - 1) * message] {
                let mut cursor = ring.now();
                let first = number + 1;
                let mut write = |count: u64| {
                    for _ in 0..count {
                        number += 1;
                        own.write(number);
                    }
                };
                write(most);
                let news = ring.news(&mut cursor).unwrap();
                bytes.clear();
                ring.copy(news.from, news.from + copied_before, &mut bytes);
                write(overrun);
                ring.copy(news.from + copied_before, news.now.at, &mut bytes);
                let batch = ring.valid(&news, &bytes);
                // What there is still is the newest of those that there were.
                let found = numbers(&batch);
                assert_eq!(found.len() as u64 + batch.lost, most, "{overrun} {copied_before}");
                assert_eq!(found, (first + batch.lost..first + most).collect::<Vec<_>>(), "{overrun} {copied_before}");
                // Then comes all that is newer, as far as the ring has it.
                let Some(rest) = ring.read(&mut cursor, &mut bytes) else {
                    assert_eq!(overrun, 0);
                    continue;
                };
                assert_eq!(numbers(&rest), (first + most + rest.lost..=number).collect::<Vec<_>>());
                assert_eq!(rest.lost, overrun.saturating_sub(most));
            }
        }
    }
}
