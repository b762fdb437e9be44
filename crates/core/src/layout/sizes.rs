//! Sizes that several formats share. This module is below the geometry, which adds the sizes up.

/// Maximum length of a key, in bytes.
pub const MAX_KEY: usize = 8192;
/// Maximum number of tags of one entry.
pub const MAX_TAGS: usize = 128;
/// Bytes of the control block in front of a ring.
pub(crate) const RING_CONTROL: usize = 64;
/// Number of records in the table of subscriptions.
pub(crate) const SUBSCRIPTION_RECORDS: usize = 4096;
/// Bytes of one of these records.
pub(crate) const SUBSCRIPTION_RECORD: usize = 16;
/// Bytes of the table of subscriptions: its lock and counter, one bit per length of a prefix, the records.
pub(crate) const SUBSCRIPTIONS_BYTES: usize = 64 + MAX_KEY / 8 + SUBSCRIPTION_RECORDS * SUBSCRIPTION_RECORD;
/// The keyspace of the values of version 0 of the application; see `keyspaces`.
pub(crate) const FIRST_OF_VERSIONS: u16 = 16;
