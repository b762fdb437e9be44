//! Named segments: how a process creates, finds, joins and destroys one while others do the same and may die at any step.
//!
//! ```text
//! create   private file → reserve → header → READY → rename that never replaces        (a death leaves a private file)
//! attach   open → check the file → gate → check the name again → map → join → check the name again → leave the gate
//! destroy  gate → check the name → DESTROYED → epoch → unlink that inode → through every lock → leave the gate
//! ```
//!
//! Promises: no process sees a half-made segment; two processes that open one name get one segment; only `destroy` unlinks a
//! name, and only while it means the inode that was checked; closing removes nothing. `destroy` frees the name at once, whatever
//! the holders of locks do: writers that are inside then detect the new state before they acknowledge anything.
//!
//! Caution: between any two calls the name may come to mean another file, so it is checked against the inode after every wait.
//! The gate consists of byte locks *on the inode*, so holding it says nothing about a new file of the same name.

use crate::atomic::Ordering;
use crate::clock::BootClock;
use crate::error::ShmError;
use crate::memory::guard::Guard;
use crate::memory::mapping::{Mapping, Memory};
use crate::memory::region::Region;
use crate::os::{self, Hold, Sharing};
use crate::segment::gate::{MAX_GATE_PATIENCE, Pass};
use crate::segment::header::{CREATOR, HEADER_BYTES, Header, MAGIC, State};
use crate::segment::joined::Segment;
use crate::segment::opened::{Found, Identity, OpenedFile};
use crate::segment::place::{Place, file_name};
use crate::segment::process_table::Member;
use crate::steps::step;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often a name may change under an opener before it gives up.
const ATTEMPTS: usize = 1000;

/// A segment's name, and the place, layout and path that belong to it.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct SegmentFile {
    pub(crate) place: Place,
    pub(crate) name: String,
    pub(crate) layout: u32,
    pub(crate) sharing: Sharing,
    path: PathBuf,
}

impl SegmentFile {
    /// A segment of this user. `name` is 1 to 64 of `[A-Za-z0-9._-]`; the caller has checked that.
    pub fn new(place: Place, name: &str, layout: u32) -> Self {
        Self::shared(place, name, layout, Sharing::User)
    }

    /// A segment of this user or of a group. If it is one of a group, the caller is in that group.
    pub fn shared(place: Place, name: &str, layout: u32, sharing: Sharing) -> Self {
        let path = place.directory().join(file_name(layout, sharing, name));
        Self { place, name: name.to_owned(), layout, sharing, path }
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// The processes that share it.
    pub fn sharing(&self) -> Sharing {
        self.sharing
    }

    /// The name that the user gave it.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Creates the segment with `len` bytes, reserves the ranges `reserved` (offset, length) at once, and fills it by `init`.
    /// False if another process was first; then nothing was created.
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
                file_name(self.layout, self.sharing, &self.name),
                os::random_u64()
            ));
            let made = self.build_private(&private, identity, len, reserved, init);
            let published = match made {
                Ok(Some(_creator)) => os::rename_no_replace(&private, &self.path),
                // Another opener removed it before it was locked.
                Ok(None) => Err(ShmError::NotFound),
                Err(error) => Err(error),
            };
            match published {
                Ok(true) => {
                    step("create.published");
                    return Ok(true);
                }
                // Another opener removed the private file: try again with a new one.
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
                // The crate creates the file with what the umask leaves of the mode, perhaps without access for its owner.
                // The name is random, and no other process opens it.
                os::make_private_at(private).map_err(|e| ShmError::from_io("protect the segment", e))?;
                (mapping, os::open_existing(private).map_err(|e| ShmError::from_io("create the segment", e))?)
            }
            Place::Directory(_) => {
                let file = os::create_new(private).map_err(|e| ShmError::from_io("create the segment", e))?;
                step("create.file");
                file.set_len(len as u64).map_err(|e| ShmError::from_io("size the segment", e))?;
                (Mapping::map(&file, len)?, file)
            }
        };
        // Openers remove private files with a free creator byte.
        if !os::try_hold(&file, Hold::Exclusive, CREATOR).map_err(|e| ShmError::from_io("lock the new segment", e))? {
            return Ok(None);
        }
        step("create.leased");
        os::protect(&file, self.sharing).map_err(|e| ShmError::from_io("protect the segment", e))?;
        for &(offset, reserved_len) in reserved {
            os::reserve(&file, mapping.base, len, offset, reserved_len)?;
        }
        step("create.reserved");
        let region = mapping.region();
        let guard = Guard::new(region.base(), len);
        region.u64(Header::MAGIC).store(MAGIC, Ordering::Relaxed);
        region.u32(Header::LAYOUT).store(identity.layout, Ordering::Relaxed);
        region.u64(Header::FINGERPRINT).store(identity.fingerprint, Ordering::Relaxed);
        region.u64(Header::NONCE).store(os::random_u64(), Ordering::Relaxed);
        region.u64(Header::LEN).store(len as u64, Ordering::Relaxed);
        region.u64(Header::CREATED).store(BootClock::new().now_ms(), Ordering::Relaxed);
        // 0 where it is not known: then no process treats the segment as one of an earlier boot.
        region.copy_in(Header::BOOT, &os::boot_id().unwrap_or(0).to_le_bytes());
        region.u32(Header::EPOCH).store(1, Ordering::Relaxed);
        step("create.header");
        init(&region);
        step("create.filled");
        Header::of(&region).set_state(State::Ready);
        step("create.ready");
        if guard.is_lost() { Err(ShmError::Corrupt("truncated while it was made".into())) } else { Ok(Some(file)) }
    }

    /// Joins the segment of this name. Waits at most `patience` for a process that destroys it, and less for a suspended one.
    ///
    /// # Errors
    /// `NotFound`, `Permission`, `Version`, `Corrupt`, `Busy`, `NoSlot`, `Unsupported`.
    pub fn attach(&self, identity: Identity, patience: Duration) -> Result<Segment, ShmError> {
        self.attach_or(identity, patience, || self.remove_dead(identity, patience))
    }

    /// As `attach`, and removes nothing: a segment that was destroyed or is of an earlier boot is `NotFound`.
    ///
    /// # Errors
    /// As `attach`.
    pub fn attach_existing(&self, identity: Identity, patience: Duration) -> Result<Segment, ShmError> {
        self.attach_or(identity, patience, || Err(ShmError::NotFound))
    }

    fn attach_or(
        &self,
        identity: Identity,
        patience: Duration,
        meet_dead: impl Fn() -> Result<(), ShmError>,
    ) -> Result<Segment, ShmError> {
        for _ in 0..ATTEMPTS {
            let Some(opened) = self.open_gated(Pass::Open, patience)? else {
                continue;
            };
            match opened.check_header(identity)? {
                Found::Usable { len, nonce } => {
                    let file = Arc::new(opened.file);
                    let segment = match self.join(file.clone(), identity, len, nonce) {
                        // A destroy with force waits for no opener.
                        Err(_) if !os::is_at(&self.path, &file) => continue,
                        joined => joined?,
                    };
                    let still = segment.is_still_named();
                    segment.leave_gate()?;
                    step("join.gate");
                    if still {
                        return Ok(segment);
                    }
                }
                // A destroyer died before it unlinked, or the host was restarted: finish it.
                Found::Destroyed { .. } | Found::EarlierBoot => {
                    drop(opened);
                    meet_dead()?;
                }
            }
        }
        Err(ShmError::Busy("the segment kept being replaced".into()))
    }

    /// Opens the file and passes its gate; `None` if the name meanwhile means another file.
    fn open_gated(&self, pass: Pass, patience: Duration) -> Result<Option<OpenedFile>, ShmError> {
        let opened = OpenedFile::open(&self.path, self.sharing)?;
        if pass == Pass::Destroy {
            // Before anything of the segment changes: it would stay as a destroyed one that no process can remove.
            os::check_ownership(&opened.file)?;
        }
        let is_named = || os::is_at(&self.path, &opened.file);
        let is_inside = pass.take(&opened.file, patience.min(MAX_GATE_PATIENCE), is_named)?;
        Ok((is_inside && is_named()).then_some(opened))
    }

    fn join(&self, file: Arc<File>, identity: Identity, len: usize, nonce: u64) -> Result<Segment, ShmError> {
        let mapping = match &self.place {
            Place::Posix => Mapping::open_posix(&self.path, len)?,
            Place::Directory(_) => Mapping::map(&file, len)?,
        };
        // Guarded before the first access: the file may be truncated at any time.
        let memory = Arc::new(Memory::new(mapping));
        let region = Arc::new(memory.mapping.region());
        if region.u64(Header::NONCE).load(Ordering::Relaxed) != nonce {
            return Err(ShmError::Busy("the segment was replaced while it was mapped".into()));
        }
        let lease = os::open_existing(&self.path).map_err(|e| ShmError::from_io("open the segment", e))?;
        if !os::is_at(&self.path, &lease) || !os::is_same_file(&file, &lease) {
            return Err(ShmError::Busy("the segment was replaced while it was opened".into()));
        }
        let member = Member::join(region.clone(), identity.table, lease, file.clone(), BootClock::new().now_ms())?;
        Ok(Segment { member, region, file, path: self.path.clone(), memory })
    }

    /// Destroys the segment. False if there is no segment. Without `force` it refuses while any process is attached, this one
    /// included. When the name is free, `through_locks` passes once through every lock that it can get, so that no writer is left
    /// inside when `destroy` returns.
    ///
    /// # Errors
    /// `InUse`, `Busy` (a suspended process is at the gate), `Permission` (also for a group's segment of another user).
    pub fn destroy(&self, identity: Identity, force: bool, through_locks: &ThroughLocks<'_>) -> Result<bool, ShmError> {
        for _ in 0..ATTEMPTS {
            let opened = match self.open_gated(Pass::Destroy, MAX_GATE_PATIENCE) {
                Ok(Some(opened)) => opened,
                Ok(None) => continue,
                Err(ShmError::NotFound) => return Ok(false),
                Err(error) => return Err(error),
            };
            if !force {
                Pass::AloneInside.take(&opened.file, MAX_GATE_PATIENCE, || true)?;
                opened.wait_until_unused()?;
            }
            self.end(opened, identity, through_locks)?;
            return Ok(true);
        }
        Err(ShmError::Busy("the segment kept being replaced".into()))
    }

    /// Finishes a destroyed segment, or removes one of an earlier boot.
    fn remove_dead(&self, identity: Identity, patience: Duration) -> Result<(), ShmError> {
        let opened = match self.open_gated(Pass::Destroy, patience) {
            Ok(Some(opened)) => opened,
            Ok(None) => return Ok(()),
            Err(error) => return Err(error),
        };
        match opened.check_header(identity)? {
            Found::Usable { .. } => Ok(()),
            // A held lease belongs to this boot, whatever the header says.
            Found::EarlierBoot if opened.attached()? > 0 => {
                Err(ShmError::Corrupt("of an earlier boot, but in use".into()))
            }
            // The call of the dead destroyer never returned, so no process relies on its pass through the locks.
            Found::Destroyed { .. } | Found::EarlierBoot => {
                self.end(opened, identity, &|_| ())?;
                Err(ShmError::NotFound)
            }
        }
    }

    /// Ends a segment; the caller has passed its gate to destroy it. State and epoch are stored even where a dead destroyer has
    /// begun: handles may not know yet.
    fn end(&self, opened: OpenedFile, identity: Identity, through_locks: &ThroughLocks<'_>) -> Result<(), ShmError> {
        // A segment that cannot be read has no handles of this layout that need to be notified.
        if let Ok(Found::Usable { len, nonce } | Found::Destroyed { len, nonce }) = opened.check_header(identity) {
            let segment = self.join(Arc::new(opened.file), identity, len, nonce)?;
            segment.header().give_up();
            self.unlink(&segment.file)?;
            through_locks(&segment);
            step("destroy.passed");
        } else {
            self.unlink(&opened.file)?;
        }
        Ok(())
    }

    /// The caller has passed the gate of `file` to destroy it, so no other process unlinks it meanwhile.
    fn unlink(&self, file: &File) -> Result<(), ShmError> {
        if os::is_at(&self.path, file) {
            std::fs::remove_file(&self.path).map_err(|e| ShmError::from_io("unlink the segment", e))?;
        }
        step("destroy.unlinked");
        Ok(())
    }

    /// Reads the segment without joining it. `look` gets its bytes, its file and the number of attached processes.
    ///
    /// # Errors
    /// `NotFound`, `Permission`, `Corrupt` (too short to have a header).
    pub fn inspect<R>(&self, look: impl FnOnce(&Region, &File, usize) -> R) -> Result<R, ShmError> {
        let opened = OpenedFile::open(&self.path, self.sharing)?;
        let len = opened.len()?;
        if len < HEADER_BYTES {
            return Err(ShmError::Corrupt(format!("{len} bytes are too few for a header")));
        }
        let attached = opened.attached()?;
        let mapping = Mapping::map(&opened.file, len)?;
        let region = mapping.region();
        let _guard = Guard::new(region.base(), len);
        Ok(look(&region, &opened.file, attached))
    }

    /// Checks the header, without mapping the segment.
    ///
    /// # Errors
    /// `Version` and `Corrupt` tell what is wrong; others as for `attach`.
    pub fn check(&self, identity: Identity) -> Result<Found, ShmError> {
        OpenedFile::open(&self.path, self.sharing)?.check_header(identity)
    }
}

/// Passes once through the locks of a segment, so that no writer is left inside. Holders that are suspended keep their locks.
pub type ThroughLocks<'a> = dyn Fn(&Segment) + 'a;
