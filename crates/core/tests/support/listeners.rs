//! Listeners: one that ignores its notices, and one that forwards them to a channel.

use cache_machine_core::{Cache, Listener, Notice};
use std::sync::{Mutex, mpsc};

/// Ignores all notices.
pub(crate) struct Deaf;

impl Listener for Deaf {
    fn notify(&self, _: Notice) {}
}

/// Forwards all notices to a channel.
struct Forward(Mutex<mpsc::Sender<Notice>>);

impl Listener for Forward {
    fn notify(&self, notice: Notice) {
        // The receiver may be dropped already.
        let _ = self.0.lock().expect("no panic while sending").send(notice);
    }
}

/// Adds a listener. Returns the receiver of its notices, and its number.
pub(crate) fn listen(cache: &Cache) -> (mpsc::Receiver<Notice>, u64) {
    let (sender, notices) = mpsc::channel();
    let listener = cache.add_listener(Box::new(Forward(Mutex::new(sender))));
    (notices, listener)
}
