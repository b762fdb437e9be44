//! A ring of messages in shared memory: written under its shard's lock, read by every process without one.
//!
//! ```text
//! control   reserved u64 · floor u64 · state u64: number of messages, 32 bits · their end, 32 bits           derived
//! words     messages, one after the other: see `layout::messages`
//! ```
//!
//! Positions count 8-byte words since the segment was made and never go back. A writer moves `reserved` past its
//! message, writes the message, and publishes it by one store of `state`. A reader copies the words between its cursor
//! and the end, then reads `reserved` again. Words that are further back than the length of the ring may have been
//! overwritten under the copy, so their messages count as lost. A rebuild resets the ring: it moves the end and the
//! floor by the length of the ring, so all earlier messages count as lost as well.
//!
//! Caution: a copy may be nonsense. Its lengths are checked, and messages that contradict themselves count as lost:
//! `state` has the number of all messages.

use crate::layout::geometry::Geometry;
use crate::layout::messages::{Frame, Message, RingKind, len_at_end, whole_messages};
use crate::layout::sizes::RING_CONTROL;
use crate::shard::view::ShardView;
use cache_machine_shm::Region;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::steps::step;
use cache_machine_shm::tail;

pub(crate) const RESERVED: usize = 0;
pub(crate) const FLOOR: usize = 8;
pub(crate) const STATE: usize = 16;
/// Maximum position. No ring lives that long, so a larger one is damage.
const LAST_POSITION: u64 = 1 << 60;

/// The place of a reader in the ring.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Cursor {
    at: u64,
    state: u64,
}

/// The range of messages that are new for a reader.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct News {
    before: Cursor,
    now: Cursor,
    /// The position of the cursor, or the oldest position that the ring can have if that is later.
    from: u64,
}

/// The messages that a reader found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Batch<'b> {
    /// Number of messages before these that can no longer be read.
    pub(crate) lost: u64,
    bytes: &'b [u8],
}

impl<'b> Batch<'b> {
    pub(crate) fn messages(&self) -> impl Iterator<Item = Message<'b>> + use<'b> {
        whole_messages(self.bytes).filter_map(Message::of)
    }
}

/// One ring of a shard.
#[derive(Clone, Copy)]
pub(crate) struct Ring<'a> {
    region: &'a Region,
    at: usize,
    /// Number of words of the ring.
    words: usize,
}

impl<'a> Ring<'a> {
    pub(crate) fn of(region: &'a Region, geometry: &Geometry, shard: usize, kind: RingKind) -> Self {
        let (at, words) = geometry.ring(shard, kind);
        Self { region, at, words }
    }

    fn control(&self, word: usize) -> &'a AtomicU64 {
        self.region.u64(self.at + word)
    }

    /// Offset of the word at a position.
    fn offset(&self, position: u64) -> usize {
        self.at + RING_CONTROL + (position % self.words as u64) as usize * 8
    }

    /// Maximum words of a message on a channel, and of an invalidation.
    pub(crate) fn most(&self) -> usize {
        self.words / 4
    }

    /// Whether no writer is in the middle of a message or died there.
    pub(crate) fn is_quiet(&self) -> bool {
        // Guarded by the shard's lock.
        let (reserved, state) = (self.control(RESERVED), self.control(STATE));
        reserved.load(Ordering::Relaxed) as u32 == end_of(state.load(Ordering::Relaxed))
    }

    /// Reserves room for a message, which overwrites the oldest messages. `None`: it is too long. The caller holds the
    /// lock.
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

    /// Discards all messages of the ring. Every reader counts at least one message as lost. The caller holds the lock.
    pub(crate) fn reset(&self) {
        let reserved = self.control(RESERVED).load(Ordering::Relaxed);
        let start = if reserved > LAST_POSITION { 0 } else { reserved };
        // Every cursor is then at least the length of the ring behind.
        let next = start + self.words as u64;
        self.control(RESERVED).store(next, Ordering::Relaxed);
        step("ring.moved");
        self.control(FLOOR).store(next, Ordering::Relaxed); // published by the state
        step("ring.floor");
        let state = self.control(STATE).load(Ordering::Relaxed);
        // A reader that sees the state sees the floor.
        tail::publish(self.control(STATE), state_of(count_of(state).wrapping_add(1), next));
        step("ring.reset");
    }

    /// The state, and the position at which its messages end.
    fn look(&self) -> (u64, u64) {
        let mut tries = 0;
        loop {
            let (state, reserved) = tail::look(self.control(STATE), self.control(RESERVED));
            tries += 1;
            // If the state is unchanged, `reserved` is the end, or ahead of it by the words of a message that is being
            // written.
            if self.control(STATE).load(Ordering::Relaxed) == state || tries == TRIES {
                let ahead = (reserved as u32).wrapping_sub(end_of(state));
                return (state, reserved.saturating_sub(u64::from(ahead)));
            }
        }
    }

    /// The cursor of a reader that begins now.
    pub(crate) fn now(&self) -> Cursor {
        let (state, at) = self.look();
        Cursor { at, state }
    }

    /// Copies the messages since the cursor into `bytes`, and moves the cursor behind them. `None`: there are none.
    pub(crate) fn read<'b>(&self, cursor: &mut Cursor, bytes: &'b mut Vec<u8>) -> Option<Batch<'b>> {
        let news = self.news(cursor)?;
        bytes.clear();
        self.copy(news.from, news.now.at, bytes);
        Some(self.valid(&news, bytes))
    }

    /// The range of the messages since the cursor. Moves the cursor behind them.
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

    /// The part of a copy from `news.from` on that no writer can have changed under it.
    fn valid<'b>(&self, news: &News, bytes: &'b [u8]) -> Batch<'b> {
        let News { before, now, from } = *news;
        let reserved = tail::reserved_after(self.control(RESERVED));
        let overwritten = reserved.saturating_sub(self.words as u64);
        // mutant: ring-copy-believed
        let valid = overwritten.max(self.control(FLOOR).load(Ordering::Relaxed));
        let start = if from == before.at && from >= valid { 0 } else { oldest_whole(bytes, from, valid) };
        let bytes = &bytes[start..];
        let all = count_of(now.state).wrapping_sub(count_of(before.state));
        let whole = whole_messages(bytes).filter_map(Message::of).count() as u64;
        // A count that goes back is damage.
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

/// Maximum reads of the state of a ring that is written all the time. The last read is good enough unless 2^32 words
/// were written meanwhile.
const TRIES: u32 = 100;

/// Offset in `bytes` of the oldest message of those that all lie behind the position `valid`. `bytes` is a copy from
/// the position `from` on. The search goes back from the end, the only place where a message is known to end.
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

/// A message that is being written. If it is dropped before `finish`, the next writer resets the ring.
pub(crate) struct Appending<'a> {
    ring: Ring<'a>,
    frame: Frame,
    start: u64,
    at: u64,
    end: u64,
}

impl Appending<'_> {
    /// Writes the next word. Words beyond the length that the frame announced are dropped.
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

    /// Writes words of the segment, from an offset in it.
    pub(crate) fn put_from(&mut self, offset: usize, len: usize) {
        for word in self.ring.region.words(offset, len.div_ceil(8)) {
            self.put(word.load(Ordering::Relaxed)); // guarded by the lock
        }
    }

    /// Publishes the message. If it is not whole, it cannot be read, and readers count it as lost.
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
    pub(crate) fn ring(&self, kind: RingKind) -> Ring<'a> {
        Ring::of(self.region, self.geometry, self.index, kind)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::geometry::Eviction;
    use crate::layout::messages::{FRAME, What, word_at};
    use crate::layout::namespaces::ROOT;
    use cache_machine_shm::{Place, Segment, SegmentFile};
    use std::time::Duration;

    /// A segment of one shard. This thread is its only writer, so no lock is taken.
    struct Own {
        file: SegmentFile,
        segment: Segment,
        geometry: Geometry,
    }

    impl Own {
        fn open(test: &str) -> Self {
            let name = format!("ring-{test}-{}", std::process::id());
            let file = SegmentFile::new(Place::Posix, &name, Geometry::identity().layout);
            let geometry = Geometry::plan(4 << 20, None, Eviction::S3Fifo, 1).unwrap();
            assert_eq!(geometry.shards, 1);
            let init = |region: &Region| geometry.store(region);
            assert!(
                file.create(
                    Geometry::identity(),
                    geometry.len,
                    &geometry.first_reservations(geometry.first_units()),
                    &init
                )
                .unwrap()
            );
            let segment = file.attach(Geometry::identity(), Duration::ZERO).unwrap();
            Self { file, segment, geometry }
        }

        fn ring(&self) -> Ring<'_> {
            Ring::of(self.segment.region(), &self.geometry, 0, RingKind::Messages)
        }

        /// Writes a message with 60 words of value, each of them `number`.
        fn write(&self, number: u64) {
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
            let _ = self.file.destroy(Geometry::identity(), true, &|_| ());
        }
    }

    /// The numbers of the messages that were read; each message must be whole.
    fn numbers(batch: &Batch<'_>) -> Vec<u64> {
        let number = |message: Message<'_>| {
            assert!(message.value.chunks(8).all(|word| word_at(word, 0) == message.life), "torn: {message:?}");
            message.life
        };
        batch.messages().map(number).collect()
    }

    /// A writer overruns a reader after any part of its copy, and anywhere in the ring.
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
                // The messages that remain are the newest.
                let found = numbers(&batch);
                assert_eq!(found.len() as u64 + batch.lost, most, "{overrun} {copied_before}");
                assert_eq!(found, (first + batch.lost..first + most).collect::<Vec<_>>(), "{overrun} {copied_before}");
                // The next read returns all newer messages, as far as the ring has them.
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
