/* Clearing a namespace, or everything, by adding 1 to one epoch word. A life is the pair of the root's epoch and the
 * namespace's epoch. The code is in crates/core: namespaces, the write path, the sweep, the rebuild and the read path.
 *
 * Promises: once a clear is acknowledged, no reader gets a value that was there before it, or a value made from one,
 * from the segment or from a near copy. A value that was set after the clear stays until something happens to it, also
 * where other processes clear late or reclaim what the clear has ended. No entry is counted after the clear that ended
 * it. After every unlock the counts are right, and every entry of an earlier life is marked to be reclaimed, wherever
 * a process was killed.
 *
 * WRITERS processes set one of KEYS keys or add to the number there, WRITES times each. CLEARERS clear the namespace
 * or everything once each. SWEEPERS reclaim once each. DEATHS of all these are killed. READERS read READS times each,
 * with a near copy, or ask for the number of entries.
 *
 * Abstracted: one namespace and the root above it; publishing an entry and reading one are single steps (cache.pml);
 * the lock is one step (lock.pml); a line is swept in one step. A death between a clear and its follow-up does no
 * harm: no process needs the follow-up.
 *
 * Broken variants, each of which must be reported:
 *   OWN_ONLY       a near copy depends on the namespace's epoch alone
 *   LATE_NEAR      a near copy keeps the epochs as loaded after the entry was read
 *   NO_LIFE        a reader does not check the life of the entry
 *   EARLY_LIFE     a writer reads the life before it has the lock
 *   TWO_LIVES      a writer checks with one life and stamps with another
 *   EARLY_SWEEP    a sweeper reads the life before it has the lock
 *   LIFE_FIRST     the counted life is stored before the count is 0
 *   NO_PURGE       a process that notices a clear does not mark what is to be reclaimed
 *   NO_REBUILD     a dead owner's lock is taken without a rebuild
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef CLEARERS
#define CLEARERS 1
#endif
#ifndef SWEEPERS
#define SWEEPERS 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 2
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef KEYS
#define KEYS 2
#endif

#define FREE 0
#define HELD 1
#define DEAD 2
#define LIFE (root * 8 + own)

/* Truth. */
byte root = 0;
byte own = 0;
byte entry[KEYS];                /* the number of the write that stored it; 0: none */
byte stamp[KEYS];                /* its life */
byte origin[KEYS];               /* the oldest write that its value is made from */
byte generation[KEYS];
/* Derived. */
byte counted = 0;                /* the life that `count` belongs to */
byte count = 0;
bool purge = false;
byte lock = FREE;

/* Ghost variables: only the assertions read them. */
byte next = 1;
byte clears = 0;                 /* clears so far */
byte outdated[KEYS];             /* the newest write that was there before a clear */
byte gone[KEYS];                 /* the same, of the acknowledged clears only */
byte needed[KEYS];               /* the newest acknowledged write with no clear since it began */
byte under_way = 0;              /* writes in progress */
byte begun = 0;                  /* writes that began after the last clear or were in progress at it */
byte deaths = DEATHS;

#define IS_NEWER(a, b) ((a) > (b) -> (a) : (b))

/* One store, or death just before it. */
#define STEP if :: atomic { deaths > 0 -> deaths--; lock = DEAD; goto dead } :: atomic { true ->
#define END } fi

#define IN_LIFE(k) (entry[k] != 0 && stamp[k] == counted)

inline take_lock() {
  atomic { lock != HELD -> suspect = (lock == DEAD); lock = HELD }
#ifndef NO_REBUILD
  if
  :: suspect ->
     STEP l = LIFE; count = 0; counted = l END;
     STEP
       k = 0;
       do
       :: k < KEYS -> if :: IN_LIFE(k) -> count++ :: else fi; k++
       :: else -> break
       od;
       k = 0
     END;
     STEP purge = true; l = 0 END
  :: else
  fi;
#endif
  suspect = false
}

/* Follows a clear: the counts begin anew for the new life. */
inline begin_life() {
  if
  :: counted != l ->
     STEP
#ifndef NO_PURGE
       purge = purge || (count != 0)
#else
       skip
#endif
     END;
#ifdef LIFE_FIRST
     STEP counted = l END;
     STEP count = 0 END
#else
     STEP count = 0 END;
     STEP counted = l END
#endif
  :: else
  fi
}

inline check() {
  k2 = 0; in_life = 0;
  do
  :: k2 < KEYS ->
     if :: IN_LIFE(k2) -> in_life++ :: else fi;
     assert(purge || entry[k2] == 0 || stamp[k2] == counted);
     k2++
  :: else -> break
  od;
  assert(count == in_life);
  k2 = 0; in_life = 0
}

proctype writer() {
  byte writes = WRITES;
  byte k = 0; byte key = 0; byte l = 0; byte v = 0; byte from = 0; byte met = 0; byte k2 = 0; byte in_life = 0;
  bool suspect = false; bool was_counted = false;
  do
  :: writes > 0 ->
     atomic {
       writes--; met = clears; begun++; under_way++;
       if :: key = 0 :: KEYS > 1 -> key = KEYS - 1 fi
     }
#ifdef EARLY_LIFE
     from = LIFE;
#endif
     take_lock();
     STEP l = root END;
     STEP
       l = l * 8 + own;
#ifdef EARLY_LIFE
       l = from;
#endif
       from = 0
     END;
     STEP                        /* set, or add to a value of this life */
       v = next; next++; from = v;
       if
       :: true
       :: entry[key] != 0 && stamp[key] == l -> from = origin[key]
       fi
     END;
#ifdef TWO_LIVES
     l = LIFE;
#endif
     if
     :: entry[key] != 0 && stamp[key] == counted -> was_counted = true
     :: else
     fi;
     STEP entry[key] = v; stamp[key] = l; origin[key] = from; generation[key]++ END;
     if
     :: was_counted -> STEP count--; was_counted = false END
     :: else
     fi;
     begin_life();
     STEP count++ END;
     STEP
       check();
       lock = FREE; under_way--;
       if :: met == clears && v > needed[key] -> needed[key] = v :: else fi;
       k = 0; key = 0; l = 0; v = 0; from = 0; met = 0
     END
  :: else -> break
  od;
dead:
  k = 0; key = 0; l = 0; v = 0; from = 0; met = 0; suspect = false; was_counted = false
}

proctype sweeper() {
  byte k = 0; byte l = 0; byte k2 = 0; byte in_life = 0;
  bool suspect = false;
#ifdef EARLY_SWEEP
  byte early = 0;
  early = LIFE;
#endif
  take_lock();
#ifdef EARLY_SWEEP
  l = early;
#else
  STEP l = LIFE END;
#endif
  begin_life();
  k = 0;
  do
  :: k < KEYS ->
     if
     :: entry[k] != 0 && stamp[k] != l ->
        STEP entry[k] = 0; stamp[k] = 0; origin[k] = 0; generation[k]++ END
     :: else
     fi;
     k++
  :: else -> break
  od;
  STEP purge = false END;
  STEP check(); lock = FREE END;
dead:
  k = 0; l = 0; suspect = false
}

proctype clearer() {
  byte k = 0;
  if
  :: atomic { deaths > 0 -> deaths--; goto dead }
  :: atomic {
       if :: root++ :: own++ fi;
       clears++; begun = under_way;
       k = 0;
       do
       :: k < KEYS -> outdated[k] = next - 1; needed[k] = 0; k++
       :: else -> break
       od
     }
  fi;
  if
  :: atomic { deaths > 0 -> deaths--; goto dead }
  :: atomic {
       k = 0;
       do
       :: k < KEYS -> gone[k] = IS_NEWER(gone[k], outdated[k]); k++
       :: else -> break
       od
     }
  fi;
dead:
  k = 0
}

proctype reader() {
  byte reads = READS;
  byte r = 0; byte l = 0; byte got = 0; byte from = 0; byte need = 0; byte ended = 0; byte met = 0; byte g = 0;
  bool near = false; byte nearval = 0; byte nearfrom = 0; byte nearlife = 0; byte neargeneration = 0;
  do
  :: reads > 0 ->
     atomic { reads--; need = needed[0]; ended = gone[0]; met = clears }
     if
     :: true ->
        if
        :: near ->
           /* Three loads, in any order; this is the order in which JavaScript does them. */
           if
           :: atomic { generation[0] == neargeneration -> skip }
           :: atomic { generation[0] != neargeneration -> near = false; goto read }
           fi;
           if
           :: atomic { nearlife / 8 == root -> skip }
#ifdef OWN_ONLY
           :: atomic { nearlife / 8 != root -> skip }
#else
           :: atomic { nearlife / 8 != root -> near = false; goto read }
#endif
           fi;
           if
           :: atomic { nearlife % 8 == own -> got = nearval; from = nearfrom; goto answer }
           :: atomic { nearlife % 8 != own -> near = false; goto read }
           fi
        :: else
        fi;
read:
        r = root;
        l = r * 8 + own;
        g = generation[0];
        if
#ifdef NO_LIFE
        :: atomic { entry[0] != 0 -> got = entry[0]; from = origin[0] }
        :: atomic { entry[0] == 0 -> got = 0 }
#else
        :: atomic { entry[0] != 0 && stamp[0] == l -> got = entry[0]; from = origin[0] }
        :: atomic { entry[0] == 0 || stamp[0] != l -> got = 0 }
#endif
        fi;
        if
        :: got != 0 ->
#ifdef LATE_NEAR
           l = LIFE;
#endif
           near = true; nearval = got; nearfrom = from; nearlife = l; neargeneration = g
        :: else
        fi;
answer:
        atomic {
          assert(got == 0 || from > ended);
          assert(met != clears || got >= need)
        }
     :: true ->                  /* the number of entries */
        r = root;
        l = r * 8 + own;
        if
        :: atomic { counted == l -> r = begun }
        :: atomic { counted != l -> goto counted_none }
        fi;
        got = count;
        atomic { assert(met != clears || begun > 0 || got == 0) };
counted_none:
        skip
     fi;
     atomic { r = 0; l = 0; got = 0; from = 0; need = 0; ended = 0; met = 0; g = 0 }
  :: else -> break
  od;
  atomic { near = false; nearval = 0; nearfrom = 0; nearlife = 0; neargeneration = 0 }
}

init {
  atomic {
    byte n = 0;
    do :: n < WRITERS -> run writer(); n++ :: else -> break od;
    n = 0;
    do :: n < CLEARERS -> run clearer(); n++ :: else -> break od;
    n = 0;
    do :: n < SWEEPERS -> run sweeper(); n++ :: else -> break od;
    n = 0;
    do :: n < READERS -> run reader(); n++ :: else -> break od;
    n = 0
  }
}
