//! Process slots and leases.

use crate::scratch::{LAYOUT, LEASES, Scratch, attach, command, destroy, eventually, hold, role, writable};
use cache_machine_shm::{PROCESS_SLOTS, Place, SegmentFile, ShmError};

#[test]
fn an_attach_is_refused_until_one_of_all_taken_process_slots_is_free() {
    let scratch = Scratch::new("slots");
    let file = scratch.made();
    let first = attach(&file).unwrap();
    let second = attach(&file).unwrap();
    let raw = writable(file.path());
    hold(&raw, true, LEASES + 2, PROCESS_SLOTS as i64 - 2);
    assert!(matches!(attach(&file), Err(ShmError::NoSlot(PROCESS_SLOTS))));
    drop(first);
    let third = attach(&file).unwrap();
    assert!(matches!(attach(&file), Err(ShmError::NoSlot(PROCESS_SLOTS))));
    drop((second, third, raw));
    attach(&file).unwrap();
}

#[test]
fn a_reused_slot_has_another_generation() {
    use cache_machine_shm::lock::Parties;
    let scratch = Scratch::new("generation");
    let file = scratch.made();
    let mut last = None;
    for _ in 0..5 {
        let segment = attach(&file).unwrap();
        let me = segment.member().me();
        assert_eq!(me.slot, 0);
        assert_ne!(Some(me), last);
        if let Some(before) = last {
            assert!(segment.member().is_dead(before));
        }
        last = Some(me);
    }
}

/// A child process that is killed even when the test fails.
struct Parent(std::process::Child);

impl Parent {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Parent {
    fn drop(&mut self) {
        self.end();
    }
}

/// A forked child that has all descriptors of its parent, and never ran another program.
struct Copy(i32);

impl Drop for Copy {
    fn drop(&mut self) {
        // SAFETY: this test made the process, and it ends in no other way.
        unsafe { libc::kill(self.0, libc::SIGKILL) };
    }
}

/// The child has the descriptors of its parent, so the parent's lease is held until both have ended. The death is seen
/// late, but no owner loses its lock.
#[test]
fn a_child_forked_without_exec_keeps_the_lease_of_its_dead_parent_until_it_ends() {
    const NAME: &str = "processes::a_child_forked_without_exec_keeps_the_lease_of_its_dead_parent_until_it_ends";
    if let Some(role) = role() {
        let (folder, answer) = role.split_once(' ').unwrap();
        let file = SegmentFile::new(Place::Directory(folder.into()), "name", LAYOUT);
        let _segment = attach(&file).unwrap();
        // SAFETY: the child does nothing but wait for a signal.
        let child = unsafe { libc::fork() };
        if child != 0 {
            std::fs::write(format!("{answer}~"), child.to_string()).unwrap();
            std::fs::rename(format!("{answer}~"), answer).unwrap();
        }
        loop {
            // SAFETY: plain system call.
            unsafe { libc::pause() };
        }
    }
    let scratch = Scratch::new("forked");
    let file = scratch.made();
    let answer = scratch.path.join("child");
    let mut parent = Parent(
        command(NAME, &format!("{} {}", scratch.path.display(), answer.display()))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap(),
    );
    eventually("the child's number", || answer.exists());
    let child = Copy(std::fs::read_to_string(&answer).unwrap().parse().unwrap());
    parent.end();
    let attached = || file.inspect(|_, _, attached| attached).unwrap();
    assert_eq!(attached(), 1, "the lease ended with the parent alone");
    assert!(matches!(destroy(&file, false), Err(ShmError::InUse(_))));
    drop(child);
    eventually("the end of the lease", || attached() == 0);
    assert!(destroy(&file, false).unwrap());
}

/// The system names the oldest lease first, and after a reload the oldest process has a high slot.
#[test]
fn every_attached_process_is_counted_in_whatever_order_they_came() {
    let scratch = Scratch::new("counted");
    let file = scratch.made();
    let old = [attach(&file).unwrap(), attach(&file).unwrap()];
    let new = [attach(&file).unwrap(), attach(&file).unwrap()];
    drop(old);
    let newest = [attach(&file).unwrap(), attach(&file).unwrap()];
    let slots: Vec<u16> = new.iter().chain(&newest).map(|segment| segment.member().slot()).collect();
    assert_eq!(slots, [2, 3, 0, 1]);
    assert_eq!(file.inspect(|_, _, attached| attached).unwrap(), 4);
    assert!(matches!(destroy(&file, false), Err(ShmError::InUse(4))));
    drop(new);
    assert_eq!(file.inspect(|_, _, attached| attached).unwrap(), 2);
}
