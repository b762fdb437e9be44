/* Opening a segment by its name, destroying it, and what attached handles take for true meanwhile.
 *
 * Promises: no write is acknowledged in, and no read answered from, a segment that was unlinked before the call began,
 * or at the moment of the answer. When a destruction has passed the shard's lock, no process changes the segment any
 * more. A destruction without force ends no handle of another process. Only the inode that was checked is unlinked. A
 * process that is killed in the middle of a destruction blocks no other process and costs a handle at most one
 * detachment.
 *
 * PROCESSES processes open and then do OPERATIONS operations each: write, read or destroy. DESTROYS destructions and
 * DEATHS deaths (at any step) happen in all. SKIPS destroyers do not wait for the holder of the shard's lock, which may
 * be suspended. Gates and shard locks of dead processes are released (lock.pml has the real lock).
 *
 * Abstracted: a segment has one shard; creating under a private name and publishing it is one step, as the rename is;
 * waits with a timeout are waits.
 *
 * A handle starts with no epoch, so its first read checks the state: an opener may join a segment that is destroyed by
 * force at that moment.
 *
 * Broken variants, each of which must be reported:
 *   NO_GATE          openers do not hold the gate
 *   EARLY_RELEASE    an opener leaves the gate before it joins
 *   ONE_DESCRIPTION  two openers lock the gate through one file description: the first to leave releases it for both
 *   OPEN_GATE        a destroyer without force does not exclude openers
 *   KNOWN_EPOCH      an opener loads the epoch, and takes the segment for checked at this epoch
 *   NO_FINISH        an opener uses a segment that a dead destroyer left half destroyed
 *   HALF_FINISH      an opener unlinks what a dead destroyer left, and does no other step of the destruction
 *   BLIND_UNLINK     destroy does not check, under the gate, that the name still means its inode
 *   TWO_DESTROYERS   destroyers do not exclude each other
 *   NO_PASS          destroy does not pass through the shard's lock
 *   LATE_STATE       destroy passes through the shard's lock before it sets the state
 *   EARLY_UNLINK     destroy unlinks before it sets the state
 *   NO_EPOCH         destroy does not bump the epoch
 *   EARLY_EPOCH      destroy bumps the epoch before it sets the state
 *   EARLY_LOOK       a writer checks the state before it has the shard's lock
 *   NO_SECOND_LOOK   a writer does not check the state again before it acknowledges
 */
#ifndef PROCESSES
#define PROCESSES 3
#endif
#ifndef OPERATIONS
#define OPERATIONS 1
#endif
#ifndef DESTROYS
#define DESTROYS 2
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef SKIPS
#define SKIPS 1
#endif

#define NO_EPOCH_YET 255         /* different from every epoch */
#define SEGMENTS (DESTROYS + 2)  /* 0 means none; each destruction allows one more segment */

byte name = 0;                   /* the inode that the name means */
byte newest = 0;
bool destroyed[SEGMENTS];        /* the state */
byte epoch[SEGMENTS];
byte shared[SEGMENTS];           /* the gate of openers: number of holders */
bool closed[SEGMENTS];           /* a destroyer without force holds it */
byte exclusive[SEGMENTS];        /* the gate of destroyers: 1 + its holder */
byte members[SEGMENTS];          /* number of processes that have joined */
byte lock[SEGMENTS];             /* the shard's lock: 1 + owner */

/* Ghost variables: only the assertions read them. */
bool unlinked[SEGMENTS];
bool forced[SEGMENTS];
bool passed[SEGMENTS];
byte destroys = DESTROYS;
byte deaths = DEATHS;
byte skips = SKIPS;

inline leave_gate() {
  if
#ifdef ONE_DESCRIPTION
  :: inside -> shared[s] = 0; inside = false
#else
  :: inside -> shared[s]--; inside = false
#endif
  :: else
  fi
}

inline leave_segment() {
  if :: joined -> members[s]--; joined = false :: else fi;
  s = 0; mine = 0
}

/* The kernel releases gates and leases; the next process that asks gets the lock of a dead owner. */
inline die() {
  leave_gate();
  if :: exclusive[s] == p + 1 -> exclusive[s] = 0; closed[s] = false :: else fi;
  if :: lock[s] == p + 1 -> lock[s] = 0 :: else fi;
  leave_segment(); last = 0; operations = 0; finishes = false
}

#define KILLED :: atomic { deaths > 0 -> deaths--; die(); goto dead }
#define STEP if KILLED :: atomic { true ->
#define WHEN(condition) if KILLED :: atomic { condition ->
#define END } fi

proctype process(byte p) {
  byte s = 0;                    /* the segment of this process */
  byte mine = 0;                 /* its epoch at the last check of its state */
  bool inside = false;           /* this process holds the gate of openers */
  bool joined = false;           /* this process holds a lease */
  bool finishes = false;         /* while opening, this process finishes what a dead destroyer left */
  bool force = false;
  byte operations = OPERATIONS;
  byte last = 0;                 /* ghost variable: the segment that this process was detached from */

open:
  STEP
    if
    :: name == 0 -> newest++; assert(newest < SEGMENTS); s = newest; name = s
    :: else -> s = name
    fi
  END;
#ifndef NO_GATE
  WHEN(!closed[s]) shared[s]++; inside = true END;
#endif
  STEP if :: name != s -> leave_gate(); s = 0; goto open :: else fi END;
#ifndef NO_FINISH
  STEP if :: destroyed[s] -> leave_gate(); finishes = true; force = true; goto destroy :: else fi END;
#endif
#ifdef EARLY_RELEASE
  STEP leave_gate() END;
#endif
  STEP members[s]++; joined = true END;
#ifdef KNOWN_EPOCH
  STEP mine = epoch[s] END;
#else
  STEP mine = NO_EPOCH_YET END;
#endif
  STEP if :: name != s -> leave_gate(); leave_segment(); goto open :: else fi END;
#ifndef EARLY_RELEASE
  STEP leave_gate() END;
#endif

attached:
  if
  :: atomic { operations == 0 -> last = 0; leave_segment(); goto dead }
  :: atomic { operations > 0 -> operations--; goto write }
  :: atomic { operations > 0 -> operations--; goto read }
  :: atomic { operations > 0 && destroys > 0 -> operations--; destroys--; force = true; leave_segment(); s = name; goto destroy }
  :: atomic { operations > 0 && destroys > 0 -> operations--; destroys--; force = false; leave_segment(); s = name; goto destroy }
  fi;

write:
#ifdef EARLY_LOOK
  STEP if :: destroyed[s] -> goto detached :: else fi END;
#endif
  WHEN(lock[s] == 0) lock[s] = p + 1 END;
#ifndef EARLY_LOOK
  STEP if :: destroyed[s] -> lock[s] = 0; goto detached :: else fi END;
#endif
  STEP assert(!passed[s]) END;             /* the publish */
#ifndef NO_SECOND_LOOK
  STEP if :: destroyed[s] -> lock[s] = 0; goto detached :: else -> assert(!unlinked[s]) fi END;
#else
  STEP assert(!unlinked[s]) END;           /* from here on the write may be acknowledged */
#endif
  STEP lock[s] = 0 END;
  goto attached;

read:
  STEP
    if
    :: epoch[s] == mine -> assert(!unlinked[s]); goto attached
    :: else -> mine = epoch[s]
    fi
  END;
  STEP if :: destroyed[s] -> goto detached :: else -> goto read fi END;

detached:
  atomic { assert(s != last && forced[s]); last = s; leave_segment(); operations++ }
  goto open;

destroy:
  if :: s == 0 -> goto destroyed_by_another :: else fi;
#ifndef TWO_DESTROYERS
  WHEN(exclusive[s] == 0) exclusive[s] = p + 1 END;
#endif
#ifndef BLIND_UNLINK
  STEP if :: name != s -> exclusive[s] = 0; goto destroyed_by_another :: else fi END;
#endif
  if
  :: force
  :: else ->
#ifndef OPEN_GATE
     WHEN(shared[s] == 0) closed[s] = true END;
#endif
     STEP if :: members[s] > 0 -> exclusive[s] = 0; closed[s] = false; goto destroyed_by_another :: else fi END
  fi;
#ifdef HALF_FINISH
  if :: finishes -> goto unlink :: else fi;
#endif
#ifdef EARLY_UNLINK
  STEP assert(name == s); unlinked[s] = true; name = 0 END;
#endif
#ifdef LATE_STATE
  WHEN(lock[s] == 0) lock[s] = p + 1 END;
  STEP lock[s] = 0; passed[s] = true END;
#endif
#ifdef EARLY_EPOCH
  STEP epoch[s]++ END;
#endif
  STEP destroyed[s] = true; forced[s] = forced[s] || force END;
#if !defined(NO_EPOCH) && !defined(EARLY_EPOCH)
  STEP epoch[s]++ END;
#endif
#ifdef HALF_FINISH
unlink:
#endif
#ifndef EARLY_UNLINK
  STEP assert(name == s); unlinked[s] = true; name = 0 END;
#endif
#if defined(NO_PASS)
  STEP passed[s] = true END;
#elif !defined(LATE_STATE)
  if
  :: finishes
  :: atomic { !finishes && skips > 0 && lock[s] != 0 -> skips-- }
  :: !finishes ->
     WHEN(lock[s] == 0) lock[s] = p + 1 END;
     STEP lock[s] = 0; passed[s] = true END
  fi;
#endif
  STEP exclusive[s] = 0; closed[s] = false END;
destroyed_by_another:
  atomic { s = 0; mine = 0; finishes = false }
  goto open;

dead:
  skip
}

init {
  atomic {
    byte n = 0;
    do :: n < PROCESSES -> run process(n); n++ :: else -> break od;
    n = 0
  }
}
