/* A transaction over two shards: all its keys change by one store in the home, the first shard that it changes. The code
 * is in crates/core: `change/commit.rs`, `change/stage.rs`, `change/repair.rs`, `shard/intents.rs`.
 *
 * Promises: a reader without a lock that finds the new value of one key finds no older value of another one afterwards,
 * neither in the segment nor in a near copy. It finds no value older than one that was acknowledged before it began. Under
 * the locks both keys have one value, wherever a process was killed. No word names the intent of a transaction
 * with an outcome that is gone.
 *
 * Each shard has a key, which transactions of PAIRS change together. SINGLES are transactions that change another key of
 * shard 0 alone; they have the same home. DEATHS of them are killed before any store, also inside the repair by the next
 * owner of a dead owner's lock. READERS read both keys, in either order, and then a near copy of the first one.
 *
 * Abstracted: what a word names is a part of it, since it does not change while it is named, and the check of the word
 * after a copy is one of cache.pml. The lock is one step (lock.pml), and so is a note. What a transaction has read is
 * checked under the locks, as any change is.
 *
 * Broken variants, each of which must be reported:
 *   NO_INTENTS      the words are stored one behind the other
 *   EARLY_COMMIT    the home is stored before all words name intents
 *   EARLY_FINAL     a word names its new entry before the home is stored
 *   READ_NEW        a reader takes the new entry of any intent
 *   NO_RECHECK      a reader does not check the word after it has loaded the home
 *   NEAR_INTENT     a reader keeps a near copy of what it has read through an intent
 *   SAME_GENERATION a word that names an intent keeps its generation
 *   NO_NOTE         an intent is not noted, so no repair ends it
 *   UNDO_COMMITTED  a repair restores the old entries of a committed transaction
 *   HOME_REUSED     a transaction begins while another shard has intents of a dead one with the same home
 *   HOME_LATE       the shard's mark of the home comes behind its first intent
 */
#ifndef PAIRS
#define PAIRS 2
#endif
#ifndef SINGLES
#define SINGLES 1
#endif
#ifndef READERS
#define READERS 1
#endif
#ifndef DEATHS
#define DEATHS 1
#endif

#define FREE 0
#define HELD 1
#define DEAD 2

/* The index words: their generation, the value of the entry, and for an intent the new value and the transaction. */
byte generation[2];
byte value[2];
byte next[2];
byte named[2]; /* the transaction of an intent; 0: no intent */
/* The home's word: the last transaction, and whether it was committed. */
byte last;
bool committed;
byte lock[2];
/* A shard's mark of the home, and the transaction with it. */
bool marked[2];
byte marked_by[2];
/* The journal of a shard: whether an intent is noted, and the value before. */
bool noted[2];
byte before[2];

byte deaths = DEATHS;
/* Ghost variable: the last value that was acknowledged. */
byte acknowledged;

#define STEP if :: atomic { deaths > 0 -> deaths--; goto dead } :: atomic { true ->
#define END } fi

/* The store of an index word. */
inline publish(shard, what, intent, new) {
  value[shard] = what; named[shard] = intent; next[shard] = new; generation[shard]++
}

/* Ends what a dead owner left in shard r. Its lock is held. */
inline repair(r) {
  if
  :: noted[r] ->
     assert(marked[r] && marked_by[r] == last); /* the outcome is known */
     if
#ifndef UNDO_COMMITTED
     :: committed && named[r] != 0 -> STEP publish(r, next[r], 0, 0) END
     :: !committed -> STEP publish(r, before[r], 0, 0) END
#else
     :: named[r] != 0 || !committed -> STEP publish(r, before[r], 0, 0) END
#endif
     :: else
     fi;
     STEP noted[r] = false; before[r] = 0 END
  :: else
  fi;
  assert(named[r] == 0);
  if
  :: marked[r] -> STEP marked[r] = false; marked_by[r] = 0 END
  :: else
  fi
}

/* Takes the lock of shard r and repairs what is behind it. */
inline take(r) {
  if
  :: atomic { lock[r] == FREE -> lock[r] = HELD; mine[r] = true }
  :: atomic { lock[r] == DEAD -> lock[r] = HELD; mine[r] = true }; repair(r)
  fi
}

inline give(r) {
  atomic { lock[r] = FREE; mine[r] = false }
}

proctype pair() {
  bool mine[2];
  byte old, n, id;
again:
  take(0);
  if
  :: atomic { lock[1] == FREE -> lock[1] = HELD; mine[1] = true }
  :: atomic { lock[1] != FREE -> lock[0] = FREE; mine[0] = false }; take(1); give(1); goto again
  fi;
  assert(named[0] == 0 && named[1] == 0);
  assert(value[0] == value[1]);
  old = value[0];
  n = old + 1;
#ifdef NO_INTENTS
  STEP publish(0, n, 0, 0) END;
  STEP publish(1, n, 0, 0) END;
#else
  STEP last++; committed = false; id = last END;
#ifndef HOME_LATE
  STEP marked[0] = true; marked_by[0] = id END;
  STEP marked[1] = true; marked_by[1] = id END;
#endif
#ifndef NO_NOTE
  STEP noted[0] = true; before[0] = old END;
#endif
  STEP publish(0, old, id, n)
#ifdef SAME_GENERATION
       ; generation[0]--
#endif
  END;
#ifdef HOME_LATE
  STEP marked[0] = true; marked_by[0] = id END;
  STEP marked[1] = true; marked_by[1] = id END;
#endif
#ifdef EARLY_COMMIT
  STEP committed = true END;
#endif
#ifdef EARLY_FINAL
  STEP publish(0, n, 0, 0) END;
#endif
#ifndef NO_NOTE
  STEP noted[1] = true; before[1] = old END;
#endif
  STEP publish(1, old, id, n)
#ifdef SAME_GENERATION
       ; generation[1]--
#endif
  END;
  STEP committed = true END;
  STEP publish(0, n, 0, 0) END;
  STEP publish(1, n, 0, 0) END;
  STEP noted[0] = false; before[0] = 0 END;
  STEP marked[0] = false; marked_by[0] = 0 END;
  STEP noted[1] = false; before[1] = 0 END;
  STEP marked[1] = false; marked_by[1] = 0 END;
#endif
  give(0);
  give(1);
  atomic { if :: acknowledged < n -> acknowledged = n :: else fi; goto done };
dead:
  atomic {
    if :: mine[0] -> lock[0] = DEAD :: else fi;
    if :: mine[1] -> lock[1] = DEAD :: else fi
  };
done:
  skip
}

proctype single() {
  bool mine[2];
again:
  take(0);
#ifndef HOME_REUSED
  if
  :: marked[1] -> give(0); take(1); give(1); goto again
  :: else
  fi;
#endif
  /* Its own key and intent are left out: they are judged by the same word as those of a pair. */
  STEP last++; committed = false END;
  STEP committed = true END;
  give(0);
  goto done;
dead:
  atomic {
    if :: mine[0] -> lock[0] = DEAD :: else fi;
    if :: mine[1] -> lock[1] = DEAD :: else fi
  };
done:
  skip
}

/* Reads the key of shard r into `found`. `seen` is the generation of its word, and `through` tells of an intent. */
inline read(r) {
  do
  :: atomic {
       seen = generation[r]; through = named[r] != 0; found = value[r]; newer = next[r]; id = named[r]
     };
     if
     :: !through -> break
     :: through ->
#ifdef READ_NEW
        found = newer; break
#else
        atomic { is_known = id == last; is_new = committed };
#ifdef NO_RECHECK
        if :: is_known && is_new -> found = newer :: else fi;
        break
#else
        if
        :: generation[r] != seen
        :: generation[r] == seen ->
           assert(is_known);
           if :: is_new -> found = newer :: else fi;
           break
        fi
#endif
#endif
     fi
  od;
  newer = 0; id = 0; is_known = false; is_new = false
}

proctype reader() {
  byte found, seen, newer, id, first, at_least, copy, copied;
  bool through, is_known, is_new, has_copy;
  byte a, b;
  if :: a = 0; b = 1 :: a = 1; b = 0 fi;
  at_least = acknowledged;
  read(a);
  assert(found >= at_least);
  first = found;
#ifdef NEAR_INTENT
  has_copy = true;
#else
  has_copy = !through;
#endif
  copy = found; copied = seen;
  read(b);
  assert(found >= first);
  if
  :: has_copy && generation[a] == copied -> assert(copy >= found)
  :: else
  fi
}

/* When no process is left, the next owner of each lock finds one value. */
active proctype last_owner() {
  bool mine[2];
  byte i;
  atomic {
    do :: i < PAIRS -> run pair(); i++ :: else -> i = 0; break od;
    do :: i < SINGLES -> run single(); i++ :: else -> i = 0; break od;
    do :: i < READERS -> run reader(); i++ :: else -> i = 0; break od
  };
  (_nr_pr == 1);
  deaths = 0;
  take(0);
  take(1);
  assert(named[0] == 0 && named[1] == 0 && value[0] == value[1] && value[0] >= acknowledged);
dead:
  skip
}
