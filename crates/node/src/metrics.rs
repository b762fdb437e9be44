//! Metrics of the application's: the raw call that measures, and the calls that declare, read and delete.

use crate::calls::{Code, Result, with};
use crate::raw::{Call, Failed, INVALID_ARGUMENT, MISS, Outcome, Value};
use cache_machine_core::{CacheError, Family, Measured, Measurement, Metric, MetricKind};
use napi::Error;
use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;

/// See `RawCalls.measure`.
pub(crate) fn measure(call: &Call<'_>, [key, how, value]: [Value; 3]) -> Outcome {
    let value = call.number(value)?;
    let measurement = match call.flags(how)? {
        0 => Measurement::Count(value),
        1 => Measurement::Set(value),
        2 => Measurement::Add(value),
        3 => Measurement::Observe(value),
        4 => Measurement::Reset,
        _ => return Err(Failed(INVALID_ARGUMENT)),
    };
    call.with_key(key, |cache, key, _| match cache.measure(key, measurement)? {
        Measured::Done => call.boolean(true),
        Measured::OtherKind => call.boolean(false),
        Measured::Missing => Err(MISS),
        Measured::Overflow => Err(CacheError::Overflow.into()),
    })
}

/// See `NativeMetric`.
#[napi(object)]
pub struct BindingMetric {
    pub key: String,
    pub kind: u32,
    pub help: String,
    pub bounds: Float64Array,
    pub value: f64,
    pub counts: Float64Array,
}

impl From<Metric> for BindingMetric {
    fn from(metric: Metric) -> Self {
        let Metric { key, kind, bounds, help, value, counts } = metric;
        let counts: Vec<f64> = counts.into_iter().map(|count| count as f64).collect();
        Self {
            key,
            kind: kind as u32,
            help,
            bounds: Float64Array::new(bounds),
            value,
            counts: Float64Array::new(counts),
        }
    }
}

/// Agrees on a family, and makes one of its series.
#[napi(catch_unwind)]
pub fn metric_declare(id: u32, name: String, kind: u32, bounds: Float64Array, help: String, key: String) -> Result<()> {
    let Some(kind) = MetricKind::of(kind.into()) else {
        return Err(Error::new(Code::INVALID_ARGUMENT, format!("there is no kind {kind} of metrics")));
    };
    with(id, |cache| cache.declare_metric(&name, &Family { kind, bounds: &bounds, help: &help }, &key))
}

/// One family or series; null if there is none.
#[napi(catch_unwind)]
pub fn metric_get(id: u32, key: String) -> Result<Option<BindingMetric>> {
    with(id, |cache| Ok(cache.metric(&key)?.map(Into::into)))
}

/// All families and series of the namespace.
#[napi(catch_unwind)]
pub fn metrics_all(id: u32) -> Result<Vec<BindingMetric>> {
    with(id, |cache| Ok(cache.metrics()?.into_iter().map(Into::into).collect()))
}

/// Deletes a series, or a family with all of them; false if there was none.
#[napi(catch_unwind)]
pub fn metric_delete(id: u32, key: String) -> Result<bool> {
    with(id, |cache| cache.delete_metric(&key))
}
