//! Forked children for tests, which must be able to kill a process between two instructions.

/// How a child ended, or that it has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ended {
    /// It returned with this status.
    Exit(i32),
    /// A signal ended it.
    Signal(i32),
    /// A signal stopped it.
    Stopped,
}

/// A child process; not waited for on drop.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Child(pub i32);

/// Runs `body` in a forked child and exits with the status that it returns. The child dies with its parent.
///
/// Only for test programs with a single thread: a forked child has no other.
pub fn fork(body: impl FnOnce() -> i32) -> Child {
    // SAFETY: test programs fork while they have one thread.
    let pid = unsafe { libc::fork() };
    assert!(pid >= 0, "fork");
    if pid == 0 {
        // SAFETY: plain system call.
        unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) };
        let status = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends the child without the parent's exit handlers.
        unsafe { libc::_exit(status) };
    }
    Child(pid)
}

impl Child {
    /// Sends a signal.
    pub fn signal(self, signal: i32) {
        // SAFETY: an own child that was not waited for, so the pid is still its own.
        unsafe { libc::kill(self.0, signal) };
    }

    /// Kills it and waits.
    pub fn kill(self) -> Ended {
        self.signal(libc::SIGKILL);
        self.wait()
    }

    /// Suspends it and waits until it has stopped (or ended).
    pub fn stop(self) -> Ended {
        self.signal(libc::SIGSTOP);
        self.wait_for(libc::WUNTRACED).expect("blocking wait")
    }

    /// Lets a suspended child continue.
    pub fn resume(self) {
        self.signal(libc::SIGCONT);
    }

    /// Waits for its end.
    pub fn wait(self) -> Ended {
        self.wait_for(0).expect("blocking wait")
    }

    /// Waits until it has ended or stopped itself.
    pub fn wait_or_stopped(self) -> Ended {
        self.wait_for(libc::WUNTRACED).expect("blocking wait")
    }

    /// How it ended, if it has.
    pub fn try_wait(self) -> Option<Ended> {
        self.wait_for(libc::WNOHANG)
    }

    fn wait_for(self, flags: i32) -> Option<Ended> {
        let mut status = 0;
        // SAFETY: waits for an own child.
        let got = unsafe { libc::waitpid(self.0, &mut status, flags) };
        if got == 0 {
            return None;
        }
        Some(if libc::WIFSIGNALED(status) {
            Ended::Signal(libc::WTERMSIG(status))
        } else if libc::WIFSTOPPED(status) {
            Ended::Stopped
        } else {
            Ended::Exit(libc::WEXITSTATUS(status))
        })
    }
}

/// Memory shared between a parent and the children it forks, outside every segment: for ledgers of the tests.
pub fn shared_words(count: usize) -> &'static [crate::atomic::AtomicU64] {
    // SAFETY: a new mapping touches no existing memory.
    let address = unsafe {
        libc::mmap(
            std::ptr::null_mut(),
            count * 8,
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        )
    };
    assert_ne!(address, libc::MAP_FAILED);
    // SAFETY: `count` words of zeros, never unmapped, valid as atomics.
    unsafe { std::slice::from_raw_parts(address.cast(), count) }
}
