//! The application's own counters, gauges and histograms. Each series is one record, exact over all processes.
//!
//! ```text
//! family   key: its name           kind · number of bounds · bounds · length of the help · help
//! series   key: name{labels}       kind · value, of counters and gauges
//!                                  kind · number of bounds · bounds · sum · observations per bucket: bounds + 1
//! ```
//!
//! A series holds its own kind and bounds, so a measurement reads one record and changes it in one step. The family
//! holds the definition that all programs with the same name agree on.
//!
//! Caution: a process may delete a family and declare it again with other buckets while another still has the old
//! handle. The series' record decides.

use crate::change::record::{Edit, RecordChange, Words};
use crate::error::CacheError;
use crate::records::keyspace::Records;
use std::collections::BTreeMap;

/// Maximum number of bounds of a histogram.
pub const MAX_BOUNDS: usize = 256;
/// Maximum length of a help text, in bytes.
pub const MAX_HELP: usize = 4096;

/// The kind of a metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MetricKind {
    /// A number that only grows.
    Counter = 1,
    /// A number that goes up and down.
    Gauge = 2,
    /// Counts of observations per bucket.
    Histogram = 3,
}

/// The definition of a metric. All programs that use its name agree on it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Family<'a> {
    /// Its kind.
    pub kind: MetricKind,
    /// Upper bounds of a histogram's buckets: ascending, finite, without that of the last bucket. Other kinds have
    /// none.
    pub bounds: &'a [f64],
    /// The help text; empty: the family keeps its help text, if it has one.
    pub help: &'a str,
}

/// One measurement.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Measurement {
    /// Adds a finite number, at least 0, to a counter.
    Count(f64),
    /// Sets a gauge to any number.
    Set(f64),
    /// Adds a finite number to a gauge.
    Add(f64),
    /// Adds a finite number to a histogram.
    Observe(f64),
    /// Resets a metric of any kind to its first state.
    Reset,
}

/// The result of a measurement.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measured {
    /// The measurement was taken.
    Done,
    /// There is no such series.
    Missing,
    /// The series is a metric of another kind.
    OtherKind,
    /// The sum would not be finite: the series is unchanged.
    Overflow,
}

/// A family or a series, as read.
#[derive(Clone, PartialEq, Debug)]
pub struct Metric {
    /// Its key: the name of a family, or the name of a series with its labels in braces.
    pub key: String,
    /// Its kind.
    pub kind: MetricKind,
    /// Bounds of a histogram.
    pub bounds: Vec<f64>,
    /// Help text of a family.
    pub help: String,
    /// Value of a counter or gauge, or sum of a histogram; 0 for a family.
    pub value: f64,
    /// Observations of a histogram's series per bucket: one more than bounds.
    pub counts: Vec<u64>,
}

impl MetricKind {
    /// The kind of this number; see the variants.
    pub fn of(number: u64) -> Option<Self> {
        [Self::Counter, Self::Gauge, Self::Histogram].into_iter().find(|kind| *kind as u64 == number)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Counter => "a counter",
            Self::Gauge => "a gauge",
            Self::Histogram => "a histogram",
        }
    }
}

const NUMBER: &str = "a series of this name";

/// Splits a record into its kind, its bounds (of a family or a histogram), and the rest.
fn definition(words: &[u64], has_bounds: impl Fn(MetricKind) -> bool) -> Option<(MetricKind, &[u64], &[u64])> {
    let (first, rest) = words.split_first()?;
    let kind = MetricKind::of(*first)?;
    if !has_bounds(kind) {
        return Some((kind, &[], rest));
    }
    let (count, rest) = rest.split_first()?;
    let count = usize::try_from(*count).ok().filter(|count| *count <= rest.len().min(MAX_BOUNDS))?;
    let (bounds, rest) = rest.split_at(count);
    Some((kind, bounds, rest))
}

/// The kind and the bounds of a series, and the index of its first number: value or sum, then the counts. `None`: it is
/// no series.
fn series(words: &[u64]) -> Option<(MetricKind, &[u64], usize)> {
    let (kind, bounds, rest) = definition(words, |kind| kind == MetricKind::Histogram)?;
    let expected = if kind == MetricKind::Histogram { bounds.len() + 2 } else { 1 };
    (rest.len() == expected).then_some((kind, bounds, words.len() - rest.len()))
}

fn numbers(words: &[u64]) -> Vec<f64> {
    words.iter().copied().map(f64::from_bits).collect()
}

fn bits(numbers: &[f64]) -> Vec<u64> {
    numbers.iter().map(|number| number.to_bits()).collect()
}

impl Family<'_> {
    fn words(&self) -> Vec<u64> {
        let mut words = vec![self.kind as u64, self.bounds.len() as u64];
        words.extend(bits(self.bounds));
        words.push(self.help.len() as u64);
        words.extend(self.help.as_bytes().chunks(8).map(|chunk| {
            let mut eight = [0; 8];
            eight[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(eight)
        }));
        words
    }

    fn first_words(&self) -> Vec<u64> {
        let mut words = vec![self.kind as u64];
        if self.kind == MetricKind::Histogram {
            words.push(self.bounds.len() as u64);
            words.extend(bits(self.bounds));
            words.extend(std::iter::repeat_n(0, self.bounds.len() + 1));
        }
        words.push(0);
        words
    }

    fn agrees_with(&self, kind: MetricKind, bounds: &[u64]) -> bool {
        kind == self.kind && bounds.iter().copied().eq(self.bounds.iter().map(|bound| bound.to_bits()))
    }
}

fn help_of(rest: &[u64]) -> Option<String> {
    let (len, words) = rest.split_first()?;
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    let len = usize::try_from(*len).ok().filter(|len| *len <= bytes.len())?;
    Some(String::from_utf8_lossy(&bytes[..len]).into_owned())
}

fn every(_: MetricKind) -> bool {
    true
}

impl Metric {
    fn of(key: String, words: &[u64]) -> Option<Self> {
        if !key.contains('{') {
            let (kind, bounds, rest) = definition(words, every)?;
            let (bounds, help) = (numbers(bounds), help_of(rest)?);
            return Some(Self { key, kind, bounds, help, value: 0.0, counts: Vec::new() });
        }
        let (kind, bounds, at) = series(words)?;
        Some(Self {
            key,
            kind,
            bounds: numbers(bounds),
            help: String::new(),
            value: f64::from_bits(words[at]),
            counts: words[at + 1..].to_vec(),
        })
    }
}

/// Changes the words of a series.
fn measure(words: &mut Words, measurement: Measurement) -> Measured {
    let Some((kind, bounds, at)) = series(words) else {
        return Measured::Missing;
    };
    let expected = match measurement {
        Measurement::Count(_) => MetricKind::Counter,
        Measurement::Set(_) | Measurement::Add(_) => MetricKind::Gauge,
        Measurement::Observe(_) => MetricKind::Histogram,
        Measurement::Reset => kind,
    };
    if kind != expected {
        return Measured::OtherKind;
    }
    let before = f64::from_bits(words[at]);
    let after = match measurement {
        Measurement::Set(value) => value,
        Measurement::Reset => 0.0,
        Measurement::Count(by) | Measurement::Add(by) | Measurement::Observe(by) => before + by,
    };
    let is_sum = !matches!(measurement, Measurement::Set(_));
    if is_sum && before.is_finite() && !after.is_finite() {
        return Measured::Overflow;
    }
    match measurement {
        Measurement::Observe(value) => {
            let bucket = bounds.iter().take_while(|bound| value > f64::from_bits(**bound)).count();
            words[at + 1 + bucket] = words[at + 1 + bucket].wrapping_add(1);
        }
        Measurement::Reset => words[at + 1..].fill(0),
        _ => {}
    }
    words[at] = after.to_bits();
    Measured::Done
}

/// The metrics of one namespace.
#[derive(Clone, Copy)]
pub(crate) struct Metrics<'a> {
    pub(crate) records: Records<'a>,
}

impl Metrics<'_> {
    /// Declares a metric and one of its series. A new series starts at 0.
    pub(crate) fn declare(&self, name: &str, family: &Family<'_>, series_key: &str) -> Result<(), CacheError> {
        if family.bounds.len() > MAX_BOUNDS || family.help.len() > MAX_HELP {
            let text = format!("a metric has at most {MAX_BOUNDS} buckets, and {MAX_HELP} bytes of help");
            return Err(CacheError::InvalidArgument(text));
        }
        self.declare_family(name, family)?;
        let first = family.first_words();
        let fits = self.change_metric(series_key, |edit| {
            if let Some((kind, _, _)) = series(edit.words) {
                return (RecordChange::Keep, kind == family.kind);
            }
            edit.words.clear();
            // They fit: the bounds and the help text are limited.
            let stored = edit.words.push(&first);
            (RecordChange::Store { ttl_ms: 0 }, stored)
        })?;
        if fits { Ok(()) } else { Err(disagreement(NUMBER, family)) }
    }

    fn declare_family(&self, name: &str, family: &Family<'_>) -> Result<(), CacheError> {
        let mut words = Words::default();
        if self.records.read(name.as_bytes(), &mut words)?.is_some()
            && let Some((kind, bounds, rest)) = definition(&words, every)
            && family.agrees_with(kind, bounds)
            && (family.help.is_empty() || help_of(rest).as_deref() == Some(family.help))
        {
            return Ok(());
        }
        self.check_lines(name, family.kind)?;
        let new = family.words();
        let agreed = self.change_metric(name, |edit| {
            let found = definition(edit.words, every);
            let agreed = found.is_none_or(|(kind, bounds, _)| family.agrees_with(kind, bounds));
            if !agreed || (found.is_some() && family.help.is_empty()) {
                return (RecordChange::Keep, agreed);
            }
            edit.words.clear();
            // They fit: the bounds and the help text are limited.
            let stored = edit.words.push(&new);
            (RecordChange::Store { ttl_ms: 0 }, stored)
        })?;
        if agreed { Ok(()) } else { Err(disagreement(name, family)) }
    }

    /// Checks that no other metric has the name of a histogram's line: `x_bucket`, `x_sum` or `x_count`.
    fn check_lines(&self, name: &str, kind: MetricKind) -> Result<(), CacheError> {
        const LINES: [&str; 3] = ["_bucket", "_sum", "_count"];
        let kind_of = |name: &str| -> Result<Option<MetricKind>, CacheError> {
            let mut words = Words::default();
            let found = self.records.read(name.as_bytes(), &mut words)?;
            Ok(found.and_then(|_| definition(&words, every)).map(|(kind, ..)| kind))
        };
        for line in LINES {
            let clash = match name.strip_suffix(line) {
                Some(base) if !base.is_empty() && kind_of(base)? == Some(MetricKind::Histogram) => {
                    Some(base.to_owned())
                }
                _ => None,
            };
            let longer = format!("{name}{line}");
            let clash = match clash {
                None if kind == MetricKind::Histogram && kind_of(&longer)?.is_some() => Some(longer),
                clash => clash,
            };
            if let Some(other) = clash {
                let text = format!("the metric {name} would have a line of the same name as the metric {other}");
                return Err(CacheError::InvalidArgument(text));
            }
        }
        Ok(())
    }

    /// Takes a measurement in one step.
    pub(crate) fn measure(&self, series_key: &[u8], measurement: Measurement) -> Result<Measured, CacheError> {
        self.records.change(series_key, |edit| {
            let Edit { words, .. } = edit;
            let measured = measure(words, measurement);
            let becomes =
                if measured == Measured::Done { RecordChange::Store { ttl_ms: 0 } } else { RecordChange::Keep };
            Ok((becomes, measured))
        })
    }

    /// Reads one series or family without a lock.
    pub(crate) fn get(&self, key: &str) -> Result<Option<Metric>, CacheError> {
        let mut words = Words::default();
        let found = self.records.read(key.as_bytes(), &mut words)?;
        Ok(found.and_then(|_| Metric::of(key.to_owned(), &words)))
    }

    /// All families and series of this namespace, in order of their keys. Each one is consistent in itself.
    pub(crate) fn all(&self) -> Result<Vec<Metric>, CacheError> {
        let keys = self.records.keys()?;
        let mut found = BTreeMap::new();
        for key in keys.into_iter().filter_map(|key| String::from_utf8(key).ok()) {
            if let Some(metric) = self.get(&key)? {
                found.insert(key, metric);
            }
        }
        Ok(found.into_values().collect())
    }

    /// Deletes one series, or a family with all its series. False if there was none.
    pub(crate) fn delete(&self, key: &str) -> Result<bool, CacheError> {
        let mut deleted = false;
        if !key.contains('{') {
            let of_this = |other: &Vec<u8>| other.starts_with(key.as_bytes()) && other.get(key.len()) == Some(&b'{');
            let keys = self.records.keys()?;
            for series_key in keys.iter().filter(|other| of_this(other)) {
                deleted |= self.records.remove(series_key)?;
            }
        }
        // The family goes last, so that no series is without its family.
        Ok(self.records.remove(key.as_bytes())? || deleted)
    }

    fn change_metric<R>(
        &self,
        key: &str,
        mut change: impl FnMut(&mut Edit<'_>) -> (RecordChange, R),
    ) -> Result<R, CacheError> {
        self.records.change(key.as_bytes(), |edit| Ok(change(edit)))
    }
}

fn disagreement(name: &str, family: &Family<'_>) -> CacheError {
    let kind = family.kind.name();
    CacheError::InvalidArgument(format!("the metric {name} is declared elsewhere, not as {kind} with these buckets"))
}
