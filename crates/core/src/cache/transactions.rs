//! Transactions: changes of several keys that become visible together.

use crate::attachment::attached::Attachment;
use crate::cache::handle::Cache;
use crate::change::commit::{Check, KeyChange};
use crate::error::CacheError;

impl Cache {
    /// Commits changes of keys, of this and other namespaces of the segment, if every key of `checks` has the version that
    /// was read. All changes become visible together, to every process. False: a key has another version, and nothing was
    /// changed.
    ///
    /// # Errors
    /// `InvalidArgument` for a key that is changed twice and for more than 1,024 keys; `NoSpace` if the new entries have no
    /// room beside those that they replace; and as for `set`. Nothing is changed then.
    pub fn transact(&self, checks: &[Check<'_>], changes: &[KeyChange<'_>]) -> Result<bool, CacheError> {
        self.count_busy(self.in_area(|| {
            let attachment: &Attachment = self;
            attachment.commit(checks, changes, self.write_patience())
        }))
    }
}
