//! The model of one key.

use crate::linearize::Model;

/// A call on one key with its result. Calls on all keys are part of the history of each key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Call {
    Get { found: Option<Seen> },
    Set { number: u64, ttl: u64, tagged: bool, condition: When, stored: Option<u64> },
    Delete { version: u64, deleted: bool },
    Take { found: Option<u64> },
    Incr { sum: u64 },
    Touch { ttl: u64, touched: bool },
    Advance { by: u64 },
    Clear,
    Invalidate,
}

/// A value and its version.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Seen {
    pub(crate) number: u64,
    pub(crate) version: u64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum When {
    Always,
    Absent,
    Version(u64),
}

/// The possible states of a key, by the rules of the documentation.
///
/// Time is no call: a call reads the clock after its beginning, and takes effect a little later, when the clock may
/// have moved on. So a write may decide on expiry, and set its deadline, by any time between its beginning and its
/// effect. The same holds for the condition of a `set` beside an invalidation, since `set` reads the tag clock once;
/// see architecture, I9.
pub(crate) struct Key;

/// The beginning of a call: the clock, and how many invalidations had ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Begun {
    pub(crate) clock: u64,
    pub(crate) era: u64,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug, Default)]
pub(crate) struct State {
    pub(crate) clock: u64,
    /// Invalidations so far.
    pub(crate) era: u64,
    pub(crate) entry: Option<Entry>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Entry {
    number: u64,
    /// `None` if no call has returned it yet. The first read gives it.
    version: Option<u64>,
    deadline: u64,
    tagged: bool,
    /// The era of the invalidation that ended the entry.
    ended: Option<u64>,
}

/// The entry from which an increment without an entry starts.
const NOTHING: Entry = Entry { number: 0, version: None, deadline: 0, tagged: false, ended: None };

impl Entry {
    /// Whether it may have this version, and whether it may have another.
    fn is(&self, version: u64) -> (bool, bool) {
        (self.version.is_none_or(|own| own == version), self.version != Some(version))
    }
}

impl State {
    fn live_at(&self, Begun { clock, era }: Begun) -> Option<Entry> {
        self.entry
            .filter(|entry| entry.deadline == 0 || clock < entry.deadline)
            .filter(|entry| entry.ended.is_none_or(|ended| ended > era))
    }

    pub(crate) fn now(&self) -> Begun {
        Begun { clock: self.clock, era: self.era }
    }

    fn with(&self, entry: Option<Entry>) -> Self {
        Self { entry, ..self.clone() }
    }

    /// The states with an entry that lives for `ttl` from any time between the beginning of its call and now.
    fn dated(&self, begun: u64, ttl: u64, entry: Entry) -> Vec<Self> {
        if ttl == 0 {
            return vec![self.with(Some(Entry { deadline: 0, ..entry }))];
        }
        (begun..=self.clock).map(|clock| self.with(Some(Entry { deadline: clock + ttl, ..entry }))).collect()
    }

    /// The states after a write that began at this time and found `live`.
    fn written(&self, call: &Call, begun: u64, live: Option<Entry>, has_ended: bool) -> Vec<Self> {
        let same = || vec![self.clone()];
        let when = |fits: bool, states: Vec<Self>| if fits || !has_ended { states } else { Vec::new() };
        match *call {
            Call::Set { number, ttl, tagged, condition, stored } => {
                let (may_hold, may_fail) = match condition {
                    When::Always => (true, false),
                    When::Absent => (live.is_none(), live.is_some()),
                    When::Version(version) => live.map_or((false, true), |entry| entry.is(version)),
                };
                if has_ended && stored.is_none() {
                    return when(may_fail, same());
                }
                if !may_hold {
                    return when(false, same());
                }
                let version = stored.filter(|_| has_ended);
                self.dated(begun, ttl, Entry { number, version, deadline: 0, tagged, ended: None })
            }
            Call::Delete { version, deleted } => {
                let any = |_: &Entry| (true, false);
                let (may_hold, may_fail) =
                    live.map_or((false, true), |entry| if version == 0 { any(&entry) } else { entry.is(version) });
                if has_ended && !deleted {
                    return when(may_fail, same());
                }
                when(may_hold, if may_hold { vec![self.with(None)] } else { same() })
            }
            Call::Take { found } => {
                let taken = if live.is_some() { vec![self.with(None)] } else { same() };
                when(live.map(|entry| entry.number) == found, taken)
            }
            Call::Incr { sum } => {
                let entry = live.unwrap_or(NOTHING);
                let next = Entry { number: entry.number + 1, version: None, ..entry };
                when(next.number == sum, vec![self.with(Some(next))])
            }
            Call::Touch { ttl, touched } => {
                let states = live.map_or_else(same, |entry| self.dated(begun, ttl, entry));
                when(live.is_some() == touched, states)
            }
            Call::Get { .. } | Call::Advance { .. } | Call::Clear | Call::Invalidate => {
                unreachable!("no write of a key")
            }
        }
    }
}

impl Model for Key {
    type Call = (Call, Begun);
    type State = State;

    fn after(state: &State, (call, begun): &(Call, Begun), has_ended: bool) -> Vec<State> {
        match *call {
            Call::Get { .. } if !has_ended => vec![state.clone()],
            Call::Get { found } => match (state.live_at(state.now()), found) {
                (None, None) => vec![state.clone()],
                (Some(entry), Some(seen)) if entry.number == seen.number && entry.is(seen.version).0 => {
                    vec![state.with(Some(Entry { version: Some(seen.version), ..entry }))]
                }
                _ => Vec::new(),
            },
            Call::Advance { by } => vec![State { clock: state.clock + by, ..state.clone() }],
            Call::Clear => vec![state.with(None)],
            Call::Invalidate => {
                let era = state.era + 1;
                let end = |entry: Entry| Entry { ended: entry.ended.or(entry.tagged.then_some(era)), ..entry };
                vec![State { era, entry: state.entry.map(end), ..state.clone() }]
            }
            _ => {
                let now = state.now();
                let mut views = vec![state.live_at(now), state.live_at(Begun { clock: begun.clock, ..now })];
                if matches!(call, Call::Set { .. }) {
                    views.push(state.live_at(*begun));
                }
                views.dedup();
                let written = views.into_iter().flat_map(|live| state.written(call, begun.clock, live, has_ended));
                let mut states: Vec<State> = written.collect();
                if state.era > begun.era {
                    // The write has a time before an invalidation, which ends the entry at once.
                    let ended = |entry: Entry| Entry { ended: entry.tagged.then_some(state.era), ..entry };
                    let early = states.clone().into_iter().map(|state| state.with(state.entry.map(ended)));
                    states.extend(early);
                }
                states
            }
        }
    }
}
