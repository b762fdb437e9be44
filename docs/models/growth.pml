/* An index that is divided while other processes read: the level says in which line a key belongs. The code is in
 * crates/core: the growth of an index, the shard's search and the walk over keys.
 *
 * Promises: every reader finds a key that is there, with a value not older than what was acknowledged before the read
 * began. The same holds for a key that overflowed. No near copy outlives the value that it was made of. A walk meets
 * the key exactly once. All of this holds wherever a writer is killed, also in a division and in the rebuild after it.
 *
 * WRITERS processes take the lock, divide the index or not, set the key, and end. KILLS of them are killed, and the
 * next owner of the lock then rebuilds first. READERS read READS times, with a near copy and a read of the overflowed
 * key. A walker walks once. The index is divided at most twice, and the key moves up each time: line 0, line 1, line 3
 * of four.
 *
 * Abstracted: an entry is its version, whole (cache.pml). A key that overflowed stays where it is, and is found as
 * long as the count of its own line is not 0. The lock is one step (lock.pml).
 *
 * Broken variants, each of which must be reported:
 *   NO_RELOOK        a reader that misses does not check the level again
 *   EARLY_LEVEL      the level is stored before the words are copied
 *   EARLY_EMPTY      the words are emptied before the level is stored
 *   NO_FINISH        a rebuild leaves what a killed division left
 *   SAME_GENERATION  a word is emptied without a new generation
 *   LATE_COUNT       the overflow counts of the new lines are stored after the level
 *   EARLY_UNCOUNT    the overflow counts of the old lines are lowered before the level is stored
 *   NO_FILTER        a walk takes words that are out of place for entries
 *   NO_REWALK        a walk does not check the level again after a line
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 2
#endif
#define LEVELS 2

#define FREE 0
#define HELD 1
#define DEAD 2

byte level = 0;
byte lock = FREE;
/* By level: the word of the key in its line at that level, and that line's overflow count. */
byte entry[3];
byte generation[3];
byte overflowed[3];

/* Ghost variables: only the assertions read them. */
byte newest = 1;
byte acknowledged = 1;
byte kills = KILLS;

#define STEP if :: atomic { kills > 0 -> kills--; lock = DEAD; goto dead } :: atomic { true ->
#define END } fi

#ifdef SAME_GENERATION
#define EMPTY(i) entry[i] = 0
#else
#define EMPTY(i) entry[i] = 0; generation[i]++
#endif

proctype writer() {
  byte i = 0; byte own = 0; byte version = 0; bool suspect = false;
  atomic { lock != HELD -> suspect = (lock == DEAD); lock = HELD }
  if
  :: suspect ->
     do
     :: i <= LEVELS ->
#ifndef NO_FINISH
        STEP if :: i != level && entry[i] != 0 && entry[i] == entry[level] -> EMPTY(i) :: else fi END;
#endif
        STEP overflowed[i] = (i == level -> 1 : 0) END;
        i++
     :: else -> break
     od
  :: else
  fi;
  i = 0;
  do
  :: level < LEVELS ->
     own = level;
#ifdef EARLY_LEVEL
     STEP level = own + 1 END;
#endif
     STEP entry[own + 1] = entry[own]; generation[own + 1]++ END;
     STEP overflowed[own + 1] = 0 END;
#ifndef LATE_COUNT
     STEP overflowed[own + 1] = 1 END;
#endif
#ifdef EARLY_EMPTY
     STEP EMPTY(own) END;
#endif
#ifdef EARLY_UNCOUNT
     STEP overflowed[own] = 0 END;
#endif
#ifndef EARLY_LEVEL
     STEP level = own + 1 END;
#endif
#ifdef LATE_COUNT
     STEP overflowed[own + 1] = 1 END;
#endif
#ifndef EARLY_EMPTY
     STEP EMPTY(own) END;
#endif
     STEP overflowed[own] = 0 END
  :: break
  od;
  own = level;
  STEP newest++; version = newest; entry[own] = version; generation[own]++ END;
  STEP acknowledged = version; lock = FREE END;
dead:
  i = 0; own = 0; version = 0; suspect = false
}

proctype reader() {
  byte reads = READS;
  byte floor = 0; byte l = 0; byte e = 0; byte g = 0;
  byte near = 0; byte nearline = 0; byte neargeneration = 0;
  do
  :: reads > 0 ->
     atomic { reads--; floor = acknowledged }
     if
     :: atomic { near != 0 && generation[nearline] == neargeneration -> assert(near >= floor) }
     :: atomic { else -> near = 0 }
     fi;
     l = level;
again:
     atomic { e = entry[l]; g = generation[l] }
     if
     :: e == 0 ->
#ifdef NO_RELOOK
        assert(false);
#endif
        if
        :: atomic { level > l -> l = level }
        :: atomic { else -> assert(false) }
        fi;
        goto again
     :: else
     fi;
     if
     :: atomic { generation[l] == g && entry[l] == e -> assert(e >= floor); near = e; nearline = l; neargeneration = g }
     :: atomic { else -> goto again }
     fi;
     l = level;
     do
     :: atomic { overflowed[l] != 0 -> break }
     :: atomic { else -> skip };
        if
        :: atomic { level > l -> l = level }
        :: atomic { else -> assert(false) }
        fi
     od;
     atomic { floor = 0; l = 0; e = 0; g = 0 }
  :: else -> break
  od
}

/* Places are in the order of walks; the key's lines are at the places 0, 2 and 3. */
#define KEY_IS_HERE(l) (l == 0 || (l == 1 && place == 2) || (l == 2 && place == 3))
#define PLACES(l) (l == 0 -> 4 : (l == 1 -> 2 : 1))

proctype walker() {
  byte place = 0; byte met = 0; byte l = 0; byte seen = 0;
  do
  :: place < 4 ->
     l = level;
     atomic {
       seen = 0;
       if
       :: KEY_IS_HERE(l) && entry[l] != 0 -> seen = 1
       :: else
       fi;
#ifdef NO_FILTER
       if
       :: l > 0 && place == 0 && entry[0] != 0 -> seen = 1
       :: l > 1 && place == 2 && entry[1] != 0 -> seen = 1
       :: else
       fi;
#endif
     }
     atomic {
#ifndef NO_REWALK
       if
       :: level > l -> skip
       :: else ->
#endif
          met = met + seen; place = place + PLACES(l)
#ifndef NO_REWALK
       fi
#endif
     }
  :: else -> break
  od;
  assert(met == 1)
}

init {
  byte i = 0;
  atomic {
    entry[0] = 1; overflowed[0] = 1;
    do :: i < WRITERS -> run writer(); i++ :: else -> break od;
    i = 0;
    do :: i < READERS -> run reader(); i++ :: else -> break od;
    run walker()
  }
}
