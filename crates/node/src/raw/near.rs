//! The calls for near copies of values.

use super::call::{Call, MISS, Outcome, Value, int32};
use super::entries::check_is_value;
use super::view::View;
use crate::layout::{MetaFloat, Status};
use cache_machine_core::{EntryMeta, ReadMode};
use std::cell::RefCell;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::rc::{Rc, Weak};

/// `get`, and what a near copy of the value depends on.
#[inline]
pub(super) fn get_near(call: &Call<'_>, [key]: [Value; 1]) -> Outcome {
    call.with_key(key, |cache, key, _| {
        call.with_sink(|sink| {
            let mut meta = EntryMeta::EMPTY;
            if !cache.get_to(key, ReadMode::Use, sink, &mut meta)? {
                return Err(MISS);
            }
            check_is_value(&meta)?;
            call.put_dependencies(&meta);
            call.value(&meta, sink)
        })
    })
}

/// The time that deadlines are compared with, in milliseconds since boot. It goes into `meta`: as a result it would be
/// an object.
#[inline]
pub(super) fn now(call: &Call<'_>, []: [Value; 0]) -> Outcome {
    let now = call.bound.handle.with(|cache| cache.now_ms()).ok_or(Status::Closed)?;
    call.put_float(MetaFloat::Now, now as f64);
    Ok(null_mut()) // undefined
}

/// The lower half of the tag clock up to which a near copy of a tagged entry is valid by its tags; a miss if it is not
/// or the clock is odd. `word`: number of the copy's index word in the view, in words of 8 bytes.
#[inline]
pub(super) fn tag_clock(call: &Call<'_>, [word, generation]: [Value; 2]) -> Outcome {
    let (word, generation) = (call.number(word)?, call.flags(generation)?);
    // A number below 0 or NaN becomes 0, which is no index word.
    let word_at = (word as usize).saturating_mul(8);
    let clock = call.bound.handle.with(|cache| cache.tag_clock_of_copy(word_at, generation)).ok_or(Status::Closed)?;
    Ok(int32(call.env, clock.ok_or(MISS)? as i32))
}

pub(super) fn count_hits(call: &Call<'_>, [hits]: [Value; 1]) -> Outcome {
    let hits = call.number(hits)?;
    call.bound.handle.with(|cache| cache.count_near_hits(hits as u64)).ok_or(Status::Closed)??;
    call.boolean(true)
}

/// Maximum length of a view: that of a buffer of Node 20.
const MAX_VIEW: usize = 1 << 32;

thread_local! {
    /// The views of the open handles of this thread. A segment is mapped once, so its address and the load of the addon
    /// identify a view.
    static VIEWS: RefCell<Vec<Weak<View>>> = const { RefCell::new(Vec::new()) };
}

/// The part of the segment that tells whether near copies are valid, as an ArrayBuffer. All handles of this load
/// of the addon on one segment get the same one. `undefined` where it is too long, or where the host forbids buffers over memory that
/// Node did not allocate.
pub(super) fn view(call: &Call<'_>, []: [Value; 0]) -> Outcome {
    let (base, len) = call.bound.handle.with(|cache| cache.index_view()).ok_or(Status::Closed)?;
    if len > MAX_VIEW {
        return Err(MISS);
    }
    let base = base.as_ptr().cast::<c_void>();
    let shown =
        VIEWS.with_borrow(|views| views.iter().filter_map(Weak::upgrade).find(|view| view.is_of(call.env, base)));
    let view = match shown {
        Some(view) => view,
        None => Rc::new(View::over_segment(call.env, base, len).ok_or(MISS)?),
    };
    VIEWS.with_borrow_mut(|views| {
        views.retain(|view| view.strong_count() > 0);
        views.push(Rc::downgrade(&view));
    });
    let buffer = view.buffer();
    call.bound.handle.set_view(view);
    Ok(buffer)
}
