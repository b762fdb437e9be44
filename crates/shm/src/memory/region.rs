//! A mapped range of shared bytes, reached only as atomic words inside its bounds.
//!
//! A position outside the range panics, and the Node boundary turns the panic into an error. No position reaches foreign
//! memory. Code that follows positions found *in* the segment checks them first.
//!
//! Caution: another process may write the bytes while they are copied. So `bulk` moves them, and the copying code checks
//! afterwards (by `publish::recheck`) whether the copy is valid.

use crate::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use crate::memory::bulk;
use std::mem::{align_of, size_of};
use std::ptr::NonNull;

/// `WORDS` 64-bit words of a region. An offset that is known at compile time needs no check at run time.
#[derive(Debug)]
#[repr(transparent)]
pub struct Block<const WORDS: usize>([AtomicU64; WORDS]);

impl<const WORDS: usize> Block<WORDS> {
    /// The words of the block.
    #[inline(always)]
    pub fn words(&self) -> &[AtomicU64; WORDS] {
        &self.0
    }

    /// The 64-bit word at a byte offset in the block.
    #[inline(always)]
    pub fn u64(&self, offset: usize) -> &AtomicU64 {
        assert!(offset.is_multiple_of(8), "position {offset} is misaligned");
        &self.0[offset / 8]
    }

    /// The byte at an offset in the block.
    #[inline(always)]
    pub fn u8(&self, offset: usize) -> &AtomicU8 {
        assert!(offset < WORDS * 8, "position {offset} is outside the block");
        // SAFETY: in bounds, checked above.
        let at = unsafe { self.0.as_ptr().byte_add(offset) };
        // SAFETY: in bounds, checked above; any byte is a valid atomic, and all access is atomic.
        unsafe { &*at.cast::<AtomicU8>() }
    }

    /// The 32-bit word at a byte offset in the block.
    #[inline(always)]
    pub fn u32(&self, offset: usize) -> &AtomicU32 {
        assert!(offset < WORDS * 8 && offset.is_multiple_of(4), "position {offset} is outside the block or misaligned");
        // SAFETY: in bounds, checked above.
        let at = unsafe { self.0.as_ptr().byte_add(offset) };
        // SAFETY: in bounds and aligned, checked above; any bytes are a valid atomic, and all access is atomic.
        unsafe { &*at.cast::<AtomicU32>() }
    }
}

/// A range of shared memory. `Segment` owns the mapping.
#[derive(Debug)]
pub struct Region {
    base: NonNull<u8>,
    len: usize,
}

// SAFETY: every access goes through atomics, and the mapping is not bound to a thread.
unsafe impl Send for Region {}
// SAFETY: as above.
unsafe impl Sync for Region {}

impl Region {
    /// # Safety
    /// `base` is aligned to 64 bytes and `len` bytes from it stay mapped, readable and writable, as long as the region
    /// is used; all other access to them, from this process, is atomic.
    pub(crate) unsafe fn new(base: NonNull<u8>, len: usize) -> Self {
        assert!((base.as_ptr() as usize).is_multiple_of(64));
        Self { base, len }
    }

    /// Length in bytes.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// True for a region of no bytes.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    #[inline(always)]
    fn at<T>(&self, offset: usize) -> &T {
        assert!(
            offset <= self.len - size_of::<T>() && offset.is_multiple_of(align_of::<T>()),
            "position {offset} is outside the segment or misaligned"
        );
        // SAFETY: in bounds, checked above.
        let at = unsafe { self.base.add(offset) };
        // SAFETY: in bounds and aligned, checked above; `T` is one of the atomics below, valid for any bytes and shared
        // by design; the mapping outlives `self`, promised to `new`.
        unsafe { at.cast::<T>().as_ref() }
    }

    /// The 64-bit word at a byte offset.
    #[inline(always)]
    pub fn u64(&self, offset: usize) -> &AtomicU64 {
        self.at(offset)
    }

    /// The 32-bit word at a byte offset.
    #[inline(always)]
    pub fn u32(&self, offset: usize) -> &AtomicU32 {
        self.at(offset)
    }

    /// The byte at an offset.
    #[inline(always)]
    pub fn u8(&self, offset: usize) -> &AtomicU8 {
        self.at(offset)
    }

    /// `count` consecutive 64-bit words.
    #[inline(always)]
    pub fn words(&self, offset: usize, count: usize) -> &[AtomicU64] {
        let bytes = count.checked_mul(8).expect("length");
        assert!(
            offset <= self.len && bytes <= self.len - offset && offset.is_multiple_of(8),
            "words at {offset} are outside the segment"
        );
        // SAFETY: in bounds, checked above.
        let first = unsafe { self.base.add(offset) };
        // SAFETY: in bounds and aligned, checked above; any bytes are valid atomics; the mapping outlives `self`.
        unsafe { std::slice::from_raw_parts(first.cast::<AtomicU64>().as_ptr(), count) }
    }

    /// The block of `WORDS` words at a byte offset.
    #[inline(always)]
    pub fn block<const WORDS: usize>(&self, offset: usize) -> &Block<WORDS> {
        let words = self.words(offset, WORDS);
        // SAFETY: a block is these `WORDS` words.
        unsafe { &*words.as_ptr().cast() }
    }

    /// `count` consecutive blocks.
    #[inline(always)]
    pub fn blocks<const WORDS: usize>(&self, offset: usize, count: usize) -> &[Block<WORDS>] {
        assert!(
            offset <= self.len && count <= (self.len - offset) / (WORDS * 8) && offset.is_multiple_of(8),
            "blocks at {offset} are outside the segment"
        );
        // SAFETY: in bounds, checked above.
        let first = unsafe { self.base.add(offset) };
        // SAFETY: in bounds and aligned, checked above; any bytes are valid atomics; the mapping outlives `self`.
        unsafe { std::slice::from_raw_parts(first.cast::<Block<WORDS>>().as_ptr(), count) }
    }

    /// Asks the processor to fetch the cache line at `offset`. Does nothing out of bounds.
    #[inline(always)]
    pub fn prefetch(&self, offset: usize) {
        #[cfg(target_arch = "x86_64")]
        if offset < self.len {
            // SAFETY: in bounds, so the pointer arithmetic stays inside the mapping.
            let line = unsafe { self.base.add(offset) };
            // SAFETY: a prefetch never faults.
            unsafe { std::arch::x86_64::_mm_prefetch::<{ std::arch::x86_64::_MM_HINT_T0 }>(line.as_ptr().cast()) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = offset;
    }

    /// Writes `bytes` from `offset` (a multiple of 8). Zeros fill the rest of the last word.
    #[inline]
    pub fn copy_in(&self, offset: usize, bytes: &[u8]) {
        let words = self.words(offset, bytes.len().div_ceil(8));
        let whole = bytes.len() / 8;
        bulk::copy_in(&words[..whole], &bytes[..whole * 8]);
        if let Some(last) = words.get(whole) {
            last.store(tail_word(bytes), Ordering::Relaxed);
        }
    }

    /// Fills `out` from `offset`, a multiple of 8.
    #[inline]
    pub fn copy_out(&self, offset: usize, out: &mut [u8]) {
        let words = self.words(offset, out.len().div_ceil(8));
        let whole = out.len() / 8;
        // SAFETY: `out` has room for `whole` words.
        unsafe { bulk::copy_out(&words[..whole], out.as_mut_ptr()) };
        if let Some(last) = words.get(whole) {
            let rest = &mut out[whole * 8..];
            rest.copy_from_slice(&last.load(Ordering::Relaxed).to_le_bytes()[..rest.len()]);
        }
    }

    /// Appends `len` bytes from `offset` (a multiple of 8) to `out`.
    #[inline]
    pub fn append_to(&self, offset: usize, len: usize, out: &mut Vec<u8>) {
        let words = self.words(offset, len.div_ceil(8));
        // Whole words are written and then cut, so the last one needs room.
        out.reserve(len + 8);
        let start = out.len();
        let room = out.spare_capacity_mut().as_mut_ptr().cast::<u8>();
        // SAFETY: `reserve` made room for `len + 8` bytes, and `words` has at most `len + 7` bytes.
        unsafe { bulk::copy_out(words, room) };
        // SAFETY: the first `len` bytes of the spare room were written above.
        unsafe { out.set_len(start + len) };
    }

    /// Whether the bytes from `offset` (a multiple of 8), filled with zeros to whole words, equal `bytes`.
    #[inline]
    pub fn equals(&self, offset: usize, bytes: &[u8]) -> bool {
        let words = self.words(offset, bytes.len().div_ceil(8));
        let mut chunks = bytes.chunks_exact(8);
        let mut index = 0;
        for chunk in &mut chunks {
            if words[index].load(Ordering::Relaxed) != u64::from_le_bytes(chunk.try_into().expect("8 bytes")) {
                return false;
            }
            index += 1;
        }
        chunks.remainder().is_empty() || words[index].load(Ordering::Relaxed) == tail_word(bytes)
    }

    /// Whether the bytes from `offset` (a multiple of 8) start with `bytes`. Any bytes may follow.
    pub fn starts_with(&self, offset: usize, bytes: &[u8]) -> bool {
        let words = self.words(offset, bytes.len().div_ceil(8));
        let pairs = words.iter().zip(bytes.chunks(8));
        pairs.into_iter().all(|(word, chunk)| word.load(Ordering::Relaxed).to_le_bytes().starts_with(chunk))
    }

    /// The address of the first byte in this process. Code that reads through it must use atomics, stay inside the region,
    /// and finish before the segment is dropped.
    pub fn base(&self) -> NonNull<u8> {
        self.base
    }
}

/// The bytes behind the last whole word, filled with zeros. There is at least one.
#[inline]
fn tail_word(bytes: &[u8]) -> u64 {
    let rest = bytes.len() % 8;
    if let Some(last) = bytes.last_chunk::<8>() {
        // The last 8 bytes overlap the word before. One load and a shift replace a loop.
        return u64::from_le_bytes(*last) >> (64 - 8 * rest);
    }
    // Two loads that overlap replace a loop here too.
    if let (Some(first), Some(last)) = (bytes.first_chunk::<4>(), bytes.last_chunk::<4>()) {
        return u64::from(u32::from_le_bytes(*first)) | u64::from(u32::from_le_bytes(*last)) << (8 * (rest - 4));
    }
    bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[repr(align(64))]
    struct Memory([u8; 256]);

    #[test]
    fn bytes_of_every_length_come_back_and_nothing_beyond_is_touched() {
        let mut memory = Memory([0xAA; 256]);
        // SAFETY: `memory` is aligned, 256 bytes long, and outlives the region.
        let region = unsafe { Region::new(NonNull::from(&mut memory).cast(), 256) };
        let bytes: Vec<u8> = (1..=150).collect();
        for len in 0..=150 {
            region.copy_in(64, &bytes[..len]);
            let mut out = vec![0; len];
            region.copy_out(64, &mut out);
            assert_eq!(out, bytes[..len]);
            let mut appended = vec![7];
            region.append_to(64, len, &mut appended);
            assert_eq!(appended[1..], bytes[..len]);
            assert!(region.equals(64, &bytes[..len]));
        }
        assert!(!region.equals(64, &bytes[1..20]));
        assert_eq!(region.u8(63).load(Ordering::Relaxed), 0xAA);
        assert_eq!(region.u8(64 + 152).load(Ordering::Relaxed), 0xAA);
    }

    #[test]
    #[should_panic(expected = "outside the segment")]
    fn a_position_past_the_end_panics() {
        let mut memory = Memory([0; 256]);
        // SAFETY: as above.
        let region = unsafe { Region::new(NonNull::from(&mut memory).cast(), 256) };
        region.u64(256);
    }

    #[test]
    fn blocks_reach_their_own_bytes_and_none_behind() {
        let mut memory = Memory([0; 256]);
        memory.0[72] = 7;
        // SAFETY: as above.
        let region = unsafe { Region::new(NonNull::from(&mut memory).cast(), 256) };
        let block = region.block::<8>(64);
        assert_eq!(block.u64(8).load(Ordering::Relaxed), 7);
        assert_eq!(block.u32(8).load(Ordering::Relaxed), 7);
        assert_eq!(block.u8(8).load(Ordering::Relaxed), 7);
        assert_eq!(region.blocks::<8>(0, 4)[1].words()[1].load(Ordering::Relaxed), 7);
        let panics = |reach: &dyn Fn()| std::panic::catch_unwind(std::panic::AssertUnwindSafe(reach)).is_err();
        for offset in [64, 66, usize::MAX] {
            assert!(panics(&|| _ = block.u64(offset)), "u64 at {offset}");
            assert!(panics(&|| _ = block.u32(offset)), "u32 at {offset}");
            assert!(panics(&|| _ = block.u8(offset)), "u8 at {offset}");
        }
        assert!(panics(&|| _ = block.u32(62)), "misaligned");
        assert!(panics(&|| _ = block.u64(4)), "misaligned");
        assert!(panics(&|| _ = region.block::<8>(200)), "a block that ends behind the region");
        assert!(panics(&|| _ = region.block::<8>(4)), "misaligned");
        assert!(panics(&|| _ = region.blocks::<8>(0, 5)), "more blocks than there are");
        assert!(panics(&|| _ = region.blocks::<8>(64, usize::MAX)), "more blocks than there are");
        assert!(panics(&|| _ = region.blocks::<8>(320, 0)), "an offset behind the region");
    }
}
