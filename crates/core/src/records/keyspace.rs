//! The records of one keyspace of a namespace. A read takes no lock; a change is one step under the shard's lock.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::change::record::{Edit, RecordChange, Words, with_buffers};
use crate::error::CacheError;
use crate::layout::key::Key;
use crate::reading::read::ReadMode;
use crate::shard::values::EntryMeta;

/// The records of one keyspace, and the maximum wait of a change for its shard.
#[derive(Clone, Copy)]
pub(crate) struct Records<'a> {
    pub(crate) attachment: &'a Attachment,
    /// Number of the namespace, with the keyspace.
    pub(crate) namespace: u16,
    pub(crate) patience: Patience,
}

impl Records<'_> {
    /// Copies the words of a record without a lock. `None`: there is no record.
    pub(crate) fn read(&self, key: &[u8], words: &mut Words) -> Result<Option<EntryMeta>, CacheError> {
        let found = self.attachment.read(self.namespace, key, ReadMode::Peek, words)?;
        Ok(found.filter(|meta| meta.copied))
    }

    /// Changes a record in one step. `change` may run twice on the same record if the shard had to be rebuilt.
    pub(crate) fn change<R>(
        &self,
        key: &[u8],
        mut change: impl FnMut(&mut Edit<'_>) -> Result<(RecordChange, R), CacheError>,
    ) -> Result<R, CacheError> {
        let Self { attachment, namespace, patience } = *self;
        let key = Key::new(attachment.geometry(), namespace, key)?;
        with_buffers(|buffers| {
            attachment.change_key(&key, patience, |locked| locked.change_record(&key, buffers, &mut change))
        })
    }

    /// Removes a record. False if there was none.
    pub(crate) fn remove(&self, key: &[u8]) -> Result<bool, CacheError> {
        self.change(key, |edit| Ok((RecordChange::Remove, !edit.words.is_empty())))
    }

    /// The segment's current time, in milliseconds.
    pub(crate) fn now_ms(&self) -> u64 {
        self.attachment.now_ms()
    }
}
