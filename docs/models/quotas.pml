/* Quotas of a namespace: how many of its entries others may evict, and how many it may store. Its entries are in two
 * shards, and each writer holds the lock of one. The code is in crates/core: `change/quotas.rs`, `change/counts.rs`,
 * `change/remove.rs`.
 *
 * Promises: no eviction for others leaves the namespace with fewer entries than its reserve, and none is made while the
 * namespace stays within it. No write takes it above its maximum. After every unlock the counts of a shard are right,
 * wherever a process was killed.
 *
 * All entries have one size. A shard counts the entries that are used, for the reserve, and those that are claimed, for
 * the maximum; other shards read both without its lock. EVICTORS processes make room for others, SETTERS store an entry
 * and DELETERS delete one, each in a shard of its choice. DEATHS of them are killed before any store, also inside the
 * repair by the next owner of a dead owner's lock. With DELETERS an eviction may be decided before a deletion and made after it.
 * Then the model asks only that there was a moment since the begin of the eviction at which the namespace was above its
 * reserve.
 *
 * A repair undoes the notes of the journal, or does the counts of a committed change again; with REBUILD it counts all
 * entries anew. A change notes the used entries before it changes their number, and its index word before it stores it.
 *
 * Abstracted: what an entry is, its place, and the choice of a victim. The lock is one step (lock.pml). So is a note, since
 * the store of their number makes it valid, and so is the end of all notes.
 *
 * Broken variants, each of which must be reported:
 *   NO_OFFER       an evictor adds up before it lowers its own part
 *   OWN_PART       the reserve is divided among the shards, and each looks at its own part
 *   LATE_OUT       a deletion is counted after its publish
 *   EARLY_IN       a new entry is counted before its publish
 *   NO_CLAIM       a setter adds up before it raises its own part
 *   LOW_CLAIM      an offer that may be taken back lowers the claims as well
 *   EARLY_UNCLAIM  an eviction lowers the claims before its publish
 *   KEPT_CLAIM     a refused write leaves its claim
 *   NO_NOTE        a change does not note the used entries
 *   KEPT_NOTES     an evictor that gives up leaves its notes
 *   EARLY_FORGET   a setter forgets its notes before it has counted
 *   UNDO_COMMITTED a repair restores the used entries of a committed change, before it counts them again
 *   REDO_CURRENT   a repair counts from the used entries of now, not from the noted ones
 *   KEPT_CLAIMS    a repair leaves the claims of the dead
 *   LOW_REBUILD    a rebuild ends the claims before it has counted
 *   NO_RECOUNT     a rebuild leaves the counts unchanged
 */
#ifndef EVICTORS
#define EVICTORS 2
#endif
#ifndef SETTERS
#define SETTERS 1
#endif
#ifndef DELETERS
#define DELETERS 0
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef RESERVE
#define RESERVE 2
#endif
#ifndef MAXIMUM
#define MAXIMUM 4
#endif

#define SHARDS 2
#define FREE 0
#define HELD 1
#define DEAD 2

/* Truth: entries that index words name. */
byte there[SHARDS];
/* Derived. */
byte used[SHARDS];
byte claimed[SHARDS];
byte lock[SHARDS];
/* The journal of a shard: whether the used entries are noted, whether the index word is, and what was there before. */
bool used_noted[SHARDS];
bool word_noted[SHARDS];
byte used_before[SHARDS];
byte there_before[SHARDS];

byte deaths = DEATHS;
/* Ghost variable, by evictor: the maximum of entries since it began. */
byte peak[4];

#define ALL (there[0] + there[1])
#define STEP if :: atomic { deaths > 0 -> deaths--; lock[s] = DEAD; goto dead } :: atomic { true ->
#define END } fi

inline raise_peaks() {
  byte p = 0;
  do
  :: p < 4 -> if :: peak[p] < ALL -> peak[p] = ALL :: else fi; p++
  :: else -> break
  od;
  p = 0
}

inline forget_notes() {
  STEP used_noted[s] = false; word_noted[s] = false; used_before[s] = 0; there_before[s] = 0 END
}

/* Only the first note of a change is read. */
inline note_used() {
#ifndef NO_NOTE
  if
  :: !used_noted[s] -> STEP used_before[s] = used[s]; used_noted[s] = true END
  :: else
  fi
#else
  skip
#endif
}

inline note_word() {
  STEP there_before[s] = there[s]; word_noted[s] = true END
}

inline undo_and_redo() {
  if
  :: word_noted[s] && there[s] != there_before[s] ->
#ifdef UNDO_COMMITTED
     STEP if :: used_noted[s] -> used[s] = used_before[s] :: else fi END;
#endif
#ifdef REDO_CURRENT
     STEP used[s] = used[s] + there[s] - there_before[s] END;
#else
     note_used();
     STEP used[s] = used_before[s] + there[s] - there_before[s] END;
#endif
     skip
  :: else ->
     STEP if :: used_noted[s] -> used[s] = used_before[s] :: else fi END
  fi;
#ifndef KEPT_CLAIMS
  STEP claimed[s] = used[s] END;
#endif
  forget_notes()
}

/* Counts up again, so that it never counts more than is used. */
inline rebuild() {
#ifndef NO_RECOUNT
#ifdef LOW_REBUILD
  STEP used[s] = 0; claimed[s] = 0 END;
#else
  STEP used[s] = 0 END;
#endif
  STEP used[s] = there[s]; claimed[s] = there[s] END;
#endif
  forget_notes()
}

/* Takes the lock of a shard of its choice, and repairs what a dead owner left. */
inline take_lock() {
  if :: s = 0 :: s = 1 fi;
  atomic { lock[s] != HELD -> suspect = (lock[s] == DEAD); lock[s] = HELD };
  if
  :: suspect ->
#ifdef REBUILD
     rebuild();
#else
     undo_and_redo();
#endif
     suspect = false
  :: else
  fi
}

inline release() {
  atomic { assert(used[s] == there[s] && claimed[s] == there[s] && !used_noted[s] && !word_noted[s]); lock[s] = FREE }
}

/* The sums over the shards, one load after the other. */
inline add_up_used() {
  sum = used[0];
  sum = sum + used[1]
}

inline add_up_claimed() {
  sum = claimed[0];
  sum = sum + claimed[1]
}

proctype evictor(byte me) {
  byte s = 0; byte sum = 0; bool suspect = false;
  take_lock();
  atomic { peak[me] = ALL };
  if
  :: there[s] > 0 ->
#ifdef OWN_PART
     sum = used[s] * SHARDS - 1;
     note_used();
     STEP used[s] = used[s] - 1 END;
#else
#ifdef NO_OFFER
     add_up_used();
     sum = sum - 1;
     note_used();
     STEP used[s] = used[s] - 1 END;
#else
     note_used();
     STEP used[s] = used[s] - 1 END;
#ifdef LOW_CLAIM
     STEP claimed[s] = claimed[s] - 1 END;
#endif
     add_up_used();
#endif
#endif
     if
     :: sum >= RESERVE ->
#ifdef EARLY_UNCLAIM
        STEP claimed[s] = claimed[s] - 1 END;
#endif
        note_word();
        STEP
          there[s] = there[s] - 1;
          assert(peak[me] > RESERVE);
          assert(DELETERS > 0 || ALL >= RESERVE)
        END;
#ifndef EARLY_UNCLAIM
#ifndef LOW_CLAIM
        STEP claimed[s] = claimed[s] - 1 END;
#endif
#endif
        forget_notes()
     :: else ->
        STEP used[s] = used[s] + 1 END;
#ifdef LOW_CLAIM
        STEP claimed[s] = claimed[s] + 1 END;
#endif
#ifndef KEPT_NOTES
        forget_notes();
#endif
        skip
     fi
  :: else
  fi;
  release();
dead:
  atomic { peak[me] = 0; s = 0; sum = 0; suspect = false }
}

proctype setter() {
  byte s = 0; byte sum = 0; bool suspect = false;
  take_lock();
#ifdef NO_CLAIM
  add_up_claimed();
  sum = sum + 1;
  STEP claimed[s] = used[s] + 1 END;
#else
  STEP claimed[s] = used[s] + 1 END;
  add_up_claimed();
#endif
  if
  :: sum <= MAXIMUM ->
#ifdef EARLY_IN
     note_used();
     STEP used[s] = used[s] + 1 END;
#endif
     note_word();
     STEP there[s] = there[s] + 1; raise_peaks(); assert(ALL <= MAXIMUM) END;
#ifdef EARLY_FORGET
     forget_notes();
#endif
#ifndef EARLY_IN
     note_used();
     STEP used[s] = used[s] + 1 END;
#endif
     forget_notes()
  :: else ->
#ifndef KEPT_CLAIM
     STEP claimed[s] = used[s] END;
#endif
     skip
  fi;
  release();
dead:
  atomic { s = 0; sum = 0; suspect = false }
}

proctype deleter() {
  byte s = 0; bool suspect = false;
  take_lock();
  if
  :: there[s] > 0 ->
#ifdef LATE_OUT
     note_word();
     STEP there[s] = there[s] - 1 END;
     note_used();
     STEP used[s] = used[s] - 1; claimed[s] = claimed[s] - 1 END;
#else
     note_used();
     STEP used[s] = used[s] - 1 END;
     note_word();
     STEP there[s] = there[s] - 1 END;
     STEP claimed[s] = claimed[s] - 1 END;
#endif
     forget_notes()
  :: else
  fi;
  release();
dead:
  atomic { s = 0; suspect = false }
}

init {
  atomic {
    byte n = 0;
    there[0] = 2; used[0] = 2; claimed[0] = 2;
    there[1] = 1; used[1] = 1; claimed[1] = 1;
    do :: n < EVICTORS -> run evictor(n); n++ :: else -> break od;
    n = 0;
    do :: n < SETTERS -> run setter(); n++ :: else -> break od;
    n = 0;
    do :: n < DELETERS -> run deleter(); n++ :: else -> break od;
    n = 0
  }
}
