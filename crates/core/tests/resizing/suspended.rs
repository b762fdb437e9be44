//! Suspended processes: the resizer, a writer inside a lock, a process that has not followed.

use crate::support::forked::{
    SOON, done, dying_holder, ended_within, in_child, resume_to_the_end, suspended_holder, wait_for,
};
use crate::support::{Scene, assert_valid, bytes, get, open, put, with_timeout};
use cache_machine_core::CacheError;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::fork::{Ended, fork, shared_words};
use cache_machine_shm::steps::{Fault, arm, disarm};
use std::time::{Duration, Instant};

const MB: usize = 1 << 20;

fn fill(scene: &Scene) {
    in_child("fill", || {
        let cache = open(&scene.options);
        (0..200).for_each(|i| _ = put(&cache, &format!("k{i}"), &vec![i as u8; 500]));
    });
}

fn assert_filled(cache: &cache_machine_core::Cache) {
    (0..200).for_each(|i| assert_eq!(get(cache, &format!("k{i}")), Some(vec![i as u8; 500]), "k{i}"));
}

/// The number of the step of a resize at which the locks are held and half of the entries copied.
fn in_the_copy(scene: &Scene, to: usize) -> u64 {
    let found = shared_words(1);
    let traced = Scene::sized("stop-trace", scene.options.size);
    fill(&traced);
    in_child("trace", || {
        let cache = open(&traced.options);
        arm(crate::support::forked::NEVER, Fault::Kill);
        cache.resize(to).unwrap().unwrap();
        disarm();
        let steps = cache_machine_shm::steps::passed();
        // Every entry passes about as many steps, and nearly all steps are those of entries.
        found[0].store(steps.values().sum::<u64>() / 2, Ordering::SeqCst);
        assert!(steps["resize.copied"] >= 200);
    });
    found[0].load(Ordering::SeqCst)
}

pub(crate) fn resizer() {
    let scene = Scene::sized("stopped", 4 * MB);
    fill(&scene);
    let at = in_the_copy(&scene, 30 * MB);
    let child = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            arm(at, Fault::Stop);
            cache.resize(30 * MB).unwrap().unwrap();
            disarm();
            assert_filled(&cache);
        })
    });
    assert_eq!(child.wait_or_stopped(), Ended::Stopped);
    in_child("beside it", || {
        let cache = open(&with_timeout(&scene.options, Duration::from_millis(50)));
        assert_eq!(cache.geometry().len, 4 * MB);
        assert_filled(&cache);
        let begun = Instant::now();
        let refused = cache.set(b"k1", &bytes(b"other"));
        assert!(matches!(refused, Err(CacheError::Busy(_))), "{refused:?}");
        assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
        assert_filled(&cache);
    });
    resume_to_the_end(child, "the resizer");
    in_child("after it", || {
        let cache = open(&scene.options);
        assert_eq!(cache.geometry().len, 30 * MB);
        put(&cache, "k1", &[1; 500]);
        assert_filled(&cache);
        assert_valid(&cache);
    });
}

pub(crate) fn writer() {
    let scene = Scene::sized("stopped-writer", 4 * MB);
    fill(&scene);
    let holder = suspended_holder(&scene.options, "k1");
    in_child("refused", || {
        let cache = open(&with_timeout(&scene.options, Duration::from_millis(50)));
        let refused = cache.resize(30 * MB);
        assert!(matches!(refused, Err(CacheError::Busy(_))), "{refused:?}");
        assert_eq!(cache.geometry().len, 4 * MB);
        assert_eq!(get(&cache, "k2"), Some(vec![2; 500]));
    });
    resume_to_the_end(holder, "the writer");
    dying_holder(&scene.options, "k1").wait();
    in_child("done", || {
        let cache = open(&scene.options);
        assert_eq!(cache.resize(30 * MB).unwrap().unwrap().to, 30 * MB);
        put(&cache, "k1", &[1; 500]);
        assert_filled(&cache);
        assert_valid(&cache);
    });
}

pub(crate) fn user() {
    let scene = Scene::sized("stopped-user", 4 * MB);
    fill(&scene);
    let turn = &shared_words(1)[0];
    let user = fork(|| {
        done(|| {
            let cache = open(&scene.options);
            assert_filled(&cache);
            turn.store(1, Ordering::SeqCst);
            wait_for(turn, |turn| turn == 2);
            assert_filled(&cache);
            put(&cache, "mine", b"written in the area that was followed to");
        })
    });
    wait_for(turn, |turn| turn == 1);
    user.stop();
    in_child("the resizer", || {
        let cache = open(&scene.options);
        cache.resize(30 * MB).unwrap().unwrap();
        let refused = cache.resize(8 * MB);
        assert!(matches!(refused, Err(CacheError::Busy(_))), "{refused:?}");
        assert_filled(&cache);
    });
    turn.store(2, Ordering::SeqCst);
    user.resume();
    assert_eq!(ended_within(user, SOON, "the user"), Ended::Exit(0));
    in_child("after it", || {
        let cache = open(&scene.options);
        assert!(get(&cache, "mine").is_some());
        cache.resize(8 * MB).unwrap().unwrap();
        assert_filled(&cache);
        assert_valid(&cache);
    });
}
