//! The ordinary calls on a cache, for which speed does not matter. Each throws an error with a `code` of
//! `lib/errors.ts`, or with `ERR_DETACHED` on a detached handle.

use crate::env_state::{self, CacheHandle, with, with_handle, with_listener};
use crate::errors::{Result, closed, fail};
use crate::keys::{Key, key_bytes, key_of};
use crate::layout;
use crate::options::{
    BindingDimensions, BindingOpenOptions, BindingOpened, BindingPlace, BindingResized, BindingSegmentInfo,
    BindingShard, BindingStats, OwnedPlace,
};
use crate::registry::Load;
use cache_machine_core::{
    Cache, Invalidation, Listener, Notice, OpenOptions, QuotaSetting, StreamItem, Watch, What, destroy, inspect, list,
};
use napi::bindgen_prelude::{FnArgs, Uint8Array};
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi::{Env, Status};
use napi_derive::napi;

/// Creates a segment or attaches to it. The id identifies the handle in all other calls.
#[napi(catch_unwind)]
pub fn open(env: Env, options: BindingOpenOptions) -> Result<BindingOpened> {
    let namespace = options.namespace.clone();
    let quota = options.quota.as_ref().map(QuotaSetting::try_from).transpose().map_err(fail)?;
    let options = OpenOptions::try_from(options).map_err(fail)?;
    let (mut cache, opened) = Cache::open(&options).map_err(fail)?;
    if let Some(name) = namespace {
        cache = cache.opened_in_namespace(&name, quota.as_ref(), &options).map_err(fail)?;
    }
    let id = env_state::add(Load::of(env), CacheHandle::new(cache.clone()));
    Ok(BindingOpened::new(id, &cache, opened))
}

/// Closes a handle. A second call does nothing.
#[napi(catch_unwind)]
pub fn close(id: u32) {
    env_state::close(id);
}

/// The arguments of the notifier: a number of `layout::Notice`, ids, and keys.
type NoticeArguments = FnArgs<(u32, Vec<f64>, Vec<Key>)>;
/// Weak, so that it does not keep the process alive.
type Notify = ThreadsafeFunction<NoticeArguments, (), NoticeArguments, Status, false, true>;

/// Passes notices to JavaScript, without waiting for it.
struct Notifier {
    callback: Notify,
    namespace: u16,
}

impl Listener for Notifier {
    fn notify(&self, notice: Notice) {
        let numbers = |ids: Vec<u64>| ids.into_iter().map(|id| id as f64).collect();
        let shard = |shard: usize, dropped: u32| vec![shard as f64, f64::from(dropped)];
        let mut keys = Vec::new();
        let (number, ids) = match notice {
            Notice::Waits(ids) => (layout::Notice::Waits, numbers(ids)),
            Notice::Repaired { shard: index, dropped } => (layout::Notice::Repaired, shard(index, dropped)),
            Notice::Damage { shard: index, dropped } => (layout::Notice::Damage, shard(index, dropped)),
            Notice::Resized { from, to } => (layout::Notice::Resized, vec![from as f64, to as f64]),
            Notice::Detached => (layout::Notice::Detached, Vec::new()),
            Notice::RecordWatches(ids) => (layout::Notice::RecordWatches, numbers(ids)),
            Notice::Streams(ids) => (layout::Notice::Streams, numbers(ids)),
            Notice::Removed { entries, lost } => {
                let mut ids = vec![lost as f64];
                for entry in entries.iter().filter(|entry| entry.namespace == self.namespace) {
                    ids.push(layout::RemovalReason::from(entry.reason).number().into());
                    keys.push(key_of(&entry.key, entry.binary_key));
                }
                if ids == [0.0] {
                    return;
                }
                (layout::Notice::Removed, ids)
            }
        };
        let mode = ThreadsafeFunctionCallMode::NonBlocking;
        self.callback.call((number.number(), ids, keys).into(), mode);
    }
}

/// Registers the notifier of a handle, which is called on this thread and never keeps the process alive. To be called
/// at most once per handle. `notice` is one of `Notice`.
#[napi(catch_unwind, ts_args_type = "id: number, notify: (notice: number, ids: number[], keys: Key[]) => void")]
pub fn set_notifier(id: u32, notify: Notify) -> Result<()> {
    with_handle(id, |cache, handle| {
        let notifier = Notifier { callback: notify, namespace: cache.namespace_of_values() };
        handle.set_listener(cache.add_listener(Box::new(notifier)));
        Ok(())
    })
}

/// Begins to wait for an entry of `key` with a version above `after`; 0: any entry. Returns an id, which the notifier
/// gets.
#[napi(catch_unwind)]
pub fn wait_start(id: u32, key: Key, after: f64) -> Result<f64> {
    with_listener(id, |cache, listener| cache.wait_for(key_bytes(&key), after as u64, listener)).map(|wait| wait as f64)
}

/// Ends a wait that the notifier has not got yet.
#[napi(catch_unwind)]
pub fn wait_cancel(id: u32, wait: f64) {
    if let Some(handle) = env_state::find(id) {
        handle.with(|cache| cache.cancel_wait(wait as u64));
    }
}

/// Begins to watch changes, of one key or of keys that start with `prefix`, with any of `tags` if there are some.
/// Returns an id, which the notifier gets when `streamTake` has something to take.
#[napi(
    catch_unwind,
    ts_args_type = "id: number, key: Key | undefined, prefix: Key, tags: readonly string[], buffer: number"
)]
pub fn watch_start(id: u32, key: Option<Key>, prefix: Key, tags: Vec<String>, buffer: u32) -> Result<f64> {
    with_listener(id, |cache, listener| {
        let tags: Vec<u64> = tags.iter().map(|name| cache.tag(name)).collect();
        let watch = Watch { key: key.as_ref().map(key_bytes), prefix: key_bytes(&prefix), tags: &tags };
        cache.watch(&watch, buffer as usize, listener)
    })
    .map(|stream| stream as f64)
}

/// Subscribes to a channel, or with `isPrefix` to all channels that start with it. Returns an id, as `watchStart` does.
#[napi(catch_unwind)]
pub fn subscribe_start(id: u32, channel: String, is_prefix: bool, buffer: u32) -> Result<f64> {
    with_listener(id, |cache, listener| cache.subscribe(channel.as_bytes(), is_prefix, buffer as usize, listener))
        .map(|stream| stream as f64)
}

/// Takes at most `max` items of a watch or a subscription. After fewer than `max`, the notifier announces the next.
#[napi(catch_unwind)]
pub fn stream_take(id: u32, stream: f64, max: u32) -> Result<Vec<BindingStreamItem>> {
    let items = with(id, |cache| Ok(cache.read_stream(stream as u64, max as usize)))?;
    Ok(items.into_iter().map(Into::into).collect())
}

/// An item of a watch or a subscription.
#[napi(object)]
pub struct BindingStreamItem {
    /// One of `What`.
    pub what: u32,
    /// The key or the channel.
    pub key: Option<Key>,
    /// 0: none.
    pub version: f64,
    /// Positions in the tags that are watched.
    pub tags: Vec<u32>,
    /// Of a message: its bytes.
    pub value: Option<Uint8Array>,
    /// Of a message: the `Kind` of its bytes.
    pub kind: u32,
    /// Number of items that were lost before this one.
    pub lost: f64,
}

impl From<StreamItem> for BindingStreamItem {
    fn from(item: StreamItem) -> Self {
        let is_message = item.what == What::Message;
        Self {
            what: item.what as u32,
            key: (!item.key.is_empty()).then(|| key_of(&item.key, item.binary_key)),
            version: item.version as f64,
            tags: item.tags.into_iter().map(|tag| tag as u32).collect(),
            value: is_message.then(|| Uint8Array::new(item.value)),
            kind: u32::from(item.value_kind),
            lost: item.lost as f64,
        }
    }
}

/// Ends a watch or a subscription.
#[napi(catch_unwind)]
pub fn stream_end(id: u32, stream: f64) {
    if let Some(handle) = env_state::find(id) {
        handle.with(|cache| cache.end_stream(stream as u64));
    }
}

/// Publishes a message: the bytes of its kind, a text as it is. Returns for how many subscriptions it was written.
#[napi(catch_unwind)]
pub fn publish(id: u32, channel: String, kind: u32, value: Key) -> Result<u32> {
    with(id, |cache| cache.publish(channel.as_bytes(), kind as u8, key_bytes(&value)))
}

/// Begins or ends removal notices of entries that this process evicts and expires. Needs a notifier.
#[napi(catch_unwind)]
pub fn want_removals(id: u32, wanted: bool) -> Result<()> {
    let handle = env_state::find(id).ok_or_else(|| closed("cache"))?;
    if let Some(listener) = handle.listener() {
        handle.with(|cache| cache.want_removals(listener, wanted));
    }
    Ok(())
}

/// Keys of the namespace from `cursor` on (0 at first), about `max` of them or fewer: those that start with `prefix`, of
/// entries with one of `tags` if there are some.
#[napi(catch_unwind, ts_args_type = "id: number, cursor: number, prefix: Key, tags: readonly string[], max: number")]
pub fn keys(id: u32, cursor: f64, prefix: Key, tags: Vec<String>, max: u32) -> Result<BindingPage> {
    with(id, |cache| {
        let tags: Vec<u64> = tags.iter().map(|name| cache.tag(name)).collect();
        let page = cache.tagged_keys(cursor as u64, key_bytes(&prefix), &tags, max as usize)?;
        let keys = page.keys.iter().map(|key| key_of(&key.bytes, key.binary)).collect();
        Ok(BindingPage { next: page.next.map(|next| next as f64), keys })
    })
}

/// Some keys of a namespace.
#[napi(object)]
pub struct BindingPage {
    /// Where the next page starts; undefined after the last one.
    pub next: Option<f64>,
    pub keys: Vec<Key>,
}

/// Deletes entries of the namespace with keys that start with `prefix`, from `cursor` on (0 at first): one step of about a
/// millisecond.
#[napi(catch_unwind)]
pub fn delete_prefix(id: u32, cursor: f64, prefix: Key) -> Result<BindingDeletion> {
    with(id, |cache| {
        let step = cache.delete_prefix_from(cursor as u64, key_bytes(&prefix))?;
        Ok(BindingDeletion { next: step.next.map(|next| next as f64), deleted: step.deleted as f64 })
    })
}

/// The result of one step of a deletion by prefix.
#[napi(object)]
pub struct BindingDeletion {
    /// Where the next step starts; undefined after the last one.
    pub next: Option<f64>,
    /// Number of entries that the step deleted.
    pub deleted: f64,
}

/// Invalidates the namespace's entries with one of the tags: removes them, or with `outdate` makes them stale.
#[napi(catch_unwind, ts_args_type = "id: number, tags: readonly string[], outdate: boolean")]
pub fn invalidate_tags(id: u32, tags: Vec<String>, outdate: bool) -> Result<()> {
    with(id, |cache| {
        let tags: Vec<u64> = tags.iter().map(|name| cache.tag(name)).collect();
        cache.invalidate_tags(&tags, if outdate { Invalidation::Outdate } else { Invalidation::Remove })
    })
}

/// Removes all entries of the namespace in one step; of the root, the entries of all namespaces.
#[napi(catch_unwind)]
pub fn clear(id: u32) -> Result<()> {
    with(id, |cache| cache.clear())
}

/// Number of entries of the namespace.
#[napi(catch_unwind)]
pub fn size(id: u32) -> Result<f64> {
    with(id, |cache| cache.check_attached().map(|()| cache.len() as f64))
}

/// Counts over all processes.
#[napi(catch_unwind)]
pub fn stats(id: u32) -> Result<BindingStats> {
    with(id, |cache| cache.versions().map(|versions| BindingStats::of(cache, versions)))
}

/// How the space of each shard is used. Takes no lock.
#[napi(catch_unwind)]
pub fn shards(id: u32) -> Result<Vec<BindingShard>> {
    with(id, |cache| cache.shard_uses().map(|uses| uses.into_iter().map(Into::into).collect()))
}

/// The problems found in the structures of the segment; empty when all is well. Takes the lock of each shard in turn.
#[napi(catch_unwind)]
pub fn validate(id: u32) -> Result<Vec<String>> {
    with(id, |cache| cache.validate())
}

/// Moves the manual clock of the segment, for tests only.
#[napi(catch_unwind)]
pub fn advance_clock(id: u32, milliseconds: f64) -> Result<()> {
    with(id, |cache| cache.advance_clock(milliseconds as u64))
}

/// The segments in a place.
#[napi(catch_unwind)]
pub fn segments_list(place: BindingPlace) -> Result<Vec<BindingSegmentInfo>> {
    let found = list(OwnedPlace::from(place).location()).map_err(fail)?;
    Ok(found.into_iter().map(Into::into).collect())
}

/// One segment, seen from outside; null if there is none.
#[napi(catch_unwind)]
pub fn segments_inspect(name: String, place: BindingPlace) -> Result<Option<BindingSegmentInfo>> {
    let info = inspect(&name, OwnedPlace::from(place).location()).map_err(fail)?;
    Ok(info.map(Into::into))
}

/// The present size of the segment of a handle, and its maximum entry.
#[napi(catch_unwind)]
pub fn dimensions(id: u32) -> Result<BindingDimensions> {
    with(id, |cache| {
        let geometry = cache.geometry();
        Ok(BindingDimensions { size: geometry.len as f64, max_entry_size: geometry.max_entry as f64 })
    })
}

/// Gives the segment of a handle another size and moves all entries. Null: it has that size. It blocks this thread.
#[napi(catch_unwind)]
pub fn resize(id: u32, size: f64) -> Result<Option<BindingResized>> {
    with(id, |cache| cache.resize(size as usize)).map(|resized| resized.map(Into::into))
}

/// Destroys a segment; false if there is none.
#[napi(catch_unwind)]
pub fn segments_destroy(name: String, place: BindingPlace, force: bool) -> Result<bool> {
    destroy(&name, OwnedPlace::from(place).location(), force).map_err(fail)
}
