/* Invalidating a tag: one clock for the segment, a record of the tag, near copies that depend on the clock.
 *
 * Promises: once an invalidation is acknowledged, no reader gets a value that a loader began to make before it, from
 * the segment or from a near copy. A value that was begun after the last invalidation began is not invalid when it is
 * stored. No near copy outlives an entry that the segment treats as invalid. The latter two promises also hold when an
 * invalidator is killed at any step and has no successor.
 *
 * INVALIDATORS processes invalidate the tag once each under the tag lock; DEATHS of them are killed. SETTERS store SETS values each; the stamp is taken when the making of the
 * value begins. READERS read READS times each, with a near copy.
 *
 * Abstracted: one key, one tag with a record that is never reused (judge.pml); publishing an entry and reading one are single steps (cache.pml); the tag lock is one
 * step (lock.pml).
 *
 * Caution: a clock that has not moved since before the entry was read does not make a near copy safe, because an
 * invalidator may have been killed between its record and its second advance. So the clock is odd during an
 * invalidation, and what was read under an odd clock is not kept.
 *
 * Broken variants, each of which must be reported:
 *   ODD_NEAR       near copies are kept whether the clock is odd or even
 *   NO_SECOND      the same, and the clock is not advanced after the record; no death is needed
 *   LATE_ADVANCE   the record is stored before the clock is advanced
 *   LATE_CLOCK     a near copy keeps the clock as loaded after the entry was checked
 *   LATE_STAMP     a value is stamped when it is stored, not when its making begins
 *   LOW_RECORD     the record is the clock from before the invalidation
 *   NO_RESUME      the next invalidator after a killed one continues with an odd clock as if it had just advanced it
 */
#ifndef INVALIDATORS
#define INVALIDATORS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef SETTERS
#define SETTERS 2
#endif
#ifndef SETS
#define SETS 1
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef READS
#define READS 2
#endif

#ifdef NO_SECOND
#define ODD_NEAR
#endif

#define FREE 0
#define HELD 1
#define DEAD 2

byte clock = 0;                  /* even: quiet; odd: an invalidation is in progress, or was killed */
byte record = 0;
byte lock = FREE;                /* the tag lock */
byte entry = 0;                  /* the published value: the number of its making; 0: none */
byte stamp = 0;                  /* the clock that the entry carries */
#define DEAD_ENTRY (stamp < record)

/* Ghost variables: only the assertions read them. */
byte made = 0;                   /* values begun so far */
byte begun = 0;                  /* invalidations that have begun */
byte fresh = 0;                  /* the part that had begun when the making of the published value began */
byte gone = 0;                   /* values that an acknowledged invalidation has outdated */
byte deaths = DEATHS;

#define STEP if :: atomic { deaths > 0 -> deaths--; lock = DEAD; goto dead } :: atomic { true ->
#define END } fi

proctype invalidator() {
  byte outdated = 0;
  byte now = 0;
  atomic { lock != HELD -> lock = HELD }
#ifdef LATE_ADVANCE
  STEP outdated = made; begun++; now = clock + 1 + (clock & 1) END;
#else
  STEP
    outdated = made; begun++;
#ifdef NO_RESUME
    clock = (clock | 1);
#else
    clock = clock + 1 + (clock & 1);       /* the next odd number */
#endif
    now = clock
  END;
#endif
#ifdef LOW_RECORD
  now--;
#endif
  STEP record = now END;
#ifdef LATE_ADVANCE
  STEP clock = now END;
#endif
#ifndef NO_SECOND
  STEP clock++ END;
#endif
  STEP
    lock = FREE;
    if :: outdated > gone -> gone = outdated :: else fi
  END;
dead:
  outdated = 0; now = 0
}

proctype setter() {
  byte sets = SETS;
  byte number = 0; byte t = 0; byte f = 0;
  do
  :: sets > 0 ->
     atomic { made++; number = made; f = begun; t = clock; sets-- }
     atomic {
#ifdef LATE_STAMP
       t = clock;
#endif
       entry = number; stamp = t; fresh = f; number = 0; t = 0; f = 0
     }
  :: else -> break
  od
}

proctype reader() {
  byte reads = READS;
  byte outdated = 0; byte c = 0; byte got = 0; byte s = 0; byte f = 0;
  byte near = 0; byte nearclock = 0;       /* the near copy: its making, and the clock from before its read */
  do
  :: reads > 0 ->
     atomic { outdated = gone; reads-- }
     if
     :: atomic {
          near > 0 && near == entry && nearclock == clock ->
          assert(near > outdated);
          assert(!DEAD_ENTRY || lock == HELD)
        }
     :: else ->
#ifndef LATE_CLOCK
        c = clock;
#endif
        atomic { got = entry; s = stamp; f = fresh }
        if
        :: atomic { s < record -> assert(begun > f); got = 0 }
        :: else ->
           assert(got == 0 || got > outdated);
#ifdef LATE_CLOCK
           c = clock;
#endif
#ifdef ODD_NEAR
           near = got; nearclock = c
#else
           if :: c & 1 -> near = 0 :: else -> near = got; nearclock = c fi
#endif
        fi
     fi;
     atomic { outdated = 0; c = 0; got = 0; s = 0; f = 0 }
  :: else -> break
  od
}

init {
  atomic {
    byte n = 0;
    do :: n < INVALIDATORS -> run invalidator(); n++ :: else -> break od;
    n = 0;
    do :: n < SETTERS -> run setter(); n++ :: else -> break od;
    n = 0;
    do :: n < READERS -> run reader(); n++ :: else -> break od;
    n = 0
  }
}
