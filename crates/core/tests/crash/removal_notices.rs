//! Removal notices around a panic and a repair.

use crate::scenarios::{set, value_of};
use crate::support::forked::in_child;
use crate::support::{Scene, assert_valid};
use cache_machine_core::{Cache, Listener, Notice, OpenOptions};
use cache_machine_shm::atomic::AtomicU64;
use cache_machine_shm::atomic::Ordering::Relaxed;
use cache_machine_shm::steps::{Fault, arm, disarm, passed};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

/// A change that panicked left its removals noted in its thread. A listener that was notified of the repair then
/// changed another segment, and the removals were notified as if they were of that segment.
pub(crate) fn removals_of_two_segments() {
    struct Noted {
        own: char,
        other: Mutex<Option<Cache>>,
        notified: AtomicU64,
    }
    struct Shared(Arc<Noted>);
    impl Listener for Shared {
        fn notify(&self, notice: Notice) {
            match notice {
                Notice::Removed { entries, .. } => {
                    self.0.notified.fetch_add(entries.len() as u64, Relaxed);
                    let wrong: Vec<_> =
                        entries.iter().filter(|entry| !entry.key.starts_with(&[self.0.own as u8])).collect();
                    assert!(wrong.is_empty(), "notices of {}: {wrong:?}", self.0.own);
                }
                Notice::Repaired { .. } => {
                    if let Some(other) = &*self.0.other.lock().unwrap() {
                        set(other, "b", b"1");
                    }
                }
                _ => {}
            }
        }
    }
    let scenes = [Scene::new("notes"), Scene::new("notes")];
    in_child("notes", || {
        let [a, b] =
            [&scenes[0], &scenes[1]].map(|scene| Cache::open(&OpenOptions { size: 2 << 20, ..scene.options.clone() }));
        let (a, b) = (a.unwrap().0, b.unwrap().0);
        let noted = [(&a, 'a'), (&b, 'b')].map(|(cache, own)| {
            let noted = Arc::new(Noted { own, other: Mutex::default(), notified: AtomicU64::new(0) });
            let listener = cache.add_listener(Box::new(Shared(noted.clone())));
            cache.want_removals(listener, true);
            noted
        });
        *noted[0].other.lock().unwrap() = Some(b.clone());
        let fill = |cache: &Cache, own: char| {
            let before = cache.stats().total.evictions;
            let go_on = |_: &u64| cache.stats().total.evictions < before + 3;
            (before..).take_while(go_on).for_each(|i| set(cache, &format!("{own}{i}"), &value_of(i)));
        };
        fill(&a, 'a');
        fill(&b, 'b');
        let others = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            if !info.to_string().contains("kill step") {
                others(info);
            }
        }));
        let mut panics = 0;
        // One pass has as many steps as the random seed of the segment makes one set evict.
        while panics <= 50 {
            for at in (0..).step_by(7) {
                // There is no room, so each of these sets evicts.
                fill(&a, 'a');
                arm(at, Fault::Panic);
                let outcome = catch_unwind(AssertUnwindSafe(|| set(&a, &format!("a-{at}"), &[1; 4000])));
                let steps: u64 = passed().values().sum();
                disarm();
                panics += u64::from(outcome.is_err());
                fill(&b, 'b');
                // This set repairs the shard, and evicts under the same lock.
                set(&a, &format!("a+{at}"), &[1; 9000]);
                fill(&b, 'b');
                if outcome.is_ok() && steps <= at {
                    break;
                }
            }
        }
        drop(std::panic::take_hook());
        *noted[0].other.lock().unwrap() = None;
        assert!(panics > 50 && a.stats().repairs > 50, "{panics} panics, {} repairs", a.stats().repairs);
        assert!(noted.iter().all(|noted| noted.notified.load(Relaxed) > 100));
        [&a, &b].into_iter().for_each(assert_valid);
    });
}
