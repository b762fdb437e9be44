//! The checker: whether there is an order of calls that gives their results, with each call between its beginning and
//! its end.
//!
//! This is the search of Wing and Gong with the memory of Lowe: each set of calls that took effect, with the state that
//! they led to, is tried once. A call of a killed process has no end. It may take effect at any time after its
//! beginning, or never, and its result is unknown. Caution: beginnings and ends must be ordered by one clock; here it
//! is a counter that all processes share.

use std::collections::HashSet;
use std::hash::Hash;

/// A call, its beginning and its end.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Event<C> {
    pub(crate) call: C,
    pub(crate) begun: u64,
    /// `None`: the process was killed in the call.
    pub(crate) ended: Option<u64>,
}

/// The effect of calls, one at a time.
pub(crate) trait Model {
    type Call: Copy;
    type State: Clone + Eq + Hash;

    /// The possible states after a call. There are none if the call cannot have had its result. A call that did not end
    /// has no result.
    fn after(state: &Self::State, call: &Self::Call, has_ended: bool) -> Vec<Self::State>;
}

/// The maximum of calls in one history.
pub(crate) const MAX_CALLS: usize = 128;

/// Whether there is an order that gives all results.
pub(crate) fn is_linearizable<M: Model>(start: M::State, events: &[Event<M::Call>]) -> bool {
    assert!(events.len() <= MAX_CALLS, "{} calls are too many for one history", events.len());
    let all = (0..events.len()).filter(|i| events[*i].ended.is_some()).fold(0u128, |mask, i| mask | 1 << i);
    let mut tried = HashSet::new();
    let mut left = vec![(0u128, start)];
    while let Some((done, state)) = left.pop() {
        if done & all == all {
            return true;
        }
        // A call that began after the end of a pending call cannot take effect before it.
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
