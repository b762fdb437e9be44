/* A ring of messages: written under its shard's lock, read by all processes without one. The code is in crates/core:
 * the ring, its reader and the rebuild.
 *
 * Promises: a reader never takes a torn, old or unpublished message for a valid one. Messages come in order, each
 * once. Missing messages are counted exactly: those that were overwritten, and one for each reset of the ring by a
 * rebuild, so that a watcher learns of a change even when its writer died before it published a message. When all is
 * quiet, every reader has read to the end. Without a death no reader needs the periodic check for that.
 *
 * WRITERS processes change something and publish a message, WRITES times each. DEATHS of them are killed at any step,
 * also inside the rebuild by the next owner of a dead owner's lock. Some process takes a dead owner's lock in the end.
 * READERS read whenever they are woken or, when nothing else happens, in their periodic check.
 *
 * Abstracted: the ring has WORDS words and a message has two, which both carry its number; the unit tests cover how
 * lengths are found from the end. The count and the end are one word. The lock is one step (lock.pml), a bell is one
 * bit (bell.pml, watcher.pml).
 *
 * Caution: a reset must do more than move both words on. The skipped words hold old messages, so a floor excludes
 * them.
 *
 * Broken variants, each of which must be reported:
 *   NO_RESERVED    a reader checks the end again, not the reserved position
 *   LATE_RESERVED  the reserved position is moved after the message was written
 *   EARLY_STATE    a message is published before it is written
 *   SPLIT_STATE    the count and the end are stored one after the other
 *   NO_RESET       a writer that finds an unpublished message continues behind it, and no rebuild resets
 *   NO_FLOOR       a reset sets no floor
 *   LATE_FLOOR     a reset sets the floor after the state
 *   NO_COUNT       a reset counts no message
 *   NO_REBUILD     a dead owner's lock is taken without a rebuild
 *   NO_TICK        readers read only when woken
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef WRITES
#define WRITES 2
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif
#ifndef WORDS
#define WORDS 4
#endif

#ifdef NO_RESET
#define NO_REBUILD
#endif

#define FREE 0
#define HELD 1
#define DEAD 2

byte ring[WORDS];
byte reserved = WORDS;           /* positions count words and never decrease; 0 is before the first */
byte floor = 0;
byte end = WORDS;                /* the end of the published part; in one word with the count */
byte count = 0;
byte lock = FREE;
bool rung[READERS];

/* Ghost variables: only the assertions read them. */
byte changes = 0;                /* changes that need a message */
byte published = 0;              /* published messages; stored with the state */
byte newest = 0;                 /* the number of the last of them */
byte resets = 0;                 /* stored with the state */
byte writing = WRITERS;
byte deaths = DEATHS;
#define HAS_DIED (deaths < DEATHS)

#define STEP if :: atomic { deaths > 0 -> deaths--; lock = DEAD; goto dead } :: atomic { true ->
#define END } fi

inline reset() {
  STEP reserved = reserved + WORDS; to = reserved END;
#if !defined(NO_FLOOR) && !defined(LATE_FLOOR)
  STEP floor = to END;
#endif
  STEP
    end = to; resets++;
#ifndef NO_COUNT
    count++;
#endif
    to = 0
  END;
#ifdef LATE_FLOOR
  STEP floor = reserved END
#endif
}

inline take_lock() {
  atomic { lock != HELD -> suspect = (lock == DEAD); lock = HELD }
#ifndef NO_REBUILD
  if
  :: suspect -> reset()
  :: else
  fi;
#endif
  skip
}

/* After the unlock. */
inline ring_all() {
  i = 0;
  do
  :: i < READERS -> if :: atomic { deaths > 0 -> deaths--; goto gone } :: atomic { true -> rung[i] = true } fi; i++
  :: else -> break
  od;
  i = 0
}

proctype writer() {
  byte writes = WRITES; byte n = 0; byte to = 0; byte i = 0; bool suspect = false;
  do
  :: writes > 0 ->
     writes--;
     take_lock();
     STEP changes++; n = changes END;
#ifndef NO_RESET
     if :: reserved != end -> reset() :: else fi;
#endif
     to = reserved + 2;
#ifndef LATE_RESERVED
     STEP reserved = to END;
#endif
#ifdef EARLY_STATE
     STEP end = to; count++; published++; newest = n END;
#endif
     STEP ring[(to - 2) % WORDS] = n END;
     STEP ring[(to - 1) % WORDS] = n END;
#ifdef LATE_RESERVED
     STEP reserved = to END;
#endif
#ifdef SPLIT_STATE
     STEP count++; published++; newest = n END;
     STEP end = to END;
#else
#ifndef EARLY_STATE
     STEP end = to; count++; published++; newest = n END;
#endif
#endif
     STEP lock = FREE; n = 0; to = 0; suspect = false END;
     ring_all()
  :: else -> break
  od;
  goto gone;
dead:
gone:
  atomic { n = 0; to = 0; i = 0; suspect = false; writing-- }
}

/* The next owner of a dead owner's lock: another writer, or the sweeper. It is not killed. */
proctype sweeper() {
  byte to = 0; byte i = 0; bool suspect = false;
  do
  :: atomic { lock == DEAD -> lock = HELD; suspect = true };
#ifndef NO_REBUILD
     atomic {
       reserved = reserved + WORDS; to = reserved;
#ifndef NO_FLOOR
       floor = to;
#endif
       end = to; resets++;
#ifndef NO_COUNT
       count++;
#endif
       to = 0
     };
#endif
     lock = FREE;
     atomic {
       do
       :: i < READERS -> rung[i] = true; i++
       :: else -> break
       od;
       i = 0; suspect = false
     }
  :: atomic { writing == 0 && lock == FREE -> break }
  od
}

proctype reader(byte me) {
  /* The cursor, and the ghost variables when it was set. */
  byte at = WORDS; byte had = 0; byte had_published = 0; byte had_resets = 0;
  byte to = 0; byte c = 0; byte p = 0; byte r = 0;
  byte from = 0; byte valid = 0; byte i = 0; byte n = 0; byte last = 0; byte all_lost = 0; byte came = 0;
  byte copy[WORDS];
  do
  :: atomic { rung[me] -> rung[me] = false };
look:
     if
     :: atomic { had == count -> goto nothing }
     :: atomic { had != count -> to = end; c = count; p = published; r = resets }
     fi;
     from = (at >= to - WORDS && at <= to -> at : to - WORDS);
     i = from;
     do
     :: i < to -> copy[i % WORDS] = ring[i % WORDS]; i++
     :: else -> break
     od;
#ifdef NO_RESERVED
     valid = end - WORDS;
#else
     valid = reserved - WORDS;
#endif
     atomic {
       if :: floor > valid -> valid = floor :: else fi;
       i = from; n = 0;
       do
       :: i < to ->
          if
          :: i >= valid ->
             assert(copy[i % WORDS] == copy[(i + 1) % WORDS]);
             assert(copy[i % WORDS] > last && copy[i % WORDS] <= newest);
             last = copy[i % WORDS]; n++
          :: else
          fi;
          i = i + 2
       :: else -> break
       od;
       i = c - had;              /* all messages since the last read */
       assert(i >= n);
       i = i - n;                /* lost */
       assert(i == (p - had_published - n) + (r - had_resets));
       came = came + n; all_lost = all_lost + i;
       at = to; had = c; had_published = p; had_resets = r;
       to = 0; c = 0; p = 0; r = 0; from = 0; valid = 0; i = 0; n = 0;
       copy[0] = 0; copy[1] = 0; copy[2] = 0; copy[3] = 0
     };
nothing:
     skip
#ifndef NO_TICK
  :: atomic { timeout && had != count -> assert(HAS_DIED); goto look }
#endif
  :: atomic { timeout && writing == 0 && lock == FREE && had == count -> break }
  od;
  assert(at == end);
  assert(came + all_lost >= changes)
}

init {
  atomic {
    byte n = 0;
    do :: n < WRITERS -> run writer(); n++ :: else -> break od;
    run sweeper();
    n = 0;
    do :: n < READERS -> run reader(n); n++ :: else -> break od;
    n = 0
  }
}
