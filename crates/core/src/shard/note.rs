//! A note of the journal: one store of a change to a derived structure, with what was there before.
//!
//! Promise: a note that was not written by this module is `Damaged`, or leads to a place that its reader checks.

use crate::layout::entry::{Damaged, Run};

const KIND_SHIFT: u32 = 56;

/// What a note is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Note {
    /// The index word of the change: its number in the index, and its value before.
    Word { at: u32, old: u64 },
    /// An index word that names an intent of a transaction from now on: its number in the index, and its value before.
    Intent { at: u32, old: u64 },
    /// A derived word of 4 bytes.
    Half { offset: usize, old: u32 },
    /// A derived word of 8 bytes.
    Whole { offset: usize, old: u64 },
    /// An overflow count, before it was raised for the entry that the change stores.
    Raised { offset: usize, old: u8 },
    /// An overflow count, before it was lowered.
    Lowered { offset: usize, old: u8 },
    /// Units that were free.
    Marked(Run),
    /// The number of reserved units.
    Reserved(u32),
    /// A chain is being taken: its number of extents, and the first of them with the number of runs.
    Chain { extents: u32, runs: Run },
    /// The index is being divided at this level.
    Divided(u32),
    /// The entries of this life of a namespace are counted, from 0. That is not undone but done again.
    Life { namespace: u16, life: u64 },
    /// The units that a namespace used. They are restored only if the change was not committed: others read them without the
    /// lock, and must never see more than are used.
    Used { namespace: u16, old: u32 },
}

impl Note {
    #[inline(always)]
    pub(crate) fn words(self) -> (u64, u64) {
        let (kind, place, old) = match self {
            Self::Word { at, old } => (1, u64::from(at), old),
            Self::Intent { at, old } => (14, u64::from(at), old),
            Self::Half { offset, old } => (2, offset as u64, u64::from(old)),
            Self::Whole { offset, old } => (3, offset as u64, old),
            Self::Raised { offset, old } => (4, offset as u64, u64::from(old)),
            Self::Lowered { offset, old } => (5, offset as u64, u64::from(old)),
            Self::Marked(run) => (6, 0, run.word()),
            Self::Reserved(units) => (9, 0, u64::from(units)),
            Self::Chain { extents, runs } => (10, u64::from(extents), runs.word()),
            Self::Divided(level) => (11, 0, u64::from(level)),
            Self::Life { namespace, life } => (12, namespace.into(), life),
            Self::Used { namespace, old } => (13, namespace.into(), old.into()),
        };
        (kind << KIND_SHIFT | place, old)
    }

    pub(crate) fn of((first, old): (u64, u64)) -> Result<Self, Damaged> {
        let place = first & ((1 << KIND_SHIFT) - 1);
        let offset = place as usize;
        Ok(match first >> KIND_SHIFT {
            1 => Self::Word { at: u32::try_from(place).map_err(|_| Damaged)?, old },
            2 => Self::Half { offset, old: old as u32 },
            3 => Self::Whole { offset, old },
            4 => Self::Raised { offset, old: old as u8 },
            5 => Self::Lowered { offset, old: old as u8 },
            6 => Self::Marked(Run::of(old)),
            9 => Self::Reserved(old as u32),
            10 => Self::Chain { extents: place as u32, runs: Run::of(old) },
            11 => Self::Divided(old as u32),
            12 => Self::Life { namespace: place as u16, life: old },
            13 => Self::Used { namespace: place as u16, old: old as u32 },
            14 => Self::Intent { at: u32::try_from(place).map_err(|_| Damaged)?, old },
            _ => return Err(Damaged),
        })
    }
}
