//! Values on their way out: copied from the segment by a sink, then made a value of JavaScript.

use super::call::{Call, Failed, Outcome, Value, corrupt, invalid};
use crate::layout::{MetaInt, SCRATCH_BYTES};
use cache_machine_core::{EntryMeta, Region, Sink, SliceSink, kind};
use std::result::Result;

/// Text and scalars go into a buffer, bytes into `scratch` unless they are too long for it.
pub(super) struct ValueSink<'a> {
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
    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        if self.to_scratch {
            self.scratch.piece(region, offset, len);
        } else {
            self.text.piece(region, offset, len);
        }
    }
}

impl Call<'_> {
    /// Runs `f` with a sink that puts text and scalars into the reused buffer, and bytes into `scratch`.
    #[inline]
    pub(super) fn with_sink(&self, f: impl FnOnce(&mut ValueSink<'_>) -> Outcome) -> Outcome {
        self.with_buffer(|text| {
            // SAFETY: `scratch` has SCRATCH_BYTES, kept alive like `meta`; JavaScript does not run meanwhile.
            let scratch = unsafe { std::slice::from_raw_parts_mut(self.bound.shared.scratch, SCRATCH_BYTES) };
            f(&mut ValueSink { text, scratch: SliceSink::new(scratch), to_scratch: false })
        })
    }

    /// A sink into a Uint8Array that was just allocated.
    pub(super) fn sink_into(&self, target: Value) -> Result<SliceSink<'_>, Failed> {
        let (start, len) = self.bytes_at(target)?;
        // SAFETY: Node vouches for `len` writable bytes until JavaScript runs again; nothing else in this call refers
        // to the target's memory: keys are copied.
        Ok(SliceSink::into_fresh(unsafe { std::slice::from_raw_parts_mut(start, len) }))
    }

    /// The value that `sink` took, as JavaScript gets it: see `RawCalls.get`.
    #[inline]
    pub(super) fn value(&self, meta: &EntryMeta, sink: &ValueSink<'_>) -> Outcome {
        self.put_int(MetaInt::Kind, i32::from(meta.kind));
        let bytes = sink.text.as_slice();
        match (meta.kind, bytes) {
            (kind, _) if kind::is_text(kind) => self.text(bytes, meta.ascii),
            (kind::NUMBER, _) => self.double(f64::from_le_bytes(bytes.try_into().map_err(|_| corrupt())?)),
            (kind::BIGINT64, _) => self.bigint(i64::from_le_bytes(bytes.try_into().map_err(|_| corrupt())?)),
            (kind::SIMPLE, [0]) => self.null(),
            (kind::SIMPLE, [1]) => self.boolean(false),
            (kind::SIMPLE, [2]) => self.boolean(true),
            (kind::SIMPLE, _) => Err(corrupt()),
            _ => {
                self.put_length(meta);
                self.put_int(MetaInt::Large, i32::from(!meta.copied));
                self.double(meta.len as f64)
            }
        }
    }

    /// `value` for a value with all its bytes in `bytes`. Bytes become a Buffer of their own.
    pub(super) fn whole_value(&self, meta: &EntryMeta, bytes: &mut Vec<u8>) -> Outcome {
        if kind::is_bytes(meta.kind) {
            return self.buffer_copy(bytes);
        }
        self.value(meta, &ValueSink { text: bytes, scratch: SliceSink::new(&mut []), to_scratch: false })
    }

    /// Notes the kind of one of many values, at its index in `scratch`.
    pub(super) fn put_kind(&self, index: u32, kind: u8) -> Result<(), Failed> {
        if index as usize >= SCRATCH_BYTES {
            return Err(invalid());
        }
        // SAFETY: inside `scratch`, checked above.
        let at = unsafe { self.bound.shared.scratch.add(index as usize) };
        // SAFETY: kept alive like `meta`; JavaScript does not run meanwhile.
        unsafe { at.write(kind) };
        Ok(())
    }
}
