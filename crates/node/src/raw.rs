//! The hot calls, as raw Node-API functions: about 10 ns a call where the macro's argument path costs a hundred.
//!
//! Each function carries its `Handle` as callback data. None throws: `undefined` means a miss or an error, and the number
//! in `meta` tells which. A panic ends here too.
//!
//! This is the only unsafe file of the crate. The thing to get wrong: pointers that JavaScript owns. Bytes of a typed
//! array are used only until the call returns; `meta` and `scratch` are kept alive by references of the environment.

use crate::env_state::{self, Handle};
use crate::flights::{flight_of, landed};
use crate::regions;
use cache_machine_core::{
    Cache, CacheError, Condition, Depends, Increment, Landing, Loads, MAX_KEY, MAX_TAGS, Manner, Memory, Meta, NoSink,
    Sink, SliceSink, Write, kind,
};
use napi::bindgen_prelude::Object;
use napi::{Env, Result};
use napi_derive::napi;
use napi_sys as sys;
use std::cell::RefCell;
use std::ffi::{CStr, c_void};
use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr::null_mut;
use std::rc::{Rc, Weak};
use std::sync::Arc;

const META_BYTES: usize = 128;
const SCRATCH_BYTES: usize = 64 << 10;
/// A value's buffer that grew beyond this is given back after the call.
const KEEP_BYTES: usize = 1 << 20;
/// Room for a key of the largest size, one more character to tell that it is longer, and a final zero; before it for a
/// prefix.
const KEY_BUFFER: usize = MAX_KEY + 8 + PREFIX;
/// Bytes that a call may have in front of a key.
const PREFIX: usize = 8;

/// Texts shorter than this take the quick way.
const SHORT: usize = 256;

pub(crate) const INVALID_ARGUMENT: i64 = 1;
const CLOSED: i64 = 7;
const CORRUPT: i64 = 12;
/// The key's UTF-8 has U+FFFD: perhaps a lone surrogate that the conversion replaced.
const KEY_NEEDS_A_LOOK: i64 = 101;
/// The same of a text value.
const VALUE_NEEDS_A_LOOK: i64 = 102;
/// In place of a kind: this key of many is to be asked for alone.
const ASK_ALONE: u8 = 255;

const PEEK: u32 = 1;
const WITH_META: u32 = 2;
const TAKE_STALE: u32 = 4;
const IF_ABSENT: u32 = 1;
const IF_PRESENT: u32 = 2;
const IF_VERSION: u32 = 4;
const KEEP_TTL: u32 = 8;
const KEEP_TAGS: u32 = 16;

/// Memory shared with JavaScript, one per environment: calls are synchronous, so one is enough for all handles.
struct Shared {
    env: sys::napi_env,
    meta: *mut u8,
    scratch: *mut u8,
    meta_ref: sys::napi_ref,
    scratch_ref: sys::napi_ref,
    /// Text on its way in or out, reused.
    buffer: RefCell<Vec<u8>>,
}

thread_local! {
    static SHARED: RefCell<Option<Rc<Shared>>> = const { RefCell::new(None) };
}

/// A handle as its functions see it. Each function has a share of it, as it may be called after `close`.
struct Bound {
    handle: Rc<Handle>,
    shared: Rc<Shared>,
}

pub(crate) type Value = sys::napi_value;
type Callback = unsafe extern "C" fn(sys::napi_env, sys::napi_callback_info) -> Value;

/// One call under way.
pub(crate) struct Call<'b> {
    env: sys::napi_env,
    bound: &'b Bound,
    /// Arguments that were passed.
    count: usize,
}

/// Why a call returns `undefined`. As wide as a pointer, so that an `Outcome` is returned in two registers.
pub(crate) struct Failed(pub(crate) i64);

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Self(error.status().into())
    }
}

pub(crate) type Outcome = std::result::Result<Value, Failed>;

pub(crate) const MISS: Failed = Failed(0);

impl Call<'_> {
    fn put_int(&self, index: usize, value: i32) {
        // SAFETY: `meta` has 128 bytes, and indices are constants below 32.
        let at = unsafe { self.bound.shared.meta.cast::<i32>().add(index) };
        // SAFETY: kept alive by a reference until the environment ends; JavaScript does not run meanwhile.
        unsafe { at.write(value) };
    }

    pub(crate) fn put_float(&self, index: usize, value: f64) {
        // SAFETY: as above, with indices below 16 of 8 bytes each.
        let at = unsafe { self.bound.shared.meta.cast::<f64>().add(index) };
        // SAFETY: as above; an ArrayBuffer's memory is aligned to 8.
        unsafe { at.write(value) };
    }

    /// A whole number that JavaScript put into `meta`.
    pub(crate) fn taken_int(&self, index: usize) -> u32 {
        // SAFETY: as in `put_int`.
        let at = unsafe { self.bound.shared.meta.cast::<u32>().add(index) };
        // SAFETY: as in `put_int`; any bytes are a whole number.
        unsafe { at.read() }
    }

    /// A number that JavaScript put into `meta`.
    pub(crate) fn taken_float(&self, index: usize) -> f64 {
        // SAFETY: as in `put_float`.
        let at = unsafe { self.bound.shared.meta.cast::<f64>().add(index) };
        // SAFETY: as in `put_float`; any bytes are a double.
        unsafe { at.read() }
    }

    pub(crate) fn number(&self, value: Value) -> std::result::Result<f64, Failed> {
        let mut number = 0.0;
        // SAFETY: `env` and `value` are those of this call; `number` is valid for the write.
        let status = unsafe { sys::napi_get_value_double(self.env, value, &mut number) };
        if status == sys::Status::napi_ok { Ok(number) } else { Err(Failed(INVALID_ARGUMENT)) }
    }

    pub(crate) fn flags(&self, value: Value) -> std::result::Result<u32, Failed> {
        let mut flags = 0;
        // SAFETY: as in `number`.
        let status = unsafe { sys::napi_get_value_uint32(self.env, value, &mut flags) };
        if status == sys::Status::napi_ok { Ok(flags) } else { Err(Failed(INVALID_ARGUMENT)) }
    }

    /// Runs `f` with the cache and the key's bytes; the second argument tells whether the key was given as bytes.
    #[inline]
    pub(crate) fn with_key(&self, key: Value, f: impl FnOnce(&Cache, &[u8], bool) -> Outcome) -> Outcome {
        let mut short = [MaybeUninit::<u8>::uninit(); SHORT];
        if let Some(key) = self.short_ascii(key, &mut short) {
            return self.with_cache(|cache| f(cache, key, false));
        }
        self.with_any_key(key, f)
    }

    #[inline]
    fn with_cache(&self, f: impl FnOnce(&Cache) -> Outcome) -> Outcome {
        self.bound.handle.with(f).unwrap_or(Err(Failed(CLOSED)))
    }

    /// The bytes of a text that is short and all ASCII, as most are. Node writes UTF-16 in half the time that its UTF-8
    /// takes, and narrowing that is a few instructions; Latin-1 would be quicker still, but cuts other characters short.
    #[inline]
    fn short_ascii<'t>(&self, text: Value, bytes: &'t mut [MaybeUninit<u8>; SHORT]) -> Option<&'t [u8]> {
        let mut units = [MaybeUninit::<u16>::uninit(); SHORT];
        let mut len = 0;
        // SAFETY: `units` has SHORT writable units; Node writes at most that many, a final zero included.
        let status =
            unsafe { sys::napi_get_value_string_utf16(self.env, text, units.as_mut_ptr().cast(), SHORT, &mut len) };
        // As long as fits: perhaps cut short.
        if status != sys::Status::napi_ok || len >= SHORT - 1 {
            return None;
        }
        // SAFETY: the first `len` units were written above.
        let units = unsafe { std::slice::from_raw_parts(units.as_ptr().cast::<u16>(), len) };
        let mut all = 0;
        for (byte, unit) in bytes.iter_mut().zip(units) {
            all |= *unit;
            byte.write(*unit as u8);
        }
        // SAFETY: the first `len` bytes, of SHORT, were written by the loop.
        (all < 0x80).then(|| unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), len) })
    }

    /// `with_key` for the others.
    fn with_any_key(&self, key: Value, f: impl FnOnce(&Cache, &[u8], bool) -> Outcome) -> Outcome {
        let mut buffer = [MaybeUninit::<u8>::uninit(); KEY_BUFFER];
        let (key, is_text) = self.read_key(key, &mut buffer)?;
        self.bound.handle.with(|cache| f(cache, key, !is_text)).unwrap_or(Err(Failed(CLOSED)))
    }

    /// The same with a number's bytes in front of the key, which has one byte at least.
    #[inline]
    pub(crate) fn with_key_of(&self, prefix: u64, key: Value, f: impl FnOnce(&Cache, &[u8]) -> Outcome) -> Outcome {
        let mut buffer = [MaybeUninit::<u8>::uninit(); KEY_BUFFER];
        let (front, rest) = buffer.split_at_mut(PREFIX);
        for (to, from) in front.iter_mut().zip(prefix.to_le_bytes()) {
            to.write(from);
        }
        let short = rest.first_chunk_mut().and_then(|short| self.short_ascii(key, short)).map(<[u8]>::len);
        let len = match short {
            Some(len) => len,
            None => self.read_key(key, rest)?.0.len(),
        };
        if len == 0 {
            return Err(Failed(INVALID_ARGUMENT));
        }
        // SAFETY: the prefix and the `len` bytes behind it were written above.
        let key = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), PREFIX + len) };
        self.bound.handle.with(|cache| f(cache, key)).unwrap_or(Err(Failed(CLOSED)))
    }

    /// The bytes of a key, copied into `buffer`, which is longer than the longest key by 8 at least; and whether it is text.
    #[inline]
    fn read_key<'b>(
        &self,
        key: Value,
        buffer: &'b mut [MaybeUninit<u8>],
    ) -> std::result::Result<(&'b [u8], bool), Failed> {
        let mut len = 0;
        let room = buffer.len();
        // SAFETY: `buffer` has `room` writable bytes; Node writes at most that many, a final zero included.
        let status =
            unsafe { sys::napi_get_value_string_utf8(self.env, key, buffer.as_mut_ptr().cast(), room, &mut len) };
        let is_text = status == sys::Status::napi_ok;
        if !is_text {
            let bytes = self.bytes(key)?;
            len = bytes.len().min(MAX_KEY + 1);
            // SAFETY: the buffer is longer than MAX_KEY + 1; the source is as long as `bytes`. Copied, since a shared
            // buffer could change while the key is hashed and compared.
            unsafe { buffer.as_mut_ptr().cast::<u8>().copy_from_nonoverlapping(bytes.as_ptr(), len) };
        }
        // SAFETY: the first `len` bytes were written above.
        let key = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), len) };
        if is_text && !key.is_ascii() && has_replacement(key) {
            return Err(Failed(KEY_NEEDS_A_LOOK));
        }
        Ok((key, is_text))
    }

    /// Start and length of a Uint8Array (or Buffer), good until the call returns.
    fn bytes_at(&self, value: Value) -> std::result::Result<(*mut u8, usize), Failed> {
        let mut is_array = false;
        // SAFETY: as in `number`.
        unsafe { sys::napi_is_typedarray(self.env, value, &mut is_array) };
        if !is_array {
            return Err(Failed(INVALID_ARGUMENT));
        }
        let (mut kind, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: as in `number`; the last two results are not asked for.
        let status = unsafe {
            let none = null_mut();
            sys::napi_get_typedarray_info(self.env, value, &mut kind, &mut len, &mut data, none, null_mut())
        };
        let is_bytes = kind == sys::TypedarrayType::uint8_array || kind == sys::TypedarrayType::uint8_clamped_array;
        if status != sys::Status::napi_ok || !is_bytes {
            return Err(Failed(INVALID_ARGUMENT));
        }
        // An empty array may have no memory at all.
        let start = if data.is_null() { std::ptr::NonNull::dangling().as_ptr() } else { data.cast() };
        Ok((start, if data.is_null() { 0 } else { len }))
    }

    /// The bytes of a Uint8Array to be read.
    fn bytes(&self, value: Value) -> std::result::Result<&[u8], Failed> {
        let (start, len) = self.bytes_at(value)?;
        // SAFETY: Node vouches for `len` bytes until JavaScript runs again. Bytes of a SharedArrayBuffer may change
        // under another thread's hand: any bytes are a valid value.
        Ok(unsafe { std::slice::from_raw_parts(start, len) })
    }

    /// A sink into a Uint8Array that was just allocated.
    fn sink_into(&self, target: Value) -> std::result::Result<SliceSink<'_>, Failed> {
        let (start, len) = self.bytes_at(target)?;
        // SAFETY: as in `bytes`, and writable; nothing else in this call refers to the target's memory: keys are copied.
        Ok(SliceSink::into_fresh(unsafe { std::slice::from_raw_parts_mut(start, len) }))
    }

    pub(crate) fn boolean(&self, value: bool) -> Outcome {
        let mut result = null_mut();
        // SAFETY: `env` is that of this call; `result` is valid for the write.
        unsafe { sys::napi_get_boolean(self.env, value, &mut result) };
        Ok(result)
    }

    fn double(&self, value: f64) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        unsafe { sys::napi_create_double(self.env, value, &mut result) };
        Ok(result)
    }

    fn null(&self) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        unsafe { sys::napi_get_null(self.env, &mut result) };
        Ok(result)
    }

    fn bigint(&self, value: i64) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        unsafe { sys::napi_create_bigint_int64(self.env, value, &mut result) };
        Ok(result)
    }

    #[inline]
    fn text(&self, bytes: &[u8], ascii: bool) -> Outcome {
        let mut result = null_mut();
        let (start, len) = (bytes.as_ptr().cast(), bytes.len() as isize);
        let status = if ascii {
            // SAFETY: Node copies `len` bytes from `start`. Latin-1 and UTF-8 agree on ASCII.
            unsafe { sys::napi_create_string_latin1(self.env, start, len, &mut result) }
        } else {
            // SAFETY: as above; ill-formed UTF-8, from a damaged segment, becomes U+FFFD.
            unsafe { sys::napi_create_string_utf8(self.env, start, len, &mut result) }
        };
        // A text longer than V8 allows can only come from a damaged segment.
        if status == sys::Status::napi_ok { Ok(result) } else { Err(Failed(CORRUPT)) }
    }

    /// The value that `sink` took, as JavaScript gets it; see `RawCalls.get`.
    #[inline]
    fn value(&self, meta: &Meta, sink: &ValueSink<'_>) -> Outcome {
        self.put_int(1, i32::from(meta.kind));
        let bytes = sink.text.as_slice();
        match (meta.kind, bytes) {
            (kind, _) if kind::is_text(kind) => self.text(bytes, meta.ascii),
            (kind::NUMBER, _) => self.double(f64::from_le_bytes(bytes.try_into().map_err(|_| Failed(CORRUPT))?)),
            (kind::BIGINT64, _) => self.bigint(i64::from_le_bytes(bytes.try_into().map_err(|_| Failed(CORRUPT))?)),
            (kind::SIMPLE, [0]) => self.null(),
            (kind::SIMPLE, [1]) => self.boolean(false),
            (kind::SIMPLE, [2]) => self.boolean(true),
            (kind::SIMPLE, _) => Err(Failed(CORRUPT)),
            _ => {
                self.put_int(2, meta.len.min(i32::MAX as usize) as i32);
                self.put_int(3, i32::from(!meta.copied));
                self.double(meta.len as f64)
            }
        }
    }

    fn put_meta(&self, meta: &Meta, now: u64) {
        self.put_float(2, meta.version as f64);
        self.put_float(3, meta.age_ms(now) as f64);
        self.put_float(4, meta.remaining_ms(now).map_or(f64::INFINITY, |ms| ms as f64));
        self.put_float(5, meta.size as f64);
        self.put_float(6, f64::from(u8::from(meta.stale)));
        self.put_float(15, if meta.deadline == 0 { 0.0 } else { now.saturating_sub(meta.deadline) as f64 });
    }

    /// A value whose bytes are all in `bytes`: like `value`, with bytes as a Buffer of their own.
    fn whole_value(&self, meta: &Meta, bytes: &mut Vec<u8>) -> Outcome {
        if kind::is_bytes(meta.kind) {
            let mut result = null_mut();
            // SAFETY: Node copies `bytes`; nothing is asked about the copy.
            let status = unsafe {
                sys::napi_create_buffer_copy(self.env, bytes.len(), bytes.as_ptr().cast(), null_mut(), &mut result)
            };
            return if status == sys::Status::napi_ok { Ok(result) } else { Err(Failed(CORRUPT)) };
        }
        self.value(meta, &ValueSink { text: bytes, scratch: SliceSink::new(&mut []), to_scratch: false })
    }

    fn length(&self, array: Value) -> std::result::Result<u32, Failed> {
        let mut length = 0;
        // SAFETY: as in `number`.
        let status = unsafe { sys::napi_get_array_length(self.env, array, &mut length) };
        if status == sys::Status::napi_ok { Ok(length) } else { Err(Failed(INVALID_ARGUMENT)) }
    }

    fn array(&self, length: u32) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        let status = unsafe { sys::napi_create_array_with_length(self.env, length as usize, &mut result) };
        if status == sys::Status::napi_ok { Ok(result) } else { Err(Failed(INVALID_ARGUMENT)) }
    }

    fn element(&self, array: Value, index: u32) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        let status = unsafe { sys::napi_get_element(self.env, array, index, &mut result) };
        if status == sys::Status::napi_ok { Ok(result) } else { Err(Failed(INVALID_ARGUMENT)) }
    }

    fn put_element(&self, array: Value, index: u32, value: Value) -> std::result::Result<(), Failed> {
        // SAFETY: all three are values of this call.
        let status = unsafe { sys::napi_set_element(self.env, array, index, value) };
        if status == sys::Status::napi_ok { Ok(()) } else { Err(Failed(INVALID_ARGUMENT)) }
    }

    /// Notes the kind of one of many values, at its index in `scratch`.
    fn put_kind(&self, index: u32, kind: u8) -> std::result::Result<(), Failed> {
        if index as usize >= SCRATCH_BYTES {
            return Err(Failed(INVALID_ARGUMENT));
        }
        // SAFETY: inside `scratch`, checked above.
        let at = unsafe { self.bound.shared.scratch.add(index as usize) };
        // SAFETY: kept alive like `meta`; JavaScript does not run meanwhile.
        unsafe { at.write(kind) };
        Ok(())
    }

    /// The numbers of a Float64Array, copied.
    fn floats(&self, value: Value) -> std::result::Result<Vec<f64>, Failed> {
        let (mut kind, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: as in `bytes_at`; what is no typed array is refused by the status.
        let status = unsafe {
            let none = null_mut();
            sys::napi_get_typedarray_info(self.env, value, &mut kind, &mut len, &mut data, none, null_mut())
        };
        if status != sys::Status::napi_ok || kind != sys::TypedarrayType::float64_array || data.is_null() {
            return Err(Failed(INVALID_ARGUMENT));
        }
        // SAFETY: Node vouches for `len` numbers until JavaScript runs again.
        Ok(unsafe { std::slice::from_raw_parts(data.cast::<f64>(), len) }.to_vec())
    }

    /// The numbers of an array of tags.
    fn tags(&self, names: Value) -> std::result::Result<Vec<u64>, Failed> {
        let count = self.length(names)?;
        if count as usize > MAX_TAGS {
            return Err(Failed(INVALID_ARGUMENT));
        }
        (0..count)
            .map(|index| {
                let name = self.element(names, index)?;
                let mut tag = 0;
                self.with_buffer(|buffer| {
                    self.read_text(name, buffer)?;
                    let text = std::str::from_utf8(buffer).map_err(|_| Failed(INVALID_ARGUMENT))?;
                    tag = self.bound.handle.with(|cache| cache.tag(text)).ok_or(Failed(CLOSED))?;
                    Ok(null_mut())
                })?;
                Ok(tag)
            })
            .collect()
    }

    /// What a near copy depends on; see `NearInt` of `lib/native.ts`.
    #[inline]
    fn put_depends(&self, meta: &Meta) {
        let Depends { word_at, generation, life, tag_clock } = meta.depends;
        let may_keep = tag_clock.is_none_or(|clock| clock & 1 == 0);
        self.put_float(7, meta.deadline as f64);
        self.put_float(8, if may_keep { word_at as f64 } else { 0.0 });
        self.put_int(18, generation as i32);
        self.put_int(19, life as i32);
        self.put_int(20, (life >> 32) as i32);
        self.put_int(21, i32::from(tag_clock.is_some()));
        self.put_int(22, tag_clock.unwrap_or(0) as i32);
        self.put_int(2, meta.len.min(i32::MAX as usize) as i32);
    }

    /// Runs `f` with the reused buffer; one that grew large is given back.
    #[inline]
    fn with_buffer(&self, f: impl FnOnce(&mut Vec<u8>) -> Outcome) -> Outcome {
        let Ok(mut buffer) = self.bound.shared.buffer.try_borrow_mut() else {
            return Err(Failed(CORRUPT));
        };
        let outcome = f(&mut buffer);
        if buffer.capacity() > KEEP_BYTES {
            *buffer = Vec::new();
        }
        outcome
    }

    /// Runs `f` with a sink that puts text and scalars into the reused buffer, and bytes into `scratch`.
    #[inline]
    fn with_sink(&self, f: impl FnOnce(&mut ValueSink<'_>) -> Outcome) -> Outcome {
        self.with_buffer(|text| {
            // SAFETY: `scratch` has SCRATCH_BYTES, kept alive like `meta`; JavaScript does not run meanwhile.
            let scratch = unsafe { std::slice::from_raw_parts_mut(self.bound.shared.scratch, SCRATCH_BYTES) };
            f(&mut ValueSink { text, scratch: SliceSink::new(scratch), to_scratch: false })
        })
    }

    /// Encodes `value` and runs `f` with its bytes.
    #[inline]
    fn with_value(&self, value: Value, kind: u8, f: impl FnOnce(&[u8]) -> Outcome) -> Outcome {
        let mut short = [MaybeUninit::<u8>::uninit(); SHORT];
        if kind == kind::STRING
            && let Some(bytes) = self.short_ascii(value, &mut short)
        {
            return f(bytes);
        }
        match kind {
            _ if kind::is_text(kind) => self.with_buffer(|buffer| {
                self.read_text(value, buffer)?;
                if kind == kind::STRING && !buffer.is_ascii() && has_replacement(buffer) {
                    return Err(Failed(VALUE_NEEDS_A_LOOK));
                }
                f(buffer)
            }),
            kind::NUMBER => f(&self.number(value)?.to_le_bytes()),
            kind::SIMPLE => f(&[self.flags(value)? as u8]),
            kind::BIGINT64 => {
                let (mut number, mut lossless) = (0, false);
                // SAFETY: as in `number`.
                let status = unsafe { sys::napi_get_value_bigint_int64(self.env, value, &mut number, &mut lossless) };
                if status != sys::Status::napi_ok || !lossless {
                    return Err(Failed(INVALID_ARGUMENT));
                }
                f(&number.to_le_bytes())
            }
            _ => f(self.bytes(value)?),
        }
    }

    /// Reads a string as UTF-8 into `buffer`.
    fn read_text(&self, value: Value, buffer: &mut Vec<u8>) -> std::result::Result<(), Failed> {
        buffer.clear();
        buffer.reserve(4096);
        let mut len = 0;
        let mut room = buffer.capacity();
        loop {
            // SAFETY: the buffer has `room` writable bytes; Node writes at most that many, a final zero included.
            let status =
                unsafe { sys::napi_get_value_string_utf8(self.env, value, buffer.as_mut_ptr().cast(), room, &mut len) };
            if status != sys::Status::napi_ok {
                return Err(Failed(INVALID_ARGUMENT));
            }
            // Cut short only where the next character, of 4 bytes at most, would not fit before the zero.
            if len + 5 <= room {
                break;
            }
            let mut whole = 0;
            // SAFETY: without a buffer Node only tells the length.
            unsafe { sys::napi_get_value_string_utf8(self.env, value, null_mut(), 0, &mut whole) };
            buffer.reserve(whole + 8);
            room = buffer.capacity();
            if whole + 5 > room {
                return Err(Failed(INVALID_ARGUMENT));
            }
        }
        // SAFETY: the first `len` bytes were written above.
        unsafe { buffer.set_len(len) };
        Ok(())
    }
}

/// Whether U+FFFD is in well-formed UTF-8.
fn has_replacement(bytes: &[u8]) -> bool {
    bytes.windows(3).any(|three| three == [0xEF, 0xBF, 0xBD])
}

/// Text and scalars into a buffer, bytes into the scratch memory unless they are too many.
struct ValueSink<'a> {
    text: &'a mut Vec<u8>,
    scratch: SliceSink<'a>,
    to_scratch: bool,
}

impl Sink for ValueSink<'_> {
    #[inline]
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.to_scratch = kind::is_bytes(kind);
        if self.to_scratch { self.scratch.begin(kind, len) } else { self.text.begin(kind, len) }
    }

    #[inline]
    fn piece(&mut self, region: &cache_machine_core::Region, offset: usize, len: usize) {
        if self.to_scratch {
            self.scratch.piece(region, offset, len);
        } else {
            self.text.piece(region, offset, len);
        }
    }
}

fn manner(flags: u32) -> Manner {
    match (flags & PEEK != 0, flags & TAKE_STALE != 0) {
        (false, false) => Manner::Use,
        (true, false) => Manner::Peek,
        (false, true) => Manner::UseStale,
        (true, true) => Manner::PeekStale,
    }
}

/// NaN, negative and infinite never arrive from TypeScript; from elsewhere they mean no deadline.
fn milliseconds(ttl: f64) -> u64 {
    if ttl > 0.0 { ttl.ceil() as u64 } else { 0 }
}

fn limit(value: f64, none: f64) -> f64 {
    if value.is_nan() { none } else { value }
}

#[inline]
fn get(call: &Call<'_>, [key, flags]: [Value; 2]) -> Outcome {
    // Most reads have no flags, and reading an argument costs as much as the hash.
    let flags = if call.count < 2 { 0 } else { call.flags(flags)? };
    let timed = flags & WITH_META != 0;
    call.with_key(key, |cache, key, _| {
        call.with_sink(|sink| {
            let mut meta = Meta::EMPTY;
            if !cache.get_to(key, manner(flags), sink, &mut meta)? {
                return Err(MISS);
            }
            if timed {
                call.put_meta(&meta, cache.now_ms());
            }
            call.value(&meta, sink)
        })
    })
}

/// `get`, and what a near copy of the value depends on.
#[inline]
fn get_near(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        call.with_sink(|sink| {
            let mut meta = Meta::EMPTY;
            if !cache.get_to(key, Manner::Use, sink, &mut meta)? {
                return Err(MISS);
            }
            call.put_depends(&meta);
            call.value(&meta, sink)
        })
    })
}

/// Milliseconds since boot, which deadlines are compared with, into `meta`: as a result it would be an object.
#[inline]
fn now(call: &Call<'_>, []: [Value; 0]) -> Outcome {
    let now = call.bound.handle.with(|cache| cache.now_ms()).ok_or(Failed(CLOSED))?;
    call.put_float(12, now as f64);
    Ok(null_mut()) // undefined
}

fn count_hits(call: &Call<'_>, [hits]: [Value; 1]) -> Outcome {
    let hits = call.number(hits)?;
    call.bound.handle.with(|cache| cache.count_near_hits(hits as u64)).ok_or(Failed(CLOSED))??;
    call.boolean(true)
}

/// Longest view: the longest buffer that Node 20 makes.
const MOST_OF_VIEW: usize = 1 << 32;

/// The part of the segment that tells whether near copies are valid, as an ArrayBuffer, the same one for all handles of
/// this thread. `undefined` where it is too long, or where the host forbids buffers over memory that is not its own.
fn view(call: &Call<'_>, []: [Value; 0]) -> Outcome {
    let (base, len) = call.bound.handle.with(|cache| cache.index_view()).ok_or(Failed(CLOSED))?;
    if len > MOST_OF_VIEW {
        return Err(Failed(0));
    }
    let base = base.as_ptr().cast::<c_void>();
    let shown = VIEWS.with_borrow(|views| views.iter().filter_map(Weak::upgrade).find(|view| view.base == base));
    let view = match shown {
        Some(view) => view,
        None => Rc::new(View::new(call.env, base, len)?),
    };
    VIEWS.with_borrow_mut(|views| {
        views.retain(|view| view.strong_count() > 0);
        views.push(Rc::downgrade(&view));
    });
    let buffer = view.buffer();
    call.bound.handle.set_view(view);
    Ok(buffer)
}

thread_local! {
    /// The views that open handles of this thread have. A segment is mapped once, so its address tells which it is.
    static VIEWS: RefCell<Vec<Weak<View>>> = const { RefCell::new(Vec::new()) };
}

/// An ArrayBuffer over `len` bytes from `offset` of a memory, with what detaches it. `None` where the host forbids such
/// buffers. The bytes stay mapped until the buffer's memory is freed: programs can move it to a buffer of their own
/// (`transfer`), out of our sight, and may then use it for ever.
pub(crate) fn buffer_over(env: Env, memory: Arc<Memory>, offset: usize, len: usize) -> Option<(Object<'static>, View)> {
    let env = env.raw();
    let start = memory.at(offset, len)?;
    let keeper = Box::into_raw(Box::new(memory));
    let (mut buffer, mut reference) = (null_mut(), null_mut());
    // SAFETY: `len` bytes from `start` are mapped as long as the memory in `keeper` lives, which the finalizer drops when
    // nothing refers to the bytes any more. Only JavaScript reads and writes them; any bytes are fine for it.
    let status = unsafe {
        let (data, finalizer) = (start.as_ptr().cast(), Some(drop_memory as unsafe extern "C" fn(_, _, _)));
        sys::napi_create_external_arraybuffer(env, data, len, finalizer, keeper.cast(), &mut buffer)
    };
    if status == sys::Status::napi_no_external_buffers_allowed {
        // SAFETY: made above, and refused before anything kept it. Other failures may have taken it: it is leaked then.
        drop(unsafe { Box::from_raw(keeper) });
    }
    if status != sys::Status::napi_ok {
        return None;
    }
    // SAFETY: `env` and `buffer` are those of this call.
    let status = unsafe { sys::napi_create_reference(env, buffer, 1, &mut reference) };
    // Without a reference nobody gets to see the buffer, and it is collected.
    (status == sys::Status::napi_ok)
        .then(|| (Object::from_raw(env, buffer), View { env, reference, base: start.as_ptr().cast() }))
}

unsafe extern "C" fn drop_memory(_env: sys::napi_env, _data: *mut c_void, keeper: *mut c_void) {
    let dropped = catch_unwind(|| {
        // SAFETY: made by `buffer_over`, and finalized once.
        drop(unsafe { Box::from_raw(keeper.cast::<Arc<Memory>>()) });
    });
    drop(dropped);
}

/// An ArrayBuffer over the segment, to be detached before the segment is let go of.
pub(crate) struct View {
    env: sys::napi_env,
    reference: sys::napi_ref,
    base: *mut c_void,
}

impl View {
    fn new(env: sys::napi_env, base: *mut c_void, len: usize) -> std::result::Result<Self, Failed> {
        let (mut buffer, mut reference) = (null_mut(), null_mut());
        // SAFETY: `len` bytes from `base` are mapped while a handle is open, and the last one detaches the buffer before it
        // lets go of them. Node does not free them: there is no finalizer.
        let status = unsafe { sys::napi_create_external_arraybuffer(env, base, len, None, null_mut(), &mut buffer) };
        if status != sys::Status::napi_ok {
            return Err(Failed(0));
        }
        // SAFETY: `env` is that of this call, and `buffer` a value of it.
        let status = unsafe { sys::napi_create_reference(env, buffer, 1, &mut reference) };
        if status != sys::Status::napi_ok {
            // SAFETY: as above. Nobody has seen the buffer yet, and nobody will.
            unsafe { sys::napi_detach_arraybuffer(env, buffer) };
            return Err(Failed(0));
        }
        Ok(Self { env, reference, base })
    }

    fn buffer(&self) -> Value {
        let mut buffer = null_mut();
        // SAFETY: views are of one thread, that of their environment, which still exists; the reference is a strong one.
        unsafe { sys::napi_get_reference_value(self.env, self.reference, &mut buffer) };
        buffer
    }

    /// Takes the memory away from JavaScript: its typed arrays have no elements from here on.
    pub(crate) fn detach(self) {
        let buffer = self.buffer();
        // SAFETY: the reference is a strong one, so the buffer is there.
        unsafe { sys::napi_detach_arraybuffer(self.env, buffer) };
        // SAFETY: as above; not used again.
        unsafe { sys::napi_delete_reference(self.env, self.reference) };
    }
}

fn get_into(call: &Call<'_>, [key, target, flags]: [Value; 3]) -> Outcome {
    let flags = call.flags(flags)?;
    let timed = flags & WITH_META != 0;
    call.with_key(key, |cache, key, _| {
        let meta = cache.get(key, manner(flags), &mut call.sink_into(target)?)?.ok_or(MISS)?;
        call.put_int(1, i32::from(meta.kind));
        if timed {
            call.put_meta(&meta, cache.now_ms());
        }
        call.double(meta.len as f64)
    })
}

fn has(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| call.boolean(cache.has(key)?))
}

fn condition(flags: u32, version: f64) -> std::result::Result<Condition, Failed> {
    match flags & (IF_ABSENT | IF_PRESENT | IF_VERSION) {
        0 => Ok(Condition::Always),
        IF_ABSENT => Ok(Condition::Absent),
        IF_PRESENT => Ok(Condition::Present),
        IF_VERSION => Ok(Condition::Version(version as u64)),
        _ => Err(Failed(INVALID_ARGUMENT)),
    }
}

/// The rest of a `set` but its key and value.
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
            keep_ttl: flags & KEEP_TTL != 0,
            tags,
            keep_tags: flags & KEEP_TAGS != 0,
            condition,
            ..Write::new(kind, value)
        };
        match cache.set(key.0, &write)? {
            Some(version) => {
                call.put_float(2, version as f64);
                call.boolean(true)
            }
            None => call.boolean(false),
        }
    })
}

#[inline]
fn set(call: &Call<'_>, [key, value, kind, ttl, flags, version]: [Value; 6]) -> Outcome {
    let kind = call.flags(kind)? as u8;
    let mut arguments = SetArguments { kind, ttl: 0.0, stale: 0.0, flags: 0, condition: Condition::Always, tags: &[] };
    // Most writes have no more, and reading an argument costs as much as the hash.
    if call.count > 3 {
        arguments.ttl = call.number(ttl)?;
    }
    if call.count > 4 {
        arguments.flags = call.flags(flags)?;
        arguments.condition = condition(arguments.flags, call.number(version)?)?;
    }
    call.with_key(key, |cache, key, binary| set_value(call, cache, (key, binary), value, &arguments))
}

/// `set` with a time as stale, and tags.
fn set_with(call: &Call<'_>, [key, value, kind, ttl, flags, version, stale, names]: [Value; 8]) -> Outcome {
    let (kind, flags) = (call.flags(kind)? as u8, call.flags(flags)?);
    let (ttl, version, stale) = (call.number(ttl)?, call.number(version)?, call.number(stale)?);
    let condition = condition(flags, version)?;
    let tags = call.tags(names)?;
    let arguments = SetArguments { kind, ttl, stale, flags, condition, tags: &tags };
    call.with_key(key, |cache, key, binary| set_value(call, cache, (key, binary), value, &arguments))
}

/// Stores what a flight brought and ends it; the number of the landing.
fn flight_finish(call: &Call<'_>, [key, value, kind, ttl, stale, names, token]: [Value; 7]) -> Outcome {
    let kind = call.flags(kind)? as u8;
    let (ttl_ms, stale_ms) = (milliseconds(call.number(ttl)?), milliseconds(call.number(stale)?));
    let token = call.number(token)? as u64;
    let tags = call.tags(names)?;
    call.with_key(key, |cache, key, binary_key| {
        call.with_value(value, kind, |value| {
            let write = Write { binary_key, ttl_ms, stale_ms, tags: &tags, ..Write::new(kind, value) };
            let landing = cache.finish_flight(Loads::Values, key, token, &write)?;
            call.bound.handle.no_longer_hold(&flight_of(cache, Loads::Values, key, token));
            if let Landing::Kept(version) = landing {
                call.put_float(2, version as f64);
            }
            call.double(f64::from(landed(landing)))
        })
    })
}

/// Asks for each of many keys; one that needs more than that is `undefined` with `ASK_ALONE` as its kind.
fn get_many(call: &Call<'_>, [keys, flags]: [Value; 2]) -> Outcome {
    let manner = manner(call.flags(flags)?);
    let count = call.length(keys)?;
    let values = call.array(count)?;
    for index in 0..count {
        let key = call.element(keys, index)?;
        let mut kind = ASK_ALONE;
        let value = call.with_key(key, |cache, key, _| {
            call.with_buffer(|buffer| {
                let found = cache.get(key, manner, buffer)?;
                kind = found.map_or(0, |meta| meta.kind);
                call.whole_value(&found.ok_or(MISS)?, buffer)
            })
        });
        match value {
            Ok(value) => call.put_element(values, index, value)?,
            Err(Failed(0)) => {}
            Err(_) => kind = ASK_ALONE,
        }
        call.put_kind(index, kind)?;
    }
    Ok(values)
}

/// Writes many values; `undefined` for one that is to be tried alone.
fn set_many(call: &Call<'_>, [keys, values, kinds, ttls]: [Value; 4]) -> Outcome {
    let (count, kinds, ttls) = (call.length(keys)?, call.bytes(kinds)?, call.floats(ttls)?);
    if kinds.len() < count as usize || ttls.len() < count as usize {
        return Err(Failed(INVALID_ARGUMENT));
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

fn has_many(call: &Call<'_>, [keys]: [Value; 1]) -> Outcome {
    each_key(call, keys, |cache, key| call.boolean(cache.has(key)?))
}

fn delete_many(call: &Call<'_>, [keys]: [Value; 1]) -> Outcome {
    each_key(call, keys, |cache, key| call.boolean(cache.delete(key, 0)?))
}

fn delete(call: &Call<'_>, [key, version]: [Value; 2]) -> Outcome {
    let version = call.number(version)?;
    call.with_key(key, |cache, key, _| call.boolean(cache.delete(key, version as u64)?))
}

fn take(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        call.with_sink(|sink| {
            let meta = cache.take(key, sink)?.ok_or(MISS)?;
            call.value(&meta, sink)
        })
    })
}

fn take_into(call: &Call<'_>, [key, target]: [Value; 2]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        let meta = cache.take(key, &mut call.sink_into(target)?)?.ok_or(MISS)?;
        call.put_int(1, i32::from(meta.kind));
        call.double(meta.len as f64)
    })
}

fn incr(call: &Call<'_>, [key, by, init, ttl, min, max]: [Value; 6]) -> Outcome {
    let by = call.number(by)?;
    let (init, ttl_ms) = (call.number(init)?, milliseconds(call.number(ttl)?));
    let (min, max) = (limit(call.number(min)?, f64::NEG_INFINITY), limit(call.number(max)?, f64::INFINITY));
    call.with_key(key, |cache, key, binary_key| {
        call.double(cache.incr(key, by, &Increment { init, ttl_ms, min, max, binary_key })?)
    })
}

fn touch(call: &Call<'_>, [key, ttl]: [Value; 2]) -> Outcome {
    let ttl = call.number(ttl)?;
    call.with_key(key, |cache, key, _| call.boolean(cache.touch(key, milliseconds(ttl))?))
}

fn ttl(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        let meta = cache.get(key, Manner::Peek, &mut NoSink)?.ok_or(MISS)?;
        call.double(meta.remaining_ms(cache.now_ms()).map_or(f64::INFINITY, |ms| ms as f64))
    })
}

/// Makes a Node-API function of a Rust one.
macro_rules! raw_function {
    ($name:literal, $function:path, $count:literal) => {{
        unsafe extern "C" fn entry(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
            // SAFETY: `env` and `info` are those of the call that Node makes; missing arguments are `undefined`.
            unsafe { enter::<$count>(env, info, $function) }
        }
        ($name, entry as Callback)
    }};
}

/// # Safety
/// To be called by a Node-API function with its own arguments, whose data is a share of a `Bound`.
#[inline(always)]
unsafe fn enter<const N: usize>(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    function: impl FnOnce(&Call<'_>, [Value; N]) -> Outcome,
) -> Value {
    let mut arguments = [null_mut(); N];
    let mut count = N;
    let mut data = null_mut();
    // SAFETY: `arguments` has room for `count` values; `data` is valid for the write.
    let status = unsafe { sys::napi_get_cb_info(env, info, &mut count, arguments.as_mut_ptr(), null_mut(), &mut data) };
    if status != sys::Status::napi_ok || data.is_null() {
        return null_mut();
    }
    // SAFETY: the data of every raw function is its share of a `Bound`, and it is used on its own thread only.
    let bound = unsafe { &*data.cast::<Bound>() };
    let call = Call { env, bound, count };
    let outcome = catch_unwind(AssertUnwindSafe(|| function(&call, arguments))).unwrap_or(Err(Failed(CORRUPT)));
    match outcome {
        Ok(value) => value,
        Err(Failed(status)) => {
            call.put_int(0, status as i32);
            null_mut() // undefined
        }
    }
}

const FUNCTIONS: [(&CStr, Callback); 22] = [
    raw_function!(c"get", get, 2),
    raw_function!(c"getInto", get_into, 3),
    raw_function!(c"getNear", get_near, 1),
    raw_function!(c"now", now, 0),
    raw_function!(c"countHits", count_hits, 1),
    raw_function!(c"view", view, 0),
    raw_function!(c"has", has, 1),
    raw_function!(c"set", set, 6),
    raw_function!(c"setWith", set_with, 8),
    raw_function!(c"flightFinish", flight_finish, 7),
    raw_function!(c"getMany", get_many, 2),
    raw_function!(c"setMany", set_many, 4),
    raw_function!(c"hasMany", has_many, 1),
    raw_function!(c"deleteMany", delete_many, 1),
    raw_function!(c"delete", delete, 2),
    raw_function!(c"take", take, 1),
    raw_function!(c"takeInto", take_into, 2),
    raw_function!(c"incr", incr, 6),
    raw_function!(c"touch", touch, 2),
    raw_function!(c"ttl", ttl, 1),
    raw_function!(c"limit", crate::limits::limit, 1),
    raw_function!(c"measure", crate::metrics::measure, 3),
];

/// An object of functions bound to one handle: `RawCalls` of `lib/native.ts`.
#[napi(catch_unwind)]
pub fn raw_calls(env: Env, id: u32) -> Result<Object<'static>> {
    let handle = env_state::find(id).ok_or_else(|| napi::Error::from_reason("the cache is closed"))?;
    let env = env.raw();
    let object = SHARED.with_borrow(|shared| {
        let shared = shared.clone()?;
        let bound = Rc::new(Bound { handle, shared: shared.clone() });
        let mut object = null_mut();
        // SAFETY: `env` is that of this call, and so for the calls below; names are C strings that live for ever.
        unsafe { sys::napi_create_object(env, &mut object) };
        for (name, callback) in FUNCTIONS {
            set_function(env, object, name, callback, &bound);
        }
        for (name, reference) in [(c"meta", shared.meta_ref), (c"scratch", shared.scratch_ref)] {
            let mut value = null_mut();
            // SAFETY: the reference was made in this environment and is deleted only at its end.
            unsafe { sys::napi_get_reference_value(env, reference, &mut value) };
            // SAFETY: as above.
            unsafe { sys::napi_set_named_property(env, object, name.as_ptr(), value) };
        }
        Some(object)
    });
    let object = object.ok_or_else(|| napi::Error::from_reason("the environment is ending"))?;
    Ok(Object::from_raw(env, object))
}

/// The calls on a region's lock, bound to its handle: `NativeRegionCalls` of `lib/native.ts`.
#[napi(catch_unwind)]
pub fn region_calls(env: Env, id: u32) -> Result<Object<'static>> {
    let handle = regions::find(id).map_err(|_| napi::Error::from_reason("the region is closed"))?;
    let env = env.raw();
    let mut object = null_mut();
    // SAFETY: `env` is that of this call.
    unsafe { sys::napi_create_object(env, &mut object) };
    set_function(env, object, c"lock", region_lock, &handle);
    set_function(env, object, c"unlock", region_unlock, &handle);
    Ok(Object::from_raw(env, object))
}

unsafe extern "C" fn region_lock(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    // SAFETY: `env` and `info` are those of the call that Node makes.
    unsafe { enter_region(env, info, |region, timeout| region.lock(timeout)) }
}

unsafe extern "C" fn region_unlock(env: sys::napi_env, info: sys::napi_callback_info) -> Value {
    // SAFETY: as above.
    unsafe { enter_region(env, info, |region, finished| region.unlock(finished != 0.0)) }
}

/// # Safety
/// To be called by a Node-API function with its own arguments, whose data is a share of a `regions::Handle`.
unsafe fn enter_region(
    env: sys::napi_env,
    info: sys::napi_callback_info,
    function: impl FnOnce(&regions::Handle, f64) -> i32,
) -> Value {
    let (mut argument, mut count, mut data) = (null_mut(), 1, null_mut());
    // SAFETY: one value is asked for; `data` is valid for the write.
    let status = unsafe { sys::napi_get_cb_info(env, info, &mut count, &mut argument, null_mut(), &mut data) };
    if status != sys::Status::napi_ok || data.is_null() {
        return null_mut();
    }
    // SAFETY: the function's own share, and used on its own thread only.
    let handle = unsafe { &*data.cast::<regions::Handle>() };
    let mut number = 0.0;
    // SAFETY: `env` and `argument` are those of this call; `number` is valid for the write.
    let status = unsafe { sys::napi_get_value_double(env, argument, &mut number) };
    let outcome = match status {
        sys::Status::napi_ok => {
            catch_unwind(AssertUnwindSafe(|| function(handle, number))).unwrap_or(-(CORRUPT as i32))
        }
        _ => -(INVALID_ARGUMENT as i32),
    };
    let mut result = null_mut();
    // SAFETY: `env` is that of this call; `result` is valid for the write.
    unsafe { sys::napi_create_int32(env, outcome, &mut result) };
    result
}

/// The function has a share of `data`, which goes with it.
fn set_function<T>(env: sys::napi_env, object: Value, name: &CStr, callback: Callback, data: &Rc<T>) {
    let (mut function, share) = (null_mut(), Rc::into_raw(data.clone()).cast_mut().cast());
    // SAFETY: `env` is the current one; -1 lets Node take the name's length; the share lives as long as the function.
    unsafe { sys::napi_create_function(env, name.as_ptr(), -1, Some(callback), share, &mut function) };
    let finalizer = Some(drop_share::<T> as unsafe extern "C" fn(_, _, _));
    // SAFETY: as above. If this fails the share stays for ever.
    unsafe { sys::napi_add_finalizer(env, function, share, finalizer, null_mut(), null_mut()) };
    // SAFETY: as above.
    unsafe { sys::napi_set_named_property(env, object, name.as_ptr(), function) };
}

unsafe extern "C" fn drop_share<T>(_: sys::napi_env, share: *mut c_void, _: *mut c_void) {
    let _ = catch_unwind(|| {
        // SAFETY: made by `set_function`, and finalized once, on the thread of its environment.
        drop(unsafe { Rc::from_raw(share.cast::<T>()) });
    });
}

/// Memory that JavaScript sees as an ArrayBuffer, kept alive until the environment ends.
fn array_buffer(env: sys::napi_env, len: usize) -> (*mut u8, sys::napi_ref) {
    let (mut data, mut value, mut reference) = (null_mut(), null_mut(), null_mut());
    // SAFETY: `env` is the one that loads the addon; both results are valid for the write.
    unsafe { sys::napi_create_arraybuffer(env, len, &mut data, &mut value) };
    // SAFETY: as above.
    unsafe { sys::napi_create_reference(env, value, 1, &mut reference) };
    (data.cast(), reference)
}

unsafe extern "C" fn on_environment_end(_: *mut c_void) {
    let _ = catch_unwind(|| {
        env_state::close_all();
        regions::close_all();
        SHARED.with_borrow_mut(|shared| {
            if let Some(shared) = shared.take() {
                // Its functions may never be finalized: then what is left of it is small.
                shared.buffer.take();
                for reference in [shared.meta_ref, shared.scratch_ref] {
                    // SAFETY: made in this environment, which still exists in its clean-up hooks.
                    unsafe { sys::napi_delete_reference(shared.env, reference) };
                }
            }
        });
    });
}

/// Makes the shared memory and registers the clean-up, once per environment.
#[napi(module_exports)]
pub fn register(_exports: Object<'_>, env: Env) -> Result<()> {
    let raw_env = env.raw();
    let (meta, meta_ref) = array_buffer(raw_env, META_BYTES);
    let (scratch, scratch_ref) = array_buffer(raw_env, SCRATCH_BYTES);
    let buffer = RefCell::default();
    SHARED.set(Some(Rc::new(Shared { env: raw_env, meta, scratch, meta_ref, scratch_ref, buffer })));
    // SAFETY: the hook needs no argument and runs on this thread.
    unsafe { sys::napi_add_env_cleanup_hook(raw_env, Some(on_environment_end), null_mut()) };
    Ok(())
}
