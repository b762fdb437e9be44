//! Named kill steps: the places at which tests kill a process. They compile to nothing without the `kill-steps` feature.
//!
//! `step("set.published")` stands directly after the store that it names. A test arms the n-th step that this process passes;
//! the process then dies there by SIGKILL, which no code can catch.

/// Passes the step `name`.
#[inline(always)]
pub fn step(name: &'static str) {
    #[cfg(feature = "kill-steps")]
    armed::pass(name);
    #[cfg(not(feature = "kill-steps"))]
    let _ = name;
}

/// Counts a thing that a walk visits: tests compare the count with the bound of the walk.
#[inline(always)]
pub fn visit(what: &'static str) {
    #[cfg(feature = "kill-steps")]
    armed::count_visit(what);
    #[cfg(not(feature = "kill-steps"))]
    let _ = what;
}

#[cfg(feature = "kill-steps")]
pub use armed::{Fault, arm, arm_named, disarm, passed, print, take_visits, trace, unsettle};

#[cfg(feature = "kill-steps")]
mod armed {
    use std::cell::{Cell, RefCell};
    use std::collections::BTreeMap;
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
    use std::sync::{Mutex, OnceLock};

    /// What happens at the armed step.
    #[derive(Clone, Copy, PartialEq, Eq, Debug)]
    pub enum Fault {
        /// SIGKILL kills the process.
        Kill,
        /// The thread panics.
        Panic,
        /// The process suspends itself by SIGSTOP and continues after SIGCONT.
        Stop,
    }

    const NEVER: u64 = u64::MAX;
    static COUNT: AtomicU64 = AtomicU64::new(0);
    static AT: AtomicU64 = AtomicU64::new(NEVER);
    static FAULT: AtomicU64 = AtomicU64::new(0);
    /// The armed steps have this print; 0: any.
    static OF: AtomicU64 = AtomicU64::new(0);
    static NAMES: Mutex<BTreeMap<&'static str, u64>> = Mutex::new(BTreeMap::new());
    static LEDGER: OnceLock<&'static [AtomicU64]> = OnceLock::new();
    thread_local! {
        // Only the arming thread counts steps: the background thread of a segment would make the count random.
        static WATCHED: RefCell<bool> = const { RefCell::new(false) };
        /// The random state that decides where the thread yields the processor; 0: it never does.
        static UNSETTLED: Cell<u64> = const { Cell::new(0) };
        /// The visits of this thread, by what it visited.
        static VISITS: RefCell<BTreeMap<&'static str, u64>> = const { RefCell::new(BTreeMap::new()) };
    }

    pub(super) fn count_visit(what: &'static str) {
        VISITS.with_borrow_mut(|visits| *visits.entry(what).or_insert(0) += 1);
    }

    /// How many of these things this thread visited since the last call.
    pub fn take_visits(what: &str) -> u64 {
        VISITS.with_borrow_mut(|visits| visits.remove(what).unwrap_or(0))
    }

    /// From now on this thread yields the processor at one step in eight, so that other threads run in between; 0 ends it.
    pub fn unsettle(seed: u64) {
        UNSETTLED.set(seed);
    }

    fn give_way() {
        let mut random = UNSETTLED.get();
        if random == 0 {
            return;
        }
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        UNSETTLED.set(random);
        if random >> 61 == 0 {
            std::thread::yield_now();
        }
    }

    /// Forgets the passed steps, and arms step number `at` (from 0) of this thread.
    pub fn arm(at: u64, fault: Fault) {
        NAMES.lock().unwrap_or_else(|e| e.into_inner()).clear();
        COUNT.store(0, Relaxed);
        FAULT.store(fault as u64, Relaxed);
        OF.store(0, Relaxed);
        AT.store(at, Relaxed);
        WATCHED.with(|w| *w.borrow_mut() = true);
    }

    /// The same for the step number `at` (from 0) among those of this name.
    pub fn arm_named(name: &str, at: u64, fault: Fault) {
        arm(at, fault);
        OF.store(print(name), Relaxed);
    }

    /// Disarms. `passed` still returns the names.
    pub fn disarm() {
        AT.store(NEVER, Relaxed);
        WATCHED.with(|w| *w.borrow_mut() = false);
    }

    /// Records each step passed from now on, as `print` of its name, in memory that outlives the process. The first word is the
    /// count.
    pub fn trace(ledger: &'static [AtomicU64]) {
        let _ = LEDGER.set(ledger);
    }

    /// A number for a name.
    pub fn print(name: &str) -> u64 {
        name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
    }

    /// The names passed since `arm`, with how often.
    pub fn passed() -> BTreeMap<&'static str, u64> {
        NAMES.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    pub(super) fn pass(name: &'static str) {
        if !WATCHED.with(|w| *w.borrow()) {
            return;
        }
        give_way();
        let of_name = {
            let mut names = NAMES.lock().unwrap_or_else(|e| e.into_inner());
            let passed = names.entry(name).or_insert(0);
            *passed += 1;
            *passed - 1
        };
        let number = COUNT.fetch_add(1, Relaxed);
        if let Some(ledger) = LEDGER.get() {
            ledger[0].store(number + 1, Relaxed);
            if let Some(word) = ledger.get(number as usize + 1) {
                word.store(print(name), Relaxed);
            }
        }
        let armed = match OF.load(Relaxed) {
            0 => Some(number),
            of => (of == print(name)).then_some(of_name),
        };
        if armed != Some(AT.load(Relaxed)) {
            return;
        }
        match FAULT.load(Relaxed) {
            0 => crate::os::kill_self(),
            // No code between taking the lock and making its guard can panic; a panic here would leave the lock held.
            1 if name.starts_with("lock.") => {}
            1 => panic!("kill step {name}"),
            _ => crate::os::stop_self(),
        }
    }
}
