/* Naming a namespace: a table of names, two words each, that only grows and that all processes read without a lock.
 * The code is in crates/core: namespaces.
 *
 * Promises: all processes that ask for one name get the same number, and two names never get the same, whichever
 * process is killed while it gives a number. A process that asks for the count after a number was given counts that
 * number.
 *
 * PROCESSES ask for one of two names each, which begin alike, TIMES times. DEATHS of them are killed before any store.
 *
 * Abstracted: a name's first word holds its length and its beginning; 0 is a free place. The lock is one step
 * (lock.pml) and needs no repair. The rest of a dead process's name does no harm: its place is still free.
 *
 * Broken variants, each of which must be reported:
 *   FIRST_FIRST  the first word is stored before the rest
 *   NO_LOOK      a process that has the lock does not search again
 *   BY_COUNT     the free place is taken from the count, which a death leaves too low
 *   HALF_NAME    only the first words are compared
 *   BLIND_COUNT  counting does not search behind the count
 */
#ifndef PROCESSES
#define PROCESSES 3
#endif
#ifndef TIMES
#define TIMES 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#define PLACES 3

byte first[PLACES];
byte rest[PLACES];
byte noted = 0;                  /* derived: the number of names */
bool lock = false;

/* Ghost variables: only the assertions read them. By name: its number + 1; 0: not given. */
byte given[2];
byte numbers = 0;                /* numbers given so far */
byte deaths = DEATHS;

#define STEP if :: atomic { deaths > 0 -> deaths--; lock = false; goto dead } :: atomic { true ->
#define END } fi
#define LOOK if :: atomic { deaths > 0 -> deaths--; goto dead } :: atomic { true ->

#ifdef HALF_NAME
#define SAME_REST true
#else
#define SAME_REST (rest[at] == name + 1)
#endif

/* at: the place of the name, or PLACES. Other processes may store between the two loads of a place. */
inline find() {
  at = 0; found = false;
  do
  :: atomic { at < PLACES && first[at] == 0 -> at = PLACES; break }
  :: atomic { at < PLACES && first[at] != 0 };
     if
     :: atomic { SAME_REST -> found = true; break }
     :: atomic { !SAME_REST -> at++ }
     fi
  :: atomic { at == PLACES -> break }
  od
}

inline give() {
  assert(given[name] == 0 || given[name] == at + 1);
  assert(given[1 - name] != at + 1);
  if :: given[name] == 0 -> given[name] = at + 1; numbers++ :: else fi;
  name = 0; at = 0; found = false
}

proctype process() {
  byte times = TIMES; byte name = 0; byte at = 0; bool found = false;
  do
  :: times > 0 ->
     atomic { times--; if :: name = 0 :: name = 1 fi }
     find();
     if
     :: found -> goto done
     :: else
     fi;
     if
     :: atomic { deaths > 0 -> deaths--; goto dead }
     :: atomic { !lock -> lock = true }
     fi;
#ifndef NO_LOOK
     find();
     if
     :: found -> STEP lock = false END; goto done
     :: else
     fi;
#endif
     atomic {
#ifdef BY_COUNT
       at = noted
#else
       at = 0;
       do
       :: at < PLACES && first[at] != 0 -> at++
       :: else -> break
       od
#endif
     };
     assert(at < PLACES);
#ifdef FIRST_FIRST
     STEP first[at] = 1 END;
     STEP rest[at] = name + 1 END;
#else
     STEP rest[at] = name + 1 END;
     STEP first[at] = 1 END;
#endif
     STEP noted = at + 1 END;
     STEP lock = false END;
done:
     LOOK give() END
  :: atomic { numbers > 0 && times > 0 -> times--; at = noted; found = (numbers == 2) };
     /* The number of names. */
#ifndef BLIND_COUNT
     do
     :: atomic { at < PLACES && first[at] != 0 -> at++ }
     :: atomic { at >= PLACES || first[at] == 0 -> break }
     od;
#endif
     atomic { assert(at >= (found -> 2 : 1)); at = 0; found = false }
  :: else -> break
  od;
dead:
  name = 0; at = 0; found = false
}

init {
  atomic {
    byte n = 0;
    do :: n < PROCESSES -> run process(); n++ :: else -> break od;
    n = 0
  }
}
