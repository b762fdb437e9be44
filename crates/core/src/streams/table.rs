//! All watches and subscriptions of one process, and the cursors of the rings.

use crate::attachment::attached::Attachment;
use crate::layout::geometry::Geometry;
use crate::layout::keyspaces::number;
use crate::layout::messages::{ANY_NAMESPACE, RingKind, What};
use crate::layout::namespaces::is_same;
use crate::shard::ring::{Batch, Cursor, Ring};
use crate::streams::items::{Owned, StreamItem};
use crate::streams::open_stream::{OpenStream, Wanted};
use crate::tables::subscriptions::Name;
use cache_machine_shm::ending::is_later;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// A watched namespace.
struct WatchedNamespace {
    life: u64,
    watchers: usize,
    /// Messages of a later life than the known one.
    later: Vec<Owned>,
}

#[derive(Default)]
pub(crate) struct Table {
    last_id: u64,
    pub(crate) streams: BTreeMap<u64, OpenStream>,
    /// Streams of exactly one key or channel, by its hash.
    exact: HashMap<u64, BTreeSet<u64>>,
    /// All others, by `RingKind`.
    others: [BTreeSet<u64>; 2],
    by_listener: HashMap<u64, BTreeSet<u64>>,
    /// Number of streams, by `RingKind`.
    pub(crate) counts: [usize; 2],
    /// Cursor of each shard's ring, by `RingKind`; empty while no stream reads that kind.
    pub(crate) cursors: [Vec<Cursor>; 2],
    /// The area with the rings of the cursors.
    area: u8,
    namespaces_watched: BTreeMap<u16, WatchedNamespace>,
    unwritten: u64,
    bytes: Vec<u8>,
}

/// Per listener: its streams with new items.
pub(crate) type Due = BTreeMap<u64, Vec<u64>>;

/// Hash of the names in `Table::exact`. Only this process uses it.
fn exact_hash(kind: RingKind, namespace: u16, name: &[u8]) -> u64 {
    xxh3_64_with_seed(name, u64::from(namespace) << 1 | kind as u64)
}

impl Table {
    pub(crate) fn add(&mut self, attachment: &Attachment, stream: OpenStream) -> u64 {
        let kind = stream.ring_kind();
        self.last_id += 1;
        let id = self.last_id;
        self.counts[kind as usize] += 1;
        if let Wanted::Changes { .. } = stream.wanted {
            let life = attachment.life_now(stream.namespace);
            let space = self.namespaces_watched.entry(stream.namespace).or_insert(WatchedNamespace {
                life,
                watchers: 0,
                later: Vec::new(),
            });
            space.watchers += 1;
        }
        self.index(&stream).insert(id);
        self.by_listener.entry(stream.listener).or_default().insert(id);
        self.streams.insert(id, stream);
        id
    }

    /// The set that contains a stream.
    fn index(&mut self, stream: &OpenStream) -> &mut BTreeSet<u64> {
        let name = match &stream.wanted {
            Wanted::Changes { key: Some(key), .. } => key,
            Wanted::Messages { name, is_prefix: false } => name,
            _ => return &mut self.others[stream.ring_kind() as usize],
        };
        self.exact.entry(exact_hash(stream.ring_kind(), stream.namespace, name)).or_default()
    }

    /// The streams of a listener.
    pub(crate) fn of(&self, listener: u64) -> Vec<u64> {
        self.by_listener.get(&listener).into_iter().flatten().copied().collect()
    }

    pub(crate) fn remove(&mut self, attachment: &Attachment, id: u64) {
        let Some(stream) = self.streams.remove(&id) else { return };
        let kind = stream.ring_kind();
        self.index(&stream).remove(&id);
        if let Some(own) = self.by_listener.get_mut(&stream.listener) {
            own.remove(&id);
            if own.is_empty() {
                self.by_listener.remove(&stream.listener);
            }
        }
        self.exact.retain_if_empty(&stream);
        self.counts[kind as usize] -= 1;
        match &stream.wanted {
            Wanted::Changes { .. } => {
                if let Some(space) = self.namespaces_watched.get_mut(&stream.namespace) {
                    space.watchers -= 1;
                    if space.watchers == 0 {
                        self.namespaces_watched.remove(&stream.namespace);
                    }
                }
            }
            Wanted::Messages { name, is_prefix } => {
                attachment.forget_subscription(&Name {
                    namespace: stream.namespace,
                    is_prefix: *is_prefix,
                    bytes: name,
                });
            }
        }
        if self.counts[kind as usize] == 0 {
            if kind == RingKind::Changes {
                attachment.segment.member().unwatch();
            }
            self.cursors[kind as usize] = Vec::new();
        }
        if self.streams.is_empty() {
            self.bytes = Vec::new();
        }
    }

    /// Begins to read the rings of a kind that had no stream.
    pub(crate) fn begin(&mut self, attachment: &Attachment, kind: RingKind) {
        if kind == RingKind::Changes {
            // The mark comes before the cursors: a change that is not in the rings before the cursors enters them after
            // the mark.
            attachment.segment.member().watch();
            self.unwritten = attachment.unwritten();
        }
        self.cursors[kind as usize] = attachment.shards().map(|shard| shard.ring(kind).now()).collect();
        self.area = attachment.geometry().area;
    }

    /// Whether something is still to be read in the rings of an earlier area than that of the attachment.
    pub(crate) fn is_behind(&self, attachment: &Attachment) -> bool {
        self.area != attachment.geometry().area && self.cursors.iter().any(|cursors| !cursors.is_empty())
    }

    /// Reads the rings of the earlier area to their ends, which stand still, and begins with those of this one.
    fn follow_area(&mut self, attachment: &Attachment, due: &mut Due) {
        let left = attachment.before.as_deref().filter(|before| before.geometry().area == self.area);
        for kind in [RingKind::Changes, RingKind::Messages] {
            if self.cursors[kind as usize].is_empty() {
                continue;
            }
            match left {
                Some(left) => {
                    for shard in 0..self.cursors[kind as usize].len() {
                        self.read_ring(left, kind, shard, due);
                    }
                }
                None => self.lose(kind, None, 1, due),
            }
            // A new ring begins at 0: everything in it is new.
            self.cursors[kind as usize] = vec![Cursor::default(); attachment.geometry().shards];
        }
        self.area = attachment.geometry().area;
    }

    /// Hands out the items of the rings of the shards that `woken` picks.
    pub(crate) fn read_rings(&mut self, attachment: &Attachment, woken: impl Fn(usize) -> bool) -> Due {
        let mut due = Due::new();
        let has_moved = self.is_behind(attachment);
        if has_moved {
            self.follow_area(attachment, &mut due);
        }
        for kind in [RingKind::Changes, RingKind::Messages] {
            let woken = |shard: usize| has_moved || woken(shard);
            for shard in (0..self.cursors[kind as usize].len()).filter(|shard| woken(*shard)) {
                self.read_ring(attachment, kind, shard, &mut due);
            }
        }
        self.follow_lives(attachment, &mut due);
        let unwritten = attachment.unwritten();
        let missed = unwritten.wrapping_sub(std::mem::replace(&mut self.unwritten, unwritten));
        if missed != 0 && self.counts[RingKind::Changes as usize] != 0 {
            // A counter that decreased was overwritten by damage: it counts as one.
            let missed = if missed > u64::MAX / 2 { 1 } else { missed };
            self.lose(RingKind::Changes, None, missed, &mut due);
        }
        due
    }

    fn read_ring(&mut self, attachment: &Attachment, kind: RingKind, shard: usize, due: &mut Due) {
        let mut bytes = std::mem::take(&mut self.bytes);
        let ring = Ring::of(attachment.region(), attachment.geometry(), shard, kind);
        if let Some(batch) = ring.read(&mut self.cursors[kind as usize][shard], &mut bytes) {
            self.hand_out(kind, (attachment.geometry(), shard), &batch, due);
        }
        self.bytes = bytes;
    }

    fn hand_out(&mut self, kind: RingKind, shard: (&Geometry, usize), batch: &Batch<'_>, due: &mut Due) {
        if batch.lost != 0 {
            self.lose(kind, Some(shard), batch.lost, due);
        }
        for message in batch.messages() {
            if message.what == What::Message || message.namespace == ANY_NAMESPACE {
                self.deliver(&Owned::of(&message), due);
                continue;
            }
            // An invalidation is about all versions of its namespace, which have one life. The first one that is watched keeps
            // those of a later life.
            let is_about = |watched: &u16| match message.what {
                What::Invalidate => number(*watched) == message.namespace,
                _ => *watched == message.namespace,
            };
            let watched = self.namespaces_watched.iter_mut().find(|(watched, _)| is_about(watched));
            let Some((_, space)) = watched else { continue };
            if is_same(message.life, space.life) {
                self.deliver(&Owned::of(&message), due);
            } else if is_later(message.life, space.life) {
                space.later.push(Owned::of(&message));
            }
            // Otherwise a clear has ended the entry, and the streams have that clear already.
        }
    }

    /// Hands out clears, then the messages after them.
    fn follow_lives(&mut self, attachment: &Attachment, due: &mut Due) {
        let namespaces_watched: Vec<u16> = self.namespaces_watched.keys().copied().collect();
        let mut ready = Vec::new();
        for namespace in namespaces_watched {
            let Some(space) = self.namespaces_watched.get_mut(&namespace) else { continue };
            let life = attachment.life_now(namespace);
            if is_same(life, space.life) {
                continue;
            }
            space.life = life;
            let later = std::mem::take(&mut space.later);
            let cleared =
                |stream: &OpenStream| stream.namespace == namespace && stream.ring_kind() == RingKind::Changes;
            self.each(due, cleared, |stream| stream.push(StreamItem::about_all(What::Clear)));
            ready.extend(later.into_iter().filter(|message| is_same(message.frame.life, life)));
        }
        for message in &ready {
            self.deliver(message, due);
        }
    }

    fn deliver(&mut self, message: &Owned, due: &mut Due) {
        if message.what == What::Invalidate {
            return self.each(
                due,
                |stream| stream.wants(message).is_some(),
                |stream| {
                    let tags = stream.wants(message).unwrap_or_default();
                    let lost = u64::from(message.frame.namespace == ANY_NAMESPACE);
                    stream.lost = stream.lost.saturating_add(lost);
                    stream.push(StreamItem { tags, ..StreamItem::about_all(What::Invalidate) });
                },
            );
        }
        let kind = if message.what == What::Message { RingKind::Messages } else { RingKind::Changes };
        let exact = self.exact.get(&exact_hash(kind, message.frame.namespace, &message.key));
        let ids: Vec<u64> = exact.into_iter().flatten().chain(&self.others[kind as usize]).copied().collect();
        for id in ids {
            let Some(stream) = self.streams.get_mut(&id) else { continue };
            if let Some(tags) = stream.wants(message) {
                stream.push(StreamItem { tags, ..message.item() });
                note(due, id, stream);
            }
        }
    }

    /// Adds `lost` to the lost items of all streams that read this shard's ring; `None`: any ring of this kind.
    fn lose(&mut self, kind: RingKind, shard: Option<(&Geometry, usize)>, lost: u64, due: &mut Due) {
        let concerned = |stream: &OpenStream| {
            let reads = |(geometry, shard): (&Geometry, usize)| {
                stream.upper.is_none_or(|upper| geometry.shard_of(upper) == shard)
            };
            stream.ring_kind() == kind && shard.is_none_or(reads)
        };
        self.each(due, concerned, |stream| stream.lost = stream.lost.saturating_add(lost));
    }

    fn each(&mut self, due: &mut Due, which: impl Fn(&OpenStream) -> bool, mut run: impl FnMut(&mut OpenStream)) {
        for (id, stream) in self.streams.iter_mut().filter(|(_, stream)| which(stream)) {
            run(stream);
            note(due, *id, stream);
        }
    }
}

/// Adds a stream to `due`, unless its listener was notified already.
fn note(due: &mut Due, id: u64, stream: &mut OpenStream) {
    // A lost message shows with the next one; a lost change shows at once.
    let has_something = !stream.queue.is_empty() || (stream.lost != 0 && stream.ring_kind() == RingKind::Changes);
    if has_something && !std::mem::replace(&mut stream.notified, true) {
        due.entry(stream.listener).or_default().push(id);
    }
}

trait RetainIfEmpty {
    fn retain_if_empty(&mut self, stream: &OpenStream);
}

impl RetainIfEmpty for HashMap<u64, BTreeSet<u64>> {
    /// Removes the set that contained a stream if the set is empty.
    fn retain_if_empty(&mut self, stream: &OpenStream) {
        let (Wanted::Changes { key: Some(name), .. } | Wanted::Messages { name, is_prefix: false }) = &stream.wanted
        else {
            return;
        };
        let hash = exact_hash(stream.ring_kind(), stream.namespace, name);
        if self.get(&hash).is_some_and(BTreeSet::is_empty) {
            self.remove(&hash);
        }
    }
}
