//! What stands behind an index word that names an intent.

use crate::layout::control::Count;
use crate::layout::entry::{Damaged, Head};
use crate::layout::intent::{CommitWord, Intent};
use crate::shard::view::ShardView;
use cache_machine_shm::atomic::Ordering;

impl ShardView<'_> {
    /// The unit behind the intent in `unit`: of the new entry once its transaction is committed, before that of the old
    /// one; 0: none. `Damaged`: the transaction of the intent is over, so the index word has changed, or is damaged.
    ///
    /// Without the lock the result holds for the moment of the call, if the index word is unchanged after the copy.
    pub(crate) fn unit_behind(&self, unit: u32) -> Result<u32, Damaged> {
        let intent = Intent::load(self.unit_words(unit)?);
        let home = intent.home as usize;
        if home >= self.geometry.shards {
            return Err(Damaged);
        }
        // Acquire: pairs with the Release in `Commit::commit`. A reader that has seen a new entry sees `committed` at all
        // other intents of the transaction.
        let word = self.count_of(home, Count::Commit).load(Ordering::Acquire);
        let word = CommitWord(word);
        if word.transaction() != intent.transaction {
            return Err(Damaged);
        }
        // mutant: intents-read-as-new
        Ok(if word.is_committed() { intent.new } else { intent.old })
    }

    /// The head that an index word leads to. An intent leads on to the entry behind it. `None`: that has none.
    #[inline]
    pub(crate) fn head_of_word(&self, word: u64) -> Result<Option<Head>, Damaged> {
        let unit = self.unit_of(word);
        let head = self.head(unit)?;
        if head.key_len == 0 { self.head_behind(unit, head) } else { Ok(Some(head)) }
    }

    /// The head behind the intent in `unit`, which was read as `head`. Any other unit is its own.
    #[cold]
    pub(crate) fn head_behind(&self, unit: u32, head: Head) -> Result<Option<Head>, Damaged> {
        if !Intent::is_at(&head) {
            return Ok(Some(head));
        }
        match self.unit_behind(unit)? {
            0 => Ok(None),
            behind => self.head(behind).map(Some),
        }
    }
}
