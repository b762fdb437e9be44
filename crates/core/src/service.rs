//! The background thread of an attachment: it sleeps on the process's bell, tells listeners what became ready, sweeps dead
//! entries if this process is the elected sweeper, and notices that the segment's name means another file.
//!
//! The thing to get wrong: trusting the bell alone. A writer may die between its publish and its ring, so while anyone
//! waits the thread looks every 50 ms.

use crate::cache::Core;
use crate::feed::{FeedTick, look_at_feeds};
use crate::gone::GoneEntry;
use crate::shard::{Field, ShardView};
use cache_machine_shm::RUNG_STRIPES;
use cache_machine_shm::atomic::{AtomicBool, AtomicU32, Ordering};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Something that a listener is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Notice {
    /// These waits are over: their keys have the entries asked for.
    Waits(Vec<u64>),
    /// This process rebuilt a shard after a death.
    Repaired {
        /// Which.
        shard: usize,
        /// Index words that had to be dropped.
        dropped: u32,
    },
    /// Something in a shard contradicts itself, or was dropped for that.
    Damage {
        /// Which.
        shard: usize,
        /// Index words dropped.
        dropped: u32,
    },
    /// Entries that this process evicted or expired.
    Gone {
        /// The entries, in their order.
        entries: Arc<[GoneEntry]>,
        /// How many more there were, when many went at once.
        lost: u64,
    },
    /// These vigils are over: their records have changed as awaited.
    Vigils(Vec<u64>),
    /// There is something to take for these watches and subscriptions.
    Fed(Vec<u64>),
    /// The segment was destroyed, truncated or replaced.
    Detached,
}

/// Somebody who wants to know. Called on any thread, without a lock held; must not block.
pub trait Listener: Send + Sync {
    /// Takes a notice.
    fn notify(&self, notice: Notice);
}

/// The listeners of one process.
#[derive(Default)]
pub(crate) struct Listeners {
    all: Mutex<Registered>,
    /// How many of them want to know what goes: asked before every lock is taken.
    want_gone: AtomicU32,
}

#[derive(Default)]
struct Registered {
    last_id: u64,
    listeners: Vec<(u64, Arc<dyn Listener>)>,
    /// Those who want to know what goes.
    want_gone: Vec<u64>,
}

impl Listeners {
    fn registered(&self) -> MutexGuard<'_, Registered> {
        self.all.lock().unwrap_or_else(|e| e.into_inner())
    }

    pub(crate) fn add(&self, listener: Box<dyn Listener>) -> u64 {
        let mut registered = self.registered();
        registered.last_id += 1;
        let id = registered.last_id;
        registered.listeners.push((id, Arc::from(listener)));
        id
    }

    pub(crate) fn remove(&self, id: u64) {
        self.registered().listeners.retain(|(other, _)| *other != id);
        self.want_gone(id, false);
    }

    pub(crate) fn want_gone(&self, id: u64, wanted: bool) {
        let mut registered = self.registered();
        registered.want_gone.retain(|other| *other != id);
        if wanted {
            registered.want_gone.push(id);
        }
        self.want_gone.store(registered.want_gone.len() as u32, Ordering::Relaxed); // a hint: who comes late hears of the next
    }

    #[inline]
    pub(crate) fn wants_gone(&self) -> bool {
        self.want_gone.load(Ordering::Relaxed) != 0
    }

    #[cold]
    pub(crate) fn tell_gone(&self, (entries, lost): (Vec<GoneEntry>, u64)) {
        if entries.is_empty() && lost == 0 {
            return;
        }
        let wanting = self.registered().want_gone.clone();
        let entries: Arc<[GoneEntry]> = entries.into();
        for (_, listener) in self.snapshot().into_iter().filter(|(id, _)| wanting.contains(id)) {
            listener.notify(Notice::Gone { entries: entries.clone(), lost });
        }
    }

    /// Listeners are called without the table's lock: they may add or remove some.
    fn snapshot(&self) -> Vec<(u64, Arc<dyn Listener>)> {
        self.registered().listeners.clone()
    }

    pub(crate) fn tell(&self, notice: Notice) {
        for (_, listener) in self.snapshot() {
            listener.notify(notice.clone());
        }
    }

    pub(crate) fn tell_one(&self, id: u64, notice: Notice) {
        if let Some((_, listener)) = self.snapshot().into_iter().find(|(other, _)| *other == id) {
            listener.notify(notice);
        }
    }
}

/// Whom a vigil waits for may have died.
const PROBE_EVERY: Duration = Duration::from_millis(25);
/// A writer may die between publish and ring.
const LOOK_EVERY: Duration = Duration::from_millis(50);
const IDLE: Duration = Duration::from_secs(1);
/// So that what panics each time does not take a processor.
const AFTER_PANIC: Duration = Duration::from_millis(50);
const SWEEP_EVERY: Duration = Duration::from_millis(100);
/// Lines swept in a tick, over all shards: under 1 % of a processor, 2.5 seconds for a default segment.
const LINES_PER_TICK: usize = 4096;
/// Lines swept under one hold of a lock: some 50 µs.
const LINES_PER_HOLD: usize = 64;

/// The thread, and how to end it.
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
                // A panic ends one round, not the thread, on which all depends that waits in this process.
                while catch_unwind(AssertUnwindSafe(|| run(&core, &flag))).is_err() {
                    std::thread::sleep(AFTER_PANIC);
                }
            })
            .ok();
        Self { stop, thread: Mutex::new(thread) }
    }

    pub(crate) fn stop(&self, core: &Core) {
        self.stop.store(true, Ordering::Relaxed);
        core.segment.member().ring_own();
        let thread = self.thread.lock().unwrap_or_else(|e| e.into_inner()).take();
        if let Some(thread) = thread {
            // Waited for, so that the process is no longer attached when `close` returns.
            let _ = thread.join();
        }
    }
}

fn run(core: &Core, stop: &AtomicBool) {
    let mut next_sweep = Instant::now() + SWEEP_EVERY;
    let mut next_shard = 0;
    let mut next_look = Instant::now() + IDLE;
    let mut tick = Tick { next: Instant::now(), writes: vec![None; core.geometry().shards] };
    let mut next_probe = Instant::now();
    // What rings from here on ends the next wait, so each look comes after the bell was read and before it is slept on.
    let bell = core.segment.member().bell();
    let mut feed_tick = FeedTick::new();
    while !stop.load(Ordering::Relaxed) {
        let rung = core.segment.member().take_rung();
        look_at_waits(core, &rung, &mut tick);
        look_at_vigils(core, &rung, &mut next_probe);
        look_at_feeds(core, &mut feed_tick);
        let now = Instant::now();
        if now >= next_look {
            core.look_at_name();
            // Busy: somebody alive invalidates. Gone: seen above.
            let _ = core.finish_invalidation();
            next_look = now + IDLE;
        }
        let mut sleep = IDLE;
        if now >= next_sweep {
            next_sweep = now + if sweep(core, &mut next_shard) { SWEEP_EVERY } else { IDLE };
        }
        sleep = sleep.min(next_sweep.saturating_duration_since(now));
        if !core.waits.is_empty() {
            // Until the next look, not for its whole period: other wake-ups come in between.
            sleep = sleep.min(tick.next.saturating_duration_since(now));
        }
        if !core.vigils.is_empty() || core.has_orphans() {
            sleep = sleep.min(next_probe.saturating_duration_since(now));
        }
        sleep = feed_tick.limit(core, sleep);
        // `stop` is set before the bell rings.
        if !stop.load(Ordering::Relaxed) {
            bell.wait(sleep.max(Duration::from_millis(1)));
        }
    }
}

/// The bounded look for what a dead writer did not ring.
struct Tick {
    next: Instant,
    /// `writes_so_far` of each shard before the last look at its keys.
    writes: Vec<Option<u64>>,
}

fn look_at_waits(core: &Core, rung: &Rung, tick: &mut Tick) {
    if core.waits.is_empty() {
        return;
    }
    let mut written = HashSet::new();
    if Instant::now() >= tick.next {
        tick.next = Instant::now() + LOOK_EVERY;
        for (shard, seen) in core.shards().zip(&mut tick.writes) {
            let writes = core.writes_so_far(&shard);
            if writes.is_none() || writes != *seen {
                written.insert(shard.index);
            }
            *seen = writes;
        }
    }
    for (listener, waits) in core.waits.take_ready(core, |stripe| has_rung(rung, stripe), &written) {
        core.notified.tell_one(listener, Notice::Waits(waits));
    }
}

/// One bit for each stripe that rang.
type Rung = [u64; RUNG_STRIPES / 64];

fn has_rung(rung: &Rung, stripe: usize) -> bool {
    rung[stripe / 64] >> (stripe % 64) & 1 == 1
}

/// The probe is also the bounded look for what a dead writer did not ring.
fn look_at_vigils(core: &Core, rung: &Rung, next_probe: &mut Instant) {
    let probe = Instant::now() >= *next_probe;
    if probe {
        *next_probe = Instant::now() + PROBE_EVERY;
        core.give_back_orphans();
    }
    if core.vigils.is_empty() {
        return;
    }
    for (listener, vigils) in core.vigils.take_ready(core, probe, |stripe| has_rung(rung, stripe)) {
        core.notified.tell_one(listener, Notice::Vigils(vigils));
    }
}

/// Sweeps a bounded part of the shards that have something to sweep, in turn. False: nothing to do, or not this
/// process's task.
fn sweep(core: &Core, next_shard: &mut usize) -> bool {
    let has_dead = |s: &ShardView<'_>| s.get(Field::Mortal) > 0 || s.get(Field::Purge) > 0 || core.is_behind(s);
    let shards = core.geometry().shards;
    let pending = core.shards().filter(has_dead).count();
    if pending == 0 || !core.segment.try_be_sweeper() {
        return false;
    }
    // At least one hold of each lock in a tick, where there are few shards; else some shards, and the next ones later.
    let per_shard = (LINES_PER_TICK / pending).max(LINES_PER_HOLD);
    let mut left = LINES_PER_TICK;
    for _ in 0..shards {
        let index = *next_shard % shards;
        *next_shard = index + 1;
        if !has_dead(&core.shard(index)) {
            continue;
        }
        for _ in 0..per_shard / LINES_PER_HOLD {
            // A stopped holder, or a segment that is gone: the next tick sees.
            if core.sweep(index, LINES_PER_HOLD).is_err() {
                break;
            }
        }
        left = left.saturating_sub(per_shard);
        if left == 0 {
            break;
        }
    }
    true
}
