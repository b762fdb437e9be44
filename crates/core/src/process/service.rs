//! The background thread of an attachment. It sleeps on the process's bell and notifies listeners of ready waits,
//! record watches and streams. It sweeps dead entries if this process has the turn to sweep. It detects that the
//! segment's name belongs to another file.
//!
//! A writer may die between its publish and its wake, so the thread checks every 50 ms while this process has a wait. A
//! check of many waits has slices, so that a wake in between is served after one slice.

use crate::attachment::attached::Attachment;
use crate::notices::listeners::Notice;
use crate::process::core::Core;
use crate::process::sweeper::Sweeper;
use crate::resize::release;
use crate::streams::reader::StreamTick;
use crate::waiting::by_stripe::Ready;
use crate::waiting::record_watches::Probes;
use crate::waiting::waits;
use cache_machine_shm::BELL_STRIPES;
use cache_machine_shm::atomic::{AtomicBool, Ordering};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Interval of the probes for record watches: an awaited owner may have died.
const PROBE_EVERY: Duration = Duration::from_millis(25);
/// Interval of the checks for waits: a writer may die between its publish and its wake.
// mutant: wait-without-tick
const CHECK_EVERY: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(1);
/// Pause after a panic, so that repeated panics do not occupy a processor.
const AFTER_PANIC: Duration = Duration::from_millis(50);
/// Time after which no thread of a process is expected to be inside a read of an area that it has left.
const GRACE: Duration = Duration::from_millis(50);
const SWEEP_EVERY: Duration = Duration::from_millis(100);

/// The thread and its stop flag.
pub(crate) struct Service {
    stop: Arc<AtomicBool>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Service {
    pub(crate) fn start(core: &Arc<Core>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (core, flag) = (core.clone(), stop.clone());
        let thread = std::thread::Builder::new()
            .name("cache-machine".into())
            .stack_size(256 << 10)
            .spawn(move || {
                // A panic ends one round, not the thread: every wait in this process depends on the thread.
                // mutant: panic-ends-thread
                while catch_unwind(AssertUnwindSafe(|| run(&core, &flag))).is_err() {
                    std::thread::sleep(AFTER_PANIC);
                }
            })
            .ok();
        Self { stop, thread: Mutex::new(thread) }
    }

    pub(crate) fn stop(&self, core: &Core) {
        self.stop.store(true, Ordering::Relaxed);
        core.segment.member().wake_own();
        let thread = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread {
            // The join waits, so that the process is no longer attached when `close` returns.
            let _ = thread.join();
        }
    }
}

fn run(core: &Core, stop: &AtomicBool) {
    let mut next_sweep = Instant::now() + SWEEP_EVERY;
    let mut sweeper = Sweeper::default();
    let mut next_check = Instant::now() + IDLE;
    let mut tick = Tick::new(core);
    let mut probing = Probing { next: Instant::now(), probes: Probes::default() };
    // A wake after this read of the bell ends the next sleep. So each check comes after the read and before the sleep.
    let bell = core.segment.member().bell();
    let mut stream_tick = StreamTick::new();
    let mut leaving = Leaving::default();
    while !stop.load(Ordering::Relaxed) {
        if !core.is_current() {
            // Busy or without room for another mapping: the next round tries again.
            let _ = core.follow_area();
        }
        if tick.area != core.geometry().area {
            // A wait may have been checked in the area before only.
            tick = Tick::new(core);
        }
        let rung = core.segment.member().take_changed_stripes();
        check_waits(core, &rung, &mut tick);
        check_record_watches(core, &rung, &mut probing);
        core.streams.poll(core, &mut stream_tick);
        let now = Instant::now();
        let must_leave = leaving.leave(core, now);
        if now >= next_check {
            core.check_name();
            release::release_others(core);
            // Busy: a living process invalidates. Detached: `check_name` has noted it.
            let _ = core.finish_invalidation();
            next_check = now + IDLE;
        }
        let mut sleep = if must_leave { GRACE } else { IDLE };
        if now >= next_sweep {
            next_sweep = now + if core.may_sweep() && sweeper.sweep(core) { SWEEP_EVERY } else { IDLE };
        }
        sleep = sleep.min(next_sweep.saturating_duration_since(now));
        if !core.waits.is_empty() {
            // The thread sleeps until the next check, not for a whole interval: other wakes come in between.
            sleep = sleep.min(tick.next.saturating_duration_since(now));
        }
        if !core.record_watches.is_empty() || !core.orphans.is_empty() {
            sleep = sleep.min(probing.next.saturating_duration_since(now));
        }
        if !tick.lap.written.is_empty() {
            continue; // the rest of a lap
        }
        sleep = stream_tick.limit(&core.streams, sleep);
        // `stop` is set before the bell is woken.
        if !stop.load(Ordering::Relaxed) {
            bell.wait(sleep.max(Duration::from_millis(1)));
        }
    }
}

/// The periodic check for writes of a writer that died before its wake.
struct Tick {
    next: Instant,
    /// `writes_so_far` of each shard before its keys were last read.
    writes: Vec<Option<u64>>,
    lap: waits::Lap,
    /// The area of these shards.
    area: u8,
}

impl Tick {
    fn new(core: &Core) -> Self {
        let geometry = core.geometry();
        let writes = vec![None; geometry.shards];
        Self { next: Instant::now(), writes, lap: waits::Lap::default(), area: geometry.area }
    }
}

/// The departure of this process from an area that was left by a resize.
#[derive(Default)]
struct Leaving {
    since: Option<Instant>,
}

impl Leaving {
    /// Notes that the process uses the present area alone, some time after it has attached to it and when its streams have
    /// read the area before to its end. True: that is still to come.
    ///
    /// A thread may be inside a read for longer than this time. Then it reads zeros, finds that the area is not the
    /// present one, and reads again there.
    fn leave(&mut self, core: &Core, now: Instant) -> bool {
        let attachment: &Attachment = core;
        let member = attachment.segment.member();
        if member.noted_area() == u32::from(attachment.geometry().area) {
            self.since = None;
            return false;
        }
        let since = *self.since.get_or_insert(now);
        if now - since < GRACE || core.streams.is_behind(attachment) {
            return true;
        }
        member.note_area(attachment.geometry().area);
        self.since = None;
        release::release_others(core);
        false
    }
}

fn check_waits(core: &Core, rung: &Rung, tick: &mut Tick) {
    if core.waits.is_empty() {
        tick.lap = waits::Lap::default();
        return;
    }
    if Instant::now() >= tick.next && tick.lap.written.is_empty() {
        tick.next = Instant::now() + CHECK_EVERY;
        let attachment: &Attachment = core;
        for (shard, seen) in attachment.shards().zip(&mut tick.writes) {
            let writes = shard.writes_so_far();
            if writes.is_none() || writes != *seen {
                tick.lap.written.insert(shard.index);
            }
            *seen = writes;
        }
    }
    notify(core, core.waits.take_ready(core, |stripe| has_rung(rung, stripe), &mut tick.lap), Notice::Waits);
}

/// Notifies each listener of its items, in order of their begin.
fn notify(core: &Core, ready: Ready, notice: fn(Vec<u64>) -> Notice) {
    for (listener, mut ids) in ready {
        ids.sort_unstable();
        core.listeners.notify(listener, notice(ids));
    }
}

/// One bit per stripe, set if the stripe was woken.
type Rung = [u64; BELL_STRIPES / 64];

fn has_rung(rung: &Rung, stripe: usize) -> bool {
    rung[stripe / 64] >> (stripe % 64) & 1 == 1
}

/// The probe also finds changes of a writer that died before its wake.
struct Probing {
    next: Instant,
    probes: Probes,
}

fn check_record_watches(core: &Core, rung: &Rung, probing: &mut Probing) {
    let is_tick = Instant::now() >= probing.next;
    if is_tick {
        probing.next = Instant::now() + PROBE_EVERY;
        core.orphans.try_again(core);
    }
    if core.record_watches.is_empty() {
        probing.probes = Probes::default();
        return;
    }
    let mut ready = core.record_watches.take_woken(core, |stripe| has_rung(rung, stripe));
    if is_tick {
        core.record_watches.probe(core, &mut probing.probes, &mut ready);
    }
    notify(core, ready, Notice::RecordWatches);
}
