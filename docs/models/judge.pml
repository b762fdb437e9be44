/* Exact tags: a ring of records of invalidations, and a judge that removes what they have ended before they are reused.
 *
 * Promises: once an invalidation of the entry's tag is acknowledged, no reader gets a value that was begun before it,
 * however many other tags are invalidated and whichever records are reused. An entry is dead by a record only if its
 * own tag was invalidated after the value was begun.
 *
 * INVALIDATORS processes invalidate the entry's tag or another one, once each, under the tag lock. SETTERS store a
 * value each; the stamp is taken when its making begins. Judges hold the shard's lock ROUNDS times, one after the
 * other: they begin a pass over the LINES lines of the shard, or begin it again, or go on with it, and sweep at most
 * SWEEPS lines. READERS read READS times. DEATHS invalidators or judges are killed. With two lines or more the index may
 * be divided once: it has a line more, and the entry may move there.
 *
 * Abstracted: one key; publishing an entry, reading one and reading one record are single steps (cache.pml, loom); all
 * tags are in one chain; each lock is one step. An entry that was outdated is marked and published again where one that
 * was removed is unpublished, so the same order protects both. The near cache: see tags.pml.
 *
 * Broken variants, each of which must be reported:
 *   NO_HORIZON       a record is reused without raising the horizon
 *   LATE_HORIZON     the horizon is raised after the record was reused
 *   EARLY_LOOK       a reader loads the horizon before the records
 *   NO_RECHECK       a reader does not check the index word again
 *   EARLY_JUDGED     a pass notes its clock before its last line is swept
 *   ODD_PASS         a pass takes the clock of an invalidation that has not recorded its tags
 *   PASS_FIRST       a pass that begins again takes its new clock before it counts its lines anew
 *   UNJUDGED_SET     a value is stored without being compared with the records
 *   NO_LATE_SET      a value older than the horizon is stored as valid
 *   KEPT_PASS        a division of the index does not count the lines of a pass anew
 *   DIVIDED_FIRST    it does so only after the division
 */
#ifndef INVALIDATORS
#define INVALIDATORS 2
#endif
#ifndef SETTERS
#define SETTERS 1
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SWEEPS
#define SWEEPS 1
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
#ifndef RECORDS
#define RECORDS 1
#endif
#ifndef LINES
#define LINES 1
#endif

#define FREE 0
#define HELD 1
#define NONE 9
#define MINE 1
#define OTHER 2

byte clock = 0;                  /* even: quiet; odd: an invalidation is in progress, or was killed */
byte used = 0;                   /* records used so far */
byte horizon = 0;
byte head = NONE;                /* the newest record */
byte tag[RECORDS];               /* 0: the record is being reused */
byte at[RECORDS];                /* its clock */
byte older[RECORDS];             /* the next record of the chain */
byte taglock = FREE;

byte lock = FREE;                /* the lock of the shard */
byte lines = LINES;              /* lines in use */
byte next = 0;                   /* the next line to sweep */
byte left = 0;                   /* lines left in the pass */
byte pass = 0;                   /* its clock */
byte judged = 0;
bool divided = false;

byte generation = 0;             /* of the index word */
byte entry = 0;                  /* the published value: the number of its making; 0: none */
byte stamp = 0;                  /* the clock that it carries */
byte line = 0;                   /* where it is */
bool invalid = false;            /* it was noted as invalid when it was stored */

/* Ghost variables: only the assertions read them. */
byte made = 0;                   /* values begun so far */
byte begun = 0;                  /* invalidations of the entry's tag that have begun */
byte fresh = 0;                  /* the part that had begun when the making of the published value began */
byte gone = 0;                   /* values that an acknowledged invalidation has ended */
byte deaths = DEATHS;

/* The clock of the newest record of the entry's tag; 0: none. */
inline look(found) {
  found = 0; i = head; before = 255;
  do
  :: i == NONE -> break
  :: else ->
     atomic {
       if
       :: tag[i] == 0 || at[i] >= before -> i = NONE      /* it was reused: the rest is older, and below the horizon */
       :: else ->
          before = at[i];
          if :: tag[i] == MINE -> found = at[i]; i = NONE :: else -> i = older[i] fi
       fi
     }
  od;
  before = 0
}

proctype invalidator() {
  byte what = 0; byte ended = 0; byte now = 0; byte n = 0;
  if :: what = MINE :: what = OTHER fi;
  atomic { taglock == FREE -> taglock = HELD }
  atomic {
    clock = clock + 1 + (clock & 1); now = clock;
    n = used % RECORDS; used++;
    if :: what == MINE -> ended = made; begun++ :: else fi
  }
#if !defined(NO_HORIZON) && !defined(LATE_HORIZON)
  atomic { if :: tag[n] != 0 && at[n] > horizon -> horizon = at[n] :: else fi }
#endif
  if
  :: atomic { deaths > 0 -> deaths--; taglock = FREE; goto dead }
  :: true
  fi;
#ifdef LATE_HORIZON
  byte late = (tag[n] != 0 -> at[n] : 0);
#endif
  tag[n] = 0;
  if
  :: atomic { deaths > 0 -> deaths--; taglock = FREE; goto dead }
  :: true
  fi;
  atomic { at[n] = now; older[n] = head; tag[n] = what }
  head = n;
#ifdef LATE_HORIZON
  atomic { if :: late > horizon -> horizon = late :: else fi }
#endif
  if
  :: atomic { deaths > 0 -> deaths--; taglock = FREE; goto dead }
  :: true
  fi;
  clock++;
  atomic { taglock = FREE; if :: ended > gone -> gone = ended :: else fi }
dead:
  atomic { what = 0; ended = 0; now = 0; n = 0 }
}

proctype judge() {
  byte rounds = ROUNDS; byte sweeps = 0;
  byte now = 0; byte found = 0; byte i = 0; byte before = 0;
  do
  :: atomic { rounds > 0 && lock == FREE -> lock = HELD; rounds--; sweeps = SWEEPS };
     if
     :: atomic {                                   /* a pass begins, or begins again */
          now = clock;
#ifndef ODD_PASS
          now = now - (now & 1);
#endif
#ifdef PASS_FIRST
          pass = now
#else
          left = lines
#endif
        }
        if
        :: atomic { deaths > 0 -> deaths--; goto dead }
        :: atomic {
             true ->
#ifdef PASS_FIRST
             left = lines
#else
             pass = now
#endif
           }
        fi
     :: atomic { left > 0 -> now = 0 }             /* it goes on */
     fi;
     do
     :: atomic { sweeps > 0 && left > 0 -> sweeps--; now = 0 };
#ifdef EARLY_JUDGED
        atomic { if :: left == 1 -> judged = pass :: else fi };
#endif
        if
        :: atomic { entry != 0 && line == next -> found = 0 };
           look(found);
           atomic {
             if
             :: invalid || stamp < found || (stamp < horizon && judged < horizon) ->
                assert(invalid || stamp >= found || begun > fresh);
                entry = 0; generation++
             :: else
             fi;
             found = 0
           }
        :: atomic { else -> skip }
        fi;
        atomic {
          next = (next + 1) % lines;
#ifndef EARLY_JUDGED
          if :: left == 1 -> judged = pass :: else fi;
#endif
          skip
        }
        if
        :: atomic { deaths > 0 -> deaths--; goto dead }
        :: atomic { true -> left-- }
        fi
     :: atomic {
          !divided && LINES > 1 -> divided = true;
#if !defined(KEPT_PASS) && !defined(DIVIDED_FIRST)
          if :: left > 0 -> left = lines + 1 :: else fi;
#endif
          skip
        }
        if
        :: atomic { deaths > 0 -> deaths--; goto dead }
        :: atomic { true -> lines++; if :: entry != 0 -> line = lines - 1; generation++ :: true fi }
        fi;
#ifdef DIVIDED_FIRST
        if
        :: atomic { deaths > 0 -> deaths--; goto dead }
        :: atomic { true -> if :: left > 0 -> left = lines :: else fi }
        fi
#endif
     :: break
     od;
dead:
     atomic { lock = FREE; now = 0; found = 0; i = 0; before = 0; sweeps = 0 }
  :: rounds == 0 -> break
  od
}

proctype setter() {
  byte number = 0; byte t = 0; byte f = 0; byte now = 0; byte found = 0; byte i = 0; byte before = 0; byte h = 0;
  bool bad = false;
  atomic { made++; number = made; f = begun; t = clock }
  atomic { lock == FREE -> lock = HELD; now = clock }
#ifndef UNJUDGED_SET
  if
  :: t < now ->
     look(found);
     h = horizon;
     atomic { assert(t >= found || begun > f) };
#ifdef NO_LATE_SET
     bad = t < found
#else
     bad = t < found || t < h
#endif
  :: else
  fi;
#endif
  atomic {
    entry = number; stamp = t; invalid = bad; fresh = f; generation++;
    if :: line = 0 :: line = lines - 1 fi;
    lock = FREE; number = 0; t = 0; f = 0; now = 0; found = 0; h = 0; bad = false
  }
}

proctype reader() {
  byte reads = READS;
  byte ended = 0; byte seen = 0; byte got = 0; byte s = 0; byte f = 0; byte j = 0; byte now = 0;
  byte found = 0; byte i = 0; byte before = 0; byte h = 0;
  do
  :: reads > 0 ->
     atomic { ended = gone; reads--; seen = generation; got = entry; s = stamp; f = fresh; if :: invalid -> got = 0 :: else fi }
     if
     :: got != 0 ->
        now = clock;
        j = judged;
#ifdef EARLY_LOOK
        h = horizon;
#endif
        if
        :: (j > s -> j : s) < now -> look(found)
        :: else -> found = 0
        fi;
#ifndef EARLY_LOOK
        h = horizon;
#endif
        if
        :: s < found -> atomic { assert(generation != seen || begun > f); got = 0 }
        :: else ->
           if
           :: s < h && j < h ->
              if :: judged < h -> got = 0 :: else fi
           :: else
           fi
        fi;
#ifdef NO_RECHECK
        assert(got == 0 || got > ended)
#else
        atomic { assert(got == 0 || generation != seen || got > ended) }
#endif
     :: else
     fi;
     atomic { ended = 0; seen = 0; got = 0; s = 0; f = 0; j = 0; now = 0; found = 0; h = 0 }
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
    run judge();
    do :: n < READERS -> run reader(); n++ :: else -> break od;
    n = 0
  }
}
