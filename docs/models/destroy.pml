/* Opening a segment by its name, destroying it, and what attached handles believe meanwhile.
 *
 * Promises: no write is acknowledged, and no read answered, by a segment that is unlinked; so no two handles use
 * different segments under one name without one of them noticing at its next operation. Only the inode that was checked
 * is unlinked. A destroyer killed half way blocks nobody and costs a handle at most one detachment.
 *
 * PROCESSES processes open and then do OPERATIONS operations each, any of write, read and destroy; DESTROYS
 * destructions and DEATHS deaths at any step in all; BUSY destroyers give up waiting for the shard's lock. Gates and
 * shard locks of the dead are dropped (lock.pml has the real lock).
 *
 * Abstracted: a segment has one shard; creating under a private name and publishing it is one step, as the rename is;
 * bounded waits are waits. One would expect the state alone to tell a handle that its segment is gone. But readers look
 * at it only when the epoch differs from the one they know: an opener must load its epoch while it still holds the
 * gate, or know none, so that its first read looks (FIRST_LOOK).
 *
 * Broken variants, each of which must be reported:
 *   NO_GATE          openers do not hold the gate
 *   EARLY_RELEASE    an opener releases the gate before it loads its epoch
 *   ONE_DESCRIPTION  two openers lock the gate through one file description: the first to leave drops it for both
 *   NO_CHECK         an opener does not check, under the gate, that the name means this inode and that it is alive
 *   NO_FINISH        an opener takes a segment that a dead destroyer left behind for a living one
 *   HALF_FINISH      an opener unlinks what a dead destroyer left behind, and does nothing of the rest
 *   BLIND_UNLINK     destroy does not check, under the gate, that the name still means its inode
 *   NO_PASS          destroy unlinks without passing through the shard's lock
 *   LATE_STATE       destroy passes through the shard's lock before it sets the state
 *   EARLY_UNLINK     destroy unlinks before it sets the state
 *   NO_EPOCH         destroy does not bump the epoch
 *   EARLY_EPOCH      destroy bumps the epoch before it sets the state
 *   EARLY_LOOK       a writer looks at the state before it has the shard's lock
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
#ifndef BUSY
#define BUSY 1
#endif

#define NO_EPOCH_YET 255         /* equals none */
#define SEGMENTS (DESTROYS + 2)  /* 0 means none; each destruction makes room for one more */

byte name = 0;                   /* the inode that the name means */
byte newest = 0;
bool destroyed[SEGMENTS];        /* the state */
byte epoch[SEGMENTS];
byte shared[SEGMENTS];           /* the gate: how many hold it shared, and who holds it exclusively */
byte exclusive[SEGMENTS];
byte lock[SEGMENTS];             /* the shard's lock: 1 + owner */

/* Ghosts: what no process can see. */
bool unlinked[SEGMENTS];
byte destroys = DESTROYS;
byte deaths = DEATHS;
byte busy = BUSY;

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

/* The kernel drops the gate; the lock of a dead owner goes to whoever asks next. */
inline die() {
  leave_gate();
  if :: exclusive[s] == p + 1 -> exclusive[s] = 0 :: else fi;
  if :: lock[s] == p + 1 -> lock[s] = 0 :: else fi;
  s = 0; mine = 0; last = 0; operations = 0; finishes = false
}

#define KILLED :: atomic { deaths > 0 -> deaths--; die(); goto dead }
#define STEP if KILLED :: atomic { true ->
#define WHEN(condition) if KILLED :: atomic { condition ->
#define END } fi

proctype process(byte p) {
  byte s = 0;                    /* my segment */
  byte mine = 0;                 /* its epoch, when I last looked at its state */
  bool inside = false;           /* I hold its gate shared */
  bool finishes = false;         /* on my way in I finish what a dead destroyer left */
  byte operations = OPERATIONS;
  byte last = 0;                 /* ghost: the segment that I was detached from */

open:
  STEP
    if
    :: name == 0 -> newest++; assert(newest < SEGMENTS); s = newest; name = s; goto attached
    :: else -> s = name
    fi
  END;
#ifndef NO_GATE
  WHEN(exclusive[s] == 0) shared[s]++; inside = true END;
#endif
#ifndef NO_CHECK
  STEP if :: name != s -> leave_gate(); s = 0; goto open :: else fi END;
#ifndef NO_FINISH
  STEP if :: destroyed[s] -> leave_gate(); finishes = true; goto destroy :: else fi END;
#endif
#endif
#ifdef EARLY_RELEASE
  STEP leave_gate() END;
#endif
#ifdef FIRST_LOOK
  STEP mine = NO_EPOCH_YET END;
#else
  STEP mine = epoch[s] END;
#endif
#ifndef EARLY_RELEASE
  STEP leave_gate() END;
#endif

attached:
  if
  :: atomic { operations == 0 -> last = 0; s = 0; mine = 0; goto dead }
  :: atomic { operations > 0 -> operations--; goto write }
  :: atomic { operations > 0 -> operations--; goto read }
  :: atomic { operations > 0 && destroys > 0 -> operations--; destroys--; goto destroy }
  fi;

write:
#ifdef EARLY_LOOK
  STEP if :: destroyed[s] -> goto detached :: else fi END;
#endif
  WHEN(lock[s] == 0) lock[s] = p + 1 END;
#ifndef EARLY_LOOK
  STEP if :: destroyed[s] -> lock[s] = 0; goto detached :: else fi END;
#endif
  STEP assert(!unlinked[s]) END;           /* the publish; from here on the write may be acknowledged */
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
  atomic { assert(s != last); last = s; s = 0; mine = 0; operations++ }
  goto open;

destroy:
  WHEN(exclusive[s] == 0 && shared[s] == 0) exclusive[s] = p + 1 END;
#ifndef BLIND_UNLINK
  STEP if :: name != s -> exclusive[s] = 0; goto destroyed_by_another :: else fi END;
#endif
#ifdef HALF_FINISH
  if :: finishes -> goto unlink :: else fi;
#endif
#ifdef EARLY_UNLINK
  STEP assert(name == s); unlinked[s] = true; name = 0 END;
#endif
#ifdef LATE_STATE
  WHEN(lock[s] == 0) lock[s] = p + 1 END;
  STEP lock[s] = 0 END;
#endif
#ifdef EARLY_EPOCH
  STEP epoch[s]++ END;
#endif
  STEP destroyed[s] = true END;
#if !defined(NO_EPOCH) && !defined(EARLY_EPOCH)
  STEP epoch[s]++ END;
#endif
#if !defined(NO_PASS) && !defined(LATE_STATE)
  if
  :: atomic {
     busy > 0 && lock[s] != 0 ->
     busy--; exclusive[s] = 0;
     if :: finishes -> finishes = false; s = 0; goto open :: else -> goto attached fi
     }
  :: WHEN(lock[s] == 0) lock[s] = p + 1 END
  fi;
  STEP lock[s] = 0 END;
#endif
#ifdef HALF_FINISH
unlink:
#endif
#ifndef EARLY_UNLINK
  STEP assert(name == s); unlinked[s] = true; name = 0 END;
#endif
  STEP exclusive[s] = 0 END;
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
