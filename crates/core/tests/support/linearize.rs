//! Is there an order of these calls, in which each takes effect between its beginning and its end, that gives their results?
//!
//! The search of Wing and Gong with the memory of Lowe: a set of calls that took effect, together with the state that they
//! led to, is tried once. A call without an end, since its process was killed, may have taken effect at any time after its
//! beginning, or never, and its result is unknown. The thing to get wrong: time stands still between the calls of one
//! process, so the order of beginnings and ends must come from one clock; here it is a counter that all processes share.

use std::collections::HashSet;
use std::hash::Hash;

/// A call as it was seen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event<C> {
    pub(crate) call: C,
    pub(crate) begun: u64,
    /// `None`: its process was killed.
    pub(crate) ended: Option<u64>,
}

/// What calls do, one at a time.
pub(crate) trait Model {
    type Call: Copy;
    type State: Clone + Eq + Hash;

    /// The states that there can be after a call; none where it cannot have had its result. Of one that did not end there
    /// is no result.
    fn after(state: &Self::State, call: &Self::Call, has_ended: bool) -> Vec<Self::State>;
}

/// Most calls of one history.
pub(crate) const MOST: usize = 128;

/// Whether there is such an order.
pub(crate) fn is_linearizable<M: Model>(start: M::State, events: &[Event<M::Call>]) -> bool {
    assert!(events.len() <= MOST, "{} calls are too many for one history", events.len());
    let all = (0..events.len()).filter(|i| events[*i].ended.is_some()).fold(0u128, |mask, i| mask | 1 << i);
    let mut tried = HashSet::new();
    let mut left = vec![(0u128, start)];
    while let Some((done, state)) = left.pop() {
        if done & all == all {
            return true;
        }
        // What began after the end of a call that has not taken effect cannot take effect before it.
        let pending = || (0..events.len()).filter(|i| done >> i & 1 == 0);
        let first_end = pending().filter_map(|i| events[i].ended).min().unwrap_or(u64::MAX);
        for i in pending().filter(|i| events[*i].begun < first_end) {
            let Event { call, ended, .. } = &events[i];
            for state in M::after(&state, call, ended.is_some()) {
                let next = (done | 1 << i, state);
                if tried.insert(next.clone()) {
                    left.push(next);
                }
            }
        }
    }
    false
}
