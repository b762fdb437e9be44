/* Room for a new entry: a victim's index word is emptied, its units are freed and written again for another key, in a
 * line that other keys have overflowed. The code is in crates/core: the write path, the shard's search, the rebuild,
 * the sweep and the read path.
 *
 * Promises: a reader finds a key that is there and stays there, whatever happens to its neighbours, in either line. It
 * never gets another key's value, a torn value, an expired value, or a value older than one that was acknowledged
 * before the read began. A near copy is valid only while its entry is the current one. An entry is never the victim of
 * its own change. What is reclaimed as expired has expired. After every unlock the bitmap, the count of free units and
 * the overflow count are right, wherever a process was killed.
 *
 * KEYS keys share a line of one word, followed by a second line. There are UNITS units, full at first. WRITERS
 * processes set or delete a key, WRITES times each. SWEEPERS look for expired entries once each. DEATHS of them are
 * killed before any store, also inside the rebuild by the next owner of a dead owner's lock. READERS read a key of
 * their choice READS times, with a near copy.
 *
 * Abstracted: an entry is a key word and a value word, torn when they come from different writes. The policy is any
 * choice of a victim; its queues are left out. The lock is one step (lock.pml).
 *
 * Caution: a rebuild is not invisible to readers, although it writes only derived data. Readers see the overflow
 * counts, so it stores each of them once, with its final value.
 *
 * Broken variants, each of which must be reported:
 *   NO_SPARE       the victim may be the entry that is to be replaced
 *   EARLY_REUSE    the victim's unit is written before its word is emptied
 *   LATE_COUNT     the overflow count is raised after the overflowing key is published
 *   EARLY_UNCOUNT  the overflow count is lowered before the word of such a key is emptied
 *   ZERO_FIRST     a rebuild sets the overflow count to 0 and then counts
 *   NO_RECOUNT     a rebuild leaves the overflow count unchanged
 *   NO_REBUILD     a dead owner's lock is taken without a rebuild
 *   NO_RECHECK     a reader does not load the word again
 *   NO_GENERATION  emptying a word and using it again keeps its generation
 *   ZEROED         emptying a word clears its generation
 *   BLIND_SWEEP    the entry to reclaim is chosen before the lock is taken
 *   NO_DEADLINE    a near copy does not know when it expires
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef SWEEPERS
#define SWEEPERS 0
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef READS
#define READS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef UNITS
#define UNITS 2
#endif
#ifndef KEYS
#define KEYS 3
#endif

#define EMPTY 3
#define UNIT(w) ((w) & 3)
#define GENERATION(w) ((w) >> 2)
#define NONE 9
#define FREE 0
#define HELD 1
#define DEAD 2

/* Truth. */
byte word[2];                    /* generation * 4 + unit; first the line of all keys, then the overflow line */
byte key_of[UNITS];
byte value_of[UNITS];
bool mortal_of[UNITS];
bool late = false;               /* mortal entries have expired */
/* Derived. */
bool used[UNITS];
byte free = 0;
byte overflow = 0;               /* keys that overflowed the first line */
byte lock = FREE;

/* Ghost variables: only the assertions read them. */
byte next = 1;
byte owner[12];                  /* by value: the key that it belongs to */
bool mortal[12];
byte now[KEYS];                  /* the current value; 0: none */
byte acked[KEYS];                /* the newest acknowledged value */
byte absences[KEYS];             /* how often the key became absent */
byte deaths = DEATHS;

#define KILL deaths--; lock = DEAD
#define STEP if :: atomic { deaths > 0 -> KILL; goto dead } :: atomic { true ->
#define END } fi

inline publish(at, unit) {
#ifdef NO_GENERATION
  word[at] = GENERATION(word[at]) * 4 + unit
#else
  word[at] = (GENERATION(word[at]) + 1) * 4 + unit
#endif
}

inline appear() {
  now[k] = v;
  if :: mortal[v] && late -> absences[k]++ :: else fi
}

#define IS_OVER(u) (mortal_of[u] && late)

inline take_lock() {
  atomic { lock != HELD -> suspect = (lock == DEAD); lock = HELD }
#ifndef NO_REBUILD
  if
  :: suspect ->
     do
     :: i < UNITS -> STEP used[i] = (UNIT(word[0]) == i || UNIT(word[1]) == i); i++ END
     :: else -> break
     od;
     i = 0;
#ifdef ZERO_FIRST
     STEP overflow = 0 END;
#endif
#ifndef NO_RECOUNT
     STEP overflow = (UNIT(word[1]) != EMPTY -> 1 : 0) END;
#endif
     STEP
       free = 0;
       do
       :: i < UNITS -> if :: !used[i] -> free++ :: else fi; i++
       :: else -> break
       od;
       i = 0
     END
  :: else
  fi;
#endif
  suspect = false
}

/* at: the position of the key, or NONE. */
inline find(k) {
  if
  :: UNIT(word[0]) != EMPTY && key_of[UNIT(word[0])] == k -> at = 0
  :: else ->
     if
     :: UNIT(word[1]) != EMPTY && key_of[UNIT(word[1])] == k -> at = 1
     :: else -> at = NONE
     fi
  fi
}

/* Removes an entry: empties its word, lowers the overflow count if it overflowed, frees its unit. */
inline remove(place) {
  i = UNIT(word[place]);
#ifdef EARLY_UNCOUNT
  if :: place == 1 -> STEP overflow-- END :: else fi;
#endif
  STEP
    now[key_of[i]] = 0; absences[key_of[i]]++;
#ifdef ZEROED
    word[place] = EMPTY
#else
    publish(place, EMPTY)
#endif
  END;
#ifndef EARLY_UNCOUNT
  if :: place == 1 -> STEP overflow-- END :: else fi;
#endif
  STEP used[i] = false END;
  STEP free++; i = 0 END
}

inline check() {
  i = 0;
  do
  :: i < UNITS -> assert(used[i] == (UNIT(word[0]) == i || UNIT(word[1]) == i)); i++
  :: else -> break
  od;
  i = 0;
  assert(free == UNITS - (UNIT(word[0]) != EMPTY -> 1 : 0) - (UNIT(word[1]) != EMPTY -> 1 : 0));
  assert(overflow == (UNIT(word[1]) != EMPTY -> 1 : 0))
}

inline forget() { i = 0; u = 0; v = 0; k = 0; at = 0; to = 0; victim = 0; old = 0; dies = false; suspect = false }

proctype writer() {
  byte writes = WRITES;
  byte i = 0; byte u = 0; byte v = 0; byte k = 0; byte at = 0; byte to = 0; byte victim = 0; byte old = 0;
  bool dies = false; bool suspect = false;
  do
  :: writes > 0 ->
     atomic {
       writes--;
       if :: k = 0 :: k = 1 :: KEYS > 2 -> k = KEYS - 1 fi
     }
     take_lock();
     find(k);
     if
     :: true
     :: at != NONE ->            /* delete */
        remove(at);
        v = 0;
        goto release
     fi;
     /* set */
     atomic { v = next; next++; if :: dies = false :: SWEEPERS > 0 -> dies = true fi; owner[v] = k; mortal[v] = dies }
     victim = NONE;
     if :: at != NONE -> old = UNIT(word[at]) :: else fi;
     if
     :: free == 0 ->
        atomic {
          if
#ifdef NO_SPARE
          :: UNIT(word[0]) != EMPTY -> victim = 0
          :: UNIT(word[1]) != EMPTY -> victim = 1
#else
          :: UNIT(word[0]) != EMPTY && at != 0 -> victim = 0
          :: UNIT(word[1]) != EMPTY && at != 1 -> victim = 1
#endif
          fi
        }
     :: else
     fi;
     u = NONE;
#ifdef EARLY_REUSE
     if :: victim != NONE -> u = UNIT(word[victim]); to = key_of[u] :: else fi;
#else
     if :: victim != NONE -> remove(victim) :: else fi;
#endif
     if
     :: u == NONE ->
        STEP
          if
          :: !used[0] -> u = 0
          :: used[0] && !used[1] -> u = 1
          :: used[0] && used[1] -> u = UNITS - 1; assert(!used[u])
          fi;
          used[u] = true
        END;
        STEP free-- END
     :: else
     fi;
     STEP key_of[u] = k; mortal_of[u] = dies END;
     STEP value_of[u] = v END;
#ifdef EARLY_REUSE
     if
     :: victim != NONE ->
        STEP now[to] = 0; absences[to]++; publish(victim, EMPTY) END;
        if :: victim == 1 -> STEP overflow-- END :: else fi
     :: else
     fi;
#endif
     if
     :: at != NONE ->            /* replace */
        STEP publish(at, u); appear() END;
        STEP used[old] = false END;
        STEP free++ END
     :: else ->                  /* insert */
        if
        :: UNIT(word[0]) == EMPTY -> to = 0
        :: UNIT(word[0]) != EMPTY && UNIT(word[1]) == EMPTY -> to = 1
        :: UNIT(word[0]) != EMPTY && UNIT(word[1]) != EMPTY -> remove(0); to = 0      /* the line is full */
        fi;
#ifndef LATE_COUNT
        if :: to == 1 -> STEP overflow++ END :: else fi;
#endif
        STEP publish(to, u); appear() END;
#ifdef LATE_COUNT
        if :: to == 1 -> STEP overflow++ END :: else fi;
#endif
        skip
     fi;
release:
     STEP
       check();
       if :: v > acked[k] -> acked[k] = v :: else fi;
       lock = FREE; forget()
     END
  :: else -> break
  od;
dead:
  forget()
}

proctype sweeper() {
  byte i = 0; byte at = 0; bool suspect = false;
  byte chosen = NONE;
#ifdef BLIND_SWEEP
  atomic {
    if
    :: UNIT(word[0]) != EMPTY && IS_OVER(UNIT(word[0])) -> chosen = 0
    :: UNIT(word[1]) != EMPTY && IS_OVER(UNIT(word[1])) -> chosen = 1
    :: else
    fi
  }
#endif
  take_lock();
  do
  :: at < 2 ->
#ifndef BLIND_SWEEP
     chosen = NONE;
     if :: UNIT(word[at]) != EMPTY && IS_OVER(UNIT(word[at])) -> chosen = at :: else fi;
#endif
     if
     :: chosen == at && UNIT(word[at]) != EMPTY ->
        assert(late && mortal[now[key_of[UNIT(word[at])]]]);
        remove(at)
     :: else
     fi;
     at++
  :: else -> break
  od;
  STEP check(); lock = FREE END;
dead:
  i = 0; at = 0; chosen = 0; suspect = false
}

proctype clock() {
  if
  :: SWEEPERS > 0 ->
     atomic {
       late = true;
       byte n = 0;
       do
       :: n < KEYS -> if :: mortal[now[n]] -> absences[n]++ :: else fi; n++
       :: else -> break
       od;
       n = 0
     }
  :: else
  fi
}

#ifdef NO_DEADLINE
#define NEAR_IS_OVER false
#else
#define NEAR_IS_OVER (nearmortal && late)
#endif

proctype reader() {
  byte reads = READS;
  byte k = 0; byte w = 0; byte a = 0; byte b = 0; byte line = 0; byte atleast = 0; byte gone = 0;
  bool present = false; bool m = false;
  bool near = false; byte nearkey = 0; byte nearat = 0; byte neargeneration = 0; byte nearval = 0; bool nearmortal = false;
  do
  :: reads > 0 ->
     atomic {
       reads--;
       if :: k = 0 :: k = 1 :: KEYS > 2 -> k = KEYS - 1 fi;
       atleast = acked[k]; gone = absences[k]; present = (now[k] != 0 && !(mortal[now[k]] && late))
     }
     if
     :: atomic {
          near && nearkey == k && GENERATION(word[nearat]) == neargeneration && !NEAR_IS_OVER ->
          assert(now[k] == nearval); assert(!(mortal[nearval] && late)); goto answered
        }
     :: else
     fi;
     line = 0;
look:
     w = word[line];
     if
     :: UNIT(w) == EMPTY -> goto further
     :: else
     fi;
     a = key_of[UNIT(w)];
     atomic { m = mortal_of[UNIT(w)]; if :: m && late -> a = NONE :: else fi };
     b = value_of[UNIT(w)];
#ifndef NO_RECHECK
     if :: word[line] != w -> goto look :: else fi;
#endif
     if
     :: a == k ->
        atomic {
          assert(b >= atleast); assert(owner[b] == k);
          near = true; nearkey = k; nearat = line; neargeneration = GENERATION(w); nearval = b; nearmortal = m
        };
        goto answered
     :: else
     fi;
further:
     if
     :: line == 0 && overflow > 0 -> line = 1; goto look
     :: else
     fi;
     atomic { assert(!present || absences[k] != gone) };      /* a miss */
answered:
     atomic { k = 0; w = 0; a = 0; b = 0; line = 0; atleast = 0; gone = 0; present = false; m = false }
  :: else -> break
  od;
  atomic { near = false; nearkey = 0; nearat = 0; neargeneration = 0; nearval = 0; nearmortal = false }
}

init {
  atomic {
    byte n = 0;
    do
    :: n < 2 ->
       key_of[n] = n; value_of[n] = next; owner[next] = n; now[n] = next; acked[n] = next; used[n] = true; word[n] = n;
       next++; n++
    :: else -> break
    od;
    free = UNITS - 2; overflow = 1;
    n = 0;
    do :: n < WRITERS -> run writer(); n++ :: else -> break od;
    n = 0;
    do :: n < SWEEPERS -> run sweeper(); n++ :: else -> break od;
    if :: SWEEPERS > 0 -> run clock() :: else fi;
    n = 0;
    do :: n < READERS -> run reader(); n++ :: else -> break od;
    n = 0
  }
}
