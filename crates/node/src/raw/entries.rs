//! The calls that read and write entries.

use super::call::{Call, Failed, MISS, Outcome, Value, invalid, milliseconds};
use crate::layout::{ASK_ALONE, GetFlag, MetaFloat, MetaInt, SetFlag};
use cache_machine_core::{Cache, CacheError, Condition, EntryMeta, Increment, NoSink, ReadMode, Write, kind};
use std::result::Result;

fn mode(flags: u32) -> ReadMode {
    match (flags & GetFlag::Peek.number() != 0, flags & GetFlag::Stale.number() != 0) {
        (false, false) => ReadMode::Use,
        (true, false) => ReadMode::Peek,
        (false, true) => ReadMode::UseStale,
        (true, true) => ReadMode::PeekStale,
    }
}

/// A bound of `incr`; NaN is `none`.
fn bound(value: f64, none: f64) -> f64 {
    if value.is_nan() { none } else { value }
}

/// Refuses a collection, which is read by its elements.
#[inline]
pub(super) fn check_is_value(meta: &EntryMeta) -> Result<(), Failed> {
    if kind::is_collection(meta.kind) { Err(CacheError::WrongType.into()) } else { Ok(()) }
}

#[inline]
pub(super) fn get(call: &Call<'_>, [key, flags]: [Value; 2]) -> Outcome {
    // Reading an argument costs as much as the hash; reads without flags do not pass any.
    let flags = if call.count < 2 { 0 } else { call.flags(flags)? };
    let timed = flags & GetFlag::Meta.number() != 0;
    call.with_key(key, |cache, key, _| {
        call.with_sink(|sink| {
            let mut meta = EntryMeta::EMPTY;
            if !cache.get_to(key, mode(flags), sink, &mut meta)? {
                return Err(MISS);
            }
            if flags & GetFlag::Collections.number() == 0 {
                check_is_value(&meta)?;
            }
            if timed {
                call.put_entry_meta(&meta, cache.now_ms());
            }
            call.value(&meta, sink)
        })
    })
}

pub(super) fn get_into(call: &Call<'_>, [key, target, flags]: [Value; 3]) -> Outcome {
    let flags = call.flags(flags)?;
    let timed = flags & GetFlag::Meta.number() != 0;
    call.with_key(key, |cache, key, _| {
        let meta = cache.get(key, mode(flags), &mut call.sink_into(target)?)?.ok_or(MISS)?;
        if flags & GetFlag::Collections.number() == 0 {
            check_is_value(&meta)?;
        }
        call.put_int(MetaInt::Kind, i32::from(meta.kind));
        if timed {
            call.put_entry_meta(&meta, cache.now_ms());
        }
        call.double(meta.len as f64)
    })
}

pub(super) fn has(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| call.boolean(cache.has(key)?))
}

const IF_ABSENT: u32 = SetFlag::IfAbsent.number();
const IF_PRESENT: u32 = SetFlag::IfPresent.number();
const IF_VERSION: u32 = SetFlag::IfVersion.number();

fn condition(flags: u32, version: f64) -> Result<Condition, Failed> {
    match flags & (IF_ABSENT | IF_PRESENT | IF_VERSION) {
        0 => Ok(Condition::Always),
        IF_ABSENT => Ok(Condition::Absent),
        IF_PRESENT => Ok(Condition::Present),
        IF_VERSION => Ok(Condition::Version(version as u64)),
        _ => Err(invalid()),
    }
}

/// The arguments of a `set`, except for key and value.
#[derive(Clone, Copy)]
struct SetArguments<'a> {
    kind: u8,
    ttl: f64,
    stale: f64,
    flags: u32,
    condition: Condition,
    tags: &'a [u64],
}

#[inline]
fn set_value(
    call: &Call<'_>,
    cache: &Cache,
    key: (&[u8], bool),
    value: Value,
    arguments: &SetArguments<'_>,
) -> Outcome {
    let SetArguments { kind, ttl, stale, flags, condition, tags } = *arguments;
    call.with_value(value, kind, |value| {
        let write = Write {
            binary_key: key.1,
            ttl_ms: milliseconds(ttl),
            stale_ms: milliseconds(stale),
            keep_ttl: flags & SetFlag::KeepTtl.number() != 0,
            tags,
            keep_tags: flags & SetFlag::KeepTags.number() != 0,
            condition,
            ..Write::new(kind, value)
        };
        match cache.set(key.0, &write)? {
            Some(version) => {
                call.put_float(MetaFloat::Version, version as f64);
                call.boolean(true)
            }
            None => call.boolean(false),
        }
    })
}

#[inline]
pub(super) fn set(call: &Call<'_>, [key, value, kind, ttl, flags, version]: [Value; 6]) -> Outcome {
    let kind = call.flags(kind)? as u8;
    let mut arguments = SetArguments { kind, ttl: 0.0, stale: 0.0, flags: 0, condition: Condition::Always, tags: &[] };
    // Reading an argument costs as much as the hash; simple writes pass no more than three.
    if call.count > 3 {
        arguments.ttl = call.number(ttl)?;
    }
    if call.count > 4 {
        arguments.flags = call.flags(flags)?;
        arguments.condition = condition(arguments.flags, call.number(version)?)?;
    }
    call.with_key(key, |cache, key, binary| set_value(call, cache, (key, binary), value, &arguments))
}

/// `set` with a stale time and tags.
pub(super) fn set_with(call: &Call<'_>, [key, value, kind, ttl, flags, version, stale, names]: [Value; 8]) -> Outcome {
    let (kind, flags) = (call.flags(kind)? as u8, call.flags(flags)?);
    let (ttl, version, stale) = (call.number(ttl)?, call.number(version)?, call.number(stale)?);
    let condition = condition(flags, version)?;
    let tags = call.tags(names)?;
    let arguments = SetArguments { kind, ttl, stale, flags, condition, tags: &tags };
    call.with_key(key, |cache, key, binary| set_value(call, cache, (key, binary), value, &arguments))
}

/// `get` for each of many keys. A key that `get` has to be called for gives `undefined`, with `ASK_ALONE` as its kind.
pub(super) fn get_many(call: &Call<'_>, [keys, flags]: [Value; 2]) -> Outcome {
    let mode = mode(call.flags(flags)?);
    let count = call.length(keys)?;
    let values = call.array(count)?;
    for index in 0..count {
        let key = call.element(keys, index)?;
        let mut kind = ASK_ALONE;
        let value = call.with_key(key, |cache, key, _| {
            call.with_buffer(|buffer| {
                let found = cache.get(key, mode, buffer)?;
                // A collection is no value: a miss, as for `MGET` of Redis.
                let found = found.filter(|meta| !kind::is_collection(meta.kind));
                kind = found.map_or(0, |meta| meta.kind);
                call.whole_value(&found.ok_or(MISS)?, buffer)
            })
        });
        match value {
            Ok(value) => call.put_element(values, index, value)?,
            Err(failed) if failed.is_miss() => {}
            Err(_) => kind = ASK_ALONE,
        }
        call.put_kind(index, kind)?;
    }
    Ok(values)
}

/// `set` for each of many keys; `undefined` where `set` has to be called for one.
pub(super) fn set_many(call: &Call<'_>, [keys, values, kinds, ttls]: [Value; 4]) -> Outcome {
    let (count, kinds, ttls) = (call.length(keys)?, call.bytes(kinds)?, call.floats(ttls)?);
    if kinds.len() < count as usize || ttls.len() < count as usize {
        return Err(invalid());
    }
    let stored = call.array(count)?;
    for index in 0..count {
        let (key, value) = (call.element(keys, index)?, call.element(values, index)?);
        let arguments = SetArguments {
            kind: kinds[index as usize],
            ttl: ttls[index as usize],
            stale: 0.0,
            flags: 0,
            condition: Condition::Always,
            tags: &[],
        };
        let one = call.with_key(key, |cache, key, binary| set_value(call, cache, (key, binary), value, &arguments));
        if let Ok(one) = one {
            call.put_element(stored, index, one)?;
        }
    }
    Ok(stored)
}

fn each_key(call: &Call<'_>, keys: Value, f: impl Fn(&Cache, &[u8]) -> Outcome) -> Outcome {
    let count = call.length(keys)?;
    let results = call.array(count)?;
    for index in 0..count {
        let key = call.element(keys, index)?;
        if let Ok(one) = call.with_key(key, |cache, key, _| f(cache, key)) {
            call.put_element(results, index, one)?;
        }
    }
    Ok(results)
}

pub(super) fn has_many(call: &Call<'_>, [keys]: [Value; 1]) -> Outcome {
    each_key(call, keys, |cache, key| call.boolean(cache.has(key)?))
}

pub(super) fn delete_many(call: &Call<'_>, [keys]: [Value; 1]) -> Outcome {
    each_key(call, keys, |cache, key| call.boolean(cache.delete(key, 0)?))
}

pub(super) fn delete(call: &Call<'_>, [key, version]: [Value; 2]) -> Outcome {
    let version = call.number(version)?;
    call.with_key(key, |cache, key, _| call.boolean(cache.delete(key, version as u64)?))
}

pub(super) fn take(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        call.with_sink(|sink| {
            let meta = cache.take(key, sink)?.ok_or(MISS)?;
            call.value(&meta, sink)
        })
    })
}

pub(super) fn take_into(call: &Call<'_>, [key, target]: [Value; 2]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        let meta = cache.take(key, &mut call.sink_into(target)?)?.ok_or(MISS)?;
        call.put_int(MetaInt::Kind, i32::from(meta.kind));
        call.double(meta.len as f64)
    })
}

pub(super) fn incr(call: &Call<'_>, [key, by, init, ttl, min, max]: [Value; 6]) -> Outcome {
    let by = call.number(by)?;
    let (init, ttl_ms) = (call.number(init)?, milliseconds(call.number(ttl)?));
    let (min, max) = (bound(call.number(min)?, f64::NEG_INFINITY), bound(call.number(max)?, f64::INFINITY));
    call.with_key(key, |cache, key, binary_key| {
        call.double(cache.incr(key, by, &Increment { init, ttl_ms, min, max, binary_key })?)
    })
}

pub(super) fn touch(call: &Call<'_>, [key, ttl]: [Value; 2]) -> Outcome {
    let ttl = call.number(ttl)?;
    call.with_key(key, |cache, key, _| call.boolean(cache.touch(key, milliseconds(ttl))?))
}

pub(super) fn ttl(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        let meta = cache.get(key, ReadMode::Peek, &mut NoSink)?.ok_or(MISS)?;
        call.double(meta.remaining_ms(cache.now_ms()).map_or(f64::INFINITY, |ms| ms as f64))
    })
}
