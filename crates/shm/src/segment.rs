//! Named segments: how one is made, found, joined and destroyed while others do the same and may die on the way.
//!
//! ```text
//! create   private file → reserve → header → READY → rename that never replaces        (a death leaves a private file)
//! attach   open → check the file → gate shared → check the name again → map → join → check the name again → gate open
//! destroy  gate exclusive → check the name → DESTROYED → epoch → through every lock → unlink that inode → gate open
//! ```
//!
//! Promises: nobody ever sees a half-made segment; two processes that open one name get one segment; a name is unlinked
//! only by `destroy` and only if it still means the inode that was checked; closing removes nothing.
//!
//! The thing to get wrong: the name. Between any two calls it may come to mean another file, so it is checked against
//! the inode after every wait. The gate is a byte lock *on the inode*, so holding it says nothing about a new file.

use crate::atomic::{AtomicU32, AtomicU64, Ordering};
use crate::clock::BootClock;
use crate::ending;
use crate::error::ShmError;
use crate::os::{self, Hold};
use crate::process_table::{Member, PROCESS_SLOTS, ProcessTable};
use crate::region::Region;
use crate::sigbus;
use crate::steps::step;
use shared_memory::{Shmem, ShmemConf, ShmemError};
use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::ptr::NonNull;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes at the start of every segment that this module and the cache's geometry share.
pub const HEADER_BYTES: usize = 4096;
const MAGIC: u64 = u64::from_le_bytes(*b"cachemc\x01");
const POSIX_DIRECTORY: &str = "/dev/shm";
/// Byte locks lie far past the end of the file, where they concern no data.
pub(crate) const LEASES: i64 = 1 << 40;
const GATE: i64 = LEASES + 4096;
const CREATOR: i64 = LEASES + 4097;
const SWEEPER: i64 = LEASES + 4098;
/// Longest wait for the gate.
const GATE_PATIENCE: Duration = Duration::from_secs(2);
/// How long a process may take from fork to exec.
const FORK_PATIENCE: Duration = Duration::from_millis(100);
/// How often a name may change under an opener before it gives up.
const ATTEMPTS: usize = 1000;

/// Life of a segment, in its header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u32)]
pub enum State {
    /// Being made; nobody else can see it.
    Building = 0,
    /// In use.
    Ready = 1,
    /// Given up; attached handles leave it.
    Destroyed = 2,
}

/// The fields of the header that every layout has at the same place.
#[derive(Clone, Copy, Debug)]
pub struct Header<'r> {
    region: &'r Region,
}

impl<'r> Header<'r> {
    const MAGIC: usize = 0;
    const LAYOUT: usize = 8;
    const STATE: usize = 12;
    const FINGERPRINT: usize = 16;
    const NONCE: usize = 24;
    const LEN: usize = 32;
    const CREATED: usize = 40;
    const BOOT: usize = 48;
    // The next line is read by every operation and written only by `clear`, `destroy` and a new highest slot.
    /// Offset of the root epoch.
    pub const EPOCH: usize = 64;
    const SLOTS_USED: usize = 68;
    const MANUAL_CLOCK: usize = 128;
    /// Words from here to the end of the header belong to the cache.
    pub const CACHE: usize = 192;

    /// The header of a segment.
    #[inline]
    pub fn of(region: &'r Region) -> Self {
        Self { region }
    }

    /// The root epoch; `clear` and `destroy` move it.
    #[inline]
    pub fn epoch(self) -> &'r AtomicU32 {
        self.region.u32(Self::EPOCH)
    }

    /// Where the segment is in its life.
    #[inline]
    pub fn state(self) -> State {
        match ending::state_of(self.region.u32(Self::STATE)) {
            1 => State::Ready,
            2 => State::Destroyed,
            _ => State::Building,
        }
    }

    fn set_state(self, state: State) {
        // Release: pairs with the Acquire in `ending::state_of`.
        self.region.u32(Self::STATE).store(state as u32, Ordering::Release);
    }

    fn give_up(self) {
        ending::give_up(self.region.u32(Self::STATE), State::Destroyed as u32, self.epoch());
    }

    /// Milliseconds that a manual clock shows; 0 on segments with a real one.
    #[inline]
    pub fn manual_clock(self) -> &'r AtomicU64 {
        self.region.u64(Self::MANUAL_CLOCK)
    }

    /// When it was made, in milliseconds since boot.
    pub fn created_ms(self) -> u64 {
        self.region.u64(Self::CREATED).load(Ordering::Relaxed)
    }

    /// One more than the highest process slot ever taken.
    #[inline]
    pub fn slots_used(self) -> usize {
        (self.region.u32(Self::SLOTS_USED).load(Ordering::Relaxed) as usize).min(PROCESS_SLOTS)
    }

    pub(crate) fn note_slot(self, slot: u16) {
        self.region.u32(Self::SLOTS_USED).fetch_max(u32::from(slot) + 1, Ordering::Relaxed);
    }
}

/// What a build can read: its layout version, and a fingerprint of the sizes that the layout depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Identity {
    /// Part of the file's name, so that two layouts live side by side during a reload.
    pub layout: u32,
    /// Differs where two builds of one layout version would misread each other.
    pub fingerprint: u64,
    /// Where the process table lies.
    pub table: ProcessTable,
}

/// Where segments live.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Place {
    /// POSIX shared memory.
    Posix,
    /// Files in a directory, in memory or on disk.
    Directory(PathBuf),
}

impl Place {
    fn directory(&self) -> &Path {
        match self {
            Place::Posix => Path::new(POSIX_DIRECTORY),
            Place::Directory(path) => path,
        }
    }
}

/// A segment's name and everything that follows from it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SegmentFile {
    place: Place,
    name: String,
    layout: u32,
    path: PathBuf,
}

impl SegmentFile {
    /// `name` is 1 to 64 of `[A-Za-z0-9._-]`; the caller has checked that.
    pub fn new(place: Place, name: &str, layout: u32) -> Self {
        let path = place.directory().join(file_name(layout, os::effective_uid(), name));
        Self { place, name: name.to_owned(), layout, path }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The user's name for it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Makes the segment: `len` bytes, of which the ranges `reserved` (offset, length) are taken from the system at once,
    /// filled by `init`.
    /// False if another process was quicker; then nothing was made.
    ///
    /// # Errors
    /// `NoSpace`, `Permission`, `Unsupported` or the system's own.
    pub fn create(
        &self,
        identity: Identity,
        len: usize,
        reserved: &[(usize, usize)],
        init: &dyn Fn(&Region),
    ) -> Result<bool, ShmError> {
        os::check_file_size(len)?;
        for _ in 0..ATTEMPTS {
            let private = self.path.with_file_name(format!(
                "{}~{:016x}",
                file_name(self.layout, os::effective_uid(), &self.name),
                os::random_u64()
            ));
            let made = self.build_private(&private, identity, len, reserved, init);
            let published = match made {
                Ok(Some(_creator)) => os::rename_no_replace(&private, &self.path),
                // Swept away by another opener before we could lock it.
                Ok(None) => Err(ShmError::NotFound),
                Err(error) => Err(error),
            };
            match published {
                Ok(true) => {
                    step("create.published");
                    return Ok(true);
                }
                // A private file that vanished was swept away: try again with another.
                Err(ShmError::NotFound) if self.place.directory().is_dir() => continue,
                other => {
                    let _ = std::fs::remove_file(&private);
                    return other;
                }
            }
        }
        Err(ShmError::Busy("the private file of a new segment kept vanishing".into()))
    }

    fn build_private(
        &self,
        private: &Path,
        identity: Identity,
        len: usize,
        reserved: &[(usize, usize)],
        init: &dyn Fn(&Region),
    ) -> Result<Option<File>, ShmError> {
        let (mapping, file) = match &self.place {
            Place::Posix => {
                let mapping = Mapping::create_posix(private, len)?;
                step("create.file");
                (mapping, os::open_existing(private).map_err(|e| ShmError::from_io("create the segment", e))?)
            }
            Place::Directory(_) => {
                let file = os::create_new(private).map_err(|e| ShmError::from_io("create the segment", e))?;
                step("create.file");
                file.set_len(len as u64).map_err(|e| ShmError::from_io("size the segment", e))?;
                (Mapping::map(&file, len)?, file)
            }
        };
        // Others remove private files whose creator byte is free.
        if !os::try_hold(&file, Hold::Exclusive, CREATOR).map_err(|e| ShmError::from_io("lock the new segment", e))? {
            return Ok(None);
        }
        step("create.leased");
        file.set_permissions(std::fs::Permissions::from_mode(0o600))
            .map_err(|e| ShmError::from_io("protect the segment", e))?;
        for &(offset, reserved_len) in reserved {
            os::reserve(&file, mapping.base, len, offset, reserved_len)?;
        }
        step("create.reserved");
        let region = mapping.region();
        let guard = sigbus::Guard::new(region.base(), len);
        region.u64(Header::MAGIC).store(MAGIC, Ordering::Relaxed);
        region.u32(Header::LAYOUT).store(identity.layout, Ordering::Relaxed);
        region.u64(Header::FINGERPRINT).store(identity.fingerprint, Ordering::Relaxed);
        region.u64(Header::NONCE).store(os::random_u64(), Ordering::Relaxed);
        region.u64(Header::LEN).store(len as u64, Ordering::Relaxed);
        region.u64(Header::CREATED).store(BootClock::new().now_ms(), Ordering::Relaxed);
        // 0 where it is not known: then nobody takes the segment for an earlier boot's.
        region.copy_in(Header::BOOT, &os::boot_id().unwrap_or(0).to_le_bytes());
        region.u32(Header::EPOCH).store(1, Ordering::Relaxed);
        step("create.header");
        init(&region);
        step("create.filled");
        Header::of(&region).set_state(State::Ready);
        step("create.ready");
        if guard.is_lost() { Err(ShmError::Corrupt("truncated while it was made".into())) } else { Ok(Some(file)) }
    }

    /// Joins the segment of this name. `through_locks` is as for `destroy`, to finish what a dead destroyer has begun.
    ///
    /// # Errors
    /// `NotFound`, `Permission`, `Version`, `Corrupt`, `Busy`, `NoSlot`, `Unsupported`.
    pub fn attach(&self, identity: Identity, through_locks: &ThroughLocks<'_>) -> Result<Segment, ShmError> {
        for _ in 0..ATTEMPTS {
            let Some(opened) = self.open_gated(Hold::Shared)? else {
                continue;
            };
            match opened.check_header(identity)? {
                Found::Usable { len, nonce } => {
                    let segment = self.join(opened.file, identity, len, nonce)?;
                    let still = segment.is_still_named();
                    segment.open_gate()?;
                    step("join.gate");
                    if still {
                        return Ok(segment);
                    }
                }
                // A destroyer died before it unlinked, or the host was restarted: finish it.
                Found::Destroyed { .. } | Found::EarlierBoot => {
                    drop(opened);
                    self.remove_dead(identity, through_locks)?;
                }
            }
        }
        Err(ShmError::Busy("the segment kept being replaced".into()))
    }

    /// Opens the file and takes its gate; `None` if the name meanwhile means another file.
    fn open_gated(&self, hold: Hold) -> Result<Option<Opened>, ShmError> {
        let file = os::open_existing(&self.path).map_err(|e| ShmError::from_io("open the segment", e))?;
        check_file(&file)?;
        let deadline = Instant::now() + GATE_PATIENCE;
        while !os::try_hold(&file, hold, GATE).map_err(|e| ShmError::from_io("enter the gate", e))? {
            if Instant::now() >= deadline {
                return Err(ShmError::Busy("another process is opening or destroying the segment".into()));
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(names(&self.path, &file).then_some(Opened { file }))
    }

    fn join(&self, file: File, identity: Identity, len: usize, nonce: u64) -> Result<Segment, ShmError> {
        let mapping = match &self.place {
            Place::Posix => Mapping::open_posix(&self.path, len)?,
            Place::Directory(_) => Mapping::map(&file, len)?,
        };
        // Guarded before the first look: the file may be truncated at any time.
        let memory = Arc::new(Memory::new(mapping));
        let region = Arc::new(memory.mapping.region());
        if region.u64(Header::NONCE).load(Ordering::Relaxed) != nonce {
            return Err(ShmError::Busy("the segment was replaced while it was mapped".into()));
        }
        let lease = os::open_existing(&self.path).map_err(|e| ShmError::from_io("open the segment", e))?;
        if !names(&self.path, &lease) || !same_file(&file, &lease) {
            return Err(ShmError::Busy("the segment was replaced while it was opened".into()));
        }
        let file = Arc::new(file);
        let member = Member::join(region.clone(), identity.table, lease, file.clone(), BootClock::new().now_ms())?;
        Ok(Segment { member, region, file, path: self.path.clone(), memory })
    }

    /// Destroys the segment: `through_locks` must pass once through every lock, so that no writer is left inside.
    /// False if there is none. Without `force` it refuses while anybody, also this process, is attached.
    ///
    /// # Errors
    /// `InUse`, `Busy` (a stopped process holds the gate or a lock), `Permission`.
    pub fn destroy(&self, identity: Identity, force: bool, through_locks: &ThroughLocks<'_>) -> Result<bool, ShmError> {
        for _ in 0..ATTEMPTS {
            let opened = match self.open_gated(Hold::Exclusive) {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                Err(ShmError::NotFound) => return Ok(false),
                Err(error) => return Err(error),
            };
            if !force {
                opened.wait_until_unused()?;
            }
            self.end(opened, identity, through_locks)?;
            return Ok(true);
        }
        Err(ShmError::Busy("the segment kept being replaced".into()))
    }

    /// Finishes a destroyed segment, or removes one of an earlier boot. Then there is none.
    fn remove_dead(&self, identity: Identity, through_locks: &ThroughLocks<'_>) -> Result<(), ShmError> {
        let Some(opened) = self.open_gated(Hold::Exclusive)? else {
            return Ok(());
        };
        match opened.check_header(identity)? {
            Found::Usable { .. } => Ok(()),
            // A lease is of this boot, whatever the header says.
            Found::EarlierBoot if opened.attached()? > 0 => {
                Err(ShmError::Corrupt("of an earlier boot, but in use".into()))
            }
            Found::Destroyed { .. } | Found::EarlierBoot => {
                self.end(opened, identity, through_locks)?;
                Err(ShmError::NotFound)
            }
        }
    }

    /// The end of a segment whose gate the caller holds exclusively. All of it also where a dead destroyer has begun: its
    /// handles may not know yet, and a writer may still be inside.
    fn end(&self, opened: Opened, identity: Identity, through_locks: &ThroughLocks<'_>) -> Result<(), ShmError> {
        // A segment that cannot be read has no handles of ours that could be told.
        if let Ok(Found::Usable { len, nonce } | Found::Destroyed { len, nonce }) = opened.check_header(identity) {
            let segment = self.join(opened.file, identity, len, nonce)?;
            segment.header().give_up();
            through_locks(&segment)?;
            step("destroy.passed");
            self.unlink(&segment.file)?;
        } else {
            self.unlink(&opened.file)?;
        }
        step("destroy.unlinked");
        Ok(())
    }

    /// The caller holds the gate of `file` exclusively.
    fn unlink(&self, file: &File) -> Result<(), ShmError> {
        if names(&self.path, file) {
            std::fs::remove_file(&self.path).map_err(|e| ShmError::from_io("unlink the segment", e))?;
        }
        Ok(())
    }

    /// Looks at the segment without joining it: header and space as they are, the number of attached processes.
    ///
    /// # Errors
    /// `NotFound`, `Permission`, `Corrupt` (too short to have a header).
    pub fn inspect<R>(&self, look: impl FnOnce(&Region, &File, usize) -> R) -> Result<R, ShmError> {
        let file = os::open_existing(&self.path).map_err(|e| ShmError::from_io("open the segment", e))?;
        let len = check_file(&file)?;
        if len < HEADER_BYTES {
            return Err(ShmError::Corrupt(format!("{len} bytes are too few for a header")));
        }
        let opened = Opened { file };
        let attached = opened.attached()?;
        let mapping = Mapping::map(&opened.file, len)?;
        let region = mapping.region();
        let _guard = sigbus::Guard::new(region.base(), len);
        Ok(look(&region, &opened.file, attached))
    }

    /// What the header says, without mapping.
    ///
    /// # Errors
    /// `Version` and `Corrupt` tell what is wrong; others as for `attach`.
    pub fn check(&self, identity: Identity) -> Result<Found, ShmError> {
        let file = os::open_existing(&self.path).map_err(|e| ShmError::from_io("open the segment", e))?;
        Opened { file }.check_header(identity)
    }
}

/// Passes once through every lock of a segment, so that no writer is left inside.
pub type ThroughLocks<'a> = dyn Fn(&Segment) -> Result<(), ShmError> + 'a;

/// What a header says of its segment.
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

struct Opened {
    file: File,
}

impl Opened {
    /// `InUse` if anybody is attached. A process that was just forked holds its parent's leases until it becomes another
    /// program, so one look is not enough.
    fn wait_until_unused(&self) -> Result<(), ShmError> {
        let deadline = Instant::now() + FORK_PATIENCE;
        loop {
            match self.attached()? {
                0 => return Ok(()),
                attached if Instant::now() >= deadline => return Err(ShmError::InUse(attached)),
                _ => std::thread::sleep(Duration::from_millis(1)),
            }
        }
    }

    fn attached(&self) -> Result<usize, ShmError> {
        let mut count = 0;
        let mut from = LEASES;
        let end = LEASES + PROCESS_SLOTS as i64;
        while from < end {
            let held =
                os::first_held(&self.file, from, end - from).map_err(|e| ShmError::from_io("ask for leases", e))?;
            let Some(at) = held else { break };
            count += 1;
            from = at.max(from) + 1;
        }
        Ok(count)
    }

    fn check_header(&self, identity: Identity) -> Result<Found, ShmError> {
        let len = check_file(&self.file)?;
        let mut header = [0u8; 64];
        self.file.read_exact_at(&mut header, 0).map_err(|_| ShmError::Corrupt(format!("{len} bytes are too few")))?;
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
        // Both fit: what it says, and what every handle touches.
        if word(Header::LEN) != len as u64 || len < identity.table.end() {
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

/// A joined segment. Dropping it leaves the segment in place and gives the process slot up.
#[derive(Debug)]
pub struct Segment {
    // Dropped in this order: the slot is given up while the memory is still mapped.
    member: Member,
    region: Arc<Region>,
    file: Arc<File>,
    path: PathBuf,
    memory: Arc<Memory>,
}

impl Segment {
    /// Its bytes.
    #[inline]
    pub fn region(&self) -> &Region {
        &self.region
    }

    /// Its header.
    #[inline]
    pub fn header(&self) -> Header<'_> {
        Header::of(&self.region)
    }

    /// This process's place in it.
    #[inline]
    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Reserves bytes, so that touching them never raises SIGBUS.
    ///
    /// # Errors
    /// `NoSpace` when the file system is full.
    pub fn reserve(&self, offset: usize, len: usize) -> Result<(), ShmError> {
        let Mapping { base, len: mapped, .. } = self.memory.mapping;
        os::reserve(&self.file, base, mapped, offset, len)
    }

    /// Pins all of it in memory; all of it is then taken from the system.
    ///
    /// # Errors
    /// `Permission` where the limit forbids it, `NoSpace`.
    pub fn lock_memory(&self) -> Result<(), ShmError> {
        let Mapping { base, len, .. } = self.memory.mapping;
        os::reserve(&self.file, base, len, 0, len)?;
        os::lock_memory(base, len)
    }

    /// The file was truncated under us, and the bytes are no longer shared.
    #[inline]
    pub fn is_lost(&self) -> bool {
        self.memory.guard.is_lost()
    }

    /// Its mapped bytes, for those who hand their address on and cannot say for how long.
    pub fn memory(&self) -> Arc<Memory> {
        self.memory.clone()
    }

    /// Whether the name still means this segment, and the file is as long as it was.
    pub fn is_still_named(&self) -> bool {
        names(&self.path, &self.file) && self.file.metadata().is_ok_and(|m| m.len() == self.memory.mapping.len as u64)
    }

    /// Tries to become the one process that sweeps; true if it already is.
    pub fn try_be_sweeper(&self) -> bool {
        os::try_hold(&self.file, Hold::Exclusive, SWEEPER).unwrap_or(false)
    }

    fn open_gate(&self) -> Result<(), ShmError> {
        os::try_hold(&self.file, Hold::None, GATE).map_err(|e| ShmError::from_io("leave the gate", e))?;
        Ok(())
    }
}

/// The mapped bytes of a segment, guarded against truncation. They stay mapped while anybody has this, also when the
/// segment itself was let go of.
#[derive(Debug)]
pub struct Memory {
    // Dropped in this order: unguarded while it is still mapped.
    guard: sigbus::Guard,
    mapping: Mapping,
}

impl Memory {
    fn new(mapping: Mapping) -> Self {
        Self { guard: sigbus::Guard::new(mapping.base, mapping.len), mapping }
    }

    /// Where `len` bytes from `offset` start in this process; `None` unless all of them are inside. Whoever uses the address
    /// keeps the memory, and expects the bytes to change at any time.
    pub fn at(&self, offset: usize, len: usize) -> Option<NonNull<u8>> {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.mapping.len);
        // SAFETY: in bounds, so the pointer arithmetic stays inside the mapping.
        fits.then(|| unsafe { self.mapping.base.add(offset) })
    }
}

#[derive(Debug)]
struct Mapping {
    base: NonNull<u8>,
    len: usize,
    made_by: MadeBy,
}

enum MadeBy {
    /// Unmaps itself. Kept only for that: everything goes through `Region`.
    Crate(#[expect(dead_code, reason = "unmaps on drop")] Shmem),
    Us,
}

impl std::fmt::Debug for MadeBy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if matches!(self, MadeBy::Us) { "Us" } else { "Crate" })
    }
}

// SAFETY: the crate's handle is a pointer, a length and a descriptor, none bound to a thread; it is only ever dropped.
unsafe impl Send for Mapping {}
// SAFETY: as above; no method of the crate's handle is called after construction.
unsafe impl Sync for Mapping {}

impl Mapping {
    fn create_posix(path: &Path, len: usize) -> Result<Self, ShmError> {
        Self::of_crate(ShmemConf::new().os_id(os_id(path)).size(len).create(), len)
    }

    fn open_posix(path: &Path, len: usize) -> Result<Self, ShmError> {
        Self::of_crate(ShmemConf::new().os_id(os_id(path)).size(len).open(), len)
    }

    fn of_crate(shmem: Result<Shmem, ShmemError>, len: usize) -> Result<Self, ShmError> {
        let mut shmem = shmem.map_err(|e| match e {
            ShmemError::MapCreateFailed(code) | ShmemError::MapOpenFailed(code) | ShmemError::UnknownOsError(code) => {
                ShmError::from_io("map the segment", std::io::Error::from_raw_os_error(code as i32))
            }
            other => ShmError::Unsupported(other.to_string()),
        })?;
        // At once: an owner unlinks the name on drop, whatever the name has come to mean.
        shmem.set_owner(false);
        let base = NonNull::new(shmem.as_ptr()).ok_or_else(|| ShmError::Corrupt("mapped at address 0".into()))?;
        if shmem.len() != len {
            return Err(ShmError::Corrupt(format!("{} bytes mapped, {len} expected", shmem.len())));
        }
        Ok(Self { base, len, made_by: MadeBy::Crate(shmem) })
    }

    fn map(file: &File, len: usize) -> Result<Self, ShmError> {
        Ok(Self { base: os::map(file, len)?, len, made_by: MadeBy::Us })
    }

    fn region(&self) -> Region {
        // SAFETY: mapped read-write and page-aligned; every user of the region lives no longer than the mapping, which
        // `Segment` drops last; all access goes through the region's atomics.
        unsafe { Region::new(self.base, self.len) }
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if matches!(self.made_by, MadeBy::Us) {
            // SAFETY: mapped by `map`; regions over it are gone, as `Segment` drops it last.
            unsafe { os::unmap(self.base, self.len) };
        }
    }
}

fn os_id(path: &Path) -> String {
    format!("/{}", path.file_name().unwrap_or_default().to_string_lossy())
}

fn file_name(layout: u32, uid: u32, name: &str) -> String {
    format!("cache-machine.{layout}.{uid}.{name}")
}

/// Ours, and only ours: a plain file of this user that nobody else may touch and that has one name.
fn check_file(file: &File) -> Result<usize, ShmError> {
    let meta = file.metadata().map_err(|e| ShmError::from_io("examine the segment", e))?;
    let uid = os::effective_uid();
    if !meta.is_file() {
        return Err(ShmError::Permission("not a plain file".into()));
    }
    if meta.uid() != uid {
        return Err(ShmError::Permission(format!("it belongs to user {}, this process is user {uid}", meta.uid())));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(ShmError::Permission(format!("mode {:o} lets others in", meta.mode() & 0o777)));
    }
    if meta.nlink() > 1 {
        return Err(ShmError::Permission(format!("it has {} names", meta.nlink())));
    }
    Ok(meta.len() as usize)
}

fn names(path: &Path, file: &File) -> bool {
    match (std::fs::symlink_metadata(path), file.metadata()) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

fn same_file(a: &File, b: &File) -> bool {
    match (a.metadata(), b.metadata()) {
        (Ok(a), Ok(b)) => a.dev() == b.dev() && a.ino() == b.ino(),
        _ => false,
    }
}

/// Names of this user's segments in a place, with their layout version, in order.
pub fn list_segments(place: &Place) -> Vec<(u32, String)> {
    let mut found: Vec<_> =
        entries(place).into_iter().filter(|e| e.private.is_none()).map(|e| (e.layout, e.name)).collect();
    found.sort();
    found
}

/// Removes what nobody uses any more: private files of dead creators, and segments of this name with an older layout.
pub fn remove_unused(file: &SegmentFile) {
    for entry in entries(&file.place) {
        let older = entry.name == file.name && entry.layout < file.layout;
        if entry.private.is_none() && !older {
            continue;
        }
        let path = file.place.directory().join(&entry.file_name);
        let Ok(opened) = os::open_existing(&path).map(|file| Opened { file }) else {
            continue;
        };
        let byte = if entry.private.is_some() { CREATOR } else { GATE };
        let alone = check_file(&opened.file).is_ok()
            && os::try_hold(&opened.file, Hold::Exclusive, byte).unwrap_or(false)
            && opened.attached().is_ok_and(|n| n == 0)
            && names(&path, &opened.file);
        if alone {
            let _ = std::fs::remove_file(&path);
        }
    }
}

struct Entry {
    file_name: String,
    layout: u32,
    name: String,
    private: Option<String>,
}

fn entries(place: &Place) -> Vec<Entry> {
    let Ok(directory) = std::fs::read_dir(place.directory()) else {
        return Vec::new();
    };
    directory.flatten().filter_map(|e| parse(&e.file_name().into_string().ok()?)).collect()
}

fn parse(file_name: &str) -> Option<Entry> {
    let (layout, rest) = file_name.strip_prefix("cache-machine.")?.split_once('.')?;
    let (uid, name) = rest.split_once('.')?;
    (uid.parse::<u32>().ok()? == os::effective_uid()).then_some(())?;
    let (name, private) = match name.split_once('~') {
        Some((name, private)) => (name, Some(private.to_owned())),
        None => (name, None),
    };
    Some(Entry { file_name: file_name.to_owned(), layout: layout.parse().ok()?, name: name.to_owned(), private })
}
