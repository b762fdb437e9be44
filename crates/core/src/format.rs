//! The tables of docs/segment-format.md, made from the constants and types that the code uses.
//!
//! Promise: a field that moves in the code moves in its table. The tests show that the fields of a block do not overlap
//! and stay inside it. `cargo run -p cache-machine-core --example segment_format` prints the tables.
//!
//! The bits of a head are not constants. Each field is stored alone, by `Head::store` or `Node::store`, and the bits
//! that it sets are its place.
//!
//! Size: the file has one function for each block of the format. Most lines are rows of tables.

use crate::attachment::locks::HeaderTable;
use crate::kind;
use crate::layout::areas::{AREA_BYTES, AREAS, RELEASED, RELEASED_AT};
use crate::layout::control::{CLAIMED, ClassWord, Count, EvictionQueue, Field, Tally};
use crate::layout::entry::{
    ASCII, BINARY_KEY, CHAINED, Head, INVALID, Node, OUTDATED, RUNS_PER_EXTENT, Run, STALE, TAGGED,
};
use crate::layout::geometry::{
    CLASSES_USED, CONTROL_BYTES, Eviction, GHOST_WAYS, Geometry, JUDGE_SHARD, JUDGE_SINCE, LOCK_WAIT_BUCKETS,
    LOCK_WAITED, LOCK_WAITS, MAX_CLASSES, MAX_NAMESPACES, NAME_BYTES, NAMES_LOCK, NAMES_USED, QUOTA_RECORD,
    READ_STRIPES, SUBSCRIPTIONS_AT, SWEEP_TURN, TAG_CLOCK, TAG_RECORD, TAGS_LOCK, TAGS_USED, UNIT, WORDS_PER_LINE,
};
use crate::layout::key::Placing;
use crate::layout::keyspaces::Keyspace;
use crate::layout::messages::{FRAME, RingKind, What};
use crate::layout::namespaces::{MAX_NAME, Read};
use crate::layout::quotas;
use crate::layout::sizes::{MAX_KEY, RING_CONTROL, SUBSCRIPTION_RECORD, SUBSCRIPTION_RECORDS, SUBSCRIPTIONS_BYTES};
use crate::layout::tags;
use crate::records::flight_board as flights;
use crate::records::permit_table as permits;
use crate::regions;
use crate::shard::ring;
use crate::tables::subscriptions;
use cache_machine_shm::atomic::{AtomicU64, Ordering};
use cache_machine_shm::ending::AREA_BITS;
use cache_machine_shm::lock::{GENERATION_BITS, WAITERS};
use cache_machine_shm::{
    BELL_STRIPES, CREATOR, HEADER_BYTES, Header, LEASES, PROCESS_SLOTS, ProcessCounter, ProcessTable, SLOT_BYTES,
    SLOT_GROUPS, State,
};
use std::fmt::Write;

/// The unit in which a table counts places.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Bytes,
    /// Bits of 64-bit words.
    Bits,
    /// 64-bit words.
    Words,
    /// The numbers that one field can have, instead of places.
    Numbers,
}

/// A field of a block.
struct Row {
    at: u64,
    size: u64,
    name: String,
    meaning: &'static str,
}

/// A block of fields.
struct Table {
    title: &'static str,
    unit: Unit,
    /// Offset at which the block begins.
    start: u64,
    /// Size of the block.
    size: u64,
    rows: Vec<Row>,
}

fn row(at: usize, size: usize, name: &str, meaning: &'static str) -> Row {
    Row { at: at as u64, size: size as u64, name: name.to_owned(), meaning }
}

fn table(title: &'static str, unit: Unit, size: usize, rows: Vec<Row>) -> Table {
    Table { title, unit, start: 0, size: size as u64, rows }
}

/// A row for each variant of an enum; the number of a variant is its place. A missing variant does not compile.
macro_rules! variants {
    ($enum:ident, $size:expr, $base:expr, { $($variant:ident => $meaning:expr),+ $(,)? }) => {{
        let _all = |variant: $enum| match variant { $($enum::$variant => ()),+ };
        vec![$(row($base + $enum::$variant as usize, $size, stringify!($variant), $meaning)),+]
    }};
}

/// All tables, as Markdown.
#[doc(hidden)]
pub fn format_tables() -> String {
    let mut out = String::new();
    for table in tables() {
        check(&table);
        render(&table, &mut out);
    }
    render_sizes(&mut out);
    out
}

fn tables() -> Vec<Table> {
    let mut all = vec![segment_table(&default_geometry()), byte_locks(), header(), root_epoch(), area()];
    all.extend([states(), lock_word()]);
    all.extend([process_table(), process_slot()]);
    all.extend([namespace_tables(), reads_table(), quota_record(), tag_record()]);
    all.extend([subscription_table(), subscription_record()]);
    all.extend([shard_table(&default_geometry()), control_block(), tally_table(), class_table()]);
    all.extend([index_line(), index_word()]);
    all.extend([head(), extent(), flags(), kinds(), namespace_number(), keyspaces()]);
    all.extend([ring_control(), message(), message_kinds()]);
    all.extend([permit_holder(), permit_ticket(), flight_record(), flight_outcome()]);
    all.extend([region_header()]);
    all
}

fn in_order(table: &Table) -> Vec<&Row> {
    let mut rows: Vec<&Row> = table.rows.iter().collect();
    rows.sort_by_key(|row| row.at);
    rows
}

/// Panics where fields overlap or leave their block.
fn check(table: &Table) {
    let mut end = table.start;
    for row in in_order(table) {
        assert!(row.size > 0 && row.at >= end, "{}: {} begins before {end}", table.title, row.name);
        end = row.at + row.size;
    }
    assert!(end <= table.start + table.size, "{} ends at {end}", table.title);
}

/// The geometry of the default segment.
fn default_geometry() -> Geometry {
    plan(64 << 20)
}

fn plan(bytes: usize) -> Geometry {
    Geometry::plan(bytes, None, Eviction::S3Fifo, 0).expect("the size is possible")
}

fn segment_table(geometry: &Geometry) -> Table {
    let meta = geometry.meta(0);
    let rows = vec![
        row(0, HEADER_BYTES, "header", "see the tables below"),
        row(HEADER_BYTES, ProcessTable::BYTES, "process table", "slots and marks"),
        row(Geometry::name(0), MAX_NAMESPACES * NAME_BYTES, "names", "one per namespace"),
        row(Geometry::namespace_epoch(0), MAX_NAMESPACES * 4, "epochs", "u32 per namespace"),
        row(Geometry::reads(0, 0), READ_STRIPES * MAX_NAMESPACES * reads_bytes(), "reads", "hits and misses"),
        row(Geometry::class_of(0), MAX_NAMESPACES, "classes", "u8 per namespace; 0: no quota"),
        row(Geometry::quota(0), MAX_CLASSES * QUOTA_RECORD, "quotas", "one per class"),
        row(SUBSCRIPTIONS_AT, SUBSCRIPTIONS_BYTES, "subscriptions", "to channels"),
        row(meta, geometry.level(0) - meta, "shards", "one block per shard"),
        row(geometry.level(0), geometry.shards, "levels", "u8 per shard"),
        row(geometry.tag_horizon(), 8, "tag horizon", "records up to it may be gone"),
        row(geometry.tag_head(0), geometry.tag_records * 4, "tag chains", "u32 per record: first record + 1"),
        row(geometry.tag_record(0), geometry.tag_records * TAG_RECORD, "tag records", "a ring"),
        row(geometry.space(0), geometry.shards * geometry.units * UNIT, "space", "units, shard by shard"),
    ];
    table("A segment of 64 MiB", Unit::Bytes, geometry.len, rows)
}

fn shard_table(geometry: &Geometry) -> Table {
    let meta = geometry.meta(0);
    let (changes, change_words) = geometry.ring(0, RingKind::Changes);
    let (messages, message_words) = geometry.ring(0, RingKind::Messages);
    let (lines, bitmap, ghosts) = (geometry.lines_offset(0), geometry.bitmap_offset(0), geometry.ghost_offset(0));
    let rows = vec![
        row(0, CONTROL_BYTES, "control block", "lock, sequence, counts"),
        row(CONTROL_BYTES, lines - meta - CONTROL_BYTES, "journal", "notes of the change under way"),
        row(lines - meta, geometry.lines() * LINE, "index lines", "main lines, then overflow lines"),
        row(bitmap - meta, geometry.units.div_ceil(64) * 8, "bitmap", "one bit per unit: in use"),
        row(ghosts - meta, geometry.ghost_sets * GHOST_WAYS * 4, "ghosts", "sets of 8 u32: hash, age"),
        row(geometry.tally(0, 0) - meta, MAX_NAMESPACES * tally_bytes(geometry), "tallies", "one per namespace"),
        row(geometry.class(0, 0) - meta, MAX_CLASSES * class_bytes(geometry), "classes", "queues of each class"),
        row(changes - meta, RING_CONTROL + change_words * 8, "ring of changes", "control block, words"),
        row(messages - meta, RING_CONTROL + message_words * 8, "ring of messages", "control block, words"),
    ];
    let size = (geometry.level(0) - meta) / geometry.shards;
    table("A shard of a 64 MiB segment", Unit::Bytes, size, rows)
}

fn reads_bytes() -> usize {
    Geometry::reads(1, 0) - Geometry::reads(0, 0)
}

fn tally_bytes(geometry: &Geometry) -> usize {
    geometry.tally(0, 1) - geometry.tally(0, 0)
}

fn class_bytes(geometry: &Geometry) -> usize {
    geometry.class(0, 1) - geometry.class(0, 0)
}

fn byte_locks() -> Table {
    let at = |offset: i64| (offset - LEASES) as usize;
    let rows = vec![
        row(at(LEASES), PROCESS_SLOTS, "leases", "one byte per process slot"),
        row(at(CREATOR), 1, "creator", "the process that makes a private file"),
    ];
    table("Byte locks, counted from 2^40", Unit::Bytes, at(CREATOR) + 1, rows)
}

fn header() -> Table {
    let inputs = ["eviction", "seed"];
    let mut rows = vec![
        row(Header::MAGIC, 8, "magic", "\"cachemc\", 1"),
        row(Header::LAYOUT, 4, "layout", "layout version, u32"),
        row(Header::STATE, 4, "state", "see the states"),
        row(Header::FINGERPRINT, 8, "fingerprint", "hash of the sizes of the layout"),
        row(Header::NONCE, 8, "nonce", "random, of this segment"),
        row(Header::LEN, 8, "length", "bytes of the file"),
        row(Header::CREATED, 8, "created", "milliseconds since boot"),
        row(Header::BOOT, 16, "boot", "boot id, u128; 0: not known"),
        row(Header::EPOCH, 4, "root epoch", "clears, and the present area"),
        row(Header::SLOTS_USED, 4, "slots used", "highest slot ever taken, plus 1"),
        row(Header::MANUAL_CLOCK, 8, "manual clock", "milliseconds; 0: the boot clock"),
        row(Header::KEPT, 8, "kept items", "items of queues, or more; 0: the file may go"),
    ];
    let meanings = ["0 S3-FIFO, 1 CLOCK, 2 none", "seed of all hashes"];
    for (index, (name, meaning)) in inputs.into_iter().zip(meanings).enumerate() {
        rows.push(row(Header::CACHE + index * 8, 8, name, meaning));
    }
    rows.extend([
        row(NAMES_LOCK, 4, "namespace lock", "lock word"),
        row(NAMES_USED, 4, "namespaces used", "the root included"),
        acquisitions(HeaderTable::Namespaces),
        row(CLASSES_USED, 4, "classes used", "the last class in use; 0: no quota"),
        row(TAGS_LOCK, 4, "tag lock", "lock word"),
        acquisitions(HeaderTable::Tags),
        row(TAGS_USED, 8, "tag records used", "so far, each use counted"),
        row(JUDGE_SINCE, 8, "judged since", "records used at the start of the turn"),
        row(JUDGE_SHARD, 4, "judged shard", "has its turn to be judged"),
        row(TAG_CLOCK, 8, "tag clock", "odd: an invalidation is not finished"),
        row(LOCK_WAITS, LOCK_WAIT_BUCKETS * 8, "lock waits", "24 counts: below 1 µs, 2 µs, 4 µs …"),
        row(LOCK_WAITED, 8, "lock waited", "sum of these waits in nanoseconds"),
        row(SWEEP_TURN, 4, "sweeps", "ticks of sweepers so far"),
        row(SWEEP_TURN + 4, 4, "sweeper", "lock word of the sweeper; 0: none"),
        row(AREAS, AREA_BYTES, "even area", "place of areas with an even number"),
        row(AREAS + AREA_BYTES, AREA_BYTES, "odd area", "place of areas with an odd number"),
        row(RELEASED, 4, "released", "the only area of the file; 256: perhaps others"),
        row(RELEASED_AT, 8, "released at", "milliseconds since boot; 0: never"),
    ]);
    table("Header", Unit::Bytes, HEADER_BYTES, rows)
}

fn root_epoch() -> Table {
    let rows = vec![
        row(0, AREA_BITS.trailing_zeros() as usize, "clears", "of the whole segment; destroy adds 1"),
        row(AREA_BITS.trailing_zeros() as usize, AREA_BITS.count_ones() as usize, "area", "number of the present area"),
    ];
    table("Root epoch (u32)", Unit::Bits, 32, rows)
}

fn area() -> Table {
    let rows = vec![
        row(0, 8, "base", "offset of its first shard"),
        row(8, 8, "length", "bytes of a segment that was made like this"),
        row(16, 8, "shards", "number of shards"),
        row(24, 8, "maximum entry", "bytes of key and value"),
        row(32, 8, "number", "of the area"),
    ];
    table("Area", Unit::Bytes, AREA_BYTES, rows)
}

fn acquisitions(table: HeaderTable) -> Row {
    row(table.offsets().1, 4, "acquisitions", "of the lock before")
}

fn states() -> Table {
    let rows = variants!(State, 1, 0, {
        Building => "has no name yet",
        Ready => "in use",
        Destroyed => "given up; handles leave it",
    });
    table("States of a segment", Unit::Numbers, 3, rows)
}

fn lock_word() -> Table {
    let slot_bits = WAITERS.trailing_zeros() - GENERATION_BITS;
    let (generation, waiters) = (GENERATION_BITS as usize, WAITERS.trailing_zeros() as usize);
    let rows = vec![
        row(0, generation, "generation", "of the owner's slot; 0: suspect"),
        row(generation, slot_bits as usize, "slot", "process slot of the owner"),
        row(waiters, 1, "waiters", "a waiter may sleep on the word"),
    ];
    table("Lock word (u32; 0: free)", Unit::Bits, 32, rows)
}

fn process_table() -> Table {
    let rows = vec![
        row(0, PROCESS_SLOTS * SLOT_BYTES, "slots", "2,048 slots of 128 bytes"),
        row(ProcessTable::MARKS, SLOT_GROUPS * BELL_STRIPES * 8, "marks", "per group of 64 slots: u64 per stripe"),
        row(ProcessTable::WATCH_MARKS, SLOT_GROUPS * 8, "watch marks", "u64 per group: watches all changes"),
    ];
    table("Process table", Unit::Bytes, ProcessTable::BYTES, rows)
}

fn process_slot() -> Table {
    let mut rows = vec![
        row(ProcessTable::GENERATION, 4, "generation", "of the slot's owner, 20 bits"),
        row(ProcessTable::BELL, 4, "bell", "futex word"),
        row(ProcessTable::PID, 4, "pid", "shown, and asked whether it is suspended"),
        row(ProcessTable::PID_NAMESPACE, 4, "PID namespace", "lower half of its number; 0: not known"),
        row(ProcessTable::ATTACHED, 8, "attached at", "milliseconds since boot"),
        row(ProcessTable::STARTED, 8, "started at", "clock ticks since boot; 0: not known"),
        row(ProcessTable::CHANGED_STRIPES, BELL_STRIPES / 8, "changed stripes", "one bit per stripe"),
    ];
    rows.extend(
        [
            ProcessCounter::Hits,
            ProcessCounter::Misses,
            ProcessCounter::LockWaits,
            ProcessCounter::Busy,
            ProcessCounter::Retries,
        ]
        .map(|counter| {
            let meaning = match counter {
                ProcessCounter::Hits => "reads that found a value",
                ProcessCounter::Misses => "reads that found none",
                ProcessCounter::LockWaits => "sleeps on a lock",
                ProcessCounter::Busy => "writes that failed as busy",
                ProcessCounter::Retries => "reads that restarted",
            };
            row(ProcessTable::COUNTERS + counter as usize * 8, 8, &format!("{counter:?}"), meaning)
        }),
    );
    rows.push(row(ProcessTable::VERSION, 8, "version", "u16: patch, minor, major"));
    rows.push(row(ProcessTable::AREA, 4, "area", "oldest area that the process may use"));
    rows.push(row(ProcessTable::CHANGED_RINGS, 8, "changed rings", "bit: shard % 64"));
    table("Process slot", Unit::Bytes, SLOT_BYTES, rows)
}

fn namespace_tables() -> Table {
    let rows = vec![
        row(0, 1, "length", "0: the place is free, the table ends"),
        row(1, MAX_NAME, "text", "UTF-8, zeros behind it"),
    ];
    table("Name of a namespace", Unit::Bytes, NAME_BYTES, rows)
}

fn reads_table() -> Table {
    let rows = variants!(Read, 8, 0, { Hit => "reads that found a value", Miss => "reads that found none" });
    table("Reads of a namespace (one of 4 places, by process slot)", Unit::Bytes, reads_bytes(), rows)
}

fn quota_record() -> Table {
    let rows = vec![
        row(quotas::OWNER, 2, "namespace", "its number; 0: free"),
        row(quotas::OWNER + 2, 1, "eviction", "0: as the segment; 1 S3-FIFO, 2 CLOCK, 3 none"),
        row(quotas::RESERVE, 8, "reserve", "units that others cannot take"),
        row(quotas::SIZE, 8, "size", "maximum units; 0: no maximum"),
    ];
    table("Quota of a class", Unit::Bytes, QUOTA_RECORD, rows)
}

fn class_table() -> Table {
    let rows = variants!(ClassWord, 4, 0, {
        SmallNewest => "small queue: newest head",
        SmallOldest => "small queue: oldest head",
        SmallUnits => "small queue: units",
        MainNewest => "main queue: newest head",
        MainOldest => "main queue: oldest head",
        MainUnits => "main queue: units",
        FilledTo => "units when room was needed last; 0: never",
        EvictedForSize => "evicted at the maximum, u64",
    });
    table("Queues of a class in a shard", Unit::Bytes, class_bytes(&default_geometry()), rows)
}

fn tag_record() -> Table {
    let rows = vec![
        row(tags::HASH, 8, "hash", "of the tag; 0: free"),
        row(tags::REMOVED, 8, "removed", "tag clock of the last removal"),
        row(tags::OUTDATED, 8, "outdated", "tag clock of the last outdating"),
        row(tags::LINK, 4, "next", "older record of the chain + 1; 0: none"),
        row(tags::LINK + 4, 4, "uses", "how often the record was used"),
    ];
    table("Tag record", Unit::Bytes, TAG_RECORD, rows)
}

fn subscription_table() -> Table {
    let at = |offset: usize| offset - SUBSCRIPTIONS_AT;
    let records = SUBSCRIPTION_RECORDS * SUBSCRIPTION_RECORD;
    let rows = vec![
        row(at(subscriptions::LOCK), 4, "lock", "lock word"),
        row(at(HeaderTable::Subscriptions.offsets().1), 4, "acquisitions", "of the lock"),
        row(at(subscriptions::UNWRITTEN), 8, "unwritten", "changes that reached no ring"),
        row(at(subscriptions::REMOVED_SINCE), 4, "removed", "records removed, to reclaim at times"),
        row(at(subscriptions::LENGTHS), MAX_KEY / 8, "lengths", "bit: a prefix has this length"),
        row(at(subscriptions::RECORDS_AT), records, "records", "4,096 of 16 bytes, open addressing"),
    ];
    table("Subscriptions", Unit::Bytes, SUBSCRIPTIONS_BYTES, rows)
}

fn subscription_record() -> Table {
    let rows = vec![
        row(0, 8, "hash", "0: free; 1: removed"),
        row(8, 4, "owner", "lock word of the process"),
        row(12, 4, "count", "subscriptions of the process"),
    ];
    table("Subscription record", Unit::Bytes, SUBSCRIPTION_RECORD, rows)
}

fn control_block() -> Table {
    let mut rows = variants!(Field, 4, 0, {
        Lock => "lock word",
        Acquisitions => "acquisitions of the lock",
        CommitHome => "1 + the home of the transaction with intents here; 0: none",
        Reserved => "units that may be touched",
        Cursor => "where the search for units continues",
        Free => "free units among the reserved",
        TagLinesLeft => "lines left in the tag pass",
        Mortal => "entries with a deadline",
        SweepLine => "next line to sweep",
        Purge => "lines left to sweep after a clear",
        Writes => "writes, to sweep every few",
        WarmUnit => "first unit of the run freed last",
        WarmUnits => "its length",
        SmallNewest => "small queue: newest head",
        SmallOldest => "small queue: oldest head",
        SmallUnits => "small queue: units",
        MainNewest => "main queue: newest head",
        MainOldest => "main queue: oldest head",
        MainUnits => "main queue: units",
        GhostClock => "units that went through the ghosts",
        PinnedNewest => "pinned queue: newest head",
        PinnedOldest => "pinned queue: oldest head",
        PinnedUnits => "pinned queue: units",
        HasEvicted => "1: room had to be made",
        Words => "index words in use",
    });
    rows.extend(variants!(Count, 8, 0, {
        Sequence => "last version given, u64",
        Commit => "last transaction with this home: 2 × number + 1 if committed, u64",
        Transaction => "number of the transaction with intents here, u64",
        FirstEnd => "no entry ends earlier, u64",
        FirstEndOfPass => "the same for the lines swept, u64",
        Repairs => "rebuilds of the shard",
        Damaged => "index words dropped by rebuilds",
        LimitsEvicted => "limiter states evicted early",
        TagsJudged => "tag clock: no entry needs older records",
        TagsJudgedAt => "tag records used at that time",
        TagsPass => "tag clock at the start of the tag pass",
        TagsPassAt => "tag records used at that time",
        TagsUnjudged => "entries that could not be judged",
    }));
    table("Control block of a shard", Unit::Bytes, CONTROL_BYTES, rows)
}

/// The row of the units becomes two: those in use, and those claimed.
fn split_units(rows: &mut Vec<Row>) {
    let at = Tally::Units as usize;
    rows.retain(|row| row.at != at as u64);
    rows.push(row(at, 4, "Units", "units of the entries"));
    rows.push(row(at + CLAIMED, 4, "Claimed", "units that the maximum counts"));
}

fn tally_table() -> Table {
    let mut rows = variants!(Tally, 8, 0, {
        Life => "the life that is counted",
        Entries => "entries of that life",
        Sets => "values written",
        Deletes => "entries deleted",
        Evictions => "entries evicted",
        Expirations => "entries expired",
        Units => "see `split_units`",
        EvictedForOthers => "entries evicted for others",
    });
    split_units(&mut rows);
    table("Tally of a namespace in a shard", Unit::Bytes, tally_bytes(&default_geometry()), rows)
}

/// Bytes of an index line.
const LINE: usize = 64;
/// Offset of the use marks in a line.
const USE_MARKS: usize = WORDS_PER_LINE * 8;
/// Offset of the overflow count in a line.
const OVERFLOW_COUNT: usize = USE_MARKS + WORDS_PER_LINE;

fn index_line() -> Table {
    let rows = vec![
        row(0, WORDS_PER_LINE * 8, "words", "7 index words"),
        row(USE_MARKS, WORDS_PER_LINE, "use marks", "u8 per word: reads, at most 3"),
        row(OVERFLOW_COUNT, 1, "overflow count", "keys further along; 255: saturated"),
    ];
    table("Index line", Unit::Bytes, LINE, rows)
}

fn index_word() -> Table {
    let tag_bits = default_geometry().tag_bits as usize;
    let rows = vec![
        row(0, tag_bits, "tag", "of the key's hash"),
        row(tag_bits, 32 - tag_bits, "unit", "of the head; 0: the word is empty"),
        row(32, 32, "generation", "grows with every store"),
    ];
    table("Index word of a 64 MiB segment", Unit::Bits, 64, rows)
}

/// The bits of a field in a head: those that are set when only this field is stored, with its maximum value.
fn bits(name: &str, meaning: &'static str, words: &[AtomicU64; 8]) -> Row {
    let set: Vec<usize> =
        (0..512).filter(|bit| words[bit / 64].load(Ordering::Relaxed) >> (bit % 64) & 1 == 1).collect();
    let (first, last) = (set.first().copied().unwrap_or(0), set.last().copied().unwrap_or(0));
    assert_eq!(set.len(), last + 1 - first, "{name} is in one piece");
    row(first, set.len(), name, meaning)
}

fn head_bits(name: &str, meaning: &'static str, fill: impl FnOnce(&mut Head)) -> Row {
    let words = [const { AtomicU64::new(0) }; 8];
    let run = Run { unit: 0, count: 0 };
    let mut head = Head {
        key_len: 0,
        kind: 0,
        flags: 0,
        value_len: 0,
        version: 0,
        deadline: 0,
        namespace: 0,
        written: 0,
        extras: 0,
        life: 0,
        run,
    };
    fill(&mut head);
    Head::store(&head, &words);
    bits(name, meaning, &words)
}

fn node_bits(name: &str, meaning: &'static str, fill: impl FnOnce(&mut Node)) -> Row {
    let words = [const { AtomicU64::new(0) }; 8];
    let place = Placing { hash: 0, tag: 0 };
    let mut node = Node { place, newer: 0, older: 0, queue: EvictionQueue::small(0) };
    fill(&mut node);
    Node::store(node, &words);
    bits(name, meaning, &words)
}

fn head() -> Table {
    const U16: usize = u16::MAX as usize;
    let rows = vec![
        head_bits("key length", "bytes", |head| head.key_len = U16),
        head_bits("kind", "see the kinds", |head| head.kind = u8::MAX),
        head_bits("flags", "see the flags", |head| head.flags = u8::MAX),
        head_bits("value length", "bytes", |head| head.value_len = u32::MAX as usize),
        head_bits("version", "the shard's sequence at the write", |head| head.version = u64::MAX),
        head_bits("deadline", "ms since boot; 0: never", |head| head.deadline = u64::MAX),
        head_bits("namespace", "with the keyspace above it", |head| head.namespace = u16::MAX),
        head_bits("written", "ms since boot", |head| head.written = u64::MAX),
        head_bits("extras", "words in front of the key", |head| head.extras = U16),
        head_bits("root epoch", "life, lower half", |head| head.life = u32::MAX.into()),
        head_bits("namespace epoch", "life, upper half", |head| head.life = u64::from(u32::MAX) << 32),
        head_bits("run: unit", "chained: first extent", |head| head.run.unit = u32::MAX),
        head_bits("run: count", "units; chained: number of runs", |head| head.run.count = u32::MAX),
        node_bits("tag", "derived: as in the index word", |node| node.place.tag = 0xFFFF),
        node_bits("class", "derived: of its queue", |node| node.queue.class = MAX_CLASSES as u8 - 1),
        node_bits("hash", "derived: line and stripe of the key", |node| node.place.hash = u32::MAX),
        node_bits("newer", "derived: unit of the newer head", |node| node.newer = (1 << 30) - 1),
        node_bits("pinned", "derived: in the pinned queue", |node| node.queue = EvictionQueue::PINNED),
        node_bits("main", "derived: in the main queue", |node| node.queue = EvictionQueue::main(0)),
        node_bits("older", "derived: unit of the older head", |node| node.older = u32::MAX),
    ];
    table("Head of an entry", Unit::Bits, UNIT * 8, rows)
}

fn extent() -> Table {
    let mut rows: Vec<Row> =
        (0..RUNS_PER_EXTENT).map(|run| row(run, 1, &format!("run {run}"), "first unit u32, units u32")).collect();
    rows.push(row(RUNS_PER_EXTENT, 1, "next", "unit of the next extent; 0: none"));
    table("Extent of a chained body", Unit::Words, UNIT / 8, rows)
}

fn flags() -> Table {
    let rows = [
        (ASCII, "ASCII", "the value is ASCII"),
        (CHAINED, "CHAINED", "the body is in several runs"),
        (BINARY_KEY, "BINARY_KEY", "the key was given as bytes"),
        (STALE, "STALE", "the body starts with the stale time"),
        (TAGGED, "TAGGED", "tag clock and tags precede the key"),
        (OUTDATED, "OUTDATED", "a tag was outdated: the entry is stale"),
        (INVALID, "INVALID", "a tag was removed: the entry is dead"),
    ]
    .map(|(flag, name, meaning)| row(flag.trailing_zeros() as usize, 1, name, meaning));
    table("Flags of a head (bits of one byte)", Unit::Bits, 8, rows.into())
}

fn kinds() -> Table {
    let rows = [
        (kind::STRING, "STRING", "UTF-8 text"),
        (kind::NUMBER, "NUMBER", "f64, little endian"),
        (kind::SIMPLE, "SIMPLE", "0 null, 1 false, 2 true"),
        (kind::BIGINT64, "BIGINT64", "i64, little endian"),
        (kind::BIGINT_HEX, "BIGINT_HEX", "sign and hexadecimal digits"),
        (kind::BUFFER, "BUFFER", "bytes, as a Buffer"),
        (kind::UINT8_ARRAY, "UINT8_ARRAY", "bytes, as a Uint8Array"),
        (kind::JSON, "JSON", "JSON text"),
        (kind::RECORD, "RECORD", "u64 words of a record"),
        (kind::ABSENT, "ABSENT", "known to have no value"),
        (kind::FLAT, "FLAT", "a flat object as text"),
        (kind::HASH, "HASH", "fields with values"),
        (kind::LIST, "LIST", "items in order"),
        (kind::SET, "SET", "members"),
        (kind::SORTED_SET, "SORTED_SET", "members with scores"),
    ]
    .map(|(number, name, meaning)| row(number.into(), 1, name, meaning));
    table("Kinds of values", Unit::Numbers, 256, rows.into())
}

fn namespace_number() -> Table {
    let bits = MAX_NAMESPACES.trailing_zeros() as usize;
    let rows = vec![row(0, bits, "namespace", "0: the root"), row(bits, 16 - bits, "keyspace", "see the keyspaces")];
    table("Namespace number of an entry (u16)", Unit::Bits, 16, rows)
}

fn keyspaces() -> Table {
    let rows = variants!(Keyspace, 1, 0, {
        Values => "values of the user",
        Locks => "permits of a lock",
        Semaphores => "permits of a semaphore",
        Elections => "permits of a leadership",
        Flights => "the load of a value",
        Limits => "state of a limiter; not pinned",
        Once => "what was done once",
        OnceFlights => "the run of what is done once",
        Metrics => "a metric",
        Events => "state and waiters of an event",
        Barriers => "waiters of a barrier",
        Conditions => "waiters of a condition",
        Queues => "where the items of a queue are",
        QueueItems => "the value of an item of a queue",
        Versions => "the table of versions",
    });
    table("Keyspaces", Unit::Numbers, 64, rows)
}

fn ring_control() -> Table {
    let rows = vec![
        row(ring::RESERVED, 8, "reserved", "position up to which words may be written"),
        row(ring::FLOOR, 8, "floor", "no message before this position"),
        row(ring::STATE, 8, "state", "end u32, number of messages u32"),
    ];
    table("Control block of a ring", Unit::Bytes, RING_CONTROL, rows)
}

/// Bits of the words of a message around its tags, key and value. The last word repeats the first 32 bits.
fn message() -> Table {
    let rows = vec![
        row(0, 32, "words", "of the whole message"),
        row(32, 8, "kind", "0: given up; see the kinds"),
        row(40, 1, "binary key", "the key was given as bytes"),
        row(48, 16, "namespace", "65,535: any"),
        row(64, 64, "version", "or value length u32, kind u8"),
        row(128, 64, "life", "epochs of the entry"),
        row(192, 16, "key length", "bytes"),
        row(208, 16, "tags", "number of tags"),
    ];
    table("First words of a message", Unit::Bits, (FRAME - 1) * 64, rows)
}

fn message_kinds() -> Table {
    let rows = variants!(What, 1, 0, {
        Set => "an entry was written",
        Delete => "an entry was deleted",
        Evict => "an entry was evicted",
        Expire => "an entry expired",
        Invalidate => "tags were invalidated",
        Clear => "never in a ring: epochs tell it",
        Message => "published on a channel",
    });
    table("Kinds of messages", Unit::Numbers, 256, rows)
}

fn permit_holder() -> Table {
    let rows = vec![
        row(0, 1, "owner", "lock word of the process"),
        row(1, 1, "token", "version of the record at the grant"),
        row(permits::DEADLINE, 1, "deadline", "ms since boot; 0: none"),
        row(3, 1, "ticket", "that waited; 0: none"),
    ];
    table("Holder in a permit record", Unit::Words, permits::HOLDER, rows)
}

fn permit_ticket() -> Table {
    let rows = vec![
        row(0, 1, "owner", "lock word of the process"),
        row(1, 1, "ticket", "version of the record at the request"),
        row(2, 1, "time to live", "ms; 0: without limit"),
    ];
    table("Ticket in a permit record", Unit::Words, permits::WAITER, rows)
}

fn flight_record() -> Table {
    let rows = vec![
        row(flights::OWNER, 1, "owner", "lock word; 0: no load is under way"),
        row(flights::TOKEN, 1, "token", "version of the record at its start"),
        row(flights::LEASE, 1, "lease end", "ms since boot; 0: none"),
        row(flights::LIFE, 1, "life", "epochs at its start"),
        row(flights::CLOCK, 1, "tag clock", "at its start"),
    ];
    table("First words of a flight record", Unit::Words, flights::HEAD, rows)
}

fn flight_outcome() -> Table {
    let rows = vec![
        row(0, 1, "token", "of the flight that ended"),
        row(1, 1, "until", "ms since boot"),
        row(2, 1, "length", "bytes × 2, + 1 for a failure"),
    ];
    table("Outcome in a flight record", Unit::Words, flights::OUTCOME_HEAD, rows)
}

fn region_header() -> Table {
    let rows = vec![
        row(regions::LOCK, 4, "lock", "lock word"),
        row(regions::SIZE, 8, "size", "bytes of the region"),
        row(HEADER_BYTES, ProcessTable::BYTES, "process table", "as in a segment"),
        row(regions::BYTES_AT, 4096, "bytes", "the region, whole pages"),
    ];
    let start = Header::CACHE as u64;
    let size = (regions::BYTES_AT + 4096) as u64 - start;
    Table { title: "Region segment of one page, behind the common header", unit: Unit::Bytes, start, size, rows }
}

/// Writes one table. If a block is longer than a word, the offset of a word and the places in it name its bits.
fn render(table: &Table, out: &mut String) {
    let many_words = table.unit == Unit::Bits && table.size > 64;
    let (first, second) = match table.unit {
        Unit::Bytes => ("offset", "bytes"),
        Unit::Bits if many_words => ("offset", "bits"),
        Unit::Bits => ("bits", "width"),
        Unit::Words => ("word", "words"),
        Unit::Numbers => ("number", ""),
    };
    let header: Vec<&str> = [first, second, "name", "meaning"].into_iter().filter(|cell| !cell.is_empty()).collect();
    let size = match table.unit {
        Unit::Bytes => format!(", {} bytes", grouped(table.size)),
        Unit::Words => format!(", {} words", table.size),
        _ => String::new(),
    };
    let _ = writeln!(out, "### {}{size}\n", table.title);
    let _ = writeln!(out, "| {} |", header.join(" | "));
    let rule: Vec<&str> =
        header.iter().map(|cell| if matches!(*cell, "name" | "meaning") { "---" } else { "--:" }).collect();
    let _ = writeln!(out, "| {} |", rule.join(" | "));
    for Row { at, size, name, meaning } in in_order(table) {
        let place = match table.unit {
            Unit::Numbers => at.to_string(),
            Unit::Bits if many_words => format!("{} | {}", at / 64 * 8, range(at % 64, *size)),
            Unit::Bits => format!("{} | {size}", range(*at, *size)),
            _ => format!("{} | {}", grouped(*at), grouped(*size)),
        };
        let _ = writeln!(out, "| {place} | {name} | {meaning} |");
    }
    out.push('\n');
}

fn range(at: u64, size: u64) -> String {
    if size == 1 { at.to_string() } else { format!("{at}–{}", at + size - 1) }
}

/// A number with commas between its thousands.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

fn render_sizes(out: &mut String) {
    let sizes = [("2 MiB", 2 << 20), ("64 MiB", 64 << 20), ("1 GiB", 1 << 30)];
    let plans: Vec<Geometry> = sizes.iter().map(|(_, bytes)| plan(*bytes)).collect();
    let _ = writeln!(out, "### What follows from the size of a segment\n");
    let _ = writeln!(out, "|  | {} |", sizes.map(|(name, _)| name).join(" | "));
    let _ = writeln!(out, "| --- | {} |", sizes.map(|_| "--:").join(" | "));
    let mut line = |name: &str, of: &dyn Fn(&Geometry) -> usize| {
        let cells: Vec<String> = plans.iter().map(|plan| grouped(of(plan) as u64)).collect();
        let _ = writeln!(out, "| {name} | {} |", cells.join(" | "));
    };
    line("shards", &|plan| plan.shards);
    line("units of a shard", &|plan| plan.units);
    line("bits of a unit's number", &|plan| 32 - plan.tag_bits as usize);
    line("bits of a tag", &|plan| plan.tag_bits as usize);
    line("main lines at level 0", &|plan| plan.first_lines);
    line("maximum level", &|plan| plan.growths as usize);
    line("main lines at the maximum level", &|plan| plan.main_lines);
    line("overflow lines", &|plan| plan.overflow_lines);
    line("ghost sets", &|plan| plan.ghost_sets);
    line("tag records", &|plan| plan.tag_records);
    line("words of the ring of changes", &|plan| plan.ring(0, RingKind::Changes).1);
    line("words of the ring of messages", &|plan| plan.ring(0, RingKind::Messages).1);
    line("offset of the first shard", &|plan| plan.meta(0));
    line("offset of the levels", &|plan| plan.level(0));
    line("offset of the space", &|plan| plan.space(0));
    line("maximum key and value, bytes", &|plan| plan.max_entry);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::index::Position;
    use crate::{Cache, OpenOptions};
    use cache_machine_shm::atomic::AtomicU8;

    #[test]
    fn format_fields_do_not_overlap_and_stay_inside_their_block() {
        tables().iter().for_each(check);
        for megabytes in [2, 3, 16, 17, 100, 1 << 10, 100 << 10] {
            let plan = plan(megabytes << 20);
            check(&segment_table(&plan));
            check(&shard_table(&plan));
        }
    }

    #[test]
    fn format_rows_of_a_message_are_those_that_its_reader_uses() {
        let message = message();
        let mut words = [0u64; FRAME + 2];
        let mut put = |name: &str, value: u64| {
            let row = message.rows.iter().find(|row| row.name == name).expect("a row of this name");
            words[row.at as usize / 64] |= value << (row.at % 64);
        };
        put("words", 7);
        put("kind", What::Set as u64);
        put("binary key", 1);
        put("namespace", 0x1234);
        put("version", 0x1122_3344_5566_7788);
        put("life", 0x99AA_BBCC_DDEE_FF00);
        put("key length", 3);
        put("tags", 1);
        words[4] = 0x7A67;
        words[5] = u64::from_le_bytes(*b"key\0\0\0\0\0");
        words[6] = 7;
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        let read = crate::layout::messages::Message::of(&bytes).expect("a whole message");
        assert_eq!((read.what, read.binary_key, read.namespace), (What::Set, true, 0x1234));
        assert_eq!((read.version, read.life), (0x1122_3344_5566_7788, 0x99AA_BBCC_DDEE_FF00));
        assert_eq!((read.tags().collect::<Vec<_>>(), read.key), (vec![0x7A67], b"key".as_slice()));
    }

    #[test]
    fn format_places_of_an_index_line_are_those_that_the_search_uses() {
        let name = format!("format-line-{}", std::process::id());
        let options = OpenOptions { size: 4 << 20, ..OpenOptions::of_test(&name) };
        let cache = Cache::open(&options).expect("a new cache").0;
        let shard = cache.shard(0);
        let address = |byte: &AtomicU8| byte.as_ptr() as usize - shard.region.base().as_ptr() as usize;
        for (line, word) in [(0, 0), (0, 6), (3, 2)] {
            let position = Position((line * WORDS_PER_LINE + word) as u32);
            let start = shard.line_offset(line);
            assert_eq!(start - shard.line_offset(0), line * LINE);
            assert_eq!(shard.word_offset(position) - start, word * 8);
            assert_eq!(address(shard.use_mark(position)) - start, USE_MARKS + word);
            assert_eq!(address(shard.overflowed(line)) - start, OVERFLOW_COUNT);
        }
        drop(cache);
        crate::destroy(&name, None, true).expect("no other process uses it");
    }

    #[test]
    fn format_tables_are_narrow() {
        // prettier makes all cells of a column as wide as the widest.
        for table in tables() {
            let name = table.rows.iter().map(|row| row.name.len()).max().unwrap_or(0);
            let meaning = table.rows.iter().map(|row| row.meaning.chars().count()).max().unwrap_or(0);
            assert!(name + meaning + 40 <= 120, "{}", table.title);
        }
    }
}
