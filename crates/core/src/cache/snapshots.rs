//! Snapshots: entries as records, and records as entries.

use crate::cache::handle::Cache;
use crate::change::restore::{Restored, Restoring, Rules};
use crate::collections::packed;
use crate::error::CacheError;
use crate::kind;
use crate::layout::entry::{LATEST, MAX_EXTRAS};
use crate::layout::geometry::{Geometry, MAX_NAMESPACES};
use crate::layout::key::Key;
use crate::layout::keyspaces::{Keyspace, MAX_VERSIONS, in_version};
use crate::layout::quotas::class_of;
use crate::layout::sizes::MAX_TAGS;
use crate::layout::tags::{keyed, salt_of};
use crate::reading::export::{BINARY, ExportPage, ExportState, RECORD_BYTES, STALE_BY_TAG, WITH_TAGS};
use crate::reading::scan::Deletion;

/// Where the entries of a namespace of a snapshot go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RestoreTarget {
    /// Number of the namespace in the snapshot.
    pub from: u16,
    /// Number of the namespace in this segment.
    pub to: u16,
    /// The life of that namespace when the restore began.
    pub life: u64,
}

/// The rules of a restore.
#[derive(Clone, Copy, Debug)]
pub struct RestoreRules<'a> {
    /// The namespaces of the snapshot.
    pub targets: &'a [RestoreTarget],
    /// The versions of the snapshot: their number there, and here. A handle of each must be open.
    pub versions: &'a [(u16, u16)],
    /// The tag clock when the restore began.
    pub made_at: u64,
    /// The result of `begin_restore`.
    pub floor: u64,
    /// Milliseconds from 1970 to the boot of the host.
    pub epoch: i64,
    /// Whether entries that are older than the restore are replaced.
    pub overwrite: bool,
}

/// The numbers of records by what became of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RestoreCounts {
    /// Stored.
    pub stored: u64,
    /// The key has an entry that was kept.
    pub existing: u64,
    /// Cleared or invalidated since the restore began.
    pub ended: u64,
    /// The deadline has passed.
    pub expired: u64,
    /// There was no room.
    pub no_room: u64,
    /// Larger than the segment takes.
    pub too_large: u64,
}

/// A record, as it is in a snapshot.
struct Record<'a> {
    kind: u8,
    flags: u8,
    keyspace: u8,
    namespace: u16,
    /// 1 + its number; 0: none.
    version: u32,
    written: i64,
    deadline: i64,
    stale_ms: u64,
    tags: [u64; MAX_EXTRAS],
    tag_count: usize,
    key: &'a [u8],
    value: &'a [u8],
}

fn malformed() -> CacheError {
    CacheError::InvalidArgument("a record of the snapshot is malformed".into())
}

/// Takes a number of bytes from the front of `bytes`.
fn take<'a>(bytes: &mut &'a [u8], count: usize) -> Result<&'a [u8], CacheError> {
    let (front, rest) = bytes.split_at_checked(count).ok_or_else(malformed)?;
    *bytes = rest;
    Ok(front)
}

fn word(bytes: &[u8], at: usize) -> u64 {
    bytes.get(at..at + 8).and_then(|word| word.try_into().ok()).map_or(0, u64::from_le_bytes)
}

fn half(bytes: &[u8], at: usize) -> u16 {
    word(bytes, at) as u16
}

impl<'a> Record<'a> {
    /// Takes the next record from the front of `bytes`.
    fn read(bytes: &mut &'a [u8]) -> Result<Self, CacheError> {
        let fixed = take(bytes, RECORD_BYTES)?;
        let (value_len, tag_count) = (word(fixed, 0) as u32 as usize, usize::from(fixed[7]));
        let flags = fixed[5];
        let has_tags = flags & WITH_TAGS != 0;
        let kind = fixed[4];
        if kind == 0 || kind == kind::RECORD || tag_count > MAX_TAGS || (!has_tags && tag_count != 0) {
            return Err(malformed());
        }
        let words = take(bytes, if has_tags { 8 + tag_count * 8 } else { 0 })?;
        let mut tags = [0; MAX_EXTRAS];
        for (index, tag) in tags.iter_mut().take(tag_count).enumerate() {
            *tag = word(words, 8 + index * 8);
        }
        Ok(Self {
            kind,
            flags,
            keyspace: fixed[6],
            namespace: half(fixed, 10),
            version: (word(fixed, 8) >> 32) as u32,
            written: word(fixed, 32) as i64,
            deadline: word(fixed, 40) as i64,
            stale_ms: word(fixed, 48),
            tags,
            tag_count,
            key: take(bytes, usize::from(half(fixed, 8)))?,
            value: take(bytes, value_len)?,
        })
    }

    /// Deadline and stale time in milliseconds since boot. `None`: they have passed.
    fn lifetime(&self, epoch: i64, now: u64) -> Option<(u64, u64)> {
        if self.deadline == 0 {
            return Some((0, 0));
        }
        let end = self.deadline.saturating_add_unsigned(self.stale_ms).saturating_sub(epoch);
        if end <= now as i64 {
            return None;
        }
        // A deadline before the boot is the boot; the stale time ends when it would have ended.
        let deadline = self.deadline.saturating_sub(epoch).clamp(1, LATEST as i64);
        Some((deadline as u64, (end - deadline).max(0) as u64))
    }
}

impl Cache {
    /// The next records of this namespace, of the root those of all namespaces, from `cursor` (0 at first) on. Call
    /// again until `next` is `None`. A page has about `most` bytes: one line of the index may exceed it. `epoch`:
    /// milliseconds from 1970 to the boot of the host.
    ///
    /// # Errors
    /// `Detached`.
    pub fn export(&self, cursor: u64, epoch: i64, most: usize) -> Result<ExportPage, CacheError> {
        self.in_area(|| self.export_of(self.namespace(), cursor, epoch, most))
    }

    /// What has ended entries so far, and the tags that were invalidated after the clock `since`.
    ///
    /// # Errors
    /// `Detached`.
    pub fn export_state(&self, since: u64) -> Result<ExportState, CacheError> {
        self.in_area(|| (***self).export_state(self.namespace(), since))
    }

    /// Begins a restore: from now on every version is higher than the result, which is at least `least`.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`.
    pub fn begin_restore(&self, least: u64) -> Result<u64, CacheError> {
        self.count_busy(self.in_area(|| (***self).begin_restore(least, self.write_patience())))
    }

    /// The number and the current life of this namespace, as the target of a restore of the namespace `from`.
    ///
    /// # Errors
    /// `Detached`.
    pub fn restore_target(&self, from: u16) -> Result<RestoreTarget, CacheError> {
        let life = self.in_area(|| self.life(self.namespace()))?;
        Ok(RestoreTarget { from, to: self.namespace(), life })
    }

    /// Whether this namespace has a quota.
    pub fn has_quota(&self) -> bool {
        class_of(self.region(), self.namespace()) != 0
    }

    /// Stores records, one behind the other.
    ///
    /// # Errors
    /// `InvalidArgument` for a malformed record; `Busy`, `Detached`, `Corrupt`. Records before it were stored then.
    pub fn import(&self, records: &[u8], rules: &RestoreRules<'_>) -> Result<RestoreCounts, CacheError> {
        if rules.versions.iter().any(|(_, to)| usize::from(*to) >= MAX_VERSIONS) {
            return Err(malformed());
        }
        let mut targets = [None; MAX_NAMESPACES];
        for target in rules.targets {
            *targets.get_mut(usize::from(target.from)).ok_or_else(malformed)? = Some(*target);
        }
        let mut counts = RestoreCounts::default();
        let mut rest = records;
        while !rest.is_empty() {
            let record = Record::read(&mut rest)?;
            let target = targets.get(usize::from(record.namespace)).copied().flatten().ok_or_else(malformed)?;
            let count = match self.in_area(|| self.import_one(&record, &target, rules))? {
                Restoring::Stored => &mut counts.stored,
                Restoring::Existing => &mut counts.existing,
                Restoring::Ended => &mut counts.ended,
                Restoring::Expired => &mut counts.expired,
                Restoring::NoRoom => &mut counts.no_room,
                Restoring::TooLarge => &mut counts.too_large,
            };
            *count += 1;
        }
        Ok(counts)
    }

    fn import_one(
        &self,
        record: &Record<'_>,
        target: &RestoreTarget,
        rules: &RestoreRules<'_>,
    ) -> Result<Restoring, CacheError> {
        let keyspace = match record.keyspace {
            values if values == Keyspace::Values as u8 => Keyspace::Values,
            once if once == Keyspace::Once as u8 => Keyspace::Once,
            _ => return Err(malformed()),
        };
        let geometry: &Geometry = self.geometry();
        let namespace = match record.version.checked_sub(1) {
            None => keyspace.of(target.to),
            Some(from) => {
                let version =
                    rules.versions.iter().find(|(known, _)| u32::from(*known) == from).ok_or_else(malformed)?;
                keyspace.of(in_version(target.to, version.1))
            }
        };
        let key = match Key::for_entry(geometry, namespace, record.key, record.value.len(), record.tag_count) {
            Ok(key) => key,
            Err(CacheError::ValueTooLarge { .. }) => return Ok(Restoring::TooLarge),
            Err(_) => return Err(malformed()),
        };
        let now = self.now_ms();
        let Some((deadline, stale_ms)) = record.lifetime(rules.epoch, now) else {
            return Ok(Restoring::Expired);
        };
        let mut tags = record.tags;
        for tag in tags.iter_mut().take(record.tag_count) {
            *tag = keyed(geometry, *tag ^ salt_of(target.from) ^ salt_of(target.to));
        }
        let written = record.written.saturating_sub(rules.epoch).clamp(0, now as i64) as u64;
        let mut collection = Vec::new();
        if kind::is_collection(record.kind) {
            collection.extend_from_slice(record.value);
            packed::shift_deadlines(&mut collection, rules.epoch.saturating_neg());
        }
        let restored = Restored {
            value: if collection.is_empty() { record.value } else { &collection },
            kind: record.kind,
            binary_key: record.flags & BINARY != 0,
            written,
            deadline,
            stale_ms,
            tags: &tags[..record.tag_count],
            is_outdated: record.flags & STALE_BY_TAG != 0,
        };
        let RestoreRules { made_at, floor, overwrite, .. } = *rules;
        let of_entry = Rules { life: target.life, made_at, floor, overwrite };
        let done = self.change_key(&key, self.write_patience(), |locked| locked.restore(&key, &restored, &of_entry));
        match self.count_busy(done) {
            Err(CacheError::NoSpace(_)) => Ok(Restoring::NoRoom),
            other => other,
        }
    }

    /// Deletes the values of this namespace, of the root those of all, with versions up to `floor`. One step from
    /// `cursor` (0 at first) on: about a millisecond. Call again until `next` is `None`.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`.
    pub fn delete_older(&self, cursor: u64, floor: u64) -> Result<Deletion, CacheError> {
        let step = self.in_area(|| self.delete_older_of(self.namespace(), cursor, floor, self.write_patience()));
        self.count_busy(step).map(|(next, deleted)| Deletion { next, deleted })
    }
}
