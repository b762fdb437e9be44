//! The calls that need no speed. Each throws an error whose `code` is one of `lib/errors.ts`.

use crate::env_state::{self, Handle, NO_WAIT};
use crate::options::{BindingOpenOptions, BindingOpened, BindingSegmentInfo, BindingStats};
use cache_machine_core::{Cache, CacheError, Listener, Notice, OpenOptions, destroy, inspect, list};
use napi::bindgen_prelude::{Either, FnArgs, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Error, Status};
use napi_derive::napi;
use std::path::PathBuf;
use std::rc::Rc;

/// The stable code of an error, as napi's status.
#[derive(Clone, Debug)]
pub struct Code(&'static str);

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl From<Status> for Code {
    fn from(_: Status) -> Self {
        Self("ERR_INVALID_ARGUMENT")
    }
}

type Result<T> = std::result::Result<T, Error<Code>>;

fn fail(error: CacheError) -> Error<Code> {
    Error::new(Code(error.code()), error.to_string())
}

fn handle(id: u32) -> Result<Rc<Handle>> {
    env_state::find(id).ok_or_else(|| Error::new(Code("ERR_CLOSED"), "the cache is closed".to_owned()))
}

fn with<T>(id: u32, f: impl FnOnce(&Cache) -> std::result::Result<T, CacheError>) -> Result<T> {
    let handle = handle(id)?;
    let result = handle.with(f).unwrap_or_else(|| Err(CacheError::InvalidArgument("the cache is closed".into())));
    result.map_err(fail)
}

type Key = Either<String, Uint8Array>;

fn key_bytes(key: &Key) -> &[u8] {
    match key {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

/// Creates or attaches; the id stands for the handle in all other calls.
#[napi]
pub fn open(options: BindingOpenOptions) -> Result<BindingOpened> {
    let options = OpenOptions::try_from(options).map_err(fail)?;
    let (cache, opened) = Cache::open(&options).map_err(fail)?;
    let id = env_state::add(Handle::new(cache.clone()));
    Ok(BindingOpened::new(id, &cache, opened))
}

/// Closes a handle; closing twice is fine.
#[napi]
pub fn close(id: u32) {
    env_state::close(id);
}

/// What the notifier is called with: a number of `Notice`, and ids.
type NoticeArguments = FnArgs<(u32, Vec<f64>)>;
/// Weak, so that it does not keep the process alive.
type Notify = ThreadsafeFunction<NoticeArguments, (), NoticeArguments, Status, false, true>;

/// Tells JavaScript, without waiting for it.
struct Notifier {
    tell: Notify,
}

impl Listener for Notifier {
    fn notify(&self, notice: Notice) {
        let shard = |shard: usize, dropped: u32| vec![shard as f64, f64::from(dropped)];
        let (number, ids) = match notice {
            Notice::Waits(ids) => (0, ids.into_iter().map(|id| id as f64).collect()),
            Notice::Repaired { shard: index, dropped } => (1, shard(index, dropped)),
            Notice::Damage { shard: index, dropped } => (2, shard(index, dropped)),
            Notice::Detached => (3, Vec::new()),
        };
        self.tell.call((number, ids).into(), NO_WAIT);
    }
}

/// Registers the one notifier of a handle.
#[napi(ts_args_type = "id: number, notify: (notice: number, ids: number[]) => void")]
pub fn set_notifier(id: u32, notify: Notify) -> Result<()> {
    let handle = handle(id)?;
    let listener = handle.with(|cache| cache.add_listener(Box::new(Notifier { tell: notify })));
    if let Some(listener) = listener {
        handle.set_listener(listener);
    }
    Ok(())
}

/// Begins to wait for an entry of `key` newer than `after`; the notifier is told the id returned.
#[napi]
pub fn wait_start(id: u32, key: Key, after: f64) -> Result<f64> {
    let Some(listener) = handle(id)?.listener() else {
        return Err(Error::new(Code("ERR_INVALID_ARGUMENT"), "a wait needs a notifier".to_owned()));
    };
    with(id, |cache| cache.wait_for(key_bytes(&key), after as u64, listener)).map(|wait| wait as f64)
}

/// Ends a wait that has not been told.
#[napi]
pub fn wait_cancel(id: u32, wait: f64) {
    if let Some(handle) = env_state::find(id) {
        handle.with(|cache| cache.cancel_wait(wait as u64));
    }
}

/// Removes everything in one step.
#[napi]
pub fn clear(id: u32) -> Result<()> {
    with(id, |cache| cache.clear())
}

/// Number of entries.
#[napi]
pub fn size(id: u32) -> Result<f64> {
    with(id, |cache| cache.check_attached().map(|()| cache.len() as f64))
}

/// Counts over all processes.
#[napi]
pub fn stats(id: u32) -> Result<BindingStats> {
    with(id, |cache| cache.check_attached().map(|()| cache.stats().into()))
}

/// What does not add up in the segment's structures.
#[napi]
pub fn validate(id: u32) -> Result<Vec<String>> {
    with(id, |cache| cache.validate())
}

/// Moves the manual clock of a test's segment.
#[napi]
pub fn advance_clock(id: u32, milliseconds: f64) -> Result<()> {
    with(id, |cache| cache.advance_clock(milliseconds as u64))
}

/// This user's segments of a place.
#[napi]
pub fn segments_list(directory: Option<String>) -> Vec<BindingSegmentInfo> {
    list(directory.map(PathBuf::from).as_deref()).into_iter().map(Into::into).collect()
}

/// One segment, from outside.
#[napi]
pub fn segments_inspect(name: String, directory: Option<String>) -> Result<Option<BindingSegmentInfo>> {
    let info = inspect(&name, directory.map(PathBuf::from).as_deref()).map_err(fail)?;
    Ok(info.map(Into::into))
}

/// Destroys a segment; false if there is none.
#[napi]
pub fn segments_destroy(name: String, directory: Option<String>, force: bool) -> Result<bool> {
    destroy(&name, directory.map(PathBuf::from).as_deref(), force).map_err(fail)
}
