//! Removes records, among them the flights that a change of their key outdates.

use crate::change::locked::{ChangeError, Locked};
use crate::layout::control::Field;
use crate::layout::key::Key;
use crate::layout::keyspaces::{Keyspace, is_record};
use cache_machine_shm::steps::step;

impl Locked<'_> {
    /// Removes a record. Its listeners are woken after the unlock.
    pub(crate) fn remove_record(&mut self, key: &Key<'_>) -> Result<(), ChangeError> {
        self.delete_any(key)?;
        self.listeners = self.attachment.segment.member().listeners(key.stripe());
        Ok(())
    }

    /// Ends the flight of a key. Its load is older than the current change of the key, so its waiters must read again.
    /// True: there was a flight, and entries that were found before may have moved.
    #[inline]
    pub(crate) fn outdate_flight(&mut self, key: &Key<'_>) -> Result<bool, ChangeError> {
        if self.shard.get(Field::PinnedUnits) == 0 || is_record(key.namespace) {
            return Ok(false);
        }
        let flight = Key::new(self.shard.geometry, Keyspace::Flights.of(key.namespace), key.bytes)?;
        if self.find(&flight)?.is_none() {
            return Ok(false);
        }
        self.remove_record(&flight)?;
        self.more_listeners = self.listeners;
        step("flight.outdated");
        Ok(true)
    }
}
