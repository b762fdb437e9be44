//! The ordinary calls of snapshots: entries as records, and records as entries. `lib/native/records.ts` knows the form
//! of a record.

use crate::calls::BindingDeletion;
use crate::env_state::with;
use crate::errors::Result;
use crate::options::BindingQuota;
use cache_machine_core::{CacheError, ExportState, ExportedNamespace, RestoreRules, RestoreTarget};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// Some records of a walk over all entries.
#[napi(object)]
pub struct BindingExport {
    /// Where the next page starts; undefined after the last one.
    pub next: Option<f64>,
    /// The number of records.
    pub count: f64,
    /// The records, one behind the other.
    pub records: Uint8Array,
}

/// A namespace, for a snapshot.
#[napi(object)]
pub struct BindingExportedNamespace {
    pub number: u32,
    /// Empty for the root.
    pub name: String,
    /// The halves of its life, as records have it: first the root's, then its own.
    pub life: Vec<u32>,
    pub quota: Option<BindingQuota>,
}

/// What has ended entries up to a moment.
#[napi(object)]
pub struct BindingExportState {
    /// The tag clock.
    pub clock: f64,
    /// Invalidations of this clock and earlier ones may be missing.
    pub horizon: f64,
    /// The highest version so far.
    pub version: f64,
    /// Three words of 8 bytes for each tag that was invalidated since the asked clock: the tag as records have it, the
    /// clocks of its last removal and of its last outdating.
    pub invalidated: Uint8Array,
    pub namespaces: Vec<BindingExportedNamespace>,
    pub versions: Vec<BindingExportedVersion>,
}

/// A version of the application, for a snapshot.
#[napi(object)]
pub struct BindingExportedVersion {
    pub number: u32,
    pub name: String,
}

/// Where the entries of a namespace of a snapshot go.
#[napi(object)]
pub struct BindingTarget {
    /// Its number in the snapshot.
    pub from: u32,
    /// Its number in this segment.
    pub to: u32,
    /// The halves of its life when the restore began.
    pub life: Vec<u32>,
    /// Whether it has a quota.
    pub has_quota: bool,
}

/// The number of a version in the snapshot, and in this segment.
#[napi(object)]
pub struct BindingVersionTarget {
    pub from: u32,
    pub to: u32,
}

/// The rules of a restore.
#[napi(object)]
pub struct BindingRestoreRules {
    pub targets: Vec<BindingTarget>,
    /// The versions of the snapshot. A handle of each is open.
    pub versions: Vec<BindingVersionTarget>,
    /// The tag clock when the restore began.
    pub made_at: f64,
    /// The result of `restoreBegin`.
    pub floor: f64,
    /// Milliseconds from 1970 to the start of the clock of the segment.
    pub epoch: f64,
    /// Whether entries that are older than the restore are replaced.
    pub overwrite: bool,
}

/// The numbers of records by what became of them.
#[napi(object)]
pub struct BindingRestoreCounts {
    pub stored: f64,
    /// The key has an entry that was kept.
    pub existing: f64,
    /// Cleared or invalidated since the restore began.
    pub ended: f64,
    pub expired: f64,
    pub no_room: f64,
    pub too_large: f64,
}

fn halves(life: u64) -> Vec<u32> {
    vec![life as u32, (life >> 32) as u32]
}

impl From<ExportedNamespace> for BindingExportedNamespace {
    fn from(namespace: ExportedNamespace) -> Self {
        let ExportedNamespace { number, name, life, quota } = namespace;
        let quota = quota.map(|(reserve, size, eviction)| BindingQuota {
            reserve: Some(reserve as f64),
            size: size.map(|size| size as f64),
            eviction: eviction.map(|eviction| eviction.name().into()),
        });
        Self { number: number.into(), name, life: halves(life), quota }
    }
}

impl From<ExportState> for BindingExportState {
    fn from(state: ExportState) -> Self {
        let words = state.invalidated.iter().flat_map(|tag| [tag.salted, tag.removed, tag.outdated]);
        let invalidated: Vec<u8> = words.flat_map(u64::to_le_bytes).collect();
        Self {
            clock: state.clock as f64,
            horizon: state.horizon as f64,
            version: state.version as f64,
            invalidated: Uint8Array::new(invalidated),
            namespaces: state.namespaces.into_iter().map(Into::into).collect(),
            versions: state
                .versions
                .into_iter()
                .map(|(number, name)| BindingExportedVersion { number: number.into(), name })
                .collect(),
        }
    }
}

/// Records of the namespace, of the root those of all namespaces, from `cursor` on (0 at first): about `bytes` of them,
/// and at most a line of the index more. `epoch`: milliseconds from 1970 to the start of the clock of the segment.
#[napi(catch_unwind)]
pub fn snapshot_page(id: u32, cursor: f64, epoch: f64, bytes: u32) -> Result<BindingExport> {
    with(id, |cache| {
        let page = cache.export(cursor as u64, epoch as i64, bytes as usize)?;
        let next = page.next.map(|next| next as f64);
        Ok(BindingExport { next, count: page.count as f64, records: Uint8Array::new(page.records) })
    })
}

/// What has ended entries so far. `since`: the tag clock from which on invalidations are wanted.
#[napi(catch_unwind)]
pub fn snapshot_state(id: u32, since: f64) -> Result<BindingExportState> {
    with(id, |cache| cache.export_state(since as u64)).map(Into::into)
}

/// Begins a restore. Every later version is higher than the result, which is at least `least`.
#[napi(catch_unwind)]
pub fn restore_begin(id: u32, least: f64) -> Result<f64> {
    with(id, |cache| cache.begin_restore(least as u64)).map(|floor| floor as f64)
}

/// The namespace of the handle, or the one of this name, as the target of the namespace `from` of a snapshot. The call
/// creates it if there is none.
#[napi(catch_unwind)]
pub fn restore_target(id: u32, name: Option<String>, from: u32) -> Result<BindingTarget> {
    with(id, |cache| {
        let from =
            u16::try_from(from).map_err(|_| CacheError::InvalidArgument("no namespace has this number".into()))?;
        let named = name.map(|name| cache.in_namespace(&name)).transpose()?;
        let cache = named.as_ref().unwrap_or(cache);
        let RestoreTarget { from, to, life } = cache.restore_target(from)?;
        Ok(BindingTarget { from: from.into(), to: to.into(), life: halves(life), has_quota: cache.has_quota() })
    })
}

/// Stores records, one behind the other, which must be well formed.
#[napi(catch_unwind)]
pub fn restore_records(id: u32, records: Uint8Array, rules: BindingRestoreRules) -> Result<BindingRestoreCounts> {
    let half = |life: &[u32], at: usize| u64::from(life.get(at).copied().unwrap_or(0));
    let targets: Vec<RestoreTarget> = rules
        .targets
        .iter()
        .map(|target| RestoreTarget {
            from: target.from as u16,
            to: target.to as u16,
            life: half(&target.life, 0) | half(&target.life, 1) << 32,
        })
        .collect();
    let versions: Vec<(u16, u16)> = rules.versions.iter().map(|v| (v.from as u16, v.to as u16)).collect();
    let rules = RestoreRules {
        targets: &targets,
        versions: &versions,
        made_at: rules.made_at as u64,
        floor: rules.floor as u64,
        epoch: rules.epoch as i64,
        overwrite: rules.overwrite,
    };
    with(id, |cache| {
        let counts = cache.import(&records, &rules)?;
        Ok(BindingRestoreCounts {
            stored: counts.stored as f64,
            existing: counts.existing as f64,
            ended: counts.ended as f64,
            expired: counts.expired as f64,
            no_room: counts.no_room as f64,
            too_large: counts.too_large as f64,
        })
    })
}

/// Deletes the values of the namespace, of the root those of all, that are older than a restore of this floor: one step of
/// about a millisecond, from `cursor` on (0 at first).
#[napi(catch_unwind)]
pub fn restore_sweep(id: u32, cursor: f64, floor: f64) -> Result<BindingDeletion> {
    with(id, |cache| {
        let step = cache.delete_older(cursor as u64, floor as u64)?;
        Ok(BindingDeletion { next: step.next.map(|next| next as f64), deleted: step.deleted as f64 })
    })
}
