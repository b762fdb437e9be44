//! Accesses to memory that its file no longer has: SIGBUS.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicPtr, Ordering};

/// Repairs the memory at an address, so that the access can be repeated; false if the address is none of its own.
type Repair = fn(usize) -> bool;

static REPAIR: OnceLock<Repair> = OnceLock::new();
static PREVIOUS: AtomicPtr<libc::sigaction> = AtomicPtr::new(std::ptr::null_mut());

/// Calls `repair` for each access to memory that its file no longer has, in the thread that made it, and repeats the access if
/// it returns true. Other faults, and signals that were sent, go to the handler that was installed before. Called once.
///
/// Caution: `repair` may neither lock nor allocate.
pub(crate) fn on_lost_memory(repair: Repair) {
    // Before the handler can run: from then on it only loads.
    let _ = REPAIR.set(repair);
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = on_sigbus as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
    // SAFETY: all zeros is a valid sigaction.
    let previous = Box::leak(Box::new(unsafe { std::mem::zeroed::<libc::sigaction>() }));
    // SAFETY: reads the present action into `previous`, which is never freed.
    unsafe { libc::sigaction(libc::SIGBUS, std::ptr::null(), previous) };
    // Release: pairs with the Acquire in `chain`. Stored before the handler can run.
    PREVIOUS.store(previous, Ordering::Release);
    // SAFETY: the handler is async-signal-safe.
    unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };
}

extern "C" fn on_sigbus(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo for SA_SIGINFO.
    let info_ref = unsafe { &*info };
    // SAFETY: a SIGBUS from a fault carries its address; one from `kill` carries other numbers, which are not used.
    let address = unsafe { info_ref.si_addr() } as usize;
    let is_fault = info_ref.si_code > 0;
    if is_fault && REPAIR.get().is_some_and(|repair| repair(address)) {
        return;
    }
    chain(is_fault, signal, info, context);
}

fn chain(is_fault: bool, signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // Acquire: pairs with the Release in `on_lost_memory`.
    let previous = PREVIOUS.load(Ordering::Acquire);
    // SAFETY: set before the handler was installed, and never freed.
    let action = unsafe { &*previous };
    match action.sa_sigaction {
        libc::SIG_IGN if !is_fault => {}
        libc::SIG_DFL | libc::SIG_IGN => {
            // A fault repeats on return and meets the system's own action; a signal from `kill` is raised again.
            // SAFETY: restores the action that was installed before.
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
