//! Survives a segment that was truncated under us.
//!
//! Touching a page past the end of its file raises SIGBUS. The handler lays private zero pages over *our* range, marks
//! the segment lost and returns; any other address goes to whoever handled the signal before.
//!
//! The thing to get wrong: what a handler may do. Only atomics and mmap are used here, nothing that locks or allocates.

use crate::os;
use std::ptr::NonNull;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicUsize, Ordering};

/// Ranges of one block.
const RANGES: usize = 256;

struct Guarded {
    /// 0: the slot is free. Written last when taken, first when freed.
    base: AtomicUsize,
    len: AtomicUsize,
    lost: AtomicBool,
    taken: AtomicBool,
}

/// Ranges, and where there are more: a list that only grows, since the handler may be anywhere in it.
struct Block {
    ranges: [Guarded; RANGES],
    next: AtomicPtr<Block>,
}

impl Block {
    const fn new() -> Self {
        let free = [const {
            Guarded {
                base: AtomicUsize::new(0),
                len: AtomicUsize::new(0),
                lost: AtomicBool::new(false),
                taken: AtomicBool::new(false),
            }
        }; RANGES];
        Self { ranges: free, next: AtomicPtr::new(std::ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Block> {
        // Acquire: pairs with the AcqRel in `grow`.
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: null, or a block that was leaked.
        unsafe { next.as_ref() }
    }

    #[cold]
    fn grow(&self) -> &'static Block {
        let new = Box::into_raw(Box::new(Self::new()));
        // AcqRel: whoever sees the block sees its ranges free.
        match self.next.compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: made above, and never freed from here on.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: made above, and seen by nobody.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: another thread was quicker; its block is never freed.
                unsafe { &*other }
            }
        }
    }
}

static FIRST: Block = Block::new();

fn blocks() -> impl Iterator<Item = &'static Block> {
    std::iter::successors(Some(&FIRST), |block| block.next())
}

fn take_free() -> &'static Guarded {
    let mut block = &FIRST;
    loop {
        // AcqRel: pairs with the Release in `drop`; one owner per range.
        if let Some(guarded) = block.ranges.iter().find(|g| !g.taken.swap(true, Ordering::AcqRel)) {
            return guarded;
        }
        block = block.next().unwrap_or_else(|| block.grow());
    }
}

static INSTALL: Once = Once::new();
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

/// A guarded range; unguarded on drop.
pub(crate) struct Guard {
    range: &'static Guarded,
}

impl std::fmt::Debug for Guard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Guard").field("lost", &self.is_lost()).finish()
    }
}

impl Guard {
    /// Guards a mapping of ours.
    pub(crate) fn new(base: NonNull<u8>, len: usize) -> Self {
        INSTALL.call_once(install);
        let range = take_free();
        range.lost.store(false, Ordering::Relaxed);
        range.len.store(len, Ordering::Relaxed);
        // Release: pairs with the Acquire in the handler, which then sees this length.
        range.base.store(base.as_ptr() as usize, Ordering::Release);
        Self { range }
    }

    /// Whether the range was replaced by zeros.
    pub(crate) fn is_lost(&self) -> bool {
        self.range.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.range.base.store(0, Ordering::Relaxed);
        // Release: pairs with the swap in `take_free`.
        self.range.taken.store(false, Ordering::Release);
    }
}

fn install() {
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigbus as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: all zeros is a valid sigaction.
    let previous = Box::leak(Box::new(unsafe { std::mem::zeroed::<libc::sigaction>() }));
    // SAFETY: reads the present action into `previous`, which lives for ever.
    unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), previous) };
    // Release: pairs with the Acquire in the handler. Known before the handler can run.
    PREVIOUS.store(previous, Ordering::Release);
    // SAFETY: the handler keeps to what a handler may do.
    unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };
}

extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo for SA_SIGINFO.
    let info_ref = unsafe { &*info };
    // SAFETY: SIGBUS carries the address of the fault; one that was sent carries other numbers there.
    let address = unsafe { info_ref.si_addr() } as usize;
    let is_fault = info_ref.si_code > 0;
    for guarded in blocks().take_while(|_| is_fault).flat_map(|block| &block.ranges) {
        // Acquire: pairs with the Release in `Guard::new`.
        let base = guarded.base.load(Ordering::Acquire);
        // Acquire: keeps the second look at the base below. Another base means another guard's length.
        let len = guarded.len.load(Ordering::Acquire);
        if base != 0 && base == guarded.base.load(Ordering::Relaxed) && (base..base + len).contains(&address) {
            // First: another thread may be writing into the zeros at once, and must not take them for the segment.
            guarded.lost.store(true, Ordering::SeqCst);
            // SAFETY: the range is a mapping of ours, read and written only as atomics that may hold anything.
            if unsafe { os::overlay_with_zeros(base as *mut libc::c_void, len) } {
                return;
            }
        }
    }
    chain(is_fault, signal, info, context);
}

fn chain(is_fault: bool, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Acquire: pairs with the Release in `install`.
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: set before the handler was installed, and never freed.
    let action = unsafe { &*previous };
    match action.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault happens again on return, now with the system's own action; what was sent is sent again.
            // SAFETY: restores the action that was there before us.
            unsafe { libc::sigaction(signal, previous, std::ptr::null_mut()) };
            if !is_fault {
                // SAFETY: allowed in a handler; delivered on return.
                unsafe { libc::raise(signal) };
            }
        }
        handler if action.sa_flags & libc::SA_SIGINFO != 0 => {
            // SAFETY: registered with SA_SIGINFO, so it has this signature.
            let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                unsafe { std::mem::transmute(handler) };
            handler(signal, info, context);
        }
        handler => {
            // SAFETY: registered without SA_SIGINFO, so it has this signature.
            let handler: extern "C" fn(libc::c_int) = unsafe { std::mem::transmute(handler) };
            handler(signal);
        }
    }
}
