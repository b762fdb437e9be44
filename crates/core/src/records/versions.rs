//! Versions of an application: each has values of its own, beside those of the others.
//!
//! ```text
//! record "versions"   6 words for each number: length u8, opens u32 · unused since u64 · name, 32 bytes
//! ```
//!
//! A version has a number while it has users or entries. Its users are noted as subscriptions, which end with their process.
//! When the last user is gone for `GRACE`, and another version is in use, a sweeper removes the entries step by step and
//! frees the number.
//!
//! Promises: two versions never have one number at once, and no entry of a version in use is removed. A user notes its
//! subscription first, then its open in the record, and then writes. A step of a removal looks for subscriptions under the
//! lock of the shard that it removes from, so it sees that of each writer of the entries that it meets. The number becomes free
//! under the lock of the record, and only if no open was noted since the removal began.
//!
//! Caution: liveness is checked before a lock is taken. A dead user counts until its subscription was removed.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::record::{RecordChange, Words};
use crate::error::CacheError;
use crate::layout::keyspaces::{Keyspace, MAX_VERSIONS};
use crate::layout::namespaces::ROOT;
use crate::process::core::Core;
use crate::records::keyspace::Records;
use crate::tables::subscriptions::Name;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// The key of the record.
const TABLE: &[u8] = b"versions";
/// Words of a version.
const WORDS: usize = 6;
/// Maximum length of a name, in bytes.
const MAX_VERSION_NAME: usize = 32;
/// Milliseconds for which a version without users keeps its entries: workers that are restarted are gone for a while.
const GRACE: u64 = 60_000;
/// Maximum wait of the sweeper for the record.
const SWEEP_PATIENCE: Patience = Patience::Brief(Duration::from_millis(10));

/// A version, as it is in the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Version {
    number: u16,
    opens: u32,
    /// Milliseconds since boot; 0: it was in use when a sweeper last looked.
    unused_since: u64,
    len: usize,
    name: [u8; MAX_VERSION_NAME],
}

impl Version {
    /// `None`: the number is free, or the words are damaged.
    fn load(number: usize, words: &[u64]) -> Option<Self> {
        let [first, unused_since, rest @ ..] = words else { return None };
        let mut name = [0; MAX_VERSION_NAME];
        for (bytes, word) in name.chunks_exact_mut(8).zip(rest) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        let len = (first & 0xFF) as usize;
        let is_sound = (1..=MAX_VERSION_NAME).contains(&len) && number < MAX_VERSIONS;
        let opens = (first >> 32) as u32;
        is_sound.then_some(Self { number: number as u16, opens, unused_since: *unused_since, len, name })
    }

    fn write_to(&self, words: &mut [u64]) {
        let [first, since, rest @ ..] = words else { return };
        *first = self.len as u64 | u64::from(self.opens) << 32;
        *since = self.unused_since;
        for (word, bytes) in rest.iter_mut().zip(self.name.chunks_exact(8)) {
            *word = u64::from_le_bytes(bytes.try_into().unwrap_or_default());
        }
    }

    fn bytes(&self) -> &[u8] {
        &self.name[..self.len]
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    /// The channel with its users as subscriptions.
    fn channel(&self) -> Name<'_> {
        channel(self.bytes())
    }
}

fn channel(name: &[u8]) -> Name<'_> {
    Name { namespace: Keyspace::Versions.of(ROOT), is_prefix: false, bytes: name }
}

fn records(attachment: &Attachment, patience: Patience) -> Records<'_> {
    Records { attachment, namespace: Keyspace::Versions.of(ROOT), patience }
}

fn versions_in(words: &[u64]) -> impl Iterator<Item = Version> + '_ {
    words.chunks_exact(WORDS).enumerate().filter_map(|(number, words)| Version::load(number, words))
}

/// All versions that have a number. Reads without a lock.
fn all(attachment: &Attachment) -> Result<Vec<Version>, CacheError> {
    let mut words = Words::default();
    records(attachment, SWEEP_PATIENCE).read(TABLE, &mut words)?;
    Ok(versions_in(&words).collect())
}

impl Attachment {
    /// The versions that have users or entries: number, name, and the number of processes that use it.
    ///
    /// # Errors
    /// `Detached`.
    pub(crate) fn versions(&self) -> Result<Vec<(u16, String, u32)>, CacheError> {
        self.check_attached()?;
        let found = all(self)?;
        Ok(found.iter().map(|v| (v.number, v.text(), self.count_subscriptions(&v.channel()))).collect())
    }
}

/// The number of a name; a new name gets a free number.
fn open(attachment: &Attachment, name: &str, create: bool, patience: Patience) -> Result<u16, CacheError> {
    let mut new = Version { number: 0, opens: 0, unused_since: 0, len: name.len(), name: [0; MAX_VERSION_NAME] };
    new.name[..name.len()].copy_from_slice(name.as_bytes());
    // After a loss of the record, most names get their old numbers again.
    let (name, new) = (name.as_bytes(), &new);
    let first = name.iter().fold(0usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(*byte)));
    records(attachment, patience).change(TABLE, |edit| {
        let known = versions_in(edit.words).find(|version| version.bytes() == name);
        let version = match known {
            Some(known) => Version { opens: known.opens.wrapping_add(1), unused_since: 0, ..known },
            None if !create => {
                let text = format!("the segment has no version {:?}", String::from_utf8_lossy(name));
                return Err(CacheError::NoSegment(text));
            }
            None => {
                let is_free = |number: &usize| {
                    let words = edit.words.get(number * WORDS..(number + 1) * WORDS);
                    words.is_none_or(|words| Version::load(*number, words).is_none())
                };
                let mut numbers = (0..MAX_VERSIONS).map(|i| (first + i) % MAX_VERSIONS);
                let Some(number) = numbers.find(is_free) else {
                    let text = format!("{MAX_VERSIONS} versions have users or entries, which is the most");
                    return Err(CacheError::NoSpace(text));
                };
                Version { number: number as u16, ..*new }
            }
        };
        let at = usize::from(version.number) * WORDS;
        while edit.words.len() < at + WORDS {
            if !edit.words.push(&[0; WORDS]) {
                return Err(CacheError::NoSpace("the table of versions is full".into()));
            }
        }
        version.write_to(&mut edit.words[at..at + WORDS]);
        Ok((RecordChange::Store { ttl_ms: 0 }, version.number))
    })
}

/// Changes a version if it is still as it was, and has no user. False: it is not.
fn change_unused(
    attachment: &Attachment,
    version: &Version,
    mut change: impl FnMut(&mut [u64]),
) -> Result<bool, CacheError> {
    records(attachment, SWEEP_PATIENCE).change(TABLE, |edit| {
        let range = usize::from(version.number) * WORDS..(usize::from(version.number) + 1) * WORDS;
        let now = edit.words.get(range.clone()).and_then(|words| Version::load(version.number.into(), words));
        // mutant: used-versions-end
        if now != Some(*version) || attachment.has_subscription(&version.channel()) {
            return Ok((RecordChange::Keep, false));
        }
        change(&mut edit.words[range]);
        let is_empty = versions_in(edit.words).next().is_none();
        Ok((if is_empty { RecordChange::Remove } else { RecordChange::Store { ttl_ms: 0 } }, true))
    })
}

fn check_version(name: &str) -> Result<(), CacheError> {
    let fine = |c: u8| c.is_ascii_alphanumeric() || b"._-".contains(&c);
    if (1..=MAX_VERSION_NAME).contains(&name.len()) && name.bytes().all(fine) {
        return Ok(());
    }
    let text = format!("version is {name:?}; it must be 1 to {MAX_VERSION_NAME} of A-Z a-z 0-9 . _ -");
    Err(CacheError::InvalidArgument(text))
}

/// The versions that this process uses: number, and the number of handles.
type Used = Mutex<BTreeMap<String, (u16, usize)>>;

/// The versions that this process uses.
#[derive(Default)]
pub(crate) struct VersionUses(Arc<Used>);

/// The use of a version by a handle, and by its copies.
pub(crate) struct VersionUse {
    core: Arc<Core>,
    used: Arc<Used>,
    name: String,
    number: u16,
}

impl VersionUse {
    pub(crate) fn number(&self) -> u16 {
        self.number
    }
}

impl VersionUses {
    /// Begins to use a version. Without `create` only one that has a number.
    pub(crate) fn begin(
        &self,
        core: &Arc<Core>,
        name: &str,
        create: bool,
        patience: Patience,
    ) -> Result<Arc<VersionUse>, CacheError> {
        check_version(name)?;
        core.in_area(|| core.check_attached())?;
        let mut used = self.0.lock().unwrap_or_else(|e| e.into_inner());
        let number = match used.get_mut(name) {
            Some((number, handles)) => {
                *handles += 1;
                *number
            }
            None => {
                core.in_area(|| core.note_subscription(&channel(name.as_bytes()), patience))?;
                let number = core.in_area(|| open(core, name, create, patience)).inspect_err(|_| {
                    core.forget_subscription(&channel(name.as_bytes()));
                })?;
                used.insert(name.to_owned(), (number, 1));
                number
            }
        };
        Ok(Arc::new(VersionUse { core: core.clone(), used: self.0.clone(), name: name.to_owned(), number }))
    }
}

impl Drop for VersionUse {
    fn drop(&mut self) {
        // Under the same lock as `begin`, since the count of a subscription has one writer at a time.
        let mut used = self.used.lock().unwrap_or_else(|e| e.into_inner());
        let Some((_, handles)) = used.get_mut(&self.name) else { return };
        *handles -= 1;
        if *handles == 0 {
            used.remove(&self.name);
            self.core.forget_subscription(&channel(self.name.as_bytes()));
        }
    }
}

/// The removal of versions that no process uses, a part at each tick.
#[derive(Default)]
pub(crate) struct VersionSweep {
    /// The version that is being removed, and the cursor of the next step.
    begun: Option<(Version, u64)>,
}

impl VersionSweep {
    /// A version to remove. Notes since when versions are unused.
    pub(crate) fn next_unused(&mut self, attachment: &Attachment) -> Result<Option<Version>, CacheError> {
        let versions = all(attachment)?;
        let (used, unused): (Vec<_>, Vec<_>) =
            versions.into_iter().partition(|version| attachment.count_subscriptions(&version.channel()) > 0);
        if unused.is_empty() {
            self.begun = None;
            return Ok(None);
        }
        let now = attachment.now_ms();
        let is_over =
            |version: &Version| version.unused_since != 0 && now.saturating_sub(version.unused_since) >= GRACE;
        if unused.iter().any(|version| version.unused_since == 0 || is_over(version)) {
            // A dead user still has its subscription.
            attachment.forget_dead_subscriptions()?;
        }
        for version in unused.iter().filter(|version| version.unused_since == 0) {
            let since = Version { unused_since: now.max(1), ..*version };
            change_unused(attachment, version, |words| since.write_to(words))?;
        }
        // mutant: versions-end-without-successor
        if used.is_empty() {
            return Ok(None); // all of the application is down; it may come back
        }
        Ok(unused.into_iter().find(is_over))
    }

    /// Removes entries of a version in about `lines` lines of the index, and frees its number after the last one.
    pub(crate) fn remove(&mut self, attachment: &Attachment, version: Version, lines: usize) -> Result<(), CacheError> {
        let cursor = match self.begun {
            Some((begun, cursor)) if begun == version => cursor,
            _ => 0,
        };
        self.begun = None;
        // mutant: writers-of-versions-unseen
        let is_unused = || !attachment.has_subscription(&version.channel());
        let next = attachment.delete_version(version.number, cursor, lines, SWEEP_PATIENCE, &is_unused)?;
        match next {
            Some(next) => self.begun = Some((version, next)),
            None => _ = change_unused(attachment, &version, |words| words.fill(0))?,
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::handle::Cache;
    use crate::change::set::Write;
    use crate::kind;
    use crate::process::options::OpenOptions;
    use crate::segments::destroy;

    /// A segment with a clock that stands still, which the background thread does not sweep.
    struct Scene {
        options: OpenOptions,
        /// Keeps the segment open.
        none: Cache,
        sweep: VersionSweep,
    }

    impl Scene {
        fn new(test: &str) -> Self {
            let options = OpenOptions::of_test(&format!("t-versions-{test}-{}", std::process::id()));
            let none = Cache::open(&options).unwrap().0;
            none.forbid_sweeps();
            Self { options, none, sweep: VersionSweep::default() }
        }

        fn open(&self, version: &str) -> Cache {
            let options = OpenOptions { version: Some(version.into()), ..self.options.clone() };
            let cache = Cache::open(&options).unwrap().0;
            cache.forbid_sweeps();
            cache
        }

        fn filled(&self, version: &str, entries: u32) -> Cache {
            let cache = self.open(version);
            for i in 0..entries {
                let key = format!("key{i}");
                assert!(
                    cache.set(key.as_bytes(), &Write::new(kind::UINT8_ARRAY, version.as_bytes())).unwrap().is_some()
                );
            }
            cache
        }

        /// What the sweep would remove after `ms` more milliseconds.
        fn unused_after(&mut self, ms: u64) -> Option<Version> {
            self.none.advance_clock(ms).unwrap();
            self.sweep.next_unused(&self.none).unwrap()
        }

        fn names(&self) -> Vec<String> {
            self.none.versions().unwrap().into_iter().map(|(_, name, _)| name).collect()
        }
    }

    impl Drop for Scene {
        fn drop(&mut self) {
            let _ = destroy(&self.options.name, None, true);
        }
    }

    #[test]
    fn a_version_is_over_a_minute_after_its_use_if_another_one_is_in_use() {
        let mut scene = Scene::new("over");
        let old = scene.filled("old", 10);
        assert_eq!(scene.unused_after(0), None, "in use");
        drop(old);
        assert_eq!(scene.unused_after(10 * GRACE), None, "first seen without users");
        assert_eq!(scene.unused_after(10 * GRACE), None, "all of the application is down");
        let new = scene.open("new");
        let over = scene.unused_after(0).expect("over");
        assert_eq!(over.text(), "old");
        let again = scene.open("old");
        assert_eq!(scene.unused_after(0), None, "in use again");
        drop(again);
        assert_eq!(scene.unused_after(GRACE), None, "seen without users since now");
        assert_eq!(scene.unused_after(GRACE - 1), None);
        assert!(scene.unused_after(1).is_some());
        drop(new);
    }

    #[test]
    fn a_removal_in_steps_ends_when_the_version_is_in_use_again() {
        let mut scene = Scene::new("again");
        drop(scene.filled("old", 300));
        let new = scene.filled("new", 300);
        scene.unused_after(0);
        let over = scene.unused_after(GRACE).expect("over");
        scene.sweep.remove(&scene.none, over, 1).unwrap();
        let old = scene.filled("old", 1);
        let end = scene.sweep.remove(&scene.none, over, usize::MAX);
        assert!(matches!(end, Err(CacheError::Busy(_))), "{end:?}");
        assert!(old.has(b"key0").unwrap());
        assert_eq!(scene.names().len(), 2);
        // An open and a close between two steps: the number stays, since the user may have written behind the walk.
        drop(old);
        scene.sweep.remove(&scene.none, over, usize::MAX).unwrap();
        assert_eq!(scene.names().len(), 2);
        assert!((0..300).all(|i| new.has(format!("key{i}").as_bytes()).unwrap()));
    }

    #[test]
    fn all_entries_of_a_removed_version_are_gone_and_its_number_is_free() {
        let mut scene = Scene::new("gone");
        drop(scene.filled("old", 500));
        let new = scene.filled("new", 500);
        scene.unused_after(0);
        let over = scene.unused_after(GRACE).expect("over");
        let mut steps = 0;
        while scene.names().len() == 2 {
            scene.sweep.remove(&scene.none, over, 100).unwrap();
            steps += 1;
            assert!(steps < 10_000);
        }
        assert!(steps > 1);
        assert_eq!(scene.names(), ["new"]);
        assert_eq!(scene.none.len(), 500);
        assert!((0..500).all(|i| new.has(format!("key{i}").as_bytes()).unwrap()));
        let next = scene.open("old");
        assert!((0..500).all(|i| !next.has(format!("key{i}").as_bytes()).unwrap()));
        assert!(scene.none.validate().unwrap().is_empty());
    }
}
