//! Holders in other PID namespaces.

use crate::support::forked::{dying_holder, in_child, suspended_holder};
use crate::support::{SOON, Scene, assert_valid, bytes, get, open, put, with_timeout};
use cache_machine_core::{CacheError, OpenOptions};
use cache_machine_shm::fork::Ended;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

/// The roles of this program when it runs itself in another PID namespace, where it is process 1.
pub(crate) fn in_a_namespace(role: &str) -> ! {
    let options = OpenOptions { name: std::env::var("CM_NAME").expect("name"), ..Scene::new("unused").options.clone() };
    let options = OpenOptions { size: 2 << 20, write_timeout: Duration::from_millis(200), ..options };
    assert_eq!(std::process::id(), 1, "not a namespace of its own");
    match role {
        // Process 1 of a namespace cannot suspend or kill itself; process 2 can.
        "holder" => {
            suspended_holder(&options, "target");
            std::fs::write(std::env::var("CM_MARK").expect("mark"), b"stopped").expect("mark");
            std::thread::sleep(SOON * 3);
        }
        "waiter" => in_child("the waiter", || {
            let cache = open(&options);
            assert_eq!(get(&cache, "kept").as_deref(), Some(&b"value"[..]));
            assert!(
                matches!(cache.set(b"other", &bytes(b"1")), Err(CacheError::Busy(_))),
                "a live holder lost its lock"
            );
            assert_eq!(cache.stats().repairs, 0);
        }),
        "killed" => {
            let child = dying_holder(&options, "killed");
            assert_eq!(child.wait(), Ended::Signal(9));
        }
        _ => unreachable!("role {role}"),
    }
    std::process::exit(0);
}

fn unshared(role: &str, name: &str, mark: &Path) -> Command {
    let mut command = Command::new("unshare");
    command.args(["-p", "-f", "--kill-child"]).arg(std::env::current_exe().expect("program"));
    command.env("CM_ROLE", role).env("CM_NAME", name).env("CM_MARK", mark);
    command
}

pub(crate) fn namespaces() {
    if !Command::new("unshare").args(["-p", "-f", "--kill-child", "true"]).output().is_ok_and(|o| o.status.success()) {
        println!("  not run: no PID namespaces here");
        return;
    }
    let scene = Scene::sized("namespaces", 2 << 20);
    let mark = Mark(std::env::temp_dir().join(format!("cm-mark-{}", std::process::id())));
    in_child("fill", || {
        put(&open(&scene.options), "kept", b"value");
    });
    // The holder and the waiter are both process 2 of their namespaces.
    let mut holder = unshared("holder", &scene.options.name, &mark.0).spawn().expect("unshare");
    let start = Instant::now();
    while !mark.0.exists() {
        assert!(start.elapsed() < SOON, "the holder did not stop");
        std::thread::sleep(Duration::from_millis(1));
    }
    let waiter = unshared("waiter", &scene.options.name, &mark.0).output().expect("unshare");
    assert!(waiter.status.success(), "{}", String::from_utf8_lossy(&waiter.stderr));
    in_child("from here too", || {
        let cache = open(&with_timeout(&scene.options, Duration::from_millis(50)));
        assert!(matches!(cache.set(b"other", &bytes(b"1")), Err(CacheError::Busy(_))));
    });
    holder.kill().expect("kill");
    holder.wait().expect("wait");
    let repaired = |what: &str, at_least: u64| {
        in_child(what, || {
            let cache = open(&with_timeout(&scene.options, Duration::from_secs(5)));
            put(&cache, "other", b"1");
            assert_eq!(get(&cache, "kept").as_deref(), Some(&b"value"[..]));
            assert_valid(&cache);
            assert!(cache.stats().repairs >= at_least, "{} repairs", cache.stats().repairs);
        });
    };
    repaired("after the namespace's death", 1);
    let killed = unshared("killed", &scene.options.name, &mark.0).output().expect("unshare");
    assert!(killed.status.success(), "{}", String::from_utf8_lossy(&killed.stderr));
    repaired("after a death in a namespace", 2);
}

struct Mark(PathBuf);

impl Drop for Mark {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
