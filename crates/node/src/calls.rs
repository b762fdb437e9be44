//! The calls that need no speed. Each throws an error whose `code` is one of `lib/errors.ts`.

use crate::env_state::{self, Handle, NO_WAIT};
use crate::options::{BindingOpenOptions, BindingOpened, BindingSegmentInfo, BindingStats};
use cache_machine_core::{
    Cache, CacheError, FeedItem, Invalidation, Listener, Notice, OpenOptions, Reason, Watch, What, destroy, inspect,
    list,
};
use napi::bindgen_prelude::{Either, FnArgs, Uint8Array};
use napi::threadsafe_function::ThreadsafeFunction;
use napi::{Error, Status};
use napi_derive::napi;
use std::path::PathBuf;
use std::rc::Rc;

/// The stable code of an error, as napi's status.
#[derive(Clone, Debug)]
pub struct Code(&'static str);

impl Code {
    pub(crate) const INVALID_ARGUMENT: Self = Self("ERR_INVALID_ARGUMENT");
}

impl AsRef<str> for Code {
    fn as_ref(&self) -> &str {
        self.0
    }
}

impl Code {
    pub(crate) const fn closed() -> Self {
        Self("ERR_CLOSED")
    }
}

impl From<Status> for Code {
    fn from(_: Status) -> Self {
        Self("ERR_INVALID_ARGUMENT")
    }
}

pub(crate) type Result<T> = std::result::Result<T, Error<Code>>;

pub(crate) fn fail(error: CacheError) -> Error<Code> {
    Error::new(Code(error.code()), error.to_string())
}

pub(crate) fn handle(id: u32) -> Result<Rc<Handle>> {
    env_state::find(id).ok_or_else(|| Error::new(Code("ERR_CLOSED"), "the cache is closed".to_owned()))
}

pub(crate) fn with<T>(id: u32, f: impl FnOnce(&Cache) -> std::result::Result<T, CacheError>) -> Result<T> {
    let handle = handle(id)?;
    let result = handle.with(f).unwrap_or_else(|| Err(CacheError::InvalidArgument("the cache is closed".into())));
    result.map_err(fail)
}

pub(crate) type Key = Either<String, Uint8Array>;

pub(crate) fn key_bytes(key: &Key) -> &[u8] {
    match key {
        Either::A(text) => text.as_bytes(),
        Either::B(bytes) => bytes,
    }
}

fn key_of(bytes: &[u8], binary: bool) -> Key {
    match String::from_utf8(bytes.to_vec()) {
        Ok(text) if !binary => Either::A(text),
        _ => Either::B(Uint8Array::new(bytes.to_vec())),
    }
}

/// Creates or attaches; the id stands for the handle in all other calls.
#[napi(catch_unwind)]
pub fn open(options: BindingOpenOptions) -> Result<BindingOpened> {
    let namespace = options.namespace.clone();
    let options = OpenOptions::try_from(options).map_err(fail)?;
    let (mut cache, opened) = Cache::open(&options).map_err(fail)?;
    if let Some(name) = namespace {
        cache = cache.in_namespace(&name).map_err(fail)?;
    }
    let id = env_state::add(Handle::new(cache.clone()));
    Ok(BindingOpened::new(id, &cache, opened))
}

/// Closes a handle; closing twice is fine.
#[napi(catch_unwind)]
pub fn close(id: u32) {
    env_state::close(id);
}

/// What the notifier is called with: a number of `Notice`, ids, and keys.
type NoticeArguments = FnArgs<(u32, Vec<f64>, Vec<Key>)>;
/// Weak, so that it does not keep the process alive.
type Notify = ThreadsafeFunction<NoticeArguments, (), NoticeArguments, Status, false, true>;

/// Tells JavaScript, without waiting for it.
struct Notifier {
    tell: Notify,
    namespace: u16,
}

impl Listener for Notifier {
    fn notify(&self, notice: Notice) {
        let shard = |shard: usize, dropped: u32| vec![shard as f64, f64::from(dropped)];
        let mut keys = Vec::new();
        let (number, ids) = match notice {
            Notice::Waits(ids) => (0, ids.into_iter().map(|id| id as f64).collect()),
            Notice::Repaired { shard: index, dropped } => (1, shard(index, dropped)),
            Notice::Damage { shard: index, dropped } => (2, shard(index, dropped)),
            Notice::Detached => (3, Vec::new()),
            Notice::Vigils(ids) => (5, ids.into_iter().map(|id| id as f64).collect()),
            Notice::Fed(ids) => (6, ids.into_iter().map(|id| id as f64).collect()),
            Notice::Gone { entries, lost } => {
                let mut ids = vec![lost as f64];
                for entry in entries.iter().filter(|entry| entry.namespace == self.namespace) {
                    ids.push(f64::from(u8::from(entry.reason == Reason::Expired)));
                    keys.push(key_of(&entry.key, entry.binary_key));
                }
                if ids == [0.0] {
                    return;
                }
                (4, ids)
            }
        };
        self.tell.call((number, ids, keys).into(), NO_WAIT);
    }
}

/// Registers the one notifier of a handle.
#[napi(
    catch_unwind,
    ts_args_type = "id: number, notify: (notice: number, ids: number[], keys: (string | Uint8Array)[]) => void"
)]
pub fn set_notifier(id: u32, notify: Notify) -> Result<()> {
    let handle = handle(id)?;
    let listener =
        handle.with(|cache| cache.add_listener(Box::new(Notifier { tell: notify, namespace: cache.namespace() })));
    if let Some(listener) = listener {
        handle.set_listener(listener);
    }
    Ok(())
}

/// Begins to wait for an entry of `key` newer than `after`; the notifier is told the id returned.
#[napi(catch_unwind)]
pub fn wait_start(id: u32, key: Key, after: f64) -> Result<f64> {
    let Some(listener) = handle(id)?.listener() else {
        return Err(Error::new(Code("ERR_INVALID_ARGUMENT"), "a wait needs a notifier".to_owned()));
    };
    with(id, |cache| cache.wait_for(key_bytes(&key), after as u64, listener)).map(|wait| wait as f64)
}

/// Ends a wait that has not been told.
#[napi(catch_unwind)]
pub fn wait_cancel(id: u32, wait: f64) {
    if let Some(handle) = env_state::find(id) {
        handle.with(|cache| cache.cancel_wait(wait as u64));
    }
}

/// Begins to watch changes; the notifier is told the id returned.
#[napi(catch_unwind)]
pub fn watch_start(id: u32, key: Option<Key>, prefix: Key, tags: Vec<String>, buffer: u32) -> Result<f64> {
    let listener = listener_of(id)?;
    with(id, |cache| {
        let tags: Vec<u64> = tags.iter().map(|name| cache.tag(name)).collect();
        let watch = Watch { key: key.as_ref().map(key_bytes), prefix: key_bytes(&prefix), tags: &tags };
        cache.watch(&watch, buffer as usize, listener)
    })
    .map(|feed| feed as f64)
}

/// Subscribes to a channel, or to all that start with it; the notifier is told the id returned.
#[napi(catch_unwind)]
pub fn subscribe_start(id: u32, channel: String, is_prefix: bool, buffer: u32) -> Result<f64> {
    let listener = listener_of(id)?;
    with(id, |cache| cache.subscribe(channel.as_bytes(), is_prefix, buffer as usize, listener)).map(|feed| feed as f64)
}

fn listener_of(id: u32) -> Result<u64> {
    let listener = handle(id)?.listener();
    listener.ok_or_else(|| Error::new(Code("ERR_INVALID_ARGUMENT"), "there must be a notifier".to_owned()))
}

/// Takes what is there for a watch or a subscription.
#[napi(catch_unwind)]
pub fn feed_take(id: u32, feed: f64, most: u32) -> Result<Vec<BindingFeedItem>> {
    let items = with(id, |cache| Ok(cache.take_fed(feed as u64, most as usize)))?;
    Ok(items.into_iter().map(feed_item).collect())
}

fn feed_item(item: FeedItem) -> BindingFeedItem {
    let is_message = item.what == What::Message;
    BindingFeedItem {
        what: item.what as u32,
        key: (!item.key.is_empty()).then(|| key_of(&item.key, item.binary_key)),
        version: item.version as f64,
        tags: item.tags.into_iter().map(|tag| tag as u32).collect(),
        value: is_message.then(|| Uint8Array::new(item.value)),
        kind: u32::from(item.value_kind),
        lost: item.lost as f64,
    }
}

/// See `NativeFeedItem`.
#[napi(object)]
pub struct BindingFeedItem {
    pub what: u32,
    pub key: Option<Either<String, Uint8Array>>,
    pub version: f64,
    pub tags: Vec<u32>,
    pub value: Option<Uint8Array>,
    pub kind: u32,
    pub lost: f64,
}

/// Ends a watch or a subscription.
#[napi(catch_unwind)]
pub fn feed_end(id: u32, feed: f64) {
    if let Some(handle) = env_state::find(id) {
        handle.with(|cache| cache.end_feed(feed as u64));
    }
}

/// Publishes a message; returns how many subscriptions it was written for.
#[napi(catch_unwind)]
pub fn publish(id: u32, channel: String, kind: u32, value: Key) -> Result<u32> {
    with(id, |cache| cache.publish(channel.as_bytes(), kind as u8, key_bytes(&value)))
}

/// Asks for notices of what this process evicts and expires, or ends them. Needs a notifier.
#[napi(catch_unwind)]
pub fn want_gone(id: u32, wanted: bool) -> Result<()> {
    let handle = handle(id)?;
    if let Some(listener) = handle.listener() {
        handle.with(|cache| cache.want_gone(listener, wanted));
    }
    Ok(())
}

/// Some keys of the namespace: those from `cursor` on, 0 at first.
#[napi(catch_unwind)]
pub fn keys(id: u32, cursor: f64, prefix: Key, most: u32) -> Result<BindingPage> {
    with(id, |cache| {
        let page = cache.keys(cursor as u64, key_bytes(&prefix), most as usize)?;
        let keys = page.keys.iter().map(|key| key_of(&key.bytes, key.binary)).collect();
        Ok(BindingPage { next: page.next.map(|next| next as f64), keys })
    })
}

/// See `NativePage`.
#[napi(object)]
pub struct BindingPage {
    pub next: Option<f64>,
    pub keys: Vec<Either<String, Uint8Array>>,
}

/// Deletes the namespace's entries whose keys start with `prefix`.
#[napi(catch_unwind)]
pub fn delete_prefix(id: u32, prefix: Key) -> Result<f64> {
    with(id, |cache| cache.delete_prefix(key_bytes(&prefix))).map(|count| count as f64)
}

/// Invalidates the namespace's entries that carry one of the tags.
#[napi(catch_unwind)]
pub fn invalidate_tags(id: u32, tags: Vec<String>, outdate: bool) -> Result<()> {
    with(id, |cache| {
        let tags: Vec<u64> = tags.iter().map(|name| cache.tag(name)).collect();
        cache.invalidate_tags(&tags, if outdate { Invalidation::Outdate } else { Invalidation::Remove })
    })
}

/// Removes everything of the namespace in one step; on the root, of all.
#[napi(catch_unwind)]
pub fn clear(id: u32) -> Result<()> {
    with(id, |cache| cache.clear())
}

/// Number of entries.
#[napi(catch_unwind)]
pub fn size(id: u32) -> Result<f64> {
    with(id, |cache| cache.check_attached().map(|()| cache.len() as f64))
}

/// Counts over all processes.
#[napi(catch_unwind)]
pub fn stats(id: u32) -> Result<BindingStats> {
    with(id, |cache| cache.check_attached().map(|()| BindingStats::of(cache)))
}

/// What does not add up in the segment's structures.
#[napi(catch_unwind)]
pub fn validate(id: u32) -> Result<Vec<String>> {
    with(id, |cache| cache.validate())
}

/// Moves the manual clock of a test's segment.
#[napi(catch_unwind)]
pub fn advance_clock(id: u32, milliseconds: f64) -> Result<()> {
    with(id, |cache| cache.advance_clock(milliseconds as u64))
}

/// This user's segments of a place.
#[napi(catch_unwind)]
pub fn segments_list(directory: Option<String>) -> Vec<BindingSegmentInfo> {
    list(directory.map(PathBuf::from).as_deref()).into_iter().map(Into::into).collect()
}

/// One segment, from outside.
#[napi(catch_unwind)]
pub fn segments_inspect(name: String, directory: Option<String>) -> Result<Option<BindingSegmentInfo>> {
    let info = inspect(&name, directory.map(PathBuf::from).as_deref()).map_err(fail)?;
    Ok(info.map(Into::into))
}

/// Destroys a segment; false if there is none.
#[napi(catch_unwind)]
pub fn segments_destroy(name: String, directory: Option<String>, force: bool) -> Result<bool> {
    destroy(&name, directory.map(PathBuf::from).as_deref(), force).map_err(fail)
}
