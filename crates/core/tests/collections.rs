//! Collections against structures of the standard library: random requests have the same answers, and the same content
//! at the end.
//!
//! Size: one model for each kind, and the reader and writer of the form that all of them use.

mod support;

use cache_machine_core::{Cache, CacheError, NewCollection, Operation, ReadMode, Write, kind};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use support::Scene;

/// A value or a key with its kind.
type Item = (u8, Vec<u8>);

/// An element of an answer.
#[derive(Clone, PartialEq, Debug)]
struct Element {
    key: Item,
    value: Option<Item>,
    score: Option<f64>,
    left: u64,
}

impl Element {
    fn of(key: &[u8]) -> Self {
        Self { key: (kind::STRING, key.to_vec()), value: None, score: None, left: 0 }
    }

    fn with_value(mut self, value: &[u8]) -> Self {
        self.value = Some((kind::STRING, value.to_vec()));
        self
    }

    fn with_score(mut self, score: f64) -> Self {
        self.score = Some(score);
        self
    }

    fn with_ttl(mut self, ms: u64) -> Self {
        self.left = ms;
        self
    }

    fn put(&self, out: &mut Vec<u8>) {
        let flags =
            u8::from(self.value.is_some()) | u8::from(self.left != 0) << 1 | u8::from(self.score.is_some()) << 2;
        out.extend([flags, self.key.0]);
        out.extend(self.value.iter().map(|value| value.0));
        varint(out, self.key.1.len());
        if let Some(value) = &self.value {
            varint(out, value.1.len());
        }
        if let Some(score) = self.score {
            out.extend(score.to_le_bytes());
        }
        if self.left != 0 {
            out.extend(&self.left.to_le_bytes()[..6]);
        }
        out.extend(&self.key.1);
        out.extend(self.value.iter().flat_map(|value| &value.1));
    }
}

fn varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 128 {
        out.push(value as u8 | 128);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Reads an answer.
struct Answer(Vec<u8>, usize);

impl Answer {
    fn bytes(&mut self, count: usize) -> &[u8] {
        self.1 += count;
        &self.0[self.1 - count..self.1]
    }

    fn byte(&mut self) -> u8 {
        self.bytes(1)[0]
    }

    fn count(&mut self) -> usize {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.byte();
            value |= usize::from(byte & 127) << shift;
            shift += 7;
            if byte < 128 {
                return value;
            }
        }
    }

    fn number(&mut self) -> f64 {
        f64::from_le_bytes(self.bytes(8).try_into().expect("8 bytes"))
    }

    fn element(&mut self) -> Element {
        let (flags, key_kind) = (self.byte(), self.byte());
        let value_kind = if flags & 1 == 0 { 0 } else { self.byte() };
        let key_len = self.count();
        let value_len = if flags & 1 == 0 { 0 } else { self.count() };
        let score = (flags & 4 != 0).then(|| self.number());
        let left = if flags & 2 == 0 {
            0
        } else {
            self.bytes(6).iter().rev().fold(0, |all, byte| all << 8 | u64::from(*byte))
        };
        let key = (key_kind, self.bytes(key_len).to_vec());
        let value = (flags & 1 != 0).then(|| (value_kind, self.bytes(value_len).to_vec()));
        Element { key, value, score, left }
    }

    fn rest(mut self) -> Vec<Element> {
        let mut all = Vec::new();
        while self.1 < self.0.len() {
            all.push(self.element());
        }
        all
    }
}

/// A request under way.
struct Ask<'c>(&'c Cache, u8, Vec<u8>);

impl Ask<'_> {
    fn byte(mut self, byte: u8) -> Self {
        self.2.push(byte);
        self
    }

    fn count(mut self, count: usize) -> Self {
        varint(&mut self.2, count);
        self
    }

    fn number(mut self, number: f64) -> Self {
        self.2.extend(number.to_le_bytes());
        self
    }

    fn elements(mut self, elements: &[Element]) -> Self {
        elements.iter().for_each(|element| element.put(&mut self.2));
        self
    }

    fn keys(self, keys: &[&[u8]]) -> Self {
        self.elements(&keys.iter().map(|key| Element::of(key)).collect::<Vec<_>>())
    }

    fn result(self) -> Result<Answer, CacheError> {
        let mut reply = Vec::new();
        self.0.collection(b"c", self.1, &self.2, &NewCollection::default(), &mut reply)?;
        Ok(Answer(reply, 0))
    }

    fn answer(self) -> Answer {
        self.result().expect("a valid request")
    }
}

fn ask(cache: &Cache, kind: u8, operation: Operation) -> Ask<'_> {
    Ask(cache, kind, vec![operation as u8])
}

fn all(cache: &Cache, kind: u8) -> Vec<Element> {
    let mut answer = ask(cache, kind, Operation::Page).count(0).count(1 << 20).answer();
    assert_eq!(answer.byte(), 0);
    answer.rest()
}

/// Numbers by a generator with a fixed seed.
struct Draw(u64);

impl Draw {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn key(&mut self) -> Vec<u8> {
        format!("k{}", self.below(40)).into_bytes()
    }

    fn index(&mut self, len: usize) -> f64 {
        self.below(2 * len + 4) as f64 - len as f64 - 2.0
    }
}

#[test]
fn a_hash_agrees_with_a_map() {
    let scene = Scene::new("hash");
    let cache = scene.open();
    let mut model: BTreeMap<Vec<u8>, (Vec<u8>, u64)> = BTreeMap::new();
    let mut draw = Draw(1);
    for _ in 0..4000 {
        let now = cache.now_ms();
        match draw.below(9) {
            0 | 1 => {
                let only = draw.below(3);
                let given: Vec<Element> = (0..draw.below(5))
                    .map(|i| {
                        let value = vec![b'v'; draw.below(300) + i];
                        Element::of(&draw.key()).with_value(&value).with_ttl(draw.below(3) as u64 * 20)
                    })
                    .collect();
                let last: BTreeMap<_, _> = given.iter().map(|e| (e.key.1.clone(), e.clone())).collect();
                let (mut added, mut stored) = (0, 0);
                for (key, element) in last {
                    let is_there = model.contains_key(&key);
                    if only == 0 || (only == 2) == is_there {
                        let deadline = if element.left == 0 { 0 } else { now + element.left };
                        model.insert(key, (element.value.expect("a value").1, deadline));
                        added += usize::from(!is_there);
                        stored += 1;
                    }
                }
                let mut answer = ask(&cache, kind::HASH, Operation::Put).byte(only as u8).elements(&given).answer();
                assert_eq!((answer.count(), answer.count()), (added, stored));
            }
            2 => {
                let keys = [draw.key(), draw.key()];
                let gone = keys.iter().filter(|key| model.remove(*key).is_some()).count();
                let answer = ask(&cache, kind::HASH, Operation::Delete).keys(&[&keys[0], &keys[1]]);
                assert_eq!(answer.answer().count(), gone);
            }
            3 => {
                let keys = [draw.key(), draw.key(), draw.key()];
                let is_taken = draw.below(2) == 0;
                let operation = if is_taken { Operation::Take } else { Operation::Get };
                let mut answer = ask(&cache, kind::HASH, operation).keys(&[&keys[0], &keys[1], &keys[2]]).answer();
                for key in &keys {
                    let found = (answer.byte() == 1).then(|| answer.element().value.expect("a value").1);
                    assert_eq!(found, model.get(key).map(|(value, _)| value.clone()));
                }
                if is_taken {
                    keys.iter().for_each(|key| drop(model.remove(key)));
                }
            }
            4 => {
                let keys = [draw.key(), draw.key()];
                let mut answer = ask(&cache, kind::HASH, Operation::Ttl).keys(&[&keys[0], &keys[1]]).answer();
                for key in &keys {
                    let left = match model.get(key) {
                        None => -1.0,
                        Some((_, 0)) => f64::INFINITY,
                        Some((_, deadline)) => (deadline - now) as f64,
                    };
                    assert_eq!(answer.number().to_bits(), left.to_bits());
                }
                let answer = ask(&cache, kind::HASH, Operation::Has).keys(&[&keys[0], &keys[1]]).answer();
                assert_eq!(answer.0, keys.each_ref().map(|key| u8::from(model.contains_key(key))));
            }
            5 => {
                let (key, ttl) = (draw.key(), draw.below(3) * 25);
                let mut answer = ask(&cache, kind::HASH, Operation::Expire).number(ttl as f64).keys(&[&key]).answer();
                let found = model.get_mut(&key);
                assert_eq!(answer.count(), usize::from(found.is_some()));
                if let Some((_, deadline)) = found {
                    *deadline = if ttl == 0 { 0 } else { now + ttl as u64 };
                }
            }
            6 => {
                let from = draw.below(10);
                let mut answer = ask(&cache, kind::HASH, Operation::Page).count(from).count(7).answer();
                assert_eq!(answer.byte() == 1, model.len() > from + 7);
                let keys: Vec<Vec<u8>> = answer.rest().into_iter().map(|element| element.key.1).collect();
                assert_eq!(keys, model.keys().skip(from).take(7).cloned().collect::<Vec<_>>());
            }
            7 => {
                let by = draw.below(9) as f64;
                let ask = ask(&cache, kind::HASH, Operation::Incr).number(by).number(0.0).keys(&[b"sum"]);
                let before = model
                    .get(b"sum".as_slice())
                    .map_or(0.0, |(sum, _)| String::from_utf8_lossy(sum).parse().unwrap_or(0.0));
                assert_eq!(ask.answer().number().to_bits(), f64::to_bits(before + by));
                model.insert(b"sum".to_vec(), ((before + by).to_string().into_bytes(), 0));
                // Its value is a number there and a text here: it goes before the contents are compared.
                model.remove(b"sum".as_slice());
                let answer = Ask(&cache, kind::HASH, vec![Operation::Delete as u8]).keys(&[b"sum"]).answer();
                assert_eq!(answer.0, [1]);
            }
            _ => {
                cache.advance_clock(draw.below(15) as u64).expect("a manual clock");
                let now = cache.now_ms();
                model.retain(|_, (_, deadline)| *deadline == 0 || *deadline > now);
            }
        }
        let count = ask(&cache, kind::HASH, Operation::Count).answer().count();
        assert_eq!(count, model.len());
    }
    let content: Vec<_> = all(&cache, kind::HASH).into_iter().map(|e| (e.key.1, e.value.expect("a value").1)).collect();
    assert_eq!(content, model.into_iter().map(|(key, (value, _))| (key, value)).collect::<Vec<_>>());
    assert_eq!(cache.validate().expect("no damage"), Vec::<String>::new());
}

#[test]
fn a_set_agrees_with_a_set() {
    let scene = Scene::new("set");
    let cache = scene.open();
    let mut model = BTreeSet::new();
    let mut draw = Draw(2);
    for round in 0..2000 {
        match draw.below(4) {
            0 | 1 => {
                let given = [draw.key(), draw.key(), draw.key()];
                let added = given.iter().filter(|key| model.insert((*key).clone())).count();
                let ask = ask(&cache, kind::SET, Operation::Put).byte(0).keys(&[&given[0], &given[1], &given[2]]);
                assert_eq!(ask.answer().count(), added);
            }
            2 => {
                let wanted = draw.below(4);
                let drawn = ask(&cache, kind::SET, Operation::Sample).count(wanted).count(round).answer().rest();
                let distinct: BTreeSet<_> = drawn.iter().map(|element| element.key.1.clone()).collect();
                assert_eq!(distinct.len(), wanted.min(model.len()));
                assert!(distinct.is_subset(&model));
                let taken = ask(&cache, kind::SET, Operation::TakeSample).count(wanted).count(round).answer().rest();
                assert_eq!(taken, drawn);
                model.retain(|key| !distinct.contains(key));
            }
            _ => {
                let key = draw.key();
                let answer = ask(&cache, kind::SET, Operation::Delete).keys(&[&key]).answer();
                assert_eq!(answer.0, [u8::from(model.remove(&key))]);
            }
        }
        assert_eq!(cache.has(b"c").expect("a valid key"), !model.is_empty());
    }
    let content: Vec<_> = all(&cache, kind::SET).into_iter().map(|element| element.key.1).collect();
    assert_eq!(content, model.into_iter().collect::<Vec<_>>());
}

fn position(index: f64, len: usize) -> usize {
    if index < 0.0 { (len as f64 + index).max(0.0) as usize } else { (index as usize).min(len) }
}

#[test]
fn a_list_agrees_with_a_deque() {
    let scene = Scene::new("list");
    let cache = scene.open();
    let mut model: VecDeque<Vec<u8>> = VecDeque::new();
    let mut draw = Draw(3);
    for _ in 0..4000 {
        let len = model.len();
        match draw.below(8) {
            0 | 1 => {
                let (front, max) = (draw.below(2) == 0, draw.below(3) * 20);
                let given = [draw.key(), draw.key()];
                for item in &given {
                    model.push_back(item.clone());
                }
                if front {
                    model.rotate_right(2);
                }
                while max != 0 && model.len() > max {
                    if front {
                        model.pop_back()
                    } else {
                        model.pop_front()
                    };
                }
                let ask = ask(&cache, kind::LIST, Operation::Push).byte(u8::from(front)).count(max);
                assert_eq!(ask.keys(&[&given[0], &given[1]]).answer().count(), model.len());
            }
            2 => {
                let (front, count) = (draw.below(2) == 0, draw.below(4));
                let gone: Vec<_> = if front {
                    model.drain(..count.min(len)).collect()
                } else {
                    model.drain(len - count.min(len)..).collect()
                };
                let ask = ask(&cache, kind::LIST, Operation::Pop).byte(u8::from(front)).count(count);
                assert_eq!(ask.answer().rest().into_iter().map(|e| e.key.1).collect::<Vec<_>>(), gone);
            }
            3 => {
                let (start, end, from_end) = (draw.index(len), draw.index(len), draw.below(2) == 0);
                let (from, to) = (position(start, len), position(end, len));
                let range = if from < to { from..to } else { 0..0 };
                let range = if from_end { len - range.end..len - range.start } else { range };
                let ask = ask(&cache, kind::LIST, Operation::Slice).byte(u8::from(from_end)).number(start).number(end);
                let found: Vec<_> = ask.answer().rest().into_iter().map(|e| e.key.1).collect();
                assert_eq!(found, model.range(range).cloned().collect::<Vec<_>>(), "{start} {end} {from_end} {len}");
            }
            4 => {
                let (index, item) = (draw.index(len), draw.key());
                let at = if index < 0.0 { len as f64 + index } else { index };
                let is_there = at >= 0.0 && at < len as f64;
                if is_there {
                    model[at as usize] = item.clone();
                }
                let answer = ask(&cache, kind::LIST, Operation::SetAt).number(index).keys(&[&item]).answer();
                assert_eq!(answer.0, [u8::from(is_there)]);
            }
            5 => {
                let (after, pivot, item) = (draw.below(2), draw.key(), draw.key());
                let at = model.iter().position(|other| *other == pivot);
                if let Some(at) = at {
                    model.insert(at + after, item.clone());
                }
                let ask = ask(&cache, kind::LIST, Operation::Insert).byte(after as u8).keys(&[&pivot, &item]);
                let expected = at.map_or(-1.0, |_| model.len() as f64);
                assert_eq!(ask.answer().number().to_bits(), expected.to_bits());
            }
            6 => {
                let (count, item) = (draw.below(5) as f64 - 2.0, draw.key());
                let mut equal: Vec<usize> =
                    model.iter().enumerate().filter(|(_, other)| **other == item).map(|(at, _)| at).collect();
                if count < 0.0 {
                    equal.reverse();
                }
                equal.truncate(if count == 0.0 { usize::MAX } else { count.abs() as usize });
                equal.sort_unstable();
                for at in equal.iter().rev() {
                    model.remove(*at);
                }
                let ask = ask(&cache, kind::LIST, Operation::Remove).number(count).keys(&[&item]);
                assert_eq!(ask.answer().count(), equal.len());
                let from = draw.index(model.len());
                let start = position(from, model.len());
                let found = model.iter().skip(start).position(|other| *other == item);
                let ask = Ask(&cache, kind::LIST, vec![Operation::IndexOf as u8]).number(from).keys(&[&item]);
                let expected = found.map_or(-1.0, |at| (start + at) as f64);
                assert_eq!(ask.answer().number().to_bits(), expected.to_bits());
            }
            _ => {
                let (start, end, keep) = (draw.index(len), draw.index(len), draw.below(4) == 0);
                let (from, to) = (position(start, len), position(end, len));
                let range = from..to.max(from);
                let gone = if keep { len - range.len() } else { range.len() };
                let mut at = 0;
                model.retain(|_| {
                    at += 1;
                    range.contains(&(at - 1)) == keep
                });
                let ask = ask(&cache, kind::LIST, Operation::Trim).byte(u8::from(keep)).number(start).number(end);
                assert_eq!(ask.answer().count(), gone);
            }
        }
    }
    let content: Vec<_> = all(&cache, kind::LIST).into_iter().map(|element| element.key.1).collect();
    assert_eq!(content, Vec::from(model));
    assert_eq!(cache.validate().expect("no damage"), Vec::<String>::new());
}

fn ranked(model: &BTreeMap<Vec<u8>, f64>) -> Vec<(f64, Vec<u8>)> {
    let mut all: Vec<_> = model.iter().map(|(key, score)| (*score, key.clone())).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| a.1.cmp(&b.1)));
    all
}

fn scored(elements: Vec<Element>) -> Vec<(f64, Vec<u8>)> {
    elements.into_iter().map(|element| (element.score.expect("a score"), element.key.1)).collect()
}

#[test]
fn a_sorted_set_agrees_with_a_sorted_vector() {
    let scene = Scene::new("sorted");
    let cache = scene.open();
    let mut model: BTreeMap<Vec<u8>, f64> = BTreeMap::new();
    let mut draw = Draw(4);
    for _ in 0..3000 {
        match draw.below(6) {
            0 | 1 => {
                let flags = [0, 0, 1, 2, 4, 8, 6][draw.below(7)];
                let given: Vec<Element> = (0..1 + draw.below(6))
                    .map(|_| Element::of(&draw.key()).with_score(draw.below(20) as f64))
                    .collect();
                let last: BTreeMap<_, _> = given.iter().map(|e| (e.key.1.clone(), e.score.expect("a score"))).collect();
                let (mut added, mut changed) = (0, 0);
                for (key, score) in last {
                    let old = model.get(&key).copied();
                    let is_allowed = match old {
                        None => flags & 2 == 0,
                        Some(old) => {
                            flags & 1 == 0 && (flags & 4 == 0 || score > old) && (flags & 8 == 0 || score < old)
                        }
                    };
                    if is_allowed && old != Some(score) {
                        model.insert(key, score);
                        added += usize::from(old.is_none());
                        changed += usize::from(old.is_some());
                    }
                }
                let mut answer = ask(&cache, kind::SORTED_SET, Operation::Add).byte(flags).elements(&given).answer();
                assert_eq!((answer.count(), answer.count()), (added, changed));
            }
            2 => {
                let (key, by) = (draw.key(), draw.below(7) as f64 - 3.0);
                let score = model.entry(key.clone()).or_insert(0.0);
                *score += by;
                let ask = ask(&cache, kind::SORTED_SET, Operation::IncrScore).byte(0).number(by).keys(&[&key]);
                assert_eq!(ask.answer().number().to_bits(), score.to_bits());
            }
            3 => {
                let (key, from_end) = (draw.key(), draw.below(2));
                let all = ranked(&model);
                let found = all.iter().position(|(_, other)| *other == key);
                let rank = found.map_or(-1.0, |at| if from_end == 1 { all.len() - 1 - at } else { at } as f64);
                let ask = ask(&cache, kind::SORTED_SET, Operation::Rank).byte(from_end as u8).keys(&[&key]);
                assert_eq!(ask.answer().number().to_bits(), rank.to_bits());
            }
            4 => {
                let (flags, from_end) = (draw.below(4) as u8, draw.below(2));
                let (min, max) = (draw.below(20) as f64, draw.below(20) as f64);
                let (offset, limit) = (draw.below(3), draw.below(6));
                let mut within: Vec<_> = ranked(&model)
                    .into_iter()
                    .filter(|(s, _)| if flags & 1 != 0 { *s > min } else { *s >= min })
                    .filter(|(s, _)| if flags & 2 != 0 { *s < max } else { *s <= max })
                    .collect();
                let range = |ask: Ask<'_>| ask.byte(flags).number(min).number(max).answer();
                assert_eq!(range(ask(&cache, kind::SORTED_SET, Operation::CountByScore)).count(), within.len());
                let by_score = ask(&cache, kind::SORTED_SET, Operation::ByScore).byte(from_end as u8).byte(flags);
                let answer = by_score.number(min).number(max).count(offset).count(limit).answer();
                if draw.below(8) == 0 {
                    within.iter().for_each(|(_, key)| assert!(model.remove(key).is_some()));
                    let ask = Ask(&cache, kind::SORTED_SET, vec![Operation::DeleteByScore as u8]);
                    assert_eq!(range(ask).count(), within.len());
                }
                if from_end == 1 {
                    within.reverse();
                }
                let mut expected: Vec<_> = within.into_iter().skip(offset).take(limit).collect();
                if from_end == 1 {
                    expected.reverse();
                }
                assert_eq!(scored(answer.rest()), expected);
            }
            _ => {
                let (front, count) = (draw.below(2) == 0, draw.below(3));
                let all = ranked(&model);
                let range = if front { 0..count.min(all.len()) } else { all.len() - count.min(all.len())..all.len() };
                let ask = ask(&cache, kind::SORTED_SET, Operation::Pop).byte(u8::from(front)).count(count);
                assert_eq!(scored(ask.answer().rest()), all[range.clone()]);
                all[range].iter().for_each(|(_, key)| assert!(model.remove(key).is_some()));
            }
        }
    }
    assert_eq!(scored(all(&cache, kind::SORTED_SET)), ranked(&model));
    assert_eq!(cache.validate().expect("no damage"), Vec::<String>::new());
}

#[test]
fn a_call_for_another_kind_changes_nothing() {
    let scene = Scene::new("kinds");
    let cache = scene.open();
    cache.set(b"c", &Write::new(kind::STRING, b"text")).expect("room");
    for kind in [kind::HASH, kind::LIST, kind::SET, kind::SORTED_SET] {
        assert!(matches!(ask(&cache, kind, Operation::Count).result(), Err(CacheError::WrongType)));
    }
    let push = ask(&cache, kind::LIST, Operation::Push).byte(0).count(0).keys(&[b"item"]);
    assert!(matches!(push.result(), Err(CacheError::WrongType)));
    cache.delete(b"c", 0).expect("no holder");
    assert_eq!(ask(&cache, kind::LIST, Operation::Push).byte(0).count(0).keys(&[b"item"]).answer().count(), 1);
    assert!(matches!(cache.take(b"c", &mut Vec::new()), Err(CacheError::WrongType)));
    assert_eq!(ask(&cache, kind::LIST, Operation::Count).answer().count(), 1);
}

#[test]
fn what_is_no_request_is_refused() {
    let scene = Scene::new("requests");
    let cache = scene.open();
    let mut draw = Draw(5);
    for _ in 0..20_000 {
        let request: Vec<u8> = (0..draw.below(12)).map(|_| draw.below(256) as u8).collect();
        let kind = [kind::HASH, kind::LIST, kind::SET, kind::SORTED_SET, kind::STRING, 0][draw.below(6)];
        let result = Ask(&cache, kind, request).result().map(|_| ());
        assert!(
            matches!(
                result,
                Ok(())
                    | Err(CacheError::InvalidArgument(_)
                        | CacheError::WrongType
                        | CacheError::NotANumber
                        | CacheError::Overflow)
            ),
            "{result:?}"
        );
    }
    assert_eq!(cache.validate().expect("no damage"), Vec::<String>::new());
}

#[test]
fn a_collection_that_would_be_too_large_stays_as_it_was() {
    let scene = Scene::new("large");
    let cache = scene.open();
    let item = vec![7; 40_000];
    let mut len = 0;
    loop {
        match ask(&cache, kind::LIST, Operation::Push).byte(0).count(0).keys(&[&item]).result() {
            Ok(mut answer) => len = answer.count(),
            Err(error) => {
                assert!(matches!(error, CacheError::ValueTooLarge { .. }), "{error}");
                break;
            }
        }
    }
    assert!(len > 2);
    assert_eq!(ask(&cache, kind::LIST, Operation::Count).answer().count(), len);
    assert!(all(&cache, kind::LIST).iter().all(|element| element.key.1 == item));
}

#[test]
fn bytes_that_are_no_collection_are_an_empty_one() {
    let scene = Scene::new("damaged");
    let cache = scene.open();
    let mut draw = Draw(6);
    for _ in 0..2000 {
        let mut bytes = vec![1, 0, 0, 0, draw.below(3) as u8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        bytes.extend((0..draw.below(20)).map(|_| draw.below(9) as u8));
        cache.set(b"c", &Write::new(kind::HASH, &bytes)).expect("room");
        ask(&cache, kind::HASH, Operation::Get).keys(&[b"a"]).answer();
        let mut reply =
            ask(&cache, kind::HASH, Operation::Put).byte(0).elements(&[Element::of(b"a").with_value(b"1")]).answer();
        assert_eq!(reply.count(), 1);
        assert_eq!(ask(&cache, kind::HASH, Operation::Get).keys(&[b"a"]).answer().byte(), 1);
        cache.delete(b"c", 0).expect("no holder");
    }
}

#[test]
fn lifetimes_of_fields_go_through_a_snapshot() {
    let (first, second) = (Scene::new("fields"), Scene::new("fields-again"));
    let cache = first.open();
    let fields = [Element::of(b"short").with_value(b"1").with_ttl(50), Element::of(b"long").with_value(b"2")];
    ask(&cache, kind::HASH, Operation::Put).byte(0).elements(&fields).answer();
    let records = cache.export(0, 1_000_000, 1 << 20).expect("attached").records;
    let other = second.open();
    let made_at = other.tag_clock();
    let floor = other.begin_restore(0).expect("no holder");
    let targets = [other.restore_target(0).expect("attached")];
    // The second segment's clock began 30 ms later.
    let epoch = 1_000_000 + cache.now_ms() as i64 + 30 - other.now_ms() as i64;
    let rules =
        cache_machine_core::RestoreRules { targets: &targets, versions: &[], made_at, floor, epoch, overwrite: true };
    assert_eq!(other.import(&records, &rules).expect("sound records").stored, 1);
    let mut answer = ask(&other, kind::HASH, Operation::Ttl).keys(&[b"short", b"long"]).answer();
    assert_eq!((answer.number().to_bits(), answer.number().to_bits()), (20f64.to_bits(), f64::INFINITY.to_bits()));
    other.advance_clock(20).expect("a manual clock");
    assert_eq!(ask(&other, kind::HASH, Operation::Count).answer().count(), 1);
    let mut out = Vec::new();
    assert_eq!(other.get(b"c", ReadMode::Peek, &mut out).expect("a valid key").map(|meta| meta.kind), Some(kind::HASH));
}
