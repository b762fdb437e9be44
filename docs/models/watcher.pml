/* Waiting inside one process: callers on several threads register waits, and one watcher thread sleeps on the
 * process's bell.
 *
 * Promises: when no thread can move, no caller waits for a change that has happened, and the slot is marked exactly
 * while some caller waits. Without a writer's death no caller needs the periodic check, and a death costs one periodic
 * check, although that check reads the keys only if the count of writes has moved or a writer is in the middle of a
 * write.
 *
 * CALLERS threads wait WAITS times each for a change of one key, and may give up (GIVE_UPS) at any moment. WRITERS
 * other processes change the key once each, under one lock; DEATHS of them are killed at any step.
 *
 * Abstracted: a registry that is changed and scanned under a mutex private to the process, so one step each. The mark
 * is changed under that mutex as well. Several slots are in bell.pml, the lock is in lock.pml. A periodic check
 * happens when no other thread or process can move.
 *
 * Caution: registering and marking are not enough, because the watcher may already sleep without a timeout if no
 * caller waited when it went to sleep. So a caller that registers also wakes its own process's bell.
 *
 * Broken variants, each of which must be reported:
 *   NO_KICK       a caller registers and marks, and does not wake its own watcher
 *   OWN_LOOK      instead of waking, the caller checks the key itself; a death finds the watcher without a timeout
 *   KICK_FIRST    a caller wakes its watcher before it registers
 *   LATE_BELL     the watcher loads the bell after it has scanned the registry
 *   EARLY_RUNG    the watcher takes the noted stripes before it loads the bell
 *   LATE_RUNG     a writer bumps the bell before it notes the stripe
 *   NO_QUIET      the periodic check uses the count of writes alone, also while a writer is in the middle of a write
 *   EARLY_QUIET   it checks whether a writer is in the middle of a write before it counts
 *   LATE_COUNT    it counts after it has checked the keys
 *   UNMARK_ALL    a caller that stops waiting clears the mark though others wait
 *   LATE_UNMARK   the mark is cleared after the mutex is released
 */
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef WAITS
#define WAITS 1
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
#if CALLERS > 2
#error "the scan and the promise are written out for two callers"
#endif

#define FREE 0
#define HELD 1
#define DEAD 2                   /* held by an owner that was killed */
#define UNKNOWN 255              /* different from every count of writes */

byte key = 0;
byte writes = 0;                 /* the shard's sequence; it moves before the key does */
byte lock = FREE;
bool mark = false;
bool rung = false;               /* the key's stripe is noted as changed */
byte bell = 0;
bool asleep = false;             /* the watcher, in the bell's futex queue */
bool bounded = false;            /* some caller waited when the watcher went to sleep */
bool waiting[CALLERS];           /* the registry */
byte known[CALLERS];
bool told[CALLERS];

/* Ghost variables: only the assertions read them. */
byte awake = CALLERS + WRITERS + 1;
bool owed = false;               /* a writer was killed between its publish and its last wake */
byte deaths = DEATHS;
byte give_ups = GIVE_UPS;

#if CALLERS > 1
#define WAITED (waiting[0] || waiting[1])
#define SERVED (!(waiting[0] && known[0] != key) && !(waiting[1] && known[1] != key))
#else
#define WAITED waiting[0]
#define SERVED !(waiting[0] && known[0] != key)
#endif
inline rest() {
  awake--;
  assert(awake > 0 || (owed && bounded) || SERVED);
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

inline kick() {
  rung = true;
  bell++;
  atomic { wake_watcher() }
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
     kick();
#endif
     atomic { waiting[c] = true; mark = true }       /* a full fence follows */
#ifdef OWN_LOOK
     atomic { if :: waiting[c] && key != known[c] -> waiting[c] = false; unmark(); goto next :: else fi }
#elif !defined(NO_KICK) && !defined(KICK_FIRST)
     kick();
#endif
     atomic { rest() }           /* if the caller was notified already, that has been counted */
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

/* One caller's part of a scan; a notified caller is awake again. */
inline tell(c) { if :: waiting[c] && known[c] != key -> waiting[c] = false; told[c] = true; awake++ :: else fi }

inline count() {
#ifdef EARLY_QUIET
  quiet = (lock == FREE);
  sum = writes
#else
  sum = writes;
#ifdef NO_QUIET
  quiet = true
#else
  quiet = (lock == FREE)
#endif
#endif
}

proctype watcher() {
  byte b = 0;
  byte last = 0;                 /* the count of writes at the last periodic check */
  byte sum = 0;
  bool quiet = false;
  bool due = false;
  bool looks = false;
#ifdef LATE_UNMARK
  bool unmarks = false;
#endif

look:
#ifdef EARLY_RUNG
  atomic { looks = rung; rung = false }
#endif
#if !defined(LATE_BELL)
  b = bell;
#endif
#ifndef EARLY_RUNG
  atomic { looks = rung; rung = false }
#endif
  if
  :: WAITED ->
     if :: due = true :: true fi;          /* the last periodic check may be long ago */
     if
     :: due ->
        count();
        atomic {
          if :: !quiet || sum != last -> looks = true :: else fi;
          if :: quiet -> last = sum :: else -> last = UNKNOWN fi
        }
     :: else
     fi;
     if
     :: atomic {
          looks ->
          tell(0);
#if CALLERS > 1
          tell(1);
#endif
          unmark()
        }
     :: else
     fi;
#ifdef LATE_COUNT
     if :: due -> count(); if :: quiet -> last = sum :: else -> last = UNKNOWN fi :: else fi;
#endif
     unmark_late()
  :: else
  fi;
  atomic { due = false; looks = false; quiet = false; sum = 0; bounded = WAITED }
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
  :: atomic { asleep && bounded && owed && awake == 0 -> owed = false; due = true; asleep = false; awake++; goto look }
  fi
}

#define STEP if KILLED :: atomic { true ->
#define END } fi
#define KILLED :: atomic {               \
    deaths > 0 ->                        \
    deaths--;                            \
    owed = owed || rings;                \
    if :: holds -> lock = DEAD :: else fi; \
    rings = false;                       \
    holds = false;                       \
    goto dead                            \
  }

proctype writer() {
  bool holds = false;
  bool rings = false;            /* ghost variable: published, not all woken yet */
  bool marked = false;
  STEP skip END;
  atomic { lock != HELD -> lock = HELD; holds = true }
  STEP writes++ END;
  STEP key++; rings = true END;            /* the publish; a full fence follows */
  STEP marked = mark END;
  STEP lock = FREE; holds = false END;
  if
  :: marked ->
#ifdef LATE_RUNG
     STEP bell++ END;
     STEP rung = true END;
#else
     STEP rung = true END;
     STEP bell++ END;
#endif
     STEP wake_watcher() END
  :: else
  fi;
dead:
  atomic { rings = false; marked = false; rest() }
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
