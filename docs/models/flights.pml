/* Flights: at most one loader per key on the whole host, the waiters for its result, and what happens to the key
 * meanwhile. The code is in crates/core: flights.
 *
 * Promises: no process begins a load while a living process with a valid lease loads, unless the key was
 * written, deleted or cleared meanwhile. So each of these events, each death, each ended lease and each failure allows
 * one more load, and nothing else does. A value is never kept that is older than what was written, deleted or cleared
 * before, or than what another load brought, also where the newer one is no longer there. No caller gets a value older
 * than what was acknowledged before it asked. A failure reaches every waiter for that load. Every wait ends.
 *
 * N processes ask for the key ROUNDS times each. Each may be killed at any step, DEATHS in all, and its slot may get a
 * new owner. A load may fail (FAILURES in all), outlast its lease (EXPIRIES in all) or never end (STUCK in all). A
 * user changes the source and then sets, deletes, takes or clears, EVENTS times. An eviction or the end of a lifetime
 * removes the value, EVICTIONS times.
 *
 * Abstracted: a change made in one hold of the shard's lock is atomic except for deaths, readers and `clear`
 * (cache.pml, lock.pml); a record and an entry are stored in one step. A waiter sees what ends its wait (bell.pml), a
 * probe sees dead processes. A value's data is the number of changes of its source that its loader had seen.
 *
 * Caution: a version does not tell whether a value was set meanwhile, since that value may have been evicted before
 * the load ended.
 *
 * Broken variants, each of which must be reported:
 *   NO_FENCE       storing the result does not check that the flight is still this load's
 *   NO_LIFE        storing the result does not check whether the key was cleared
 *   LATE_LIFE      a value is stamped with the life at its store, not with the life that was checked
 *   SET_KEEPS      a set leaves the flight, and only the version in the index tells of the set
 *   TAKE_KEEPS     a take leaves the flight
 *   DELETE_KEEPS   a delete leaves the flight
 *   LATE_OUTDATE   a delete ends the flight in a second hold of the lock
 *   NO_LOOK        a process that begins a flight does not check again under the lock
 *   NO_PROBE       no process asks whether the loader lives
 *   BY_SLOT        a dead process is known by its slot alone
 *   NO_LEASE       no process checks whether the lease has ended
 *   BEGIN_FORGETS  a flight that begins forgets how the last one ended
 */
#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef EVENTS
#define EVENTS 1
#endif
#ifndef EVICTIONS
#define EVICTIONS 0
#endif
#ifndef EXPIRIES
#define EXPIRIES 0
#endif
#ifndef FAILURES
#define FAILURES 0
#endif
#ifndef STUCK
#define STUCK 0
#endif
#ifndef REFRESHES
#define REFRESHES 0
#endif

/* The record: slot + 1 of the owner, 0: no load; its slot's generation; and how flights ended, by token. */
byte owner = 0;
byte owned_by = 0;
byte token = 0;
byte begun_in = 0;               /* the key's life when it began */
#ifdef SET_KEEPS
byte over = 0;                   /* the version at its begin */
#endif
bool late = false;               /* its lease has ended */
short failures_of = 0;

/* The entry. */
bool there = false;
byte version = 0;
byte stamp = 0;                  /* its life */
byte data = 0;

byte life = 0;
byte sequence = 0;
bool lock = false;
bool lease[N];
byte generation[N];

/* Ghost variables: only the assertions read them. */
byte source = 0;                 /* number of changes of the source */
byte newest = 0;                 /* the newest change that the cache was notified of or has held */
byte acked = 0;                  /* the newest change that it has acknowledged */
byte loader = 0;                 /* slot + 1 of the living loader that the others must wait for */
byte loads = 0;
byte allowed = 1;                /* loads that have a reason */
short failed = 0;                /* tokens of failures that must reach their waiters */
bool stuck[N];
byte deaths = DEATHS;
byte evictions = EVICTIONS;
byte expiries = EXPIRIES;
byte failing = FAILURES;
byte sticking = STUCK;
byte refreshes = REFRESHES;

#ifdef BY_SLOT
#define IS_DEAD(s, g) (!lease[s])
#else
#define IS_DEAD(s, g) (generation[s] != (g) || !lease[s])
#endif
#ifdef NO_LEASE
#define IS_LATE false
#else
#define IS_LATE late
#endif
#ifdef NO_PROBE
#define IS_OWNED_BY_DEAD false
#else
#define IS_OWNED_BY_DEAD IS_DEAD(owner - 1, owned_by)
#endif

#define IS_FRESH(l) (there && stamp == (l))
#define BIT(t) (1 << (t))

inline forget_flight() { owner = 0; owned_by = 0; token = 0; begun_in = 0; late = false }

inline remove_record() { forget_flight(); failures_of = 0; failed = 0 }

/* The load in progress is older than this change of the key. */
inline outdate() {
  if :: owner > 0 -> loader = 0; allowed++ :: else fi;
  remove_record()
}

inline keep(d, l) {
  assert(l != life || d >= newest);
  sequence++; there = true; version = sequence; stamp = l; data = d;
  if :: l == life -> newest = d :: else fi
}

inline remove_entry() { there = false; version = 0; stamp = 0; data = 0 }

inline forget() { asked = 0; l = 0; than = 0; mine = 0; loaded = 0; may_keep = false; holds = false; dead_owner = 0; dead_generation = 0 }

inline die() {
  deaths--; allowed++;
  if :: holds -> lock = false :: else fi;
  lease[s] = false; stuck[s] = false;
  if :: loader == s + 1 -> loader = 0 :: else fi;
  forget()
}

#define KILLED :: atomic { deaths > 0 -> die(); goto dead }
#define STEP if KILLED :: atomic { true ->
#define LOCKED if KILLED :: atomic { !lock ->
#define END } fi

proctype process(byte s) {
  byte g = 1;
  byte rounds = ROUNDS;
  byte asked = 0; byte l = 0; byte than = 0; byte mine = 0; byte loaded = 0;
  byte dead_owner = 0; byte dead_generation = 0;
  bool may_keep = false; bool holds = false;

want:
  if :: rounds == 0 -> goto idle :: else fi;
  STEP
    asked = acked; l = life;
    if
    :: true
    :: refreshes > 0 && there -> refreshes--; allowed++; than = version   /* only a newer version will do */
    fi
  END;
again:
  /* Without the lock: a value, or a flight to wait for. */
  STEP
    if
    :: IS_FRESH(l) && version > than -> assert(data >= asked); rounds--; forget(); goto want
    :: else
    fi
  END;
  STEP
    if
    :: owner > 0 && IS_DEAD(owner - 1, owned_by) -> dead_owner = owner; dead_generation = owned_by
    :: owner > 0 && !IS_DEAD(owner - 1, owned_by) && !IS_LATE && begun_in == l -> mine = token; goto waiting
    :: else
    fi
  END;
  /* Under the lock, where the life is read again. */
  LOCKED
    l = life;
    if
#ifndef NO_LOOK
    :: IS_FRESH(l) && version > than -> assert(data >= asked); rounds--; forget(); goto want
#endif
    :: owner > 0 && !(owner == dead_owner && owned_by == dead_generation) && !IS_LATE && begun_in == l ->
       mine = token; dead_owner = 0; dead_generation = 0; goto waiting
    :: else ->
       sequence++; loads++;
       assert(loader == 0);
       assert(loads <= allowed);
       owner = s + 1; owned_by = g; token = sequence; begun_in = l; late = false;
#ifdef SET_KEEPS
       over = version;
#endif
#ifdef BEGIN_FORGETS
       failures_of = 0;
#endif
       mine = token; loader = s + 1; dead_owner = 0; dead_generation = 0
    fi
  END;

  if
  KILLED
  :: atomic { true -> loaded = source }
  :: atomic { failing > 0 -> failing--; goto fail }
  :: atomic { sticking > 0 -> sticking--; stuck[s] = true; goto hang }
  fi;
  LOCKED
    l = life;
    if
#ifdef NO_FENCE
    :: true ->
#else
    :: owner == s + 1 && owned_by == g && token == mine ->
#endif
       lock = true; holds = true;
       may_keep = true;
#ifndef NO_LIFE
       may_keep = (begun_in == l);
#endif
#ifdef SET_KEEPS
       may_keep = may_keep && !(IS_FRESH(l) && version != over)
#endif
    :: else -> rounds--; forget(); goto want     /* the flight is no longer this load's */
    fi
  END;
  STEP
#ifdef LATE_LIFE
    l = life;
#endif
    if :: may_keep -> keep(loaded, l) :: else fi
  END;
  STEP                           /* the record ends only after that */
    if :: loader == s + 1 -> loader = 0 :: else fi;
    if :: may_keep && l == life :: else -> allowed++ fi;
    remove_record(); lock = false; rounds--; forget()
  END;
  goto want;

fail:
  LOCKED
    if
    :: owner == s + 1 && owned_by == g && token == mine ->
       if :: loader == s + 1 -> loader = 0 :: else fi;
       allowed++;
       forget_flight();
       failures_of = failures_of | BIT(mine); failed = failed | BIT(mine)
    :: else
    fi;
    rounds--; forget()
  END;
  goto want;

waiting:
  if
  KILLED
  :: atomic { token != mine || IS_LATE || IS_OWNED_BY_DEAD }
  fi;
  STEP
    assert(((failed >> mine) & 1) == ((failures_of >> mine) & 1));
    if
    :: (failures_of >> mine) & 1 -> rounds--; forget(); goto want
    :: else -> mine = 0; l = life
    fi
  END;
  goto again;

hang:
end_hang:
  if
  KILLED
  fi;

dead:
  g = 0;
  if
  :: goto gone
  :: atomic { lease[s] = true }  /* a new owner of the slot takes the lease, then bumps the generation */
  fi;
  STEP generation[s] = generation[s] + 1; g = generation[s] END;
  if
  :: rounds = ROUNDS
  :: rounds = 0
  fi;
  goto want;

idle:
end_idle:
  if
  KILLED
  fi;
gone:
  skip
}

/* Changes the source, then notifies the cache. It may be killed as well. */
#define USER_STEP if :: atomic { deaths > 0 -> deaths--; if :: holds -> lock = false :: else fi; goto dead } :: atomic { true ->
#define USER_LOCKED if :: atomic { deaths > 0 -> deaths--; goto dead } :: atomic { !lock -> lock = true; holds = true;

proctype user() {
  byte events = EVENTS; byte mine = 0; byte l = 0; bool holds = false;
  do
  :: events > 0 ->
     atomic { source++; mine = source; events-- }
     if
     :: goto set
     :: goto delete
     :: goto take
     :: goto clear
     fi;
set:
     USER_LOCKED l = life;
#ifndef SET_KEEPS
       outdate()
#endif
     END;
     USER_STEP
       sequence++; there = true; version = sequence; stamp = l; data = mine;
       if :: l == life -> newest = mine :: else fi
     END;
     goto done;
delete:
     USER_LOCKED
#if !defined(DELETE_KEEPS) && !defined(LATE_OUTDATE)
       outdate()
#endif
     END;
     USER_STEP
       if :: there -> allowed++ :: else fi;
       remove_entry(); newest = mine
     END;
#ifdef LATE_OUTDATE
     USER_STEP lock = false; holds = false END;
     USER_LOCKED outdate() END;
#endif
     goto done;
take:
     USER_LOCKED
       l = life;
       if
       :: !IS_FRESH(l) -> lock = false; holds = false; goto taken    /* nothing to take */
       :: else
       fi;
#ifndef TAKE_KEEPS
       outdate()
#endif
     END;
     USER_STEP allowed++; remove_entry(); newest = mine END;
     goto done;
clear:
     USER_STEP
       life++; newest = mine; allowed++;
       if :: loader > 0 -> loader = 0; allowed++ :: else fi
     END;
done:
     USER_STEP
       if :: holds -> lock = false :: else fi;
       holds = false; acked = newest
     END;
taken:
     atomic { mine = 0; l = 0 }
  :: else -> break
  od;
dead:
  mine = 0; l = 0; holds = false
}

/* Leases that end, and evictions. */
proctype world() {
end_world:
  do
  :: atomic { expiries > 0 && owner > 0 && !late ->
       expiries--; allowed++; late = true;
       if :: loader == owner -> loader = 0 :: else fi }
  :: atomic { owner > 0 && !late && stuck[owner - 1] && owned_by == generation[owner - 1] ->
       allowed++; late = true;
       if :: loader == owner -> loader = 0 :: else fi }
  :: atomic { evictions > 0 && there && !lock -> evictions--; allowed++; remove_entry() }
  od
}

init {
  atomic {
    byte n = 0;
    do :: n < N -> lease[n] = true; generation[n] = 1; run process(n); n++ :: else -> break od;
    run user();
    run world();
    n = 0
  }
}
