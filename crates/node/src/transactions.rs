//! The calls of transactions. The work of a transaction is done in JavaScript; its commit is one call.

use crate::env_state::{find, with};
use crate::errors::Result;
use crate::keys::{Key, key_bytes};
use crate::layout::SetFlag;
use cache_machine_core::{Cache, CacheError, Check, KeyChange, Write};
use napi::bindgen_prelude::Uint8Array;
use napi_derive::napi;

/// A key that a transaction has read.
#[napi(object)]
pub struct BindingCheck {
    /// The handle of its namespace.
    pub handle: u32,
    pub key: Key,
    /// The version that was read; 0: there was no entry.
    pub version: f64,
}

/// A key that a transaction changes.
#[napi(object)]
pub struct BindingChange {
    /// The handle of its namespace.
    pub handle: u32,
    pub key: Key,
    /// The new value, in the form of the segment; none: the key is deleted.
    pub value: Option<Uint8Array>,
    /// By `Kind`.
    pub kind: u32,
    /// Milliseconds; 0: none.
    pub ttl: f64,
    /// Milliseconds; 0: none.
    pub stale: f64,
    /// Bits of `SetFlag`, of which `KeepTtl` and `KeepTags` count.
    pub flags: u32,
    pub tags: Vec<String>,
}

/// The caches of the handles that a transaction names.
struct Handles(Vec<(u32, Cache)>);

impl Handles {
    /// All of them are of the segment of `cache`.
    fn of(cache: &Cache, ids: impl Iterator<Item = u32>) -> std::result::Result<Self, CacheError> {
        let mut handles = Self(Vec::new());
        for id in ids {
            if handles.0.iter().any(|(known, _)| *known == id) {
                continue;
            }
            let other = find(id).and_then(|handle| handle.with(Cache::clone)).ok_or(CacheError::Detached)?;
            if !other.is_of_same_segment(cache) {
                let are_attached = other.is_attached() && cache.is_attached();
                let text = "a transaction has keys of one segment";
                return Err(if are_attached { CacheError::InvalidArgument(text.into()) } else { CacheError::Detached });
            }
            handles.0.push((id, other));
        }
        Ok(handles)
    }

    fn cache(&self, id: u32) -> std::result::Result<&Cache, CacheError> {
        let found = self.0.iter().find(|(known, _)| *known == id);
        found.map(|(_, cache)| cache).ok_or(CacheError::Detached)
    }
}

/// Makes all changes together if every key of `checks` has the version that was read. False: it has not, and nothing was
/// changed.
#[napi(catch_unwind)]
pub fn transact(id: u32, checks: Vec<BindingCheck>, changes: Vec<BindingChange>) -> Result<bool> {
    with(id, |cache| {
        let ids = checks.iter().map(|check| check.handle).chain(changes.iter().map(|change| change.handle));
        let handles = Handles::of(cache, ids)?;
        let checked =
            checks.iter().map(|check| check_of(&handles, check)).collect::<std::result::Result<Vec<_>, _>>()?;
        let mut tags = Vec::with_capacity(changes.len());
        for BindingChange { handle, tags: names, .. } in &changes {
            let cache = handles.cache(*handle)?;
            tags.push(names.iter().map(|name| cache.tag(name)).collect::<Vec<_>>());
        }
        let mut changed = Vec::with_capacity(changes.len());
        for (change, tags) in changes.iter().zip(&tags) {
            let write = change.value.as_ref().map(|value| write_of(change, value, tags));
            let namespace = handles.cache(change.handle)?.namespace_of_values();
            changed.push(KeyChange { namespace, key: key_bytes(&change.key), write });
        }
        cache.transact(&checked, &changed)
    })
}

/// Whether every key still has the version that was read. Takes no lock.
#[napi(catch_unwind)]
pub fn is_unchanged(id: u32, checks: Vec<BindingCheck>) -> Result<bool> {
    with(id, |cache| {
        let handles = Handles::of(cache, checks.iter().map(|check| check.handle))?;
        for check in &checks {
            let version = handles.cache(check.handle)?.version_of(key_bytes(&check.key))?;
            if version.unwrap_or(0) != check.version as u64 {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

fn check_of<'a>(handles: &Handles, check: &'a BindingCheck) -> std::result::Result<Check<'a>, CacheError> {
    let version = (check.version > 0.0).then_some(check.version as u64);
    let namespace = handles.cache(check.handle)?.namespace_of_values();
    Ok(Check { namespace, key: key_bytes(&check.key), version })
}

fn write_of<'a>(change: &BindingChange, value: &'a [u8], tags: &'a [u64]) -> Write<'a> {
    let has = |flag: SetFlag| change.flags & flag.number() != 0;
    Write {
        binary_key: matches!(change.key, Key::B(_)),
        ttl_ms: change.ttl.ceil() as u64,
        stale_ms: change.stale.ceil() as u64,
        keep_ttl: has(SetFlag::KeepTtl),
        keep_tags: has(SetFlag::KeepTags),
        tags,
        ..Write::new(change.kind as u8, value)
    }
}
