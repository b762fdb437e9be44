//! A file that may be a segment: what its header says, which leases are held on it, and whether only those that share it
//! have access.

use crate::error::ShmError;
use crate::os::{self, Sharing};
use crate::segment::header::{Header, LEASES, MAGIC, PROCESS_SLOTS, State};
use crate::segment::process_table::ProcessTable;
use std::fs::File;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long a process may take from fork to exec.
const FORK_PATIENCE: Duration = Duration::from_millis(100);

/// The layout that a build can read: its version, and a fingerprint of the sizes that the layout depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Part of the file's name, so that two layouts coexist during a reload.
    pub layout: u32,
    /// Differs where two builds of one layout version would misread each other.
    pub fingerprint: u64,
    /// Where the process table lies.
    pub table: ProcessTable,
}

/// The state of a segment by its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// Of this layout and boot, and in use.
    Usable {
        /// Length in bytes.
        len: usize,
        /// Random number of this segment.
        nonce: u64,
    },
    /// `destroy` has begun, and its process may have died.
    Destroyed {
        /// Length in bytes.
        len: usize,
        /// Random number of this segment.
        nonce: u64,
    },
    /// A file that outlived a restart of the host.
    EarlierBoot,
}

pub(crate) struct OpenedFile {
    pub(crate) file: File,
    sharing: Sharing,
}

impl OpenedFile {
    /// Opens a file that may be used: the type, owner, mode, number of names and folder are right.
    pub(crate) fn open(path: &Path, sharing: Sharing) -> Result<Self, ShmError> {
        let file = os::open_existing(path).map_err(|e| ShmError::from_io("open the segment", e))?;
        os::check_access(&file, sharing)?;
        os::check_folder(path.parent().unwrap_or(Path::new(".")), &file, sharing)?;
        Ok(Self { file, sharing })
    }

    /// Its length. The access to it may have changed since it was opened.
    pub(crate) fn len(&self) -> Result<usize, ShmError> {
        os::check_access(&self.file, self.sharing)
    }

    /// `InUse` if a process is attached. A process that was just forked holds its parent's leases until it executes another
    /// program, so one check is not enough.
    pub(crate) fn wait_until_unused(&self) -> Result<(), ShmError> {
        let deadline = Instant::now() + FORK_PATIENCE;
        loop {
            match self.attached()? {
                0 => return Ok(()),
                attached if Instant::now() >= deadline => return Err(ShmError::InUse(attached)),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    /// Number of leases that are held.
    pub(crate) fn attached(&self) -> Result<usize, ShmError> {
        let mut count = 0;
        let mut open = vec![(LEASES, LEASES + PROCESS_SLOTS as i64)];
        while let Some((from, end)) = open.pop() {
            if from >= end {
                continue;
            }
            let held =
                os::some_held(&self.file, from, end - from).map_err(|e| ShmError::from_io("ask for leases", e))?;
            if let Some(at) = held {
                let at = at.clamp(from, end - 1);
                count += 1;
                // The system names the oldest lock, so there may be others on both sides.
                // mutant: leases-counted-upwards
                open.extend([(from, at), (at + 1, end)]);
            }
        }
        Ok(count)
    }

    pub(crate) fn check_header(&self, identity: Identity) -> Result<Found, ShmError> {
        let len = self.len()?;
        let mut header = [0u8; 64];
        os::read_at(&self.file, &mut header, 0).map_err(|_| ShmError::Corrupt(format!("{len} bytes are too few")))?;
        let word = |at: usize| u64::from_le_bytes(header[at..at + 8].try_into().expect("8 bytes"));
        let half = |at: usize| u32::from_le_bytes(header[at..at + 4].try_into().expect("4 bytes"));
        if word(Header::MAGIC) != MAGIC {
            return Err(ShmError::Corrupt("not a segment of cache-machine".into()));
        }
        if half(Header::LAYOUT) != identity.layout {
            return Err(ShmError::Version { found: half(Header::LAYOUT), expected: identity.layout });
        }
        let boot = u128::from_le_bytes(header[Header::BOOT..Header::BOOT + 16].try_into().expect("16 bytes"));
        if boot != 0 && boot != os::boot_id().map_err(|e| ShmError::from_io("read the boot's id", e))? {
            return Ok(Found::EarlierBoot);
        }
        if word(Header::FINGERPRINT) != identity.fingerprint {
            return Err(ShmError::Corrupt("made by another build of the same layout version".into()));
        }
        // The file must have the length of the header, and contain everything that every handle touches. It is longer while
        // it is resized.
        if word(Header::LEN) > len as u64 || word(Header::LEN) < identity.table.end() as u64 {
            return Err(ShmError::Corrupt(format!("{len} bytes long, the header says {}", word(Header::LEN))));
        }
        let nonce = word(Header::NONCE);
        match half(Header::STATE) {
            state if state == State::Ready as u32 => Ok(Found::Usable { len, nonce }),
            state if state == State::Destroyed as u32 => Ok(Found::Destroyed { len, nonce }),
            state => Err(ShmError::Corrupt(format!("state {state}"))),
        }
    }
}
