//! A registry: the open segments or regions of one process, by file.
//!
//! A second attachment of one process would take another slot with another lease. So all handles on a file share one
//! attachment, which ends with the last handle.

use crate::error::CacheError;
use crate::notices::listeners::Quiet;
use crate::process::options::Opened;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, TryLockError, Weak};
use std::time::Duration;

/// The attachment to one file. It stays locked while a thread opens the file.
type Entry<T> = Arc<Mutex<Weak<T>>>;

/// The open attachments, by the path of the file.
pub(crate) struct Registry<T> {
    by_path: Mutex<BTreeMap<PathBuf, Entry<T>>>,
}

impl<T> Registry<T> {
    pub(crate) const fn new() -> Self {
        Self { by_path: Mutex::new(BTreeMap::new()) }
    }

    /// Returns the attachment to this file if it is open and usable; otherwise opens one. One caller opens a file at a
    /// time; others wait for it, but not if their patience is 0. Other files are opened meanwhile.
    pub(crate) fn get_or_open(
        &self,
        path: &Path,
        patience: Duration,
        is_usable: impl FnOnce(&T) -> bool,
        open: impl FnOnce() -> Result<(T, Opened), CacheError>,
    ) -> Result<(Arc<T>, Opened), CacheError> {
        let entry = self.entry(path);
        // Dropped without the lock of the entry: it may be the last one, and its end waits for its background thread.
        let unusable;
        let mut known = enter(&entry, patience)?;
        match known.upgrade() {
            Some(found) if is_usable(&found) => return Ok((found, Opened::Attached)),
            other => unusable = other,
        }
        let (new, opened) = open()?;
        let new = Arc::new(new);
        *known = Arc::downgrade(&new);
        drop(known);
        drop(unusable);
        Ok((new, opened))
    }

    fn entry(&self, path: &Path) -> Entry<T> {
        let mut by_path = self.by_path.lock().unwrap_or_else(|e| e.into_inner());
        // An entry that another thread has is being opened. An entry that is locked may be, too.
        by_path.retain(|_, entry| {
            let is_open = entry.try_lock().map_or(true, |known| known.strong_count() > 0);
            is_open || Arc::strong_count(entry) > 1
        });
        by_path.entry(path.to_owned()).or_default().clone()
    }
}

/// The lock of an entry. Notices of this thread wait until it ends.
fn enter<T>(entry: &Mutex<Weak<T>>, patience: Duration) -> Result<Quiet<MutexGuard<'_, Weak<T>>>, CacheError> {
    if !patience.is_zero() {
        return Ok(Quiet::new(entry.lock().unwrap_or_else(|e| e.into_inner())));
    }
    match entry.try_lock() {
        Ok(known) => Ok(Quiet::new(known)),
        Err(TryLockError::Poisoned(known)) => Ok(Quiet::new(known.into_inner())),
        Err(TryLockError::WouldBlock) => {
            Err(CacheError::Busy("another thread of this process is opening the segment".into()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::channel;

    #[test]
    fn an_open_that_takes_long_delays_no_other_file_and_no_caller_without_patience() {
        const LONG: Duration = Duration::from_secs(60);
        let registry = Registry::new();
        let (slow, fast) = (Path::new("slow"), Path::new("fast"));
        let (begin, begun) = channel();
        let (go_on, goes_on) = channel::<()>();
        std::thread::scope(|scope| {
            let registry = &registry;
            let opener = scope.spawn(move || {
                let open = || {
                    begin.send(()).unwrap();
                    goes_on.recv().unwrap();
                    Ok((1, Opened::Created))
                };
                registry.get_or_open(slow, LONG, |_| true, open).unwrap().0
            });
            begun.recv().unwrap();
            let two = registry.get_or_open(fast, LONG, |_| true, || Ok((2, Opened::Created))).unwrap();
            assert_eq!(two, (Arc::new(2), Opened::Created));
            let second = registry.get_or_open(slow, Duration::ZERO, |_| true, || panic!("opened twice"));
            assert!(matches!(second, Err(CacheError::Busy(_))), "{second:?}");
            go_on.send(()).unwrap();
            let one = opener.join().unwrap();
            let again = registry.get_or_open(slow, Duration::ZERO, |_| true, || panic!("opened twice")).unwrap();
            assert!(Arc::ptr_eq(&again.0, &one) && again.1 == Opened::Attached);
        });
        registry.get_or_open(fast, LONG, |_| true, || Ok((3, Opened::Created))).unwrap();
        assert_eq!(registry.by_path.lock().unwrap().len(), 1, "the entry of a closed file stays");
    }
}
