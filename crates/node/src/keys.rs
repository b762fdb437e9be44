//! Keys as they cross in the ordinary calls.

use napi::bindgen_prelude::{Either, Uint8Array};
use napi_derive::napi;

/// A key: 1 byte to 8 KiB as UTF-8 or raw bytes.
#[napi]
pub type Key = Either<String, Uint8Array>;

pub(crate) fn key_bytes(key: &Key) -> &[u8] {
    match key {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

/// A stored key as JavaScript gave it.
pub(crate) fn key_of(bytes: &[u8], binary: bool) -> Key {
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) if !binary => Either::A(text),
        _ => Either::B(Uint8Array::new(bytes.to_vec())),
    }
}
