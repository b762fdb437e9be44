/* The lock of one shard: a futex word that names its owner, and leases that the kernel releases when a process ends.
 *
 * Promises: there are never two living owners, so a living owner, suspended or not, never loses its lock to another.
 * Data that a dead owner or a panic left half written is repaired before any process uses it. No waiter sleeps for
 * ever, and each death costs the sleepers at most one bounded sleep; without a death every wake arrives by itself.
 *
 * N processes, each in a slot of its own, take the lock ROUNDS times. DEATHS of them may be killed at any step, also
 * asleep, while attaching and inside the repair. The slot of a dead process may get a new owner, which takes the lock
 * or stays idle. PANICS owners unwind and leave the reserved suspect word. STOPS of them are suspended for good. BUSY
 * deadlines pass. SIBLING gives process 0 a second thread, which has the same slot and dies with it.
 *
 * Abstracted: a failed compare-exchange is a read; the short spin is one read; the protected data is one bit. `awake`
 * replaces the clock: a bounded sleep ends when no other process can move (EARLY_TICKS: at any moment). Generations do
 * not wrap.
 *
 * Caution: the lease alone does not say which owner is dead. A new owner's lease of the slot hides its predecessor's
 * death, and only the generation in the word tells the two apart.
 *
 * Broken variants, each of which must be reported:
 *   NO_GENERATION   the word names the slot alone; a new owner of a slot first checks whether it inherits the lock
 *   EARLY_USE       a new owner of a slot uses the lock before it bumps the slot's generation
 *   EARLY_BUMP      a new owner bumps the generation of a slot before it has the slot's lease
 *   LEASE_ONLY      only the lease is checked, never the recorded generation
 *   NO_REPAIR       a dead owner's lock is used without a repair
 *   NO_SUSPECT      a panic unlocks as if nothing had happened                                      (PANICS=1)
 *   PROBE_OWN       the own slot's lease is probed; the kernel answers "free" to its holder         (SIBLING)
 *   ROB_STOPPED     an owner that outlasts a bounded sleep of a waiter is taken for dead            (STOPS=1)
 *   NO_WAITERS_BIT  a waiter sleeps without setting the waiters bit
 *   LOST_WAKE       a process that slept takes the lock without the waiters bit; no bounded sleep
 *   DROPPED_BIT     a takeover forgets the dead owner's waiters bit
 *   BLIND_SLEEP     the sleep does not compare the word with the value seen
 *   EARLY_WAKE      unlock wakes before it frees the word
 *   EATEN_WAKE      a woken waiter leaves at its deadline without setting the waiters bit (BUSY=1)
 *   UNBOUNDED       the sleep has no timeout
 */
#ifndef N
#define N 3
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef PANICS
#define PANICS 0
#endif
#ifndef STOPS
#define STOPS 0
#endif
#ifndef BUSY
#define BUSY 0
#endif
#ifdef SIBLING
#define THREADS (N + 1)
#else
#define THREADS N
#endif

#define FREE 0
#define SUSPECT 1
#define WAITERS 128
#define SLOT(w) ((((w) & 127) - 2) % N)
#ifdef NO_GENERATION
#define NAME (2 + s)
#define OTHER_GENERATION(w) false
#else
#define NAME (2 + s + N * g)
#define OTHER_GENERATION(w) ((((w) & 127) - 2) / N != generation[SLOT(w)])
#endif
#ifdef LOST_WAKE
#define SLEPT 0
#else
#define SLEPT (slept -> WAITERS : 0)
#endif
#ifdef DROPPED_BIT
#define KEPT 0
#else
#define KEPT (w & WAITERS)
#endif

byte word = FREE;
bool lease[N];
byte generation[N];
bool asleep[THREADS];            /* the futex queue of the word */

/* Ghost variables: only the assertions read them. */
byte holder = 0;                 /* 1 + the living thread that takes itself for the owner */
bool dirty = false;              /* the data is half written */
byte awake = THREADS;            /* threads that can still move by themselves */
byte sleepers = 0;
byte owed = 0;                   /* deaths that have not cost a bounded sleep yet */
byte stopped = 0;                /* 1 + the slot of the suspended process */
bool calm = false;               /* nothing has moved since the only read in progress began */
byte deaths = DEATHS;
byte panics = PANICS;
byte stops = STOPS;
byte busy = BUSY;
#ifdef SIBLING
bool halted = false;             /* the first process of slot 0 is dead, with both its threads */
#define ALIVE (!(first && halted))
#else
#define ALIVE true
#endif

/* When the last thread comes to rest, only a death or a suspended process may explain a sleeper. */
#ifdef UNBOUNDED
#define MAY_TICK false
#else
#define MAY_TICK (owed > 0 || stopped > 0)
#endif
#ifdef EARLY_TICKS
#undef MAY_TICK
#define MAY_TICK true
#define TICK true
#else
#define TICK (awake == 0 && MAY_TICK)
#endif
inline rest() {
  awake--;
  calm = false;
  assert(awake > 0 || sleepers == 0 || MAY_TICK)
}

#ifdef BLIND_SLEEP
#define SAME true
#else
#define SAME (word == w)
#endif
inline own() {
  assert(holder == 0);
  holder = t + 1;
  calm = false;
  slept = false
}

inline leave_queue(i) {
  asleep[i] = false;
  sleepers--;
  awake++
}

inline wake_one() {
  if
  :: asleep[0] -> leave_queue(0)
  :: asleep[1] -> leave_queue(1)
#if THREADS > 2
  :: asleep[2] -> leave_queue(2)
#endif
#if THREADS > 3
  :: asleep[3] -> leave_queue(3)
#endif
  :: else
  fi
}

/* What the kernel does at a death: it frees the lease and removes the sleeper from the queue. The data stays. */
inline die() {
  deaths--;
  owed++;
  calm = false;
  lease[s] = false;
  if :: holder == t + 1 -> holder = 0 :: else fi;
  if :: asleep[t] -> leave_queue(t) :: else fi;
  if :: stopped == s + 1 -> stopped = 0 :: else fi;
#ifdef SIBLING
  if
  :: first ->
     halted = true;
     owed++;                     /* one thread may hold the lock while the other consumes a wake */
     if :: holder == 1 || holder == N + 1 -> holder = 0 :: else fi;
     if :: asleep[N - t] -> leave_queue(N - t) :: else fi
  :: else
  fi;
#endif
  w = 0;
  slept = false
}

#define KILLED :: atomic { ALIVE && deaths > 0 -> die(); goto dead }
#if STOPS > 0
#define STOPPED :: atomic { ALIVE && stops > 0 -> stops--; stopped = s + 1; w = 0; rest(); goto end_stopped }
#else
#define STOPPED
#endif
#ifdef SIBLING
#define HALTED :: atomic { !ALIVE -> w = 0; slept = false; goto dead }
#else
#define HALTED
#endif
#define STEP if KILLED STOPPED HALTED :: atomic { ALIVE ->
#define END } fi

proctype thread(byte t; byte s) {
  byte g = 1;                    /* the generation of this thread's slot */
  byte w = 0;                    /* the word as this thread saw it */
  bool slept = false;
  byte rounds = ROUNDS;
#ifdef SIBLING
  bool first = (s == 0);
#endif
#ifdef EARLY_USE
  bool late = false;
#endif

want:
  if
  :: rounds == 0 -> goto idle
  :: else
  fi;

look:
  STEP
    if
    :: word == FREE -> word = NAME | SLEPT; own(); goto critical
    :: word == SUSPECT -> word = NAME | SLEPT; own(); goto repair
    :: else -> w = word
    fi
  END;
  STEP                           /* the generation first: it costs a load, the lease a system call */
    if
#ifndef LEASE_ONLY
    :: OTHER_GENERATION(w) -> goto takeover
#endif
    :: else ->
       if
       :: SLOT(w) == s ->
#ifdef PROBE_OWN
          goto takeover
#elif defined(LEASE_ONLY)
          if :: (w & 127) != NAME -> goto takeover :: else -> goto mark fi
#else
          goto mark
#endif
       :: else
       fi
    fi
  END;
  STEP
    if
    :: !lease[SLOT(w)] -> goto takeover
    :: else
    fi
  END;

mark:
#ifdef ROB_STOPPED
  if :: slept && stopped > 0 -> goto takeover :: else fi;
#endif
  STEP
#ifdef EATEN_WAKE
    if :: busy > 0 -> busy--; w = 0; slept = false; rounds = 0; goto idle :: true fi;
#endif
#ifndef NO_WAITERS_BIT
    if
    :: w & WAITERS
    :: !(w & WAITERS) && word == w -> word = w | WAITERS; w = w | WAITERS
    :: else -> w = 0; goto look
    fi
#endif
  END;
  STEP                           /* check the deadline after setting the bit: this thread may have consumed a wake */
    if
    :: busy > 0 -> busy--; w = 0; slept = false; rounds = 0; goto idle
    :: !SAME -> w = 0; goto look
    :: SAME ->
       if
       :: calm && stopped > 0 ->  /* the deadline: nothing else can move, so the owner must be suspended */
          assert(SLOT(w) == stopped - 1); w = 0; slept = false; rounds = 0; goto idle
       :: else -> w = 0; slept = true; asleep[t] = true; sleepers++; rest()
       fi
    fi
  END;
  if
  KILLED HALTED
  :: atomic { ALIVE && !asleep[t] -> goto look }
  :: atomic {
     ALIVE && asleep[t] && TICK ->
     if :: owed > 0 -> owed-- :: else fi;
     leave_queue(t); calm = (stopped > 0 && awake == 1); goto look
     }
  fi;

takeover:
  STEP
    if
    :: word == w ->
       word = NAME | KEPT | SLEPT; w = 0; own();
       if :: owed > 0 -> owed-- :: else fi           /* the next owner wakes sleepers of a dead one */
    :: else -> w = 0; goto look
    fi
  END;

repair:
#ifndef NO_REPAIR
  STEP dirty = false END;
#endif

critical:
  STEP assert(!dirty); dirty = true END;
#ifdef EARLY_USE
  STEP if :: late -> generation[s] = generation[s] + 1; late = false :: else fi END;
#endif
  STEP
    if
    :: dirty = false
    :: panics > 0 -> panics--; w = word; holder = 0; rounds--;
#ifdef NO_SUSPECT
       word = FREE;
#else
       word = SUSPECT;
#endif
       goto wake
    fi
  END;

#ifdef EARLY_WAKE
  STEP if :: word & WAITERS -> wake_one() :: else fi END;
#endif
  STEP                           /* unlock: one swap */
    assert((word & 127) == NAME && holder == t + 1);
    w = word; word = FREE; holder = 0; rounds--
  END;
wake:
#ifdef EARLY_WAKE
  w = 0; goto want;
#endif
  if
  :: !(w & WAITERS) -> w = 0; goto want
  :: else
  fi;
  STEP wake_one(); w = 0 END;
  goto want;

dead:
#ifdef SIBLING
  if :: t == N -> goto gone :: else -> first = false fi;
#endif
  g = 0;
  if
  :: goto gone
  :: atomic {                    /* any slot with a free lease: a refused lease changes nothing */
#ifdef EARLY_BUMP
       if :: s = 0 :: s = 1 fi;
       generation[s] = generation[s] + 1; g = generation[s] }; atomic {
       if :: lease[s] -> goto gone :: else fi;
#else
       if :: !lease[0] -> s = 0 :: !lease[1] -> s = 1 :: !lease[N - 1] -> s = N - 1 fi;
#endif
       lease[s] = true
     }
  fi;
#if defined(EARLY_USE)
  g = generation[s]; late = true;
#elif !defined(EARLY_BUMP)
  STEP generation[s] = generation[s] + 1; g = generation[s] END;
#endif
#ifdef NO_GENERATION
  STEP if :: (word & 127) == NAME -> own(); goto repair :: else fi END;
#endif
  if
  :: rounds = ROUNDS
  :: rounds = 0                  /* the process lives and never asks for the lock */
  fi;
  goto want;

idle:
  atomic { rest() };
end_idle:
  if
  :: atomic { ALIVE && deaths > 0 -> awake++; die(); goto dead }
  fi;
end_stopped:
  if
  :: atomic { ALIVE && deaths > 0 -> awake++; die(); goto dead }
  fi;
gone:
  atomic { rest() }
}

init {
  atomic {
    byte i = 0;
    do
    :: i < N -> lease[i] = true; generation[i] = 1; run thread(i, i); i++
    :: else -> break
    od;
#ifdef SIBLING
    run thread(N, 0);
#endif
    i = 0
  }
}
