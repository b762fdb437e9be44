//! The handle: a namespace of an open segment, with the patience of its writes.
//!
//! Promises: when a write returns, every later read in any process sees it. A read waits for no other process. A write
//! waits for a living holder at most `write_timeout`, and never for a dead one.

use crate::attachment::attached::Attachment;
use crate::attachment::patience::Patience;
use crate::error::CacheError;
use crate::layout::geometry::Geometry;
use crate::layout::key::Key;
use crate::layout::keyspaces::{Keyspace, in_version, number};
use crate::layout::namespaces::ROOT;
use crate::process::core::Core;
use crate::process::open::{OpenSegment, open};
use crate::process::options::{OpenOptions, Opened};
use crate::records::keyspace::Records;
use crate::records::versions::VersionUse;
use crate::resize::Resized;
use crate::tables::quotas::QuotaSetting;
use cache_machine_shm::{Header, ProcessCounter};
use std::sync::Arc;
use std::time::Duration;

/// A handle. The process gives up its slot when its last handle is dropped; the segment stays.
#[derive(Clone)]
pub struct Cache {
    // Dropped in this order: the use of a version ends while the process is attached.
    version: Option<Arc<VersionUse>>,
    open: Arc<OpenSegment>,
    write_patience: Patience,
    /// The namespace, and the version of its values.
    namespace: u16,
}

impl std::ops::Deref for Cache {
    type Target = Core;

    #[inline]
    fn deref(&self) -> &Core {
        &self.open.core
    }
}

impl Cache {
    /// Creates the segment, or attaches to it.
    ///
    /// # Errors
    /// `InvalidArgument`, `NoSpace`, `Permission`, `Version`, `Corrupt`, `Busy`; `NoSegment` where it may not create.
    pub fn open(options: &OpenOptions) -> Result<(Self, Opened), CacheError> {
        let (open, opened) = open(options)?;
        let write_patience = Patience::Write(options.write_timeout);
        let mut cache = Self { version: None, open, write_patience, namespace: ROOT };
        if let Some(name) = &options.version {
            let used = cache.open.versions.begin(&cache.open.core, name, options.create, write_patience);
            let used = cache.count_busy(used)?;
            cache.namespace = in_version(ROOT, used.number());
            cache.version = Some(used);
        }
        Ok((cache, opened))
    }

    /// The same version of another namespace.
    fn at(&self, namespace: u16) -> Self {
        let namespace = self.version.as_ref().map_or(namespace, |used| in_version(namespace, used.number()));
        Self { namespace, ..self.clone() }
    }

    /// A handle on a namespace of the same segment. The call creates the namespace if there is none. A namespace has
    /// its own keys and tags.
    ///
    /// # Errors
    /// `InvalidArgument` for an invalid name, `NoSpace` if there are 1,024 namespaces, `Busy`, `Detached`.
    pub fn in_namespace(&self, name: &str) -> Result<Self, CacheError> {
        let namespace = self.count_busy(self.in_area(|| self.namespace_number(name, self.write_patience)))?;
        Ok(self.at(namespace))
    }

    /// Sets the quota of this namespace, for every process. The latest setting counts. At most 63 namespaces have a quota.
    ///
    /// # Errors
    /// `InvalidArgument` for the root, and for a reserve above the size; `NoSpace` if all reserves together exceed three
    /// quarters of the entry space, or if 63 namespaces have a quota; `Busy`, `Detached`.
    pub fn set_quota(&self, setting: &QuotaSetting) -> Result<(), CacheError> {
        self.count_busy(self.in_area(|| self.open.core.set_quota(self.namespace(), setting, self.write_patience)))
    }

    /// Gives the segment another size, while all processes use it. Entries, their lifetimes, tags, records and counts stay.
    /// Writers of all processes wait meanwhile; readers go on. An area that is too small for all entries evicts by the
    /// policy. `None`: it has that size already.
    ///
    /// # Errors
    /// `NoSpace` if the file system has no room for both sizes at once, or if what may not be evicted does not fit: then
    /// nothing is changed; `InvalidArgument` for an impossible size; `Busy` if a suspended process is in the way;
    /// `Detached`, `Corrupt`.
    pub fn resize(&self, size: usize) -> Result<Option<Resized>, CacheError> {
        self.count_busy(self.open.core.resize(size, self.write_patience))
    }

    /// As `in_namespace` and `set_quota`, for the handle that `open` returned for these options: without a wait if its
    /// `open_timeout` is 0, and without making the namespace if it may not create.
    ///
    /// # Errors
    /// As `in_namespace` and `set_quota`; `NoSegment` for a missing namespace.
    pub fn opened_in_namespace(
        &self,
        name: &str,
        quota: Option<&QuotaSetting>,
        options: &OpenOptions,
    ) -> Result<Self, CacheError> {
        let patience = self.write_patience;
        let patience = if options.open_timeout.is_zero() { Patience::Brief(Duration::ZERO) } else { patience };
        let namespace = if options.create {
            self.count_busy(self.in_area(|| self.namespace_number(name, patience)))?
        } else {
            self.in_area(|| self.existing_namespace(name))?
        };
        if let Some(quota) = quota {
            self.count_busy(self.in_area(|| self.open.core.set_quota(namespace, quota, patience)))?;
        }
        Ok(self.at(namespace))
    }

    /// Offset in `index_view` of the epoch that ends the life of this namespace's entries when it changes. The root has
    /// its own epoch.
    pub fn epoch_offset(&self) -> usize {
        let namespace = self.namespace();
        if namespace == ROOT { Header::EPOCH } else { Geometry::namespace_epoch(usize::from(namespace)) }
    }

    /// Offset of the root's epoch in `index_view`.
    pub fn root_epoch_offset(&self) -> usize {
        Header::EPOCH
    }

    /// # Errors
    /// `Detached` once the segment is destroyed, truncated or replaced.
    pub fn check_attached(&self) -> Result<(), CacheError> {
        self.in_area(|| {
            let attachment: &Attachment = self;
            attachment.check_attached()
        })
    }

    /// Number of its namespace; 0 for the root.
    pub fn namespace(&self) -> u16 {
        number(self.namespace)
    }

    /// Number of the version of its values; `None`: they have none.
    pub fn version_number(&self) -> Option<u16> {
        self.version.as_ref().map(|used| used.number())
    }

    /// Number of its namespace with the version of its values, as in `Removal::namespace`.
    pub fn namespace_of_values(&self) -> u16 {
        self.namespace
    }

    /// Whether both handles are of the same segment, and none of them is of an earlier one of that name.
    pub fn is_of_same_segment(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.open, &other.open)
    }

    pub(crate) fn write_patience(&self) -> Patience {
        self.write_patience
    }

    /// A key of this namespace.
    pub(crate) fn key<'k>(&self, bytes: &'k [u8]) -> Result<Key<'k>, CacheError> {
        Key::new(self.geometry(), self.namespace_of_values(), bytes)
    }

    /// Counts a write that ended as busy, and returns its result.
    pub(crate) fn count_busy<R>(&self, result: Result<R, CacheError>) -> Result<R, CacheError> {
        if let Err(CacheError::Busy(_)) = result {
            self.segment.member().count(ProcessCounter::Busy, 1);
        }
        result
    }

    /// The records of a keyspace of this namespace.
    pub(crate) fn records(&self, keyspace: Keyspace) -> Records<'_> {
        Records { attachment: self, namespace: keyspace.of(self.namespace), patience: self.write_patience }
    }
}
