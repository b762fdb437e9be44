//! Who in this process watches changes or subscribes to channels, and what is there for each of them.
//!
//! The background thread reads the rings when its bell rang (and every 50 ms, since a writer may die before it rings), picks
//! what somebody wants, and puts it into that one's queue, which is bounded: the oldest make room, and are counted. Listeners
//! are only told that there is something; they take it when they like.
//!
//! `clear` is in no ring: the epochs tell of it, so a death cannot hide it. Every message carries the life of its entry;
//! those of an earlier life than the one known come before the clear, those of a later one after it.
//!
//! The thing to get wrong: the start. A process marks that it watches before it notes where the rings end, and whoever joins
//! later first has all that is older handed to the others.

use crate::cache::{Cache, Core};
use crate::entry::{BINARY_KEY, Damaged, Head, MAX_TAGS, TAGGED, pieces};
use crate::error::CacheError;
use crate::key::{Key, MAX_KEY};
use crate::locked::Locked;
use crate::namespaces::{self, ROOT};
use crate::ring::{Batch, Cursor, Frame, Message, Ring, Stream, What};
use crate::service::Notice;
use crate::spaces::is_record;
use crate::subscriptions::Name;
use cache_machine_shm::bell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::{Duration, Instant};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// What somebody watches; all of it must hold.
#[derive(Clone, Copy, Debug, Default)]
pub struct Watch<'a> {
    /// This key alone.
    pub key: Option<&'a [u8]>,
    /// Keys that start with it.
    pub prefix: &'a [u8],
    /// Entries that carry one of these tags, by `Cache::tag`; none: tagged or not.
    pub tags: &'a [u64],
}

/// A change or a message, for one who wanted it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FeedItem {
    /// What happened.
    pub what: What,
    /// The entry's key, or the channel; empty where it is about all of a namespace.
    pub key: Vec<u8>,
    /// The key was given as bytes.
    pub binary_key: bool,
    /// Version of the entry; 0 where there is none.
    pub version: u64,
    /// Which of the tags watched the entry carries, or were invalidated: positions in `Watch::tags`.
    pub tags: Vec<usize>,
    /// What was published, and its kind.
    pub value: Vec<u8>,
    /// See `value`.
    pub value_kind: u8,
    /// How many before this one did not come.
    pub lost: u64,
}

impl FeedItem {
    fn about_all(what: What) -> Self {
        Self {
            what,
            key: Vec::new(),
            binary_key: false,
            version: 0,
            tags: Vec::new(),
            value: Vec::new(),
            value_kind: 0,
            lost: 0,
        }
    }
}

/// A message out of a ring, on its own.
struct Owned {
    frame: Frame,
    what: What,
    tags: Vec<u64>,
    key: Vec<u8>,
    value: Vec<u8>,
}

impl Owned {
    fn of(message: &Message<'_>) -> Self {
        let Message { what, binary_key, namespace, version, life, key, value, .. } = *message;
        Self {
            frame: Frame {
                what,
                binary_key,
                namespace,
                version,
                life,
                tags: 0,
                key_len: key.len(),
                value_len: value.len(),
            },
            what,
            tags: message.tags().collect(),
            key: key.to_vec(),
            value: value.to_vec(),
        }
    }

    fn item(&self) -> FeedItem {
        let is_message = self.what == What::Message;
        FeedItem {
            what: self.what,
            key: self.key.clone(),
            binary_key: self.frame.binary_key,
            version: if is_message { 0 } else { self.frame.version },
            tags: Vec::new(),
            value: self.value.clone(),
            value_kind: if is_message { (self.frame.version >> 32) as u8 } else { 0 },
            lost: 0,
        }
    }
}

/// An invalidation of a namespace that nobody knows.
pub(crate) const ANY_NAMESPACE: u16 = u16::MAX;

enum Wanted {
    Changes { key: Option<Vec<u8>>, prefix: Vec<u8>, tags: Vec<u64> },
    Messages { name: Vec<u8>, is_prefix: bool },
}

/// One `watch` or `subscribe`.
struct Feed {
    listener: u64,
    namespace: u16,
    wanted: Wanted,
    /// All that it wants is in this shard's ring.
    shard: Option<usize>,
    queue: VecDeque<FeedItem>,
    /// Most items in the queue.
    most: usize,
    /// Lost behind the last item of the queue.
    lost: u64,
    /// Its listener was told, and has not found the queue empty since.
    told: bool,
}

impl Feed {
    fn stream(&self) -> Stream {
        match self.wanted {
            Wanted::Changes { .. } => Stream::Changes,
            Wanted::Messages { .. } => Stream::Messages,
        }
    }

    /// Which of its tags the message is about; `None`: the message is not for it.
    fn wants(&self, message: &Owned) -> Option<Vec<usize>> {
        let is_known = message.frame.namespace == self.namespace;
        match &self.wanted {
            Wanted::Messages { name, is_prefix } => {
                let fits = if *is_prefix { message.key.starts_with(name) } else { message.key == *name };
                (is_known && fits && message.what == What::Message).then(Vec::new)
            }
            Wanted::Changes { key, prefix, tags } => {
                let own: Vec<usize> = (0..tags.len()).filter(|i| message.tags.contains(&tags[*i])).collect();
                let is_tagged = tags.is_empty() || !own.is_empty();
                let wanted = match message.what {
                    What::Invalidate if message.frame.namespace == ANY_NAMESPACE => true,
                    What::Invalidate => is_known && is_tagged,
                    What::Message => false,
                    _ => {
                        let fits = key.as_ref().is_none_or(|key| *key == message.key);
                        is_known && is_tagged && fits && message.key.starts_with(prefix)
                    }
                };
                wanted.then_some(own)
            }
        }
    }

    fn push(&mut self, item: FeedItem) {
        self.queue.push_back(FeedItem { lost: std::mem::take(&mut self.lost), ..item });
        while self.queue.len() > self.most {
            let dropped = self.queue.pop_front().map_or(0, |item| item.lost.saturating_add(1));
            match self.queue.front_mut() {
                Some(first) => first.lost = first.lost.saturating_add(dropped),
                None => self.lost = self.lost.saturating_add(dropped),
            }
        }
    }
}

/// What is known of a namespace that somebody watches.
struct Space {
    life: u64,
    watchers: usize,
    /// Messages of a later life than the one known.
    later: Vec<Owned>,
}

/// The watches and subscriptions of one process.
#[derive(Default)]
pub(crate) struct Feeds {
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    last_id: u64,
    feeds: BTreeMap<u64, Feed>,
    /// Feeds of one key or channel, by its hash.
    exact: HashMap<u64, Vec<u64>>,
    /// All others, by `Stream`.
    others: [Vec<u64>; 2],
    /// How many of each there are, by `Stream`.
    counts: [usize; 2],
    /// How far each shard's rings were read; empty while nobody wants them.
    cursors: [Vec<Cursor>; 2],
    spaces: BTreeMap<u16, Space>,
    untold: u64,
    bytes: Vec<u8>,
}

/// For each listener, the feeds that have something for it.
type Told = BTreeMap<u64, Vec<u64>>;

/// Hash of the names in `Table::exact`, in this process only.
fn exact_hash(stream: Stream, namespace: u16, name: &[u8]) -> u64 {
    xxh3_64_with_seed(name, u64::from(namespace) << 1 | stream as u64)
}

impl Table {
    fn add(&mut self, core: &Core, feed: Feed) -> u64 {
        let stream = feed.stream();
        self.last_id += 1;
        let id = self.last_id;
        self.counts[stream as usize] += 1;
        if let Wanted::Changes { .. } = feed.wanted {
            let life = core.life_now(feed.namespace);
            let space = self.spaces.entry(feed.namespace).or_insert(Space { life, watchers: 0, later: Vec::new() });
            space.watchers += 1;
        }
        self.index(&feed).push(id);
        self.feeds.insert(id, feed);
        id
    }

    /// The list that a feed is in.
    fn index(&mut self, feed: &Feed) -> &mut Vec<u64> {
        let name = match &feed.wanted {
            Wanted::Changes { key: Some(key), .. } => key,
            Wanted::Messages { name, is_prefix: false } => name,
            _ => return &mut self.others[feed.stream() as usize],
        };
        self.exact.entry(exact_hash(feed.stream(), feed.namespace, name)).or_default()
    }

    fn remove(&mut self, core: &Core, id: u64) {
        let Some(feed) = self.feeds.remove(&id) else { return };
        let stream = feed.stream();
        self.index(&feed).retain(|other| *other != id);
        self.exact.retain_if_empty(&feed);
        self.counts[stream as usize] -= 1;
        match &feed.wanted {
            Wanted::Changes { .. } => {
                if let Some(space) = self.spaces.get_mut(&feed.namespace) {
                    space.watchers -= 1;
                    if space.watchers == 0 {
                        self.spaces.remove(&feed.namespace);
                    }
                }
            }
            Wanted::Messages { name, is_prefix } => {
                core.forget_subscription(&Name { namespace: feed.namespace, is_prefix: *is_prefix, bytes: name });
            }
        }
        if self.counts[stream as usize] == 0 {
            if stream == Stream::Changes {
                core.segment.member().unwatch();
            }
            self.cursors[stream as usize] = Vec::new();
        }
        if self.feeds.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Begins to read the rings of a stream that nobody wanted so far.
    fn begin(&mut self, core: &Core, stream: Stream) {
        if stream == Stream::Changes {
            // Before the cursors: what is not in the rings before them is put there after the mark.
            core.segment.member().watch();
            self.untold = core.untold();
        }
        self.cursors[stream as usize] = core.shards().map(|shard| shard.ring(stream).now()).collect();
    }

    /// Hands out what is in the rings of the shards that `rang` picks.
    fn look(&mut self, core: &Core, rang: impl Fn(usize) -> bool) -> Told {
        let mut told = Told::new();
        for stream in [Stream::Changes, Stream::Messages] {
            for shard in (0..self.cursors[stream as usize].len()).filter(|shard| rang(*shard)) {
                self.read_ring(core, stream, shard, &mut told);
            }
        }
        self.follow_lives(core, &mut told);
        let untold = core.untold();
        let missed = untold.wrapping_sub(std::mem::replace(&mut self.untold, untold));
        if missed != 0 && self.counts[Stream::Changes as usize] != 0 {
            // One that goes back was scribbled.
            let missed = if missed > u64::MAX / 2 { 1 } else { missed };
            self.lose(Stream::Changes, None, missed, &mut told);
        }
        told
    }

    fn read_ring(&mut self, core: &Core, stream: Stream, shard: usize, told: &mut Told) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let ring = Ring::of(core.segment.region(), core.geometry(), shard, stream);
        if let Some(batch) = ring.read(&mut self.cursors[stream as usize][shard], &mut bytes) {
            self.hand_out(stream, shard, &batch, told);
        }
        self.bytes = bytes;
    }

    fn hand_out(&mut self, stream: Stream, shard: usize, batch: &Batch<'_>, told: &mut Told) {
        if batch.lost != 0 {
            self.lose(stream, Some(shard), batch.lost, told);
        }
        for message in batch.messages() {
            if message.what == What::Message || message.namespace == ANY_NAMESPACE {
                self.deliver(&Owned::of(&message), told);
                continue;
            }
            let Some(space) = self.spaces.get_mut(&message.namespace) else { continue };
            if message.life == space.life {
                self.deliver(&Owned::of(&message), told);
            } else if is_later(message.life, space.life) {
                space.later.push(Owned::of(&message));
            }
            // Else of an entry that a clear has ended, of which they heard.
        }
    }

    /// Tells of clears, then what came after them.
    fn follow_lives(&mut self, core: &Core, told: &mut Told) {
        let spaces: Vec<u16> = self.spaces.keys().copied().collect();
        for namespace in spaces {
            let Some(space) = self.spaces.get_mut(&namespace) else { continue };
            let life = core.life_now(namespace);
            if life == space.life {
                continue;
            }
            space.life = life;
            let later = std::mem::take(&mut space.later);
            let cleared = |feed: &Feed| feed.namespace == namespace && feed.stream() == Stream::Changes;
            self.each(told, cleared, |feed| feed.push(FeedItem::about_all(What::Clear)));
            for message in later.iter().filter(|message| message.frame.life == life) {
                self.deliver(message, told);
            }
        }
    }

    fn deliver(&mut self, message: &Owned, told: &mut Told) {
        if message.what == What::Invalidate {
            return self.each(
                told,
                |feed| feed.wants(message).is_some(),
                |feed| {
                    let tags = feed.wants(message).unwrap_or_default();
                    let lost = u64::from(message.frame.namespace == ANY_NAMESPACE);
                    feed.lost = feed.lost.saturating_add(lost);
                    feed.push(FeedItem { tags, ..FeedItem::about_all(What::Invalidate) });
                },
            );
        }
        let stream = if message.what == What::Message { Stream::Messages } else { Stream::Changes };
        let exact = self.exact.get(&exact_hash(stream, message.frame.namespace, &message.key));
        let ids: Vec<u64> = exact.into_iter().flatten().chain(&self.others[stream as usize]).copied().collect();
        for id in ids {
            let Some(feed) = self.feeds.get_mut(&id) else { continue };
            if let Some(tags) = feed.wants(message) {
                feed.push(FeedItem { tags, ..message.item() });
                note(told, id, feed);
            }
        }
    }

    /// So many are lost to all who want something of this shard's ring, or of any.
    fn lose(&mut self, stream: Stream, shard: Option<usize>, lost: u64, told: &mut Told) {
        let concerned =
            |feed: &Feed| feed.stream() == stream && (shard.is_none() || feed.shard.is_none() || feed.shard == shard);
        self.each(told, concerned, |feed| feed.lost = feed.lost.saturating_add(lost));
    }

    fn each(&mut self, told: &mut Told, which: impl Fn(&Feed) -> bool, mut run: impl FnMut(&mut Feed)) {
        for (id, feed) in self.feeds.iter_mut().filter(|(_, feed)| which(feed)) {
            run(feed);
            note(told, *id, feed);
        }
    }
}

/// Its listener is to be told, unless it was.
fn note(told: &mut Told, id: u64, feed: &mut Feed) {
    // A lost message shows with the next one; a lost change shows at once.
    let has_something = !feed.queue.is_empty() || (feed.lost != 0 && feed.stream() == Stream::Changes);
    if has_something && !std::mem::replace(&mut feed.told, true) {
        told.entry(feed.listener).or_default().push(id);
    }
}

/// Whether a life is after another of the same namespace. Epochs wrap.
fn is_later(life: u64, known: u64) -> bool {
    let ahead = |a: u32, b: u32| a.wrapping_sub(b) as i32;
    match ahead(life as u32, known as u32) {
        0 => ahead((life >> 32) as u32, (known >> 32) as u32) > 0,
        root => root > 0,
    }
}

trait RetainIfEmpty {
    fn retain_if_empty(&mut self, feed: &Feed);
}

impl RetainIfEmpty for HashMap<u64, Vec<u64>> {
    /// Forgets the list that a feed was in once nobody is in it.
    fn retain_if_empty(&mut self, feed: &Feed) {
        let (Wanted::Changes { key: Some(name), .. } | Wanted::Messages { name, is_prefix: false }) = &feed.wanted
        else {
            return;
        };
        let hash = exact_hash(feed.stream(), feed.namespace, name);
        if self.get(&hash).is_some_and(Vec::is_empty) {
            self.remove(&hash);
        }
    }
}

impl Feeds {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(|e| e.into_inner())
    }

    fn is_empty(&self) -> bool {
        self.table().feeds.is_empty()
    }
}

/// When the background thread looks next for what nobody rang.
pub(crate) struct FeedTick {
    next: Instant,
}

/// A writer may die between publish and ring.
const LOOK_EVERY: Duration = Duration::from_millis(50);

impl FeedTick {
    pub(crate) fn new() -> Self {
        Self { next: Instant::now() }
    }

    /// How long the thread may sleep.
    pub(crate) fn limit(&self, core: &Core, sleep: Duration) -> Duration {
        if core.feeds.is_empty() { sleep } else { sleep.min(self.next.saturating_duration_since(Instant::now())) }
    }
}

/// Hands out what rang, and now and then what did not.
pub(crate) fn look_at_feeds(core: &Core, tick: &mut FeedTick) {
    let rung = core.segment.member().take_rung_rings();
    let now = Instant::now();
    let everything = now >= tick.next;
    if everything {
        tick.next = now + LOOK_EVERY;
    }
    if rung == 0 && !everything {
        return;
    }
    let mut table = core.feeds.table();
    if table.feeds.is_empty() {
        return;
    }
    let told = table.look(core, |shard| everything || rung >> (shard % 64) & 1 == 1);
    drop(table);
    tell(core, told);
}

fn tell(core: &Core, told: Told) {
    for (listener, ids) in told {
        core.notified.tell_one(listener, Notice::Fed(ids));
    }
}

impl Cache {
    /// Watches changes of this namespace from now on, on behalf of a listener, which is told the number returned when there
    /// is something to `take_fed`. At most `most` changes wait for it; older ones are dropped and counted.
    ///
    /// # Errors
    /// A key that cannot be; too many tags; `Detached`.
    pub fn watch(&self, watch: &Watch<'_>, most: usize, listener: u64) -> Result<u64, CacheError> {
        self.check_attached()?;
        if watch.tags.len() > MAX_TAGS || watch.prefix.len() > MAX_KEY {
            return Err(CacheError::InvalidArgument(format!("at most {MAX_TAGS} tags and {MAX_KEY} bytes of prefix")));
        }
        let key = watch.key.map(|key| Key::new(self.geometry(), self.namespace(), key)).transpose()?;
        let feed = Feed {
            listener,
            namespace: self.namespace(),
            wanted: Wanted::Changes {
                key: watch.key.map(<[u8]>::to_vec),
                prefix: watch.prefix.to_vec(),
                tags: watch.tags.to_vec(),
            },
            shard: key.map(|key| key.shard),
            queue: VecDeque::new(),
            most: most.max(1),
            lost: 0,
            told: false,
        };
        self.add_feed(feed, |_| Ok(()))
    }

    /// Subscribes to a channel of this namespace from now on, or to all that start with `channel`; else as `watch`.
    ///
    /// # Errors
    /// A channel that cannot be a key, but the empty prefix; `Busy`, `NoSpace`, `Detached`.
    pub fn subscribe(&self, channel: &[u8], is_prefix: bool, most: usize, listener: u64) -> Result<u64, CacheError> {
        self.check_attached()?;
        let namespace = self.namespace();
        let key = Key::new(self.geometry(), namespace, channel)?;
        let feed = Feed {
            listener,
            namespace,
            wanted: Wanted::Messages { name: channel.to_vec(), is_prefix },
            shard: (!is_prefix).then_some(key.shard),
            queue: VecDeque::new(),
            most: most.max(1),
            lost: 0,
            told: false,
        };
        let name = Name { namespace, is_prefix, bytes: channel };
        // Noted when the cursors are set: who is counted gets the message.
        self.add_feed(feed, |core| core.note_subscription(&name, self.write_timeout()))
    }

    fn add_feed(&self, feed: Feed, register: impl FnOnce(&Core) -> Result<(), CacheError>) -> Result<u64, CacheError> {
        let stream = feed.stream();
        let mut table = self.feeds.table();
        let was_idle = table.feeds.is_empty();
        // What is older is for those who were here before.
        let told = table.look(self, |_| true);
        if table.counts[stream as usize] == 0 {
            table.begin(self, stream);
        }
        let added = register(self).map(|()| table.add(self, feed));
        if added.is_err() && table.counts[stream as usize] == 0 {
            table.cursors[stream as usize] = Vec::new();
        }
        drop(table);
        tell(self, told);
        if was_idle {
            self.segment.member().ring_own(); // it sleeps for longer while there is nobody
        }
        added
    }

    /// Publishes a message on a channel of this namespace: writes it for all who subscribe to it, and returns how many
    /// subscriptions of living processes that are. With none, nothing is written.
    ///
    /// # Errors
    /// A channel that cannot be a key; `MessageTooLarge`, `Busy`, `Detached`.
    pub fn publish(&self, channel: &[u8], kind: u8, value: &[u8]) -> Result<u32, CacheError> {
        self.check_attached()?;
        let namespace = self.namespace();
        let key = Key::new(self.geometry(), namespace, channel)?;
        let frame = Frame {
            what: What::Message,
            binary_key: false,
            namespace,
            version: value.len() as u64 | u64::from(kind) << 32,
            life: 0,
            tags: 0,
            key_len: channel.len(),
            value_len: value.len(),
        };
        let limit = self.shard(key.shard).ring(Stream::Messages).most() * 8;
        let needed = frame.words() * 8;
        if needed > limit {
            return Err(CacheError::MessageTooLarge { needed, limit });
        }
        let audience = self.audience(namespace, channel);
        if audience.count == 0 {
            return Ok(0);
        }
        self.try_change((key.shard, ROOT), self.write_timeout(), |locked| {
            if let Some(mut message) = locked.shard.ring(Stream::Messages).begin(&frame) {
                message.put_bytes(channel);
                message.put_bytes(value);
                message.finish(true);
            }
            Ok(())
        })?;
        self.segment.member().ring_slots(&audience.slots, key.shard);
        Ok(audience.count)
    }
}

impl Core {
    fn life_now(&self, namespace: u16) -> u64 {
        namespaces::life(self.segment.region(), self.root_epoch(), namespace)
    }

    /// Takes what is there for a feed, in its order, `most` at most. When it is less, its listener will be told of the next.
    pub fn take_fed(&self, id: u64, most: usize) -> Vec<FeedItem> {
        let mut table = self.feeds.table();
        let Some(feed) = table.feeds.get_mut(&id) else { return Vec::new() };
        let mut items: Vec<FeedItem> = feed.queue.drain(..most.min(feed.queue.len())).collect();
        if items.len() < most {
            if feed.lost != 0 && feed.stream() == Stream::Changes {
                let lost = std::mem::take(&mut feed.lost);
                items.push(FeedItem { lost, ..FeedItem::about_all(What::Invalidate) });
            }
            feed.told = false;
        }
        items
    }

    /// Ends a watch or a subscription.
    pub fn end_feed(&self, id: u64) {
        self.feeds.table().remove(self, id);
    }

    /// Ends all of a listener.
    pub(crate) fn end_feeds_of(&self, listener: u64) {
        let mut table = self.feeds.table();
        let own: Vec<u64> =
            table.feeds.iter().filter(|(_, feed)| feed.listener == listener).map(|(id, _)| *id).collect();
        for id in own {
            table.remove(self, id);
        }
    }

    /// After the epochs changed: whoever watches looks at them.
    pub(crate) fn ring_for_clear(&self) {
        bell::after_publish();
        let member = self.segment.member();
        if member.is_watched() {
            member.ring_watchers(0);
        }
    }

    /// After tags were invalidated: tells all who watch. Where that cannot be done in time, they hear that something was lost.
    pub(crate) fn tell_invalidated(&self, namespace: u16, tags: &[u64], timeout: Duration) {
        bell::after_publish();
        let member = self.segment.member();
        if !member.is_watched() {
            return;
        }
        match self.lock(0, ROOT, timeout) {
            Ok(mut locked) => locked.append_invalidation(namespace, tags),
            Err(_) => {
                self.note_untold();
                member.ring_watchers(0);
            }
        }
    }
}

impl Locked<'_> {
    /// After a publish and the full fence: tells what became of an entry, if anybody watches.
    #[inline]
    pub(crate) fn tell(&mut self, what: What, head: &Head) {
        if self.core.segment.member().is_watched() && !is_record(head.namespace) {
            self.append_change(what, head);
        }
    }

    #[cold]
    fn append_change(&mut self, what: What, head: &Head) {
        let tagged = head.flags & TAGGED != 0 && head.has_sound_extras();
        let stale = usize::from(head.flags & crate::entry::STALE != 0);
        let frame = Frame {
            what,
            binary_key: head.flags & BINARY_KEY != 0,
            namespace: head.namespace,
            version: head.version,
            life: head.life,
            tags: if tagged { head.extras - stale - 1 } else { 0 },
            key_len: head.key_len.min(MAX_KEY),
            value_len: 0,
        };
        let Some(mut message) = self.shard.ring(Stream::Changes).begin(&frame) else { return };
        let mut words = 0;
        let mut written = Ok(());
        if tagged {
            written = head.each_tag(self.shard, |word| {
                if words > 0 {
                    message.put(word); // the first is the clock
                }
                words += 1;
            });
        }
        let whole: Result<(), Damaged> = written.and_then(|()| {
            pieces(self.shard, head, head.key_at(), frame.key_len, |offset, len| message.put_from(offset, len))
        });
        message.finish(whole.is_ok());
        self.told = true;
    }

    fn append_invalidation(&mut self, namespace: u16, tags: &[u64]) {
        let frame = Frame {
            what: What::Invalidate,
            binary_key: false,
            namespace,
            version: 0,
            life: self.life_of(namespace),
            tags: tags.len(),
            key_len: 0,
            value_len: 0,
        };
        // More tags than an entry can have need not fit: then it is about all of them.
        let ring = self.shard.ring(Stream::Changes);
        let fits = tags.len() <= usize::from(u16::MAX) && frame.words() <= ring.most();
        let frame = if fits { frame } else { Frame { tags: 0, namespace: ANY_NAMESPACE, ..frame } };
        let Some(mut message) = ring.begin(&frame) else { return };
        for tag in tags.iter().take(frame.tags) {
            message.put(*tag);
        }
        message.finish(true);
        self.told = true;
    }
}
