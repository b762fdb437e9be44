/* One key of the cache: its index word, the entries that the word may name, and all readers and writers of the key.
 *
 * Promises: a reader, which holds no lock, never returns a torn value, never a value older than one that was
 * acknowledged before the read began, and never a value older than one that a finished read returned. The same holds
 * for a near copy, which is valid while the index word's generation is unchanged. A writer always finds room for its
 * new entry. A word names only units in use.
 *
 * WRITERS processes replace the key (with DELETES: or empty its word) WRITES times each under one lock. KILLS of them
 * are killed before any store, also inside the rebuild that the next owner of a dead owner's lock runs. READERS read
 * READS times each.
 *
 * Abstracted: an entry is two payload words, torn when they differ. The space has one unit more than entries, so a
 * leak shows at once. The lock is one step (lock.pml has the real one) and an acknowledgement is the unlock.
 *
 * Caution: the derived free list is not protected. A dead owner leaves it wrong, and only the rebuild corrects it.
 *
 * Broken variants, each of which must be reported:
 *   NO_RECHECK     a reader trusts its copy without loading the word again
 *   NO_GENERATION  replacing keeps the generation
 *   NO_REBUILD     a dead owner's lock is taken without a rebuild
 *   EARLY_PUBLISH  the word is stored before the entry is written
 *   EARLY_ACK      a write is acknowledged before its word is stored
 *   IN_PLACE       replacing writes over the published entry
 *   LATE_NEAR      a near copy keeps the word as loaded after the entry was read, not before
 *   ZEROED         deleting clears the word, and its generation with it (DELETES)
 */
#ifndef WRITERS
#define WRITERS 2
#endif
#ifndef READERS
#define READERS 2
#endif
#ifndef WRITES
#define WRITES 1
#endif
#ifndef READS
#define READS 2
#endif
#ifndef KILLS
#define KILLS 1
#endif

#define UNITS 2                  /* one published, one being written */
#define EMPTY 3                  /* such a word names no unit but keeps its generation */
#define UNIT(w) ((w) & 3)
#define GENERATION(w) ((w) >> 2)
#define FREE 0
#define HELD 1
#define DEAD 2                   /* held by an owner that was killed */

short word = 0;                  /* generation * 4 + unit */
byte A[UNITS];
byte B[UNITS];
bool used[UNITS];                /* derived: the inverse of the free list */
byte lock = FREE;
byte next = 1;                   /* each write has a number and stores it as its value */
byte kills = KILLS;

/* Ghost variables: only the assertions read them. */
byte acked = 0;                  /* the newest acknowledged write */
byte seen = 0;                   /* the newest write that a finished read returned */
byte emptied = 0;                /* the write that emptied the word, when it is empty */

/* One store, or death just before it. */
#define STEP if :: atomic { kills > 0 -> kills--; lock = DEAD; i = 0; forget(); goto dead } :: atomic { true ->
#define END } fi

inline forget() { u = 0; v = 0; old = 0; suspect = false }

inline acknowledge() { if :: v > acked -> acked = v :: else fi }

inline publish(unit) {
#ifdef NO_GENERATION
  word = GENERATION(word) * 4 + unit
#else
  word = (GENERATION(word) + 1) * 4 + unit
#endif
}

proctype writer() {
  byte i = 0; byte u = 0; byte v = 0; byte old = 0; bool suspect = false;
  do
  :: i < WRITES ->
     i++;
     atomic { lock != HELD -> suspect = (lock == DEAD); lock = HELD }
#ifndef NO_REBUILD
     if
     :: suspect ->
        do
        :: u < UNITS -> STEP used[u] = (u == UNIT(word)); u++ END
        :: else -> break
        od
     :: else
     fi;
     u = 0;
#endif
#ifdef DELETES
     if
     :: true
     :: UNIT(word) != EMPTY ->
        STEP
          v = next; next++; old = UNIT(word); u = EMPTY; emptied = v;
#ifdef ZEROED
          word = EMPTY
#else
          publish(EMPTY)
#endif
        END;
        goto release
     fi;
#endif
     STEP if :: !used[0] -> u = 0 :: else -> assert(!used[1]); u = 1 fi; used[u] = true END;
     STEP
       v = next; next++;
#ifdef EARLY_ACK
       acknowledge();
#endif
#ifdef IN_PLACE
       used[u] = false; u = UNIT(word);
#endif
       old = UNIT(word)
     END;
#ifdef EARLY_PUBLISH
     STEP publish(u) END;
#endif
     STEP A[u] = v END;
     STEP B[u] = v END;
#ifndef EARLY_PUBLISH
     STEP publish(u) END;         /* the only commit point */
#endif
release:
     if
     :: old != EMPTY && old != u -> STEP used[old] = false END
     :: else
     fi;
     STEP
       assert(used[0] == (UNIT(word) == 0) && used[1] == (UNIT(word) == 1));
       lock = FREE; acknowledge(); forget()
     END
  :: else -> break
  od;
dead:
  skip
}

proctype reader() {
  byte i = 0; short w = 0; byte a = 0; byte b = 0; byte atleast = 0; byte got = 0;
  bool near = false; short nearword = 0; byte nearval = 0;
  do
  :: i < READS ->
     i++;
     atomic { atleast = acked; if :: seen > atleast -> atleast = seen :: else fi }
     if
     :: near && GENERATION(word) == GENERATION(nearword) -> got = nearval
     :: else ->
again:
        atomic { w = word; got = emptied }
        if
        :: UNIT(w) == EMPTY -> near = false
        :: else ->
           a = A[UNIT(w)]; b = B[UNIT(w)];
#ifndef NO_RECHECK
           if :: word != w -> goto again :: else fi;
#endif
           assert(a == b); got = a;
#ifdef LATE_NEAR
           w = word;
#endif
           near = true; nearword = w; nearval = a
        fi
     fi;
     atomic {
       assert(got >= atleast);
       if :: got > seen -> seen = got :: else fi;
       w = 0; a = 0; b = 0; got = 0; atleast = 0
     }
  :: else -> break
  od
}

init {
  atomic {
    byte n = 0;
    used[0] = true;
    do :: n < WRITERS -> run writer(); n++ :: else -> break od;
    n = 0;
    do :: n < READERS -> run reader(); n++ :: else -> break od;
    n = 0
  }
}
