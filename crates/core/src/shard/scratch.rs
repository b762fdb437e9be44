//! Process memory for a rebuild. It is allocated when the segment is opened, because no allocation may happen under a
//! lock.

use crate::layout::geometry::Geometry;
use crate::layout::sizes::MAX_KEY;

/// The notes of a rebuild.
#[derive(Debug)]
pub(crate) struct Scratch {
    /// For each line, the number of keys that went past it.
    pub(crate) overflow: Vec<u8>,
    /// One bit per unit: an index word names the head in it, and no queue has it yet.
    waiting: Vec<u64>,
    /// Room for one key.
    pub(crate) key: Vec<u8>,
    /// Units that were walked in vain along damaged chains.
    pub(crate) wasted: usize,
}

impl Scratch {
    pub(crate) fn new(geometry: &Geometry) -> Self {
        Self {
            overflow: vec![0; geometry.lines()],
            waiting: vec![0; geometry.units.div_ceil(64)],
            key: Vec::with_capacity(MAX_KEY + 64),
            wasted: 0,
        }
    }

    /// Removes the notes of an earlier rebuild.
    pub(crate) fn clear(&mut self) {
        self.overflow.fill(0);
        self.waiting.fill(0);
        self.wasted = 0;
    }

    pub(crate) fn set_waiting(&mut self, unit: u32) {
        self.waiting[unit as usize / 64] |= 1 << (unit % 64);
    }

    pub(crate) fn take_waiting(&mut self, unit: u32) -> bool {
        let Some(word) = self.waiting.get_mut(unit as usize / 64) else {
            return false;
        };
        let was = *word >> (unit % 64) & 1 == 1;
        *word &= !(1 << (unit % 64));
        was
    }
}
