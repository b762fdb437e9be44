//! The ordinary calls on the application's metrics: declare, read, delete. `raw/metrics.rs` has the one that measures.

use crate::env_state::with;
use crate::errors::{Result, invalid};
use cache_machine_core::{Family, Metric, MetricKind};
use napi::bindgen_prelude::Float64Array;
use napi_derive::napi;

/// A family of metrics, or one series of it.
#[napi(object)]
pub struct BindingMetric {
    /// Of a family its name; of a series the name and, in braces, the labels as Prometheus writes them.
    pub key: String,
    /// By `MetricKind`.
    pub kind: u32,
    /// Of a family.
    pub help: String,
    /// Upper bounds of a histogram's buckets, without the last one.
    pub bounds: Float64Array,
    /// Of a series: the value of a counter or gauge, the sum of a histogram.
    pub value: f64,
    /// Of a histogram's series: observations by bucket, one more than `bounds`, each counted once.
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

/// Declares a family of metrics, and makes the series `key` of it unless it exists. An empty `help` agrees with any.
#[napi(catch_unwind)]
pub fn metric_declare(id: u32, name: String, kind: u32, bounds: Float64Array, help: String, key: String) -> Result<()> {
    let Some(kind) = MetricKind::of(kind.into()) else {
        return Err(invalid(format!("there is no kind {kind} of metrics")));
    };
    with(id, |cache| cache.declare_metric(&name, &Family { kind, bounds: &bounds, help: &help }, &key))
}

/// One family or series; null if there is none.
#[napi(catch_unwind)]
pub fn metric_get(id: u32, key: String) -> Result<Option<BindingMetric>> {
    with(id, |cache| Ok(cache.metric(&key)?.map(Into::into)))
}

/// All families and series of the namespace, each as it was at one moment.
#[napi(catch_unwind)]
pub fn metrics_all(id: u32) -> Result<Vec<BindingMetric>> {
    with(id, |cache| Ok(cache.metrics()?.into_iter().map(Into::into).collect()))
}

/// Deletes a series, or by its name a family with all of them; false if there is none.
#[napi(catch_unwind)]
pub fn metric_delete(id: u32, key: String) -> Result<bool> {
    with(id, |cache| cache.delete_metric(&key))
}
