//! One raw call under way: reads its arguments and makes its result.

use super::memory::Shared;
use crate::env_state::CacheHandle;
use crate::layout::Status;
use cache_machine_core::{Cache, CacheError, MAX_KEY, MAX_TAGS, kind};
use napi_sys as sys;
use std::mem::MaybeUninit;
use std::ptr::{NonNull, null_mut};
use std::rc::Rc;
use std::result::Result;

/// A value's buffer that grew beyond this is given back after the call.
const KEEP_BYTES: usize = 1 << 20;
/// Room for a prefix, a key of the maximum size, one more character to tell that it is longer, and a final zero.
const KEY_BUFFER: usize = MAX_KEY + 8 + PREFIX;
/// Bytes that a call may have in front of a key.
const PREFIX: usize = 8;
/// Texts shorter than this take the fast path.
const SHORT: usize = 256;

pub(super) type Value = sys::napi_value;

/// What the functions of one handle share. They may be called after `close`.
pub(super) struct BoundCalls {
    pub(super) handle: Rc<CacheHandle>,
    pub(super) shared: Rc<Shared>,
}

/// One call under way.
pub(super) struct Call<'b> {
    pub(super) env: sys::napi_env,
    pub(super) bound: &'b BoundCalls,
    /// Number of arguments that were passed.
    pub(super) count: usize,
}

/// Why a call returns `undefined`. As wide as a pointer, so that an `Outcome` is returned in two registers.
pub(super) struct Failed(pub(super) i64);

impl From<CacheError> for Failed {
    fn from(error: CacheError) -> Self {
        Self(error.status().into())
    }
}

impl Failed {
    pub(super) fn is_miss(&self) -> bool {
        self.0 == MISS.0
    }
}

impl From<Status> for Failed {
    fn from(status: Status) -> Self {
        Self(status.number().into())
    }
}

pub(super) type Outcome = Result<Value, Failed>;

pub(super) const MISS: Failed = Failed(Status::None as i64);

pub(super) fn invalid() -> Failed {
    CacheError::InvalidArgument(String::new()).into()
}

pub(super) fn corrupt() -> Failed {
    CacheError::Corrupt(String::new()).into()
}

/// A lifetime as the core takes it. TypeScript passes no NaN, negative or infinite number; from elsewhere they mean no
/// deadline.
pub(super) fn milliseconds(ttl: f64) -> u64 {
    if ttl > 0.0 { ttl.ceil() as u64 } else { 0 }
}

/// The number behind an argument.
pub(super) fn number(env: sys::napi_env, value: Value) -> Result<f64, Failed> {
    let mut number = 0.0;
    // SAFETY: `env` and `value` are those of this call; `number` is valid for the write.
    let status = unsafe { sys::napi_get_value_double(env, value, &mut number) };
    if status == sys::Status::napi_ok { Ok(number) } else { Err(invalid()) }
}

/// A whole number as a result.
pub(super) fn int32(env: sys::napi_env, number: i32) -> Value {
    let mut result = null_mut();
    // SAFETY: `env` is that of this call; `result` is valid for the write.
    unsafe { sys::napi_create_int32(env, number, &mut result) };
    result
}

impl Call<'_> {
    pub(super) fn number(&self, value: Value) -> Result<f64, Failed> {
        number(self.env, value)
    }

    pub(super) fn flags(&self, value: Value) -> Result<u32, Failed> {
        let mut flags = 0;
        // SAFETY: as in `number`.
        let status = unsafe { sys::napi_get_value_uint32(self.env, value, &mut flags) };
        if status == sys::Status::napi_ok { Ok(flags) } else { Err(invalid()) }
    }

    /// Runs `f` with the cache and the key's bytes; the second argument tells whether the key was given as bytes.
    #[inline]
    pub(super) fn with_key(&self, key: Value, f: impl FnOnce(&Cache, &[u8], bool) -> Outcome) -> Outcome {
        let mut short = [MaybeUninit::<u8>::uninit(); SHORT];
        if let Some(key) = self.short_ascii(key, &mut short) {
            return self.with_cache(|cache| f(cache, key, false));
        }
        self.with_any_key(key, f)
    }

    #[inline]
    fn with_cache(&self, f: impl FnOnce(&Cache) -> Outcome) -> Outcome {
        self.bound.handle.with(f).unwrap_or(Err(Status::Closed.into()))
    }

    /// The bytes of a text that is short and all ASCII, which is the common case. Node writes UTF-16 in half the time
    /// that its UTF-8 takes, and narrowing that is a few instructions. Latin-1 would be faster still, but truncates
    /// other characters.
    #[inline]
    fn short_ascii<'t>(&self, text: Value, bytes: &'t mut [MaybeUninit<u8>; SHORT]) -> Option<&'t [u8]> {
        let mut units = [MaybeUninit::<u16>::uninit(); SHORT];
        let mut len = 0;
        // SAFETY: `units` has SHORT writable units; Node writes at most that many, a final zero included.
        let status =
            unsafe { sys::napi_get_value_string_utf16(self.env, text, units.as_mut_ptr().cast(), SHORT, &mut len) };
        // The text fills the buffer: perhaps it is longer.
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

    /// `with_key` for a key that is long, not ASCII or bytes.
    fn with_any_key(&self, key: Value, f: impl FnOnce(&Cache, &[u8], bool) -> Outcome) -> Outcome {
        let mut buffer = [MaybeUninit::<u8>::uninit(); KEY_BUFFER];
        let (key, is_text) = self.read_key(key, &mut buffer)?;
        self.bound.handle.with(|cache| f(cache, key, !is_text)).unwrap_or(Err(Status::Closed.into()))
    }

    /// `with_key` with the bytes of a number in front of the key, which has at least one byte.
    #[inline]
    pub(super) fn with_key_of(&self, prefix: u64, key: Value, f: impl FnOnce(&Cache, &[u8]) -> Outcome) -> Outcome {
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
            return Err(invalid());
        }
        // SAFETY: the prefix and the `len` bytes behind it were written above.
        let key = unsafe { std::slice::from_raw_parts(buffer.as_ptr().cast::<u8>(), PREFIX + len) };
        self.bound.handle.with(|cache| f(cache, key)).unwrap_or(Err(Status::Closed.into()))
    }

    /// The bytes of a key, copied into `buffer`, and whether it is text. The buffer is at least 8 bytes longer than the
    /// maximum key.
    #[inline]
    fn read_key<'b>(&self, key: Value, buffer: &'b mut [MaybeUninit<u8>]) -> Result<(&'b [u8], bool), Failed> {
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
            return Err(Status::SuspectKey.into());
        }
        Ok((key, is_text))
    }

    /// Start and length of a Uint8Array or Buffer, valid until the call returns.
    pub(super) fn bytes_at(&self, value: Value) -> Result<(*mut u8, usize), Failed> {
        let mut is_array = false;
        // SAFETY: as in `number`.
        unsafe { sys::napi_is_typedarray(self.env, value, &mut is_array) };
        if !is_array {
            return Err(invalid());
        }
        let (mut kind, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: as in `number`; the last two results are not asked for.
        let status = unsafe {
            let none = null_mut();
            sys::napi_get_typedarray_info(self.env, value, &mut kind, &mut len, &mut data, none, null_mut())
        };
        let is_bytes = kind == sys::TypedarrayType::uint8_array || kind == sys::TypedarrayType::uint8_clamped_array;
        if status != sys::Status::napi_ok || !is_bytes {
            return Err(invalid());
        }
        // An empty array may have no memory at all.
        let start = if data.is_null() { NonNull::dangling().as_ptr() } else { data.cast() };
        Ok((start, if data.is_null() { 0 } else { len }))
    }

    /// The bytes of a Uint8Array to be read.
    pub(super) fn bytes(&self, value: Value) -> Result<&[u8], Failed> {
        let (start, len) = self.bytes_at(value)?;
        // SAFETY: Node vouches for `len` bytes until JavaScript runs again. Bytes of a SharedArrayBuffer may change
        // under another thread's hand: any bytes are a valid value.
        Ok(unsafe { std::slice::from_raw_parts(start, len) })
    }

    pub(super) fn boolean(&self, value: bool) -> Outcome {
        let mut result = null_mut();
        // SAFETY: `env` is that of this call; `result` is valid for the write.
        unsafe { sys::napi_get_boolean(self.env, value, &mut result) };
        Ok(result)
    }

    pub(super) fn double(&self, value: f64) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        unsafe { sys::napi_create_double(self.env, value, &mut result) };
        Ok(result)
    }

    pub(super) fn null(&self) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        unsafe { sys::napi_get_null(self.env, &mut result) };
        Ok(result)
    }

    pub(super) fn bigint(&self, value: i64) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        unsafe { sys::napi_create_bigint_int64(self.env, value, &mut result) };
        Ok(result)
    }

    #[inline]
    pub(super) fn text(&self, bytes: &[u8], ascii: bool) -> Outcome {
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
        if status == sys::Status::napi_ok { Ok(result) } else { Err(corrupt()) }
    }

    /// Bytes as a Buffer of their own.
    pub(super) fn buffer_copy(&self, bytes: &[u8]) -> Outcome {
        let mut result = null_mut();
        // SAFETY: Node copies `bytes`; nothing is asked about the copy.
        let status = unsafe {
            sys::napi_create_buffer_copy(self.env, bytes.len(), bytes.as_ptr().cast(), null_mut(), &mut result)
        };
        if status == sys::Status::napi_ok { Ok(result) } else { Err(corrupt()) }
    }

    pub(super) fn length(&self, array: Value) -> Result<u32, Failed> {
        let mut length = 0;
        // SAFETY: as in `number`.
        let status = unsafe { sys::napi_get_array_length(self.env, array, &mut length) };
        if status == sys::Status::napi_ok { Ok(length) } else { Err(invalid()) }
    }

    pub(super) fn array(&self, length: u32) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        let status = unsafe { sys::napi_create_array_with_length(self.env, length as usize, &mut result) };
        if status == sys::Status::napi_ok { Ok(result) } else { Err(invalid()) }
    }

    pub(super) fn element(&self, array: Value, index: u32) -> Outcome {
        let mut result = null_mut();
        // SAFETY: as in `boolean`.
        let status = unsafe { sys::napi_get_element(self.env, array, index, &mut result) };
        if status == sys::Status::napi_ok { Ok(result) } else { Err(invalid()) }
    }

    pub(super) fn put_element(&self, array: Value, index: u32, value: Value) -> Result<(), Failed> {
        // SAFETY: all three are values of this call.
        let status = unsafe { sys::napi_set_element(self.env, array, index, value) };
        if status == sys::Status::napi_ok { Ok(()) } else { Err(invalid()) }
    }

    /// The numbers of a Float64Array, copied.
    pub(super) fn floats(&self, value: Value) -> Result<Vec<f64>, Failed> {
        let (mut kind, mut len, mut data) = (0, 0, null_mut());
        // SAFETY: as in `bytes_at`; what is no typed array is refused by the status.
        let status = unsafe {
            let none = null_mut();
            sys::napi_get_typedarray_info(self.env, value, &mut kind, &mut len, &mut data, none, null_mut())
        };
        if status != sys::Status::napi_ok || kind != sys::TypedarrayType::float64_array || data.is_null() {
            return Err(invalid());
        }
        // SAFETY: Node vouches for `len` numbers until JavaScript runs again.
        Ok(unsafe { std::slice::from_raw_parts(data.cast::<f64>(), len) }.to_vec())
    }

    /// The numbers of an array of tags.
    pub(super) fn tags(&self, names: Value) -> Result<Vec<u64>, Failed> {
        let count = self.length(names)?;
        if count as usize > MAX_TAGS {
            return Err(invalid());
        }
        (0..count)
            .map(|index| {
                let name = self.element(names, index)?;
                let mut tag = 0;
                self.with_buffer(|buffer| {
                    self.read_text(name, buffer)?;
                    let text = std::str::from_utf8(buffer).map_err(|_| invalid())?;
                    tag = self.bound.handle.with(|cache| cache.tag(text)).ok_or(Status::Closed)?;
                    Ok(null_mut())
                })?;
                Ok(tag)
            })
            .collect()
    }

    /// Runs `f` with the reused buffer; afterwards a buffer that grew large is given back.
    #[inline]
    pub(super) fn with_buffer(&self, f: impl FnOnce(&mut Vec<u8>) -> Outcome) -> Outcome {
        let Ok(mut buffer) = self.bound.shared.buffer.try_borrow_mut() else {
            return Err(corrupt());
        };
        let outcome = f(&mut buffer);
        if buffer.capacity() > KEEP_BYTES {
            *buffer = Vec::new();
        }
        outcome
    }

    /// Encodes `value` and runs `f` with its bytes.
    #[inline]
    pub(super) fn with_value(&self, value: Value, kind: u8, f: impl FnOnce(&[u8]) -> Outcome) -> Outcome {
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
                    return Err(Status::SuspectText.into());
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
                    return Err(invalid());
                }
                f(&number.to_le_bytes())
            }
            _ => f(self.bytes(value)?),
        }
    }

    /// Reads a string as UTF-8 into `buffer`.
    fn read_text(&self, value: Value, buffer: &mut Vec<u8>) -> Result<(), Failed> {
        buffer.clear();
        buffer.reserve(4096);
        let mut len = 0;
        let mut room = buffer.capacity();
        loop {
            // SAFETY: the buffer has `room` writable bytes; Node writes at most that many, a final zero included.
            let status =
                unsafe { sys::napi_get_value_string_utf8(self.env, value, buffer.as_mut_ptr().cast(), room, &mut len) };
            if status != sys::Status::napi_ok {
                return Err(invalid());
            }
            // Truncated only where the next character, of at most 4 bytes, does not fit in front of the zero.
            if len + 5 <= room {
                break;
            }
            let mut whole = 0;
            // SAFETY: without a buffer Node only tells the length.
            unsafe { sys::napi_get_value_string_utf8(self.env, value, null_mut(), 0, &mut whole) };
            buffer.reserve(whole + 8);
            room = buffer.capacity();
            if whole + 5 > room {
                return Err(invalid());
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
