//! Entries as records of a snapshot, read without a lock: page by page over the whole index, all namespaces in one walk.
//!
//! ```text
//! record    0  value length u32 · kind u8 · flags u8 · keyspace u8 · number of tags u8
//!           8  key length u16 · namespace u16 · 1 + number of the version u32; 0: none
//!          16  version u64 · life u64
//!          32  written i64 · deadline i64, milliseconds since 1970; deadline 0: never
//!          48  milliseconds after the deadline in which it may be served as stale u64
//!          56  TAGGED: clock u64, tags u64 …
//!              key · value
//! ```
//!
//! A tag is its identity, combined with the salt of its namespace: that does not depend on the segment. The clock of a
//! tagged entry is the tag clock up to which the entry is known to be valid. All numbers are little endian.
//! `lib/native/records.ts` reads and writes the same records. docs/snapshot-format.md is the format of the file.
//!
//! Promises: each record is an entry as it was at one moment of the call, whole. An entry that stays in place during a
//! walk is met exactly once. Entries that have ended, by their deadline, a tag or a `clear`, are left out.

use crate::attachment::attached::Attachment;
use crate::collections::packed;
use crate::error::CacheError;
use crate::kind;
use crate::layout::entry::{self, BINARY_KEY, Damaged, Head, TAGGED};
use crate::layout::geometry::{Eviction, Geometry, UNIT};
use crate::layout::key;
use crate::layout::keyspaces::{Keyspace, is_known, is_record, number, space, version_of};
use crate::layout::namespaces::{self, ROOT, registered};
use crate::layout::quotas::{OWNER, class_of, policy_in, quota};
use crate::layout::tags::{self, InvalidatedTag, TagTable};
use crate::shard::fate::{Fate, fate};
use crate::shard::pieces::pieces;
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::tag_clock::ended_at;

/// Bytes of a record in front of clock, tags, key and value.
pub(crate) const RECORD_BYTES: usize = 56;
/// The key was given as bytes.
pub(crate) const BINARY: u8 = 1;
/// The record has a clock and tags.
pub(crate) const WITH_TAGS: u8 = 2;
/// A tag has made the entry stale.
pub(crate) const STALE_BY_TAG: u8 = 4;

/// Maximum lines that are read for one page: about a millisecond.
const LINES_PER_PAGE: usize = 512;

/// Some records of a walk.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ExportPage {
    /// The cursor of the next page; `None` after the last one.
    pub next: Option<u64>,
    /// The number of records.
    pub count: u64,
    /// The records, one behind the other.
    pub records: Vec<u8>,
}

/// A namespace, for a snapshot.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportedNamespace {
    /// Its number.
    pub number: u16,
    /// Its name; empty for the root.
    pub name: String,
    /// Its current life. Entries of another life were cleared.
    pub life: u64,
    /// Its quota: bytes of its reserve, its maximum if it has one, and its own policy if it has one.
    pub quota: Option<(u64, Option<u64>, Option<Eviction>)>,
}

/// What has ended entries up to a moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ExportState {
    /// The tag clock.
    pub clock: u64,
    /// Invalidations of this clock and earlier ones may be missing.
    pub horizon: u64,
    /// The highest version so far.
    pub version: u64,
    /// The tags that were invalidated since the asked clock.
    pub invalidated: Vec<InvalidatedTag>,
    /// The namespaces of the snapshot.
    pub namespaces: Vec<ExportedNamespace>,
    /// Numbers and names of the versions of the application.
    pub versions: Vec<(u16, String)>,
}

/// The number of records.
fn count(records: &[u8]) -> u64 {
    let (mut rest, mut count) = (records, 0);
    while let [a, b, c, d, _, flags, _, tags, e, f, ..] = *rest {
        let extras = if flags & WITH_TAGS == 0 { 0 } else { 8 + usize::from(tags) * 8 };
        let key = usize::from(u16::from_le_bytes([e, f]));
        let len = RECORD_BYTES + extras + key + u32::from_le_bytes([a, b, c, d]) as usize;
        rest = rest.get(len..).unwrap_or_default();
        count += 1;
    }
    count
}

impl Attachment {
    /// The next records of a namespace, of the root those of all namespaces, from `cursor` (0 at first) on. A page ends
    /// with the line that brings it to `most` bytes. `epoch`: milliseconds from 1970 to the boot of the host.
    pub(crate) fn export_of(
        &self,
        namespace: u16,
        cursor: u64,
        epoch: i64,
        most: usize,
    ) -> Result<ExportPage, CacheError> {
        self.check_attached()?;
        let lines = self.geometry().lines() as u64;
        let end = lines * self.geometry().shards as u64;
        let mut page = ExportPage::default();
        let (mut at, mut read) = (self.place_of(cursor), 0);
        while at < end {
            if read > 0 && (page.records.len() >= most || read >= LINES_PER_PAGE) {
                page.next = Some(self.cursor_at(at));
                break;
            }
            let shard = self.shard((at / lines) as usize);
            at += self.walk_line(&shard, (at % lines) as usize, &mut page.records, &mut |head, records| {
                if self.is_exported(&shard, head, namespace)? {
                    self.export(&shard, head, epoch, records)
                } else {
                    Ok(())
                }
            }) as u64;
            read += 1;
        }
        self.check_current()?;
        page.count = count(&page.records);
        Ok(page)
    }

    fn is_exported(&self, shard: &ShardView<'_>, head: &Head, namespace: u16) -> Result<bool, Damaged> {
        let of = number(head.namespace);
        if (namespace != ROOT && of != namespace) || !is_known(head.namespace) {
            return Ok(false);
        }
        if is_record(head.namespace) {
            // Of the records, only results of `once` are data. All others belong to processes, or to a moment.
            let is_result = space(head.namespace) == Keyspace::Once as u16 && head.kind != kind::RECORD;
            return Ok(is_result && !head.is_expired(self.now_ms()));
        }
        if head.life != self.life_now(of) {
            return Ok(false);
        }
        let has_ended = head.is_over(shard, self.now_ms())?;
        Ok(!has_ended && (head.kind != kind::ABSENT || !head.is_expired(self.now_ms())))
    }

    fn export(&self, shard: &ShardView<'_>, head: &Head, epoch: i64, records: &mut Vec<u8>) -> Result<(), Damaged> {
        if !key::is_possible_len(head.key_len) || head.value_len > shard.geometry.units * UNIT {
            return Err(Damaged);
        }
        let mut flags = if head.flags & BINARY_KEY != 0 { BINARY } else { 0 };
        let (mut clock, mut salted, mut count) = (0, [0; entry::MAX_EXTRAS], 0);
        if head.flags & TAGGED != 0 {
            // The clock is loaded before the records of tags are read.
            clock = ended_at(tags::clock(shard.region));
            match fate(shard, head)? {
                Fate::Fresh => {}
                Fate::Stale => flags |= STALE_BY_TAG,
                Fate::Dead | Fate::Unjudged => return Ok(()),
            }
            flags |= WITH_TAGS;
            let mut stamp = None;
            head.each_tag(shard, |word| match stamp {
                None => stamp = Some(word),
                Some(_) if count < salted.len() => {
                    salted[count] = tags::unkeyed(shard.geometry, word);
                    count += 1;
                }
                Some(_) => {}
            })?;
            clock = clock.max(stamp.ok_or(Damaged)?);
        }
        let at_epoch = |moment: u64| (moment as i64).saturating_add(epoch).max(1);
        let deadline = if head.deadline == 0 { 0 } else { at_epoch(head.deadline) };
        records.reserve(RECORD_BYTES + (count + 1) * 8 + head.key_len + head.value_len + 8);
        records.extend_from_slice(&(head.value_len as u32).to_le_bytes());
        let version = version_of(head.namespace);
        let keyspace = if version.is_some() { Keyspace::Values as u16 } else { space(head.namespace) };
        records.extend_from_slice(&[head.kind, flags, keyspace as u8, count as u8]);
        records.extend_from_slice(&(head.key_len as u16).to_le_bytes());
        records.extend_from_slice(&number(head.namespace).to_le_bytes());
        records.extend_from_slice(&version.map_or(0, |number| u32::from(number) + 1).to_le_bytes());
        records.extend_from_slice(&head.version.to_le_bytes());
        records.extend_from_slice(&namespaces::in_area(head.life, 0).to_le_bytes());
        records.extend_from_slice(&at_epoch(head.written).to_le_bytes());
        records.extend_from_slice(&deadline.to_le_bytes());
        records.extend_from_slice(&head.stale_ms(shard)?.to_le_bytes());
        if flags & WITH_TAGS != 0 {
            records.extend_from_slice(&clock.to_le_bytes());
            salted[..count].iter().for_each(|tag| records.extend_from_slice(&tag.to_le_bytes()));
        }
        pieces(shard, head, head.key_at(), head.key_len, |at, len| shard.region.append_to(at, len, records))?;
        let value_at = records.len();
        pieces(shard, head, head.value_at(), head.value_len, |at, len| shard.region.append_to(at, len, records))?;
        if kind::is_collection(head.kind) {
            packed::shift_deadlines(&mut records[value_at..], epoch);
        }
        Ok(())
    }

    /// What has ended entries so far: of a namespace, or of the root with all namespaces.
    pub(crate) fn export_state(&self, namespace: u16, since: u64) -> Result<ExportState, CacheError> {
        self.check_attached()?;
        let region = self.region();
        let clock = tags::clock(region);
        let invalidated = TagTable::new(region, self.geometry()).invalidated_since(since);
        let horizon = tags::horizon(region, self.geometry());
        let numbers = if namespace == ROOT { 0..registered(region) } else { namespace..namespace + 1 };
        let namespaces = numbers.map(|number| self.exported_namespace(number)).collect();
        let versions = self.versions()?.into_iter().map(|(number, name, _)| (number, name)).collect();
        Ok(ExportState { clock, horizon, version: self.last_version(), invalidated, namespaces, versions })
    }

    fn exported_namespace(&self, number: u16) -> ExportedNamespace {
        let region = self.region();
        let class = class_of(region, number);
        let quota = (class != 0).then(|| {
            let set = quota(region, self.geometry(), class);
            let owner = region.u64(Geometry::quota(usize::from(class)) + OWNER).load(Ordering::Relaxed);
            let bytes = |units: u64| units.saturating_mul(UNIT as u64);
            (bytes(set.reserve), (set.size != u64::MAX).then(|| bytes(set.size)), policy_in(owner))
        });
        let name = namespaces::name_of(region, number);
        ExportedNamespace { number, name, life: namespaces::in_area(self.life_now(number), 0), quota }
    }
}
