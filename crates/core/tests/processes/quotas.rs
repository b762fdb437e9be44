//! Quotas between processes, some of which are killed.

use crate::support::damage::make_suspect;
use crate::support::forked::{done, ended_within, file_of, in_child, resume_to_the_end};
use crate::support::{Random, SOON, Scene, assert_valid, bytes, open, put, with_timeout};
use cache_machine_core::{Cache, Eviction, QuotaSetting};
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, arm_named};
use std::time::Duration;

const WRITES: u64 = 4000;
const SESSIONS: u64 = 400;
const MIB: u64 = 1 << 20;

fn namespaces(root: &Cache) -> [Cache; 3] {
    ["sessions", "pages", "jobs"].map(|name| root.in_namespace(name).unwrap())
}

fn set_quotas(root: &Cache) {
    let [sessions, pages, jobs] = namespaces(root);
    let none = QuotaSetting::default();
    sessions.set_quota(&QuotaSetting { reserve: Some(4 * MIB), ..none }).unwrap();
    pages.set_quota(&QuotaSetting { size: Some(3 * MIB), ..none }).unwrap();
    jobs.set_quota(&QuotaSetting { size: Some(2 * MIB), eviction: Some(Eviction::None), ..none }).unwrap();
}

/// Four processes write into namespaces with quotas and beside them. Two of them are killed at some step, over and over,
/// and the others repair. Afterwards all sessions are there, all jobs that were acknowledged, and no namespace is above its
/// size.
pub(crate) fn quotas_beside_kills() {
    // Two shards, so that the sums matter.
    let scene = Scene::sized("quotas", 20 << 20);
    let rounds = 6;
    let stored = shared_words(4 * rounds as usize);
    in_child("the sessions", || {
        let root = open(&scene.options);
        assert_eq!(root.geometry().shards, 2);
        set_quotas(&root);
        (0..SESSIONS).for_each(|number| {
            put(&namespaces(&root)[0], &format!("session {number}"), &[7; 6000]);
        });
    });
    for round in 0..rounds {
        let run = |me: usize| {
            let root = open(&scene.options);
            let [sessions, pages, jobs] = namespaces(&root);
            let mut random = Random(round * 4 + me as u64 + 1);
            if me < 2 {
                arm(20_000 + random.below(60_000), Fault::Kill);
            }
            let jobs_stored: &AtomicU64 = &stored[round as usize * 4 + me];
            for number in 0..WRITES {
                let key = format!("{} {number}", random.below(1 << 40));
                let value = vec![me as u8; random.below(4000) as usize];
                match random.below(8) {
                    0 => {
                        // The same value: the namespace stays within its reserve.
                        let session = format!("session {}", random.below(SESSIONS));
                        assert!(sessions.set(session.as_bytes(), &bytes(&[7; 6000])).unwrap().is_some());
                    }
                    1 => {
                        let job = format!("{round} {me} {}", jobs_stored.load(Ordering::Relaxed));
                        if jobs.set(job.as_bytes(), &bytes(&value)).unwrap().is_some() {
                            jobs_stored.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    2..5 => assert!(pages.set(key.as_bytes(), &bytes(&value)).unwrap().is_some(), "a page was refused"),
                    _ => assert!(root.set(key.as_bytes(), &bytes(&value)).unwrap().is_some(), "refused"),
                }
            }
        };
        let children: Vec<_> = (0..4).map(|me| fork(|| done(|| run(me)))).collect();
        for (me, child) in children.into_iter().enumerate() {
            let ended = ended_within(child, SOON * 3, "a process");
            let expected = if me < 2 { Ended::Signal(9) } else { Ended::Exit(0) };
            assert_eq!(ended, expected, "round {round}, process {me}");
        }
        in_child("afterwards", || {
            let root = open(&scene.options);
            // One write to each shard, so that each is repaired.
            (0..64).for_each(|number| {
                put(&root, &format!("repairs {number}"), b"");
            });
            assert_valid(&root);
            let [sessions, pages, jobs] = namespaces(&root);
            let missing = (0..SESSIONS).filter(|number| !sessions.has(format!("session {number}").as_bytes()).unwrap());
            assert_eq!(missing.count(), 0, "round {round}: sessions are missing");
            let sizes = [&pages, &jobs].map(|own| (own.tallies().bytes, own.tallies().maximum_bytes));
            assert!(sizes.iter().all(|(bytes, maximum)| bytes <= maximum), "round {round}: {sizes:?}");
            for (at, count) in stored.iter().enumerate() {
                for number in 0..count.load(Ordering::Relaxed) {
                    let job = format!("{} {} {number}", at / 4, at % 4);
                    assert!(jobs.has(job.as_bytes()).unwrap(), "round {round}: job {job} is missing");
                }
            }
            assert!(root.stats().total.evictions > 100 && root.stats().damaged == 0);
        });
    }
    in_child("the end", || assert!(open(&scene.options).stats().repairs > 0));
}

/// A rebuild is suspended while it counts. What the namespace claims in its shard stays meanwhile, so writes to the other
/// shard do not take the namespace above its maximum.
pub(crate) fn rebuild_keeps_claims() {
    let scene = Scene::sized("claims", 20 << 20);
    let write = |pages: &Cache, n: u64| pages.set(format!("page {n}").as_bytes(), &bytes(&[7; 4000]));
    in_child("the pages", || {
        let root = open(&scene.options);
        assert_eq!(root.geometry().shards, 2);
        set_quotas(&root);
        let [_, pages, _] = namespaces(&root);
        (0..)
            .take_while(|n| {
                assert!(write(&pages, *n).unwrap().is_some());
                pages.tallies().evicted_for_size < 20
            })
            .for_each(drop);
    });
    let file = std::fs::OpenOptions::new().read(true).write(true).open(file_of(&scene.options)).unwrap();
    make_suspect(&file);
    let rebuilder = fork(|| {
        done(|| {
            let root = open(&scene.options);
            arm_named("rebuild.tallies", 0, Fault::Stop);
            assert_valid(&root);
        })
    });
    assert_eq!(rebuilder.wait_or_stopped(), Ended::Stopped);
    in_child("beside the rebuild", || {
        let root = open(&with_timeout(&scene.options, Duration::from_millis(50)));
        let [_, pages, _] = namespaces(&root);
        let stored = (10_000..12_000).filter(|n| matches!(write(&pages, *n), Ok(Some(_)))).count();
        assert!((500..1500).contains(&stored), "{stored} writes to the other shard");
    });
    resume_to_the_end(rebuilder, "the rebuild");
    in_child("afterwards", || {
        let root = open(&scene.options);
        assert_valid(&root);
        let used = namespaces(&root)[1].tallies().bytes;
        assert!(used <= 3 * MIB, "{used} bytes are above the maximum");
        assert!(root.stats().repairs > 0);
    });
}
