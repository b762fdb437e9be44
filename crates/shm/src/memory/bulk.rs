//! Copies bytes between private and shared memory at the processor's speed.
//!
//! Shared bytes may change while they are read, so no plain copy may touch them: the compiler could read a byte twice and
//! use both results. Words are copied one by one by relaxed atomics, 8 bytes in a cycle. On x86-64, vector instructions in
//! assembly copy whole lines; to the compiler they are equivalent to relaxed loads or stores of these bytes. The processor
//! keeps vector loads in order, and vector stores, so the fences around them have the same effect.
//!
//! Caution: a vector load is not atomic as a whole. The copying code checks the index word again after the copy.

use crate::atomic::{AtomicU64, Ordering};

const LINE: usize = 64;
const WORD: usize = 8;

/// Copies whole words out of shared memory to `to`.
///
/// # Safety
/// `to` is valid for writes of `words.len() * 8` bytes that no other code reaches.
#[inline]
pub(crate) unsafe fn copy_out(words: &[AtomicU64], to: *mut u8) {
    let lines = lines_of(words.len());
    if lines > 0 {
        // SAFETY: `words` has `lines` lines, and the caller promises that `to` is valid for them.
        unsafe { copy_lines(words.as_ptr().cast(), to, lines) };
    }
    for (index, word) in words.iter().enumerate().skip(lines * LINE / WORD) {
        let value = word.load(Ordering::Relaxed).to_le_bytes();
        // SAFETY: below `words.len() * 8`.
        let at = unsafe { to.add(index * WORD) };
        // SAFETY: as above; it need not be aligned.
        unsafe { at.cast::<[u8; WORD]>().write_unaligned(value) };
    }
}

/// Copies `bytes`, whole words of them, over as many shared words.
#[inline]
pub(crate) fn copy_in(words: &[AtomicU64], bytes: &[u8]) {
    assert!(bytes.len() == words.len() * WORD);
    let lines = lines_of(words.len());
    if lines > 0 {
        // SAFETY: `bytes` and `words` have `lines` lines, and atomics may be written through a shared reference.
        unsafe { copy_lines(bytes.as_ptr(), words.as_ptr().cast::<u8>().cast_mut(), lines) };
    }
    let done = lines * LINE;
    for (word, chunk) in words[done / WORD..].iter().zip(bytes[done..].chunks_exact(WORD)) {
        word.store(u64::from_le_bytes(chunk.try_into().expect("8 bytes")), Ordering::Relaxed);
    }
}

/// The number of whole lines that vectors copy. None under a sanitizer, which cannot see into assembly.
#[inline(always)]
fn lines_of(words: usize) -> usize {
    if cfg!(all(target_arch = "x86_64", not(cache_machine_sanitized))) { words * WORD / LINE } else { 0 }
}

/// # Safety
/// `lines` is not 0; `from` is valid for reads of so many lines and `to` for writes, and they do not overlap. One of them may
/// be shared with other processes.
#[cfg(target_arch = "x86_64")]
#[inline(always)]
unsafe fn copy_lines(from: *const u8, to: *mut u8, lines: usize) {
    // SAFETY: reads and writes what the caller vouches for, and nothing else.
    unsafe {
        std::arch::asm!(
            "2:",
            "movups {a}, [{from}]",
            "movups {b}, [{from} + 16]",
            "movups {c}, [{from} + 32]",
            "movups {d}, [{from} + 48]",
            "movups [{to}], {a}",
            "movups [{to} + 16], {b}",
            "movups [{to} + 32], {c}",
            "movups [{to} + 48], {d}",
            "add {from}, 64",
            "add {to}, 64",
            "dec {lines}",
            "jnz 2b",
            from = inout(reg) from => _,
            to = inout(reg) to => _,
            lines = inout(reg) lines => _,
            a = out(xmm_reg) _,
            b = out(xmm_reg) _,
            c = out(xmm_reg) _,
            d = out(xmm_reg) _,
            options(nostack),
        );
    }
}

#[cfg(not(target_arch = "x86_64"))]
unsafe fn copy_lines(_: *const u8, _: *mut u8, _: usize) {
    unreachable!("no line goes by vectors here");
}
