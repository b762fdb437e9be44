//! A value that is replaced now and then while other threads use it.
//!
//! Promise: every value stays where it is until the whole is dropped, so a reference that was taken before a replacement
//! stays valid. A reader loads one pointer.

use crate::atomic::Ordering;
use std::sync::atomic::AtomicPtr;
use std::sync::{Arc, Mutex};

/// The latest of some values.
#[derive(Debug)]
pub struct Latest<T> {
    latest: AtomicPtr<T>,
    /// All values so far; the last one is the latest.
    all: Mutex<Vec<Arc<T>>>,
}

impl<T> Latest<T> {
    /// Begins with this value.
    pub fn new(first: Arc<T>) -> Self {
        Self { latest: AtomicPtr::new(Arc::as_ptr(&first).cast_mut()), all: Mutex::new(vec![first]) }
    }

    /// The latest value.
    #[inline(always)]
    pub fn get(&self) -> &T {
        // Acquire: pairs with the Release in `put`, so that a reader sees the value whole.
        let latest = self.latest.load(Ordering::Acquire);
        // SAFETY: it points to a value of `all`, which only grows and is dropped with `self`.
        unsafe { &*latest }
    }

    /// The latest value, for a caller that keeps it.
    pub fn share(&self) -> Arc<T> {
        let all = self.all.lock().unwrap_or_else(|e| e.into_inner());
        all[all.len() - 1].clone()
    }

    /// Puts another value in place. The earlier ones stay alive.
    pub fn put(&self, next: Arc<T>) {
        let mut all = self.all.lock().unwrap_or_else(|e| e.into_inner());
        let at = Arc::as_ptr(&next).cast_mut();
        all.push(next);
        self.latest.store(at, Ordering::Release); // Release: pairs with the Acquire in `get`
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_outlives_its_replacement() {
        let latest = Latest::new(Arc::new(String::from("one")));
        let before = latest.get();
        latest.put(Arc::new(String::from("two")));
        assert_eq!((before.as_str(), latest.get().as_str(), latest.share().as_str()), ("one", "two", "two"));
    }
}
