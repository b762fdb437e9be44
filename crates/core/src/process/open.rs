//! Opens a segment for this process: creates it or attaches to it, and starts the background thread.
//!
//! A call that may not create is that of a visitor: it finds out whether there is a segment by attaching to it, so no other
//! process can come between question and answer. A visitor changes nothing by being there. It takes a slot, as every attached
//! process, and so counts as attached.

use crate::error::CacheError;
use crate::layout::geometry::Geometry;
use crate::names::{check_name, segment_file};
use crate::process::core::Core;
use crate::process::options::{OpenOptions, Opened};
use crate::process::registry::Registry;
use crate::process::service::Service;
use crate::records::versions::VersionUses;
use crate::shard::view::fill_area;
use cache_machine_shm::atomic::Ordering;
use cache_machine_shm::{Header, Region, Segment, SegmentFile, ShmError, list_segments, random_u64, remove_unused};
use std::sync::Arc;

/// The process's open segment with its background thread. Both end with the last handle.
pub(crate) struct OpenSegment {
    pub(crate) core: Arc<Core>,
    pub(crate) versions: VersionUses,
    service: Service,
}

impl Drop for OpenSegment {
    fn drop(&mut self) {
        self.service.stop(&self.core);
        self.core.leave_areas();
    }
}

static REGISTRY: Registry<OpenSegment> = Registry::new();

/// Opens a segment. If this process has it open already, returns that.
pub(crate) fn open(options: &OpenOptions) -> Result<(Arc<OpenSegment>, Opened), CacheError> {
    check_name(&options.name)?;
    let plan = Geometry::plan(options.size, options.max_entry, options.eviction, random_u64())?;
    let file = segment_file(&options.name, options.location())?;
    let (open, opened) = REGISTRY.get_or_open(
        file.path(),
        options.open_timeout,
        |open| open.core.is_attached(),
        || {
            let (segment, opened) = if options.create {
                remove_unused(&file);
                attach_or_create(&file, &plan, options)?
            } else {
                (attach_only(&file, options)?, Opened::Attached)
            };
            let core = Arc::new(Core::new(segment)?);
            if options.create {
                // mutant: dead-prefixes-stay
                core.forget_dead_prefixes();
            }
            Ok((OpenSegment { service: Service::start(&core), versions: VersionUses::default(), core }, opened))
        },
    )?;
    if options.create {
        open.core.allow_sweeps();
    }
    if options.lock_memory {
        open.core.pin()?;
    }
    Ok((open, opened))
}

fn attach_only(file: &SegmentFile, options: &OpenOptions) -> Result<Segment, CacheError> {
    let identity = Geometry::identity();
    file.attach_existing(identity, options.open_timeout).map_err(|error| match error {
        ShmError::NotFound => {
            let others = list_segments(file.place(), file.sharing());
            match others.into_iter().find(|(layout, name)| name == file.name() && *layout != identity.layout) {
                Some((found, _)) => CacheError::Version { found, expected: identity.layout },
                None => CacheError::NoSegment(format!("there is no segment {:?}", file.name())),
            }
        }
        error => error.into(),
    })
}

fn attach_or_create(
    file: &SegmentFile,
    plan: &Geometry,
    options: &OpenOptions,
) -> Result<(Segment, Opened), CacheError> {
    let identity = Geometry::identity();
    let mut opened = Opened::Attached;
    loop {
        match file.attach(identity, options.open_timeout) {
            Ok(segment) => return Ok((segment, opened)),
            Err(ShmError::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        let init = |region: &Region| init(plan, options.manual_clock, region);
        if file.create(identity, plan.len, &plan.first_reservations(plan.first_units()), &init)? {
            opened = Opened::Created;
        }
    }
}

/// Fills a new segment, which is all zeros.
fn init(plan: &Geometry, manual_clock: bool, region: &Region) {
    plan.store(region);
    if manual_clock {
        Header::of(region).manual_clock().store(1_000_000, Ordering::Relaxed);
    }
    fill_area(plan, region, plan.first_units(), 1);
}
