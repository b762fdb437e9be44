/* Waiting inside one process: callers on several threads register waits, one watcher thread sleeps on the process's bell.
 *
 * Promises: when all is quiet, no caller waits for a change that has happened, and the slot is marked exactly while somebody
 * waits. Without a writer's death nobody needs the bounded look, and a death costs one look.
 *
 * CALLERS threads wait WAITS times each for a change of one key, and may give up (GIVE_UPS) at any moment. WRITERS other
 * processes change the key once each; DEATHS of them are killed at any step.
 *
 * Abstracted: a registry that is changed and scanned under a mutex private to the process, so one step each; the mark is
 * changed under that mutex too; how several slots share a stripe is bell.pml's. One would expect registering and marking to
 * be enough: the watcher may already be asleep without a bound, because nobody waited when it lay down. So whoever registers
 * rings the own bell.
 *
 * Broken variants, each of which must be reported (with the smallest setting that shows it):
 *   NO_KICK       a caller registers and marks, and does not ring its own watcher
 *   OWN_LOOK      instead of ringing, the caller looks at the key itself; a later death finds the watcher without a bound
 *   KICK_FIRST    a caller rings its watcher before it registers
 *   LATE_BELL     the watcher loads the bell after it has scanned the registry
 *   UNMARK_ALL    whoever stops waiting clears the mark though others wait
 *   LATE_UNMARK   the mark is cleared after the mutex is released
 */
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef WAITS
#define WAITS 2
#endif
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 1
#endif

byte key = 0;
bool mark = false;
byte bell = 0;
bool asleep = false;             /* the watcher, in the bell's futex queue */
bool bounded = false;            /* the watcher saw somebody waiting when it lay down */
bool waiting[CALLERS];           /* the registry */
byte known[CALLERS];
bool told[CALLERS];

/* Ghosts: what nobody can see. */
byte awake = CALLERS + WRITERS + 1;
bool owed = false;               /* a writer was killed between its publish and its last wake */
byte deaths = DEATHS;
byte give_ups = GIVE_UPS;

#if CALLERS > 2
#error "the scan and the promise are written out for two callers"
#endif
#define WAITED (waiting[0] || waiting[1])
#define SERVED(i) (!waiting[i] || known[i] == key)
inline rest() {
  awake--;
  assert(awake > 0 || (owed && bounded) || (SERVED(0) && SERVED(1)));
  assert(awake > 0 || mark == WAITED)
}

inline wake_watcher() { if :: asleep -> asleep = false; awake++ :: else fi }

/* Under the mutex. */
inline unmark() {
#if defined(UNMARK_ALL)
  mark = false
#elif defined(LATE_UNMARK)
  unmarks = !WAITED
#else
  mark = WAITED
#endif
}

inline unmark_late() {
#ifdef LATE_UNMARK
  if :: atomic { unmarks -> mark = false; unmarks = false } :: else fi
#else
  skip
#endif
}

proctype caller(byte c) {
  byte waits = WAITS;
#ifdef LATE_UNMARK
  bool unmarks = false;
#endif
  do
  :: waits > 0 ->
     waits--;
     known[c] = key;
#ifdef KICK_FIRST
     bell++;
     atomic { wake_watcher() }
#endif
     atomic { waiting[c] = true; mark = true }
#ifdef OWN_LOOK
     atomic { if :: waiting[c] && key != known[c] -> waiting[c] = false; unmark(); goto next :: else fi }
#elif !defined(NO_KICK) && !defined(KICK_FIRST)
     bell++;                     /* a full fence lies between the mark and this */
     atomic { wake_watcher() }
#endif
     atomic { rest() };          /* if it is told already, that has been counted */
end_waiting:
     if
     :: atomic { told[c] -> told[c] = false }
     :: atomic { waiting[c] && give_ups > 0 -> give_ups--; awake++; waiting[c] = false; unmark() }
     fi;
next:
     unmark_late()
  :: else -> break
  od;
  atomic { rest() }
}

proctype watcher() {
  byte b = 0;
#ifdef LATE_UNMARK
  bool unmarks = false;
#endif
look:
#ifndef LATE_BELL
  b = bell;
#endif
  atomic {                       /* one scan under the mutex; a caller that is told is awake again */
    if :: waiting[0] && known[0] != key -> waiting[0] = false; told[0] = true; awake++ :: else fi;
    if :: waiting[1] && known[1] != key -> waiting[1] = false; told[1] = true; awake++ :: else fi;
    unmark();
    bounded = WAITED
  }
  unmark_late();
#ifdef LATE_BELL
  b = bell;
#endif
  atomic {
    if
    :: bell != b -> b = 0; goto look
    :: else -> b = 0; asleep = true; rest()
    fi
  }
end_asleep:
  if
  :: atomic { !asleep -> goto look }
  :: atomic { asleep && bounded && owed && awake == 0 -> owed = false; asleep = false; awake++; goto look }
  fi
}

#define KILLED :: atomic { deaths > 0 -> deaths--; owed = owed || ringing; ringing = false; goto dead }
#define STEP if KILLED :: atomic { true ->
#define END } fi

proctype writer() {
  bool ringing = false;          /* ghost: published, and not done with waking */
  bool rings = false;
  STEP key++; ringing = true END;
  STEP rings = mark END;
  if
  :: rings ->
     STEP bell++ END;
     STEP wake_watcher() END
  :: else
  fi;
dead:
  atomic { rest() }
}

init {
  atomic {
    byte n = 0;
    run watcher();
    do :: n < CALLERS -> run caller(n); n++ :: else -> break od;
    n = 0;
    do :: n < WRITERS -> run writer(); n++ :: else -> break od;
    n = 0
  }
}
