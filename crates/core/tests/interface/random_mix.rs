//! A random mix of all calls against a model.

use crate::support::{PLAIN, Random, Scene, assert_valid, bytes};
use crate::{DEAD, FRESH, STALE, all_keys, found_by};
use cache_machine_core::{Cache, Condition, Increment, Invalidation, ReadMode, Write};
use std::collections::{BTreeMap, HashMap};

/// The expected entry.
#[derive(Clone, Debug)]
struct Expected {
    value: Vec<u8>,
    version: u64,
    deadline: u64,
    stale_ms: u64,
    tags: Vec<u8>,
    stamp: u64,
}

#[derive(Default)]
struct Model {
    /// By namespace and key. Dead entries stay until they are replaced.
    entries: BTreeMap<(usize, String), Expected>,
    /// For each namespace and tag the clocks of its last removal and of its last outdating.
    tags: HashMap<(usize, u8), (u64, u64)>,
    /// Tag clocks, each with the number of tags that were invalidated before.
    clocks: Vec<(u64, u64)>,
    invalidated: u64,
}

/// Invalidations of other tags after which a value that was begun before them is still kept: see `Geometry::tag_records`.
const MAX_DURING_A_LOAD: u64 = 950;

impl Model {
    /// Notes that this many tags are invalidated after `clock`.
    fn note_invalidated(&mut self, clock: u64, tags: usize) {
        self.clocks.push((clock, self.invalidated));
        self.invalidated += tags as u64;
        let limit = self.invalidated.saturating_sub(MAX_DURING_A_LOAD);
        self.clocks.retain(|(_, before)| *before >= limit);
    }

    /// Invalidates more tags of other entries, so that records are reused.
    fn invalidate_others(&mut self, cache: &Cache, tags: u64) {
        let first = self.invalidated;
        self.note_invalidated(cache.tag_clock(), tags as usize);
        let numbers: Vec<u64> = (first..first + tags).map(|tag| cache.tag(&format!("other {tag}"))).collect();
        cache.invalidate_tags(&numbers, Invalidation::Remove).unwrap();
    }

    fn state(&self, namespace: usize, key: &str, now: u64) -> [Option<bool>; 4] {
        let Some(entry) = self.entries.get(&(namespace, key.to_owned())) else { return DEAD };
        let clocks = entry.tags.iter().filter_map(|tag| self.tags.get(&(namespace, *tag)));
        let (removed, outdated) = clocks.fold((0, 0), |all, one| (all.0.max(one.0), all.1.max(one.1)));
        let expired = entry.deadline != 0 && now >= entry.deadline;
        if entry.stamp < removed || (expired && now >= entry.deadline + entry.stale_ms) {
            DEAD
        } else if expired || entry.stamp < outdated {
            STALE
        } else {
            FRESH
        }
    }

    fn fresh(&self, namespace: usize, key: &str, now: u64) -> Option<&Expected> {
        self.entries.get(&(namespace, key.to_owned())).filter(|_| self.state(namespace, key, now) == FRESH)
    }
}

#[test]
fn a_long_random_mix_of_everything_equals_a_model() {
    for seed in [5, 6] {
        let scene = Scene::new("model");
        let root = scene.open();
        let keyspaces = [root.clone(), root.in_namespace("a").unwrap(), root.in_namespace("ü").unwrap()];
        let mut model = Model::default();
        let mut random = Random(seed);
        for round in 0..80_000u64 {
            let n = random.below(3) as usize;
            let cache = &keyspaces[n];
            let key = format!("{}:{}", random.below(5), random.below(40));
            let place = (n, key.clone());
            let now = root.now_ms();
            let old = model.fresh(n, &key, now).cloned();
            match random.below(100) {
                0..30 => {
                    let tags: Vec<u8> = (0..8).filter(|_| random.below(8) == 0).collect();
                    let numbers: Vec<u64> = tags.iter().map(|tag| cache.tag(&format!("{tag}"))).collect();
                    let value = vec![round as u8; random.below(300) as usize];
                    let condition = match random.below(6) {
                        0 => Condition::Absent,
                        1 => Condition::Present,
                        2 => Condition::Version(old.as_ref().map_or(7, |e| e.version - random.below(2))),
                        _ => Condition::Always,
                    };
                    let clock = root.tag_clock();
                    let write = Write {
                        ttl_ms: random.below(3) * random.below(50),
                        stale_ms: random.below(2) * random.below(50),
                        keep_ttl: random.below(4) == 0,
                        tags: &numbers,
                        keep_tags: random.below(4) == 0,
                        made_at: match random.below(6) {
                            0 => Some(clock - 2 * random.below(4).min(clock / 2)),
                            1 => model.clocks.get(random.below(30) as usize).map(|(clock, _)| *clock),
                            _ => None,
                        },
                        condition,
                        ..bytes(&value)
                    };
                    let stored = cache.set(key.as_bytes(), &write).unwrap();
                    let holds = match condition {
                        Condition::Always => true,
                        Condition::Absent => old.is_none(),
                        Condition::Present => old.is_some(),
                        Condition::Version(version) => old.as_ref().is_some_and(|e| e.version == version),
                    };
                    assert_eq!(stored.is_some(), holds, "{write:?} over {old:?}");
                    let Some(version) = stored else { continue };
                    let (deadline, stale_ms) = match &old {
                        Some(e) if write.keep_ttl => (e.deadline, e.stale_ms),
                        _ if write.ttl_ms == 0 => (0, 0),
                        _ => (now + write.ttl_ms, write.stale_ms),
                    };
                    let (tags, stamp) = match old {
                        Some(e) if write.keep_tags && !e.tags.is_empty() => (e.tags, e.stamp),
                        _ => (tags, write.made_at.unwrap_or(clock)),
                    };
                    model.entries.insert(place, Expected { value, version, deadline, stale_ms, tags, stamp });
                }
                30..70 => {
                    let mut out = Vec::new();
                    let found = cache.get(key.as_bytes(), ReadMode::PeekStale, &mut out).unwrap();
                    assert_eq!(found_by(cache, &key), model.state(n, &key, now), "{key} of {n}");
                    if let Some(meta) = found {
                        let expected = &model.entries[&place];
                        assert_eq!((&out, meta.version), (&expected.value, expected.version));
                    }
                }
                70..74 => {
                    let version = if random.below(2) == 0 { 0 } else { old.as_ref().map_or(1, |e| e.version) };
                    assert_eq!(cache.delete(key.as_bytes(), version).unwrap(), old.is_some());
                    model.entries.remove(&place);
                }
                74..78 => {
                    let mut out = Vec::new();
                    let taken = cache.take(key.as_bytes(), &mut out).unwrap();
                    assert_eq!(taken.map(|_| out), old.as_ref().map(|e| e.value.clone()));
                    if old.is_some() {
                        model.entries.remove(&place);
                    }
                }
                78..83 => {
                    let ttl = random.below(2) * random.below(50);
                    assert_eq!(cache.touch(key.as_bytes(), ttl).unwrap(), old.is_some());
                    if old.is_some() {
                        let entry = model.entries.get_mut(&place).unwrap();
                        entry.deadline = if ttl == 0 { 0 } else { now + ttl };
                    }
                }
                83..88 => root.advance_clock(random.below(10)).unwrap(),
                88..93 => {
                    let tags: Vec<u8> = (0..8).filter(|_| random.below(6) == 0).collect();
                    let numbers: Vec<u64> = tags.iter().map(|tag| cache.tag(&format!("{tag}"))).collect();
                    let how = if random.below(2) == 0 { Invalidation::Remove } else { Invalidation::Outdate };
                    let clock = root.tag_clock() + 1;
                    model.note_invalidated(clock - 1, tags.len());
                    cache.invalidate_tags(&numbers, how).unwrap();
                    assert_eq!(root.tag_clock(), clock + 1);
                    for tag in tags {
                        let record = model.tags.entry((n, tag)).or_default();
                        if how == Invalidation::Remove { record.0 = clock } else { record.1 = clock }
                    }
                }
                93 => {
                    let prefix = key.split(':').next().unwrap().to_owned() + ":";
                    let mut fresh = 0;
                    let doomed = |(m, k): &(usize, String)| *m == n && k.starts_with(&prefix);
                    for (_, k) in model.entries.keys().filter(|place| doomed(place)) {
                        fresh += u64::from(model.fresh(n, k, now).is_some());
                    }
                    model.entries.retain(|place, _| !doomed(place));
                    assert_eq!(cache.delete_prefix(prefix.as_bytes()).unwrap(), fresh);
                }
                94 if random.below(8) == 0 => model.invalidate_others(cache, random.below(MAX_DURING_A_LOAD)),
                94 if random.below(3) == 0 => {
                    cache.clear().unwrap();
                    model.entries.retain(|(m, _), _| n != 0 && *m != n);
                    assert_eq!(cache.len(), 0);
                }
                95 | 96 => {
                    let prefix = if random.below(3) == 0 { "" } else { &key[..2] };
                    let keys = model.entries.keys().filter(|(m, k)| *m == n && k.starts_with(prefix));
                    let mut expected: Vec<_> = keys
                        .filter(|(_, k)| model.fresh(n, k, now).is_some())
                        .map(|(_, k)| k.clone().into_bytes())
                        .collect();
                    let mut met = all_keys(cache, prefix.as_bytes(), 1 + random.below(50) as usize);
                    expected.sort_unstable();
                    met.sort_unstable();
                    assert_eq!(met, expected);
                }
                97 => {
                    let name = format!("number {}", random.below(3));
                    let sum = cache.incr(name.as_bytes(), 1.0, &Increment { ttl_ms: 20, ..PLAIN }).unwrap();
                    let place = (n, name.clone());
                    let old = model.fresh(n, &name, now).cloned();
                    let start = old.as_ref().map_or(0.0, |e| f64::from_le_bytes(e.value[..].try_into().unwrap()));
                    assert_eq!(sum, start + 1.0);
                    let version = cache.version_of(name.as_bytes()).unwrap().unwrap();
                    let fresh =
                        Expected { value: vec![], version, deadline: now + 20, stale_ms: 0, tags: vec![], stamp: 0 };
                    let value = sum.to_le_bytes().to_vec();
                    model.entries.insert(place, Expected { value, version, ..old.unwrap_or(fresh) });
                }
                _ => {
                    let fresh =
                        model.entries.keys().filter(|(m, k)| *m == n && model.fresh(n, k, now).is_some()).count();
                    let all = model.entries.keys().filter(|(m, _)| *m == n).count();
                    let len = cache.len() as usize;
                    assert!((fresh..=all).contains(&len), "{len} is not in {fresh}..={all}");
                }
            }
        }
        let stats = root.stats();
        assert_eq!((stats.total.evictions, stats.tags_unjudged, stats.repairs), (0, 0, 0));
        assert_valid(&root);
    }
}
