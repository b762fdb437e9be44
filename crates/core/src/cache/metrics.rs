//! The application's own metrics.

use crate::cache::handle::Cache;
use crate::error::CacheError;
use crate::layout::keyspaces::Keyspace;
use crate::records::metrics::{Family, Measured, Measurement, Metric, Metrics};

impl Cache {
    /// Declares a metric and one of its series. A new series starts at 0. All programs with the same name must declare
    /// the same kind and buckets.
    ///
    /// # Errors
    /// `InvalidArgument` if the name has another kind or other buckets already, or is the name of a histogram's line;
    /// `NoSpace` if pinned records fill a quarter of the shard; `KeyTooLong`, `Busy`, `Detached`, `Corrupt`.
    pub fn declare_metric(&self, name: &str, family: &Family<'_>, series_key: &str) -> Result<(), CacheError> {
        self.in_area(|| self.metric_records().declare(name, family, series_key))
    }

    /// Takes a measurement in one step.
    ///
    /// # Errors
    /// `NoSpace` if no entry may be evicted; `Busy`, `Detached`, `Corrupt`, and an invalid key.
    pub fn measure(&self, series_key: &[u8], measurement: Measurement) -> Result<Measured, CacheError> {
        self.in_area(|| self.metric_records().measure(series_key, measurement))
    }

    /// Reads one series or family without a lock.
    ///
    /// # Errors
    /// `Detached`, and an invalid key.
    pub fn metric(&self, key: &str) -> Result<Option<Metric>, CacheError> {
        self.in_area(|| self.metric_records().get(key))
    }

    /// All families and series of this namespace, in order of their keys. Each one is consistent in itself.
    ///
    /// # Errors
    /// `Detached`, `Corrupt`.
    pub fn metrics(&self) -> Result<Vec<Metric>, CacheError> {
        self.in_area(|| self.metric_records().all())
    }

    /// Deletes one series, or a family with all its series. False if there was none.
    ///
    /// # Errors
    /// `Busy`, `Detached`, `Corrupt`, and an invalid key. Some series may be deleted then.
    pub fn delete_metric(&self, key: &str) -> Result<bool, CacheError> {
        self.in_area(|| self.metric_records().delete(key))
    }

    fn metric_records(&self) -> Metrics<'_> {
        Metrics { records: self.records(Keyspace::Metrics) }
    }
}
