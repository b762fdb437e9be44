//! Collections: hashes, lists, sets and sorted sets.

use crate::cache::handle::Cache;
use crate::change::collect::{Collected, CollectionChange};
use crate::collections::request::{Request, Scratch};
use crate::error::CacheError;
use crate::layout::key::Key;
use crate::reading::read::ReadMode;
use crate::shard::values::Sink;
use cache_machine_shm::Region;
use std::cell::RefCell;

/// How a collection is made where there is none.
#[derive(Clone, Copy, Debug, Default)]
pub struct NewCollection<'a> {
    /// Milliseconds to live; 0: for ever.
    pub ttl_ms: u64,
    /// Its tags, by `Cache::tag`.
    pub tags: &'a [u64],
    /// The key was given as bytes.
    pub binary_key: bool,
}

/// Buffers that grew beyond this are given back after the call.
const KEEP_BYTES: usize = 1 << 20;

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Takes the bytes of a value of one kind.
struct KindSink<'a> {
    kind: u8,
    found: u8,
    bytes: &'a mut Vec<u8>,
}

impl Sink for KindSink<'_> {
    fn begin(&mut self, kind: u8, len: usize) -> bool {
        self.found = kind;
        kind == self.kind && self.bytes.begin(kind, len)
    }

    fn piece(&mut self, region: &Region, offset: usize, len: usize) {
        self.bytes.piece(region, offset, len);
    }
}

impl Cache {
    /// Asks a collection of this kind, or changes it in one step, by a request; see `collections::request`. A key
    /// without an entry is an empty collection, and a collection without elements has no entry. The answer goes into
    /// `reply`.
    ///
    /// # Errors
    /// `WrongType` for an entry of another kind; `InvalidArgument` for a malformed request; `NotANumber`, `Overflow`;
    /// `ValueTooLarge`, and then the collection is as before; and as for `set`.
    pub fn collection(
        &self,
        key: &[u8],
        kind: u8,
        request: &[u8],
        new: &NewCollection<'_>,
        reply: &mut Vec<u8>,
    ) -> Result<(), CacheError> {
        SCRATCH.with(|scratch| {
            let mut scratch =
                scratch.try_borrow_mut().map_err(|_| CacheError::Corrupt("a call inside a call".into()))?;
            let result = self.ask(key, kind, request, new, (&mut scratch, reply));
            if scratch.bytes.capacity().max(scratch.spare.capacity()) > KEEP_BYTES {
                *scratch = Scratch::default();
            }
            result
        })
    }

    fn ask(
        &self,
        key: &[u8],
        kind: u8,
        request: &[u8],
        new: &NewCollection<'_>,
        (scratch, reply): (&mut Scratch, &mut Vec<u8>),
    ) -> Result<(), CacheError> {
        let asked = Request::read(kind, request)?;
        if !Request::is_change(request[0]) {
            return self.answer(key, kind, &asked, (scratch, reply));
        }
        let NewCollection { ttl_ms, tags, binary_key } = *new;
        let change = CollectionChange { kind, request: asked, request_len: request.len(), ttl_ms, tags, binary_key };
        let mut len = change.most(scratch.bytes.capacity());
        loop {
            change.reserve(len, scratch, reply);
            let done = self.in_area(|| {
                let key = Key::for_entry(self.geometry(), self.namespace_of_values(), key, 0, tags.len())?;
                self.change_key(&key, self.write_patience(), |locked| locked.collect(&key, &change, scratch, reply))
            });
            match self.count_busy(done)? {
                Collected::Done => return Ok(()),
                // With room to grow, since other processes go on.
                Collected::TooSmall(found) => len = found + found / 4,
            }
        }
    }

    fn answer(
        &self,
        key: &[u8],
        kind: u8,
        asked: &Request<'_>,
        (scratch, reply): (&mut Scratch, &mut Vec<u8>),
    ) -> Result<(), CacheError> {
        reply.clear();
        scratch.bytes.clear();
        let mut sink = KindSink { kind, found: kind, bytes: &mut scratch.bytes };
        let meta = self.get(key, ReadMode::Use, &mut sink)?;
        if meta.is_some() && sink.found != kind {
            return Err(CacheError::WrongType);
        }
        asked.answer(&scratch.bytes, reply, self.now_ms())
    }
}
