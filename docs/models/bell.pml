/* Waiting for a key: a waiter marks its slot in the key's stripe and sleeps on its slot's bell; a writer wakes the
 * marked slots.
 *
 * Promises: when no process can move, no waiter sleeps through a change of the key that it has not seen. Without a
 * death no waiter needs the periodic check (50 ms). A writer that is killed between its publish and its last wake
 * costs each waiter one periodic check. A new owner of a slot neither inherits its predecessor's mark nor loses its
 * own: no writer wakes a process that does not wait.
 *
 * WRITERS processes change the key WRITES times each and may be killed at any step. WAITERS processes wait WAITS times
 * each; each may be killed at any step, also asleep, and its slot may get a new owner. DEATHS is the total of kills.
 *
 * Abstracted: the key is a counter and a wait is for any change of it. The shard's lock does not order the writers
 * here, which allows more interleavings. A waiter is one thread (watcher.pml has the callers and the watcher of one
 * process). `awake` replaces the clock: a periodic check happens when no other process can move (EARLY_TICKS: at any
 * moment).
 *
 * Caution: the wake does not carry the news, since it may come before the sleep. The bump of the bell carries it: the
 * sleep compares the bell with the value that was loaded before the key was checked.
 *
 * Broken variants, each of which must be reported:
 *   LATE_BELL      the waiter loads its bell after it has checked the key
 *   NO_RECHECK     the waiter does not check the key again after marking
 *   LATE_MARK      the waiter marks its slot after it has checked the key
 *   EARLY_MARKS    the writer reads the marks before it publishes
 *   NO_BUMP        the writer wakes without bumping the bell
 *   EARLY_WAKE     the writer wakes before it bumps the bell
 *   NO_TICK        the sleep has no timeout
 *   NO_CLEAR       a new owner of a slot leaves its predecessor's mark
 *   LATE_CLEAR     a new owner clears the mark after it has begun to wait
 *   WRITER_CLEARS  a writer clears the mark of a slot after it found the slot's lease free
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef WAITERS
#define WAITERS 2
#endif
#ifndef WAITS
#define WAITS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

byte key = 0;                    /* number of changes so far */
bool mark[WAITERS];              /* the stripe of the key */
byte bell[WAITERS];
bool asleep[WAITERS];            /* the futex queue of each bell */
bool lease[WAITERS];

/* Ghost variables: only the assertions read them. */
byte known[WAITERS];             /* the last change that the waiter has seen */
bool owed[WAITERS];              /* a writer was killed before it woke this waiter */
byte awake = WRITERS + WAITERS;  /* processes that can move without being woken */
byte deaths = DEATHS;

#ifdef NO_TICK
#define MAY_TICK(i) false
#elif defined(EARLY_TICKS)
#define MAY_TICK(i) true
#else
#define MAY_TICK(i) owed[i]
#endif
#ifdef EARLY_TICKS
#define QUIET true
#else
#define QUIET (awake == 0)
#endif

/* When the last process comes to rest, no waiter may sleep through a change. */
#define SERVED(i) (!asleep[i] || known[i] == key || MAY_TICK(i))
inline rest() {
  awake--;
  assert(awake > 0 || SERVED(0));
#if WAITERS > 1
  assert(awake > 0 || SERVED(1));
#endif
#if WAITERS > 2
  assert(awake > 0 || SERVED(2))
#endif
}

/* What the kernel does at a waiter's death. The mark stays. The change that it waited for no longer matters. */
inline die() {
  deaths--;
  lease[s] = false;
  if :: asleep[s] -> asleep[s] = false; awake++ :: else fi;
  known[s] = 0;
  owed[s] = false;
  b = 0
}

#define KILLED :: atomic { deaths > 0 -> die(); goto dead }
#define STEP if KILLED :: atomic { true ->
#define END } fi

proctype waiter(byte s) {
  byte b = 0;
  byte waits = WAITS;
#ifdef LATE_CLEAR
  bool late = false;
#endif

want:
  if
#ifdef LATE_CLEAR
  :: waits == 0 -> STEP if :: late -> mark[s] = false; late = false :: else fi END; goto idle
#else
  :: waits == 0 -> goto idle
#endif
  :: else
  fi;
  STEP known[s] = key END;       /* the wait is for a change from this value */
#ifndef LATE_MARK
  STEP mark[s] = true END;       /* a full fence follows: the writer sees the mark or the waiter the change */
#endif
#ifdef LATE_CLEAR
  STEP if :: late -> mark[s] = false; late = false :: else fi END;
#endif
#ifdef NO_RECHECK
  STEP b = bell[s] END;
  goto rests;
#endif
look:
#ifndef LATE_BELL
  STEP b = bell[s] END;
#endif
  STEP
    if
    :: key != known[s] -> known[s] = key; b = 0; waits--; goto told
    :: else
    fi
  END;
#ifdef LATE_MARK
  STEP mark[s] = true END;
#endif
#ifdef LATE_BELL
  STEP b = bell[s] END;
#endif
rests:
  STEP
    if
    :: bell[s] != b -> b = 0; goto look
    :: else -> b = 0; asleep[s] = true; rest()
    fi
  END;
end_asleep:
  if
  KILLED
  :: atomic { !asleep[s] -> goto look }
  :: atomic { asleep[s] && QUIET && MAY_TICK(s) -> asleep[s] = false; owed[s] = false; awake++; goto look }
  fi;
told:
  STEP mark[s] = false END;
  goto want;

dead:
  if
  :: goto gone
  :: atomic { lease[s] = true; owed[s] = false }
  fi;
#ifdef LATE_CLEAR
  late = true;
#elif !defined(NO_CLEAR)
  STEP mark[s] = false END;
#endif
  if
  :: waits = WAITS
  :: waits = 0
  fi;
  goto want;

idle:
  atomic { assert(!mark[s]); rest() }
end_idle:
  if
  :: atomic { deaths > 0 -> awake++; die(); goto dead }
  fi;
gone:
  atomic { rest() }
}

inline owe() {
  if
  :: ringing ->
     owed[0] = true;
#if WAITERS > 1
     owed[1] = true;
#endif
#if WAITERS > 2
     owed[2] = true;
#endif
     ringing = false
  :: else
  fi
}

#define WSTEP if :: atomic { deaths > 0 -> deaths--; owe(); i = 0; rung = 0; goto end_killed } :: atomic { true ->

proctype writer() {
  byte i = 0;
  byte rung = 0;                 /* the marked slots */
  byte writes = WRITES;
  bool ringing = false;          /* ghost variable: published, not all slots woken yet */

want:
  if
  :: writes == 0 -> goto rests
  :: else -> writes--
  fi;
#ifdef EARLY_MARKS
  do
  :: i < WAITERS -> WSTEP rung = rung | (mark[i] << i); i++ END
  :: else -> i = 0; break
  od;
#endif
  WSTEP key++; ringing = true END;         /* a full fence follows; it pairs with the waiter's */
#ifndef EARLY_MARKS
  do
  :: i < WAITERS ->
     WSTEP rung = rung | (mark[i] << i) END;
#ifdef WRITER_CLEARS
     if
     :: (rung & (1 << i)) && !lease[i] -> WSTEP mark[i] = false END
     :: else
     fi;
#endif
     i++
  :: else -> i = 0; break
  od;
#endif
#ifndef NO_BUMP
#ifdef EARLY_WAKE
  goto wakes;
bumps:
#endif
  do
  :: i < WAITERS && (rung & (1 << i)) -> WSTEP bell[i] = bell[i] + 1; i++ END
  :: i < WAITERS && !(rung & (1 << i)) -> i++
  :: else -> i = 0; break
  od;
#ifdef EARLY_WAKE
  goto done;
#endif
#endif
wakes:
  do
  :: i < WAITERS && (rung & (1 << i)) ->
     WSTEP
       if :: asleep[i] -> asleep[i] = false; awake++ :: else fi;
       i++
     END
  :: i < WAITERS && !(rung & (1 << i)) -> i++
  :: else -> i = 0; break
  od;
#ifdef EARLY_WAKE
  goto bumps;
done:
#endif
  atomic { rung = 0; ringing = false }
  goto want;

rests:
end_killed:
  atomic { rest() }
}

init {
  atomic {
    byte n = 0;
    do :: n < WAITERS -> lease[n] = true; run waiter(n); n++ :: else -> break od;
    n = 0;
    do :: n < WRITERS -> run writer(); n++ :: else -> break od;
    n = 0
  }
}
