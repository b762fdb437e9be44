//! SIGBUS: truncated segments, faults elsewhere, and signals that a process sends.

use crate::scratch::{IDENTITY, LEN, Scratch, again, attach, destroy, is_alone, plain, role, writable};
use cache_machine_shm::ShmError;
use cache_machine_shm::atomic::Ordering;
use std::fs::OpenOptions;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::time::Duration;

/// After a truncation a mapping in use has zeros instead of a signal, and the segment says that it is lost.
#[test]
fn a_truncated_segment_reads_as_zeros_and_is_lost() {
    for left in [0, LEN / 2] {
        let scratch = Scratch::new("truncate");
        let file = scratch.made();
        let (one, other) = (attach(&file).unwrap(), attach(&file).unwrap());
        let last = LEN - 8;
        one.region().u64(last).store(7, Ordering::Relaxed);
        writable(file.path()).set_len(left as u64).unwrap();
        assert!(!one.is_still_named());
        assert!(!one.is_lost());
        assert_eq!(one.region().u64(last).load(Ordering::Relaxed), 0);
        one.region().u64(last).store(9, Ordering::Relaxed);
        assert_eq!(one.region().u64(last).load(Ordering::Relaxed), 9);
        assert!(one.is_lost());
        assert!(!other.is_lost(), "each handle sees the loss on its own");
        assert_eq!(other.region().u64(last).load(Ordering::Relaxed), 0);
        assert!(other.is_lost());
        assert!(matches!(attach(&file), Err(ShmError::Corrupt(_))));
        drop((one, other));
        assert!(destroy(&file, false).unwrap());
    }
}

/// An earlier handler of the program still gets every fault that is not ours.
#[test]
fn a_fault_elsewhere_goes_to_the_earlier_handler() {
    static EARLIER: AtomicUsize = AtomicUsize::new(0);
    extern "C" fn earlier(_: libc::c_int, info: *mut libc::siginfo_t, _: *mut libc::c_void) {
        EARLIER.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the kernel passes a valid siginfo.
        let info = unsafe { &*info };
        // SAFETY: SIGBUS carries the address of the fault.
        let address = unsafe { info.si_addr() } as usize & !4095;
        // SAFETY: lays a page over the test's own mapping, so that the access goes on.
        let over = unsafe {
            libc::mmap(
                address as *mut libc::c_void,
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED,
                -1,
                0,
            )
        };
        if over == libc::MAP_FAILED {
            std::process::abort();
        }
    }
    const NAME: &str = "faults::a_fault_elsewhere_goes_to_the_earlier_handler";
    if !is_alone(NAME) {
        return;
    }
    // SAFETY: all zeros is a valid sigaction.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = earlier as *const () as usize;
    action.sa_flags = libc::SA_SIGINFO;
    // SAFETY: the handler does nothing that a handler may not do.
    unsafe { libc::sigaction(libc::SIGBUS, &action, std::ptr::null_mut()) };

    let scratch = Scratch::new("chain");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    writable(file.path()).set_len(0).unwrap();
    let other = plain(&scratch.path.join("theirs"), 0o600);
    other.set_len(4096).unwrap();
    // SAFETY: a new mapping at an address of the kernel's choice.
    let mapped =
        unsafe { libc::mmap(std::ptr::null_mut(), 4096, libc::PROT_READ, libc::MAP_SHARED, other.as_raw_fd(), 0) };
    other.set_len(0).unwrap();
    // SAFETY: mapped above; the fault is what is tested.
    assert_eq!(unsafe { std::ptr::read_volatile(mapped.cast::<u8>()) }, 0);
    assert_eq!(EARLIER.load(Ordering::Relaxed), 1);
    assert!(!segment.is_lost());
    assert_eq!(segment.region().u64(LEN / 2).load(Ordering::Relaxed), 0);
    assert!(segment.is_lost());
    assert_eq!(EARLIER.load(Ordering::Relaxed), 1, "our fault was passed on");
}

/// A SIGBUS that a process sends is no fault. It must end the receiver as it would without our handler.
#[test]
fn a_sigbus_that_is_sent_still_ends_the_process() {
    use std::os::unix::process::ExitStatusExt;
    const NAME: &str = "faults::a_sigbus_that_is_sent_still_ends_the_process";
    if role().is_none() {
        let output = again(NAME, "child");
        assert_eq!(output.status.signal(), Some(libc::SIGBUS), "{}", output.status);
        return;
    }
    // Rust's own handler reports stack overflows. The host program has no such handler.
    // SAFETY: the default action needs no handler.
    unsafe { libc::signal(libc::SIGBUS, libc::SIG_DFL) };
    let scratch = Scratch::new("sent");
    let file = scratch.made();
    let segment = attach(&file).unwrap();
    std::fs::remove_dir_all(&scratch.path).unwrap();
    // SAFETY: sends a signal to this process alone.
    unsafe { libc::raise(libc::SIGBUS) };
    std::thread::sleep(Duration::from_secs(2));
    assert!(!segment.is_lost());
}

#[test]
fn a_memory_outlives_its_segment_and_each_of_a_thousand_is_guarded() {
    let scratch = Scratch::new("memories");
    let file = scratch.made();
    let memories: Vec<_> = (0..1000).map(|_| attach(&file).unwrap().memory()).collect();
    assert!(memories[0].at(LEN - 8, 9).is_none() && memories[0].at(usize::MAX, 2).is_none());
    // SAFETY: 8 bytes inside the mapping, which `memories` keeps, aligned.
    let last = |n: usize| unsafe { memories[n].at(LEN - 8, 8).unwrap().cast::<AtomicU64>().as_ref() };
    last(0).store(7, Ordering::Relaxed);
    assert_eq!(last(999).load(Ordering::Relaxed), 7);
    assert!(file.inspect(|_, _, attached| attached == 0).unwrap(), "the segments were dropped");
    writable(file.path()).set_len(0).unwrap();
    for n in [0, 255, 256, 257, 700, 999] {
        assert_eq!(last(n).load(Ordering::Relaxed), 0);
        last(n).store(n as u64, Ordering::Relaxed);
        assert_eq!(last(n).load(Ordering::Relaxed), n as u64);
    }
}

/// The first words of a segment were read before the guard against truncation was installed.
#[test]
fn a_truncation_beside_open_create_and_destroy_raises_no_signal() {
    const NAME: &str = "faults::a_truncation_beside_open_create_and_destroy_raises_no_signal";
    if !is_alone(NAME) {
        return;
    }
    let scratch = Scratch::new("storm");
    let stop = std::sync::atomic::AtomicBool::new(false);
    let attached = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let file = scratch.file();
                while !stop.load(Ordering::Relaxed) {
                    let _ = file.create(IDENTITY, LEN, &[(0, LEN)], &|_| {});
                    if let Ok(segment) = attach(&file) {
                        attached.fetch_add(1, Ordering::Relaxed);
                        std::hint::black_box(segment.region().u64(LEN / 2).load(Ordering::Relaxed));
                    }
                    let _ = destroy(&file, true);
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for name in scratch.left() {
                    if let Ok(file) = OpenOptions::new().write(true).open(scratch.path.join(name)) {
                        let _ = file.set_len(0);
                    }
                }
            }
        });
        std::thread::sleep(Duration::from_millis(1500));
        stop.store(true, Ordering::Relaxed);
    });
    assert!(attached.load(Ordering::Relaxed) > 0);
}
