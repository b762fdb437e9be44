/* A permit that is handed over: a record of one holder and its waiters, in which a release makes the first waiter the
 * holder. The code is in crates/core: permits.
 *
 * Promises: no process holds the permit while another living process with time left holds it. Tokens grow
 * from holder to holder, and permits are granted in the order of the requests, over all deaths. A write of a late
 * holder is refused as soon as its successor has written. When no process can move, no process waits: each holder that
 * was waited for has released, died or run out of time, and the permit was handed on.
 *
 * N processes take the permit ROUNDS times each. Each may be killed at any step and its slot may get a new owner
 * (DEATHS in all), give up while it waits (GIVE_UPS in all), and hold the permit for longer than its time (EXPIRIES in
 * all).
 *
 * Abstracted: a change of the record is one step, as cache.pml and lock.pml show; a reader sees the record as some
 * change left it. The bell is bell.pml's: a process that was granted the permit sees it. A probe (every 25 ms) comes
 * when it would find something to do, as the record and the leases say. So a process that never probes for something
 * waits for ever, which the search reports.
 *
 * Broken variants, each of which must be reported:
 *   BY_SLOT      a dead process is known by its slot alone
 *   OWN_COUNTER  the token is counted in the record, which is deleted when no process needs it
 *   ANY_RELEASE  a release does not check the token
 *   OVERTAKE     a free permit is taken although other processes wait
 *   FREE         a release frees the permit and hands it to no waiter, and a probe checks for dead processes alone
 *   NO_PROBE     no process checks for dead processes while it waits
 *   HALF_PROBE   a probe that finds no dead process does not see that the permit is free
 *   NO_FENCE     the store does not check the token
 */
#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif
#ifndef EXPIRIES
#define EXPIRIES 0
#endif
#ifndef GIVE_UPS
#define GIVE_UPS 0
#endif
#define PLACES 8                 /* tickets of the queue: all living processes, and all that died in it */

/* The record: slot + 1 of the holder, 0: none; its slot's generation, its token, the ticket that it waited with. */
byte holder = 0;
byte held_by = 0;
byte token = 0;
byte with_ticket = 0;
bool is_over = false;            /* the holder's deadline has passed */
byte queued = 0;
byte slot_of[PLACES];
byte generation_of[PLACES];
byte ticket_of[PLACES];

/* Elsewhere in the segment, and in the kernel. */
byte sequence = 0;               /* the shard's sequence: no rebuild lowers it */
bool lease[N];
byte generation[N];

/* The store that holders write to: the largest token that it has seen. */
byte fence = 0;

/* Ghost variables: only the assertions read them. */
byte living[N];                  /* the generation of the living process in the slot; 0: none, or not bumped yet */
byte owner = 0;                  /* 1 + the slot of the living holder that has time left */
byte last_token = 0;
byte last_ticket = 0;
byte written = 0;                /* the largest token that has written */
byte deaths = DEATHS;
byte expiries = EXPIRIES;
byte give_ups = GIVE_UPS;

#define IS_DEAD(s, g) (generation[s] != (g) || !lease[s])
#ifdef BY_SLOT
#define BIT(s, g) (1 << ((s) * 4))
#else
#define BIT(s, g) (1 << ((s) * 4 + (g)))
#endif

#ifdef OWN_COUNTER
byte counter = 0;
#define NEXT counter = counter + 1
#define LAST counter
#define FORGET if :: holder == 0 && queued == 0 -> counter = 0 :: else fi
#else
#define NEXT sequence = sequence + 1
#define LAST sequence
#define FORGET skip
#endif

inline grant(slot, its_generation, ticket) {
  assert(owner == 0);
  assert(LAST > last_token);
  last_token = LAST;
  holder = (slot) + 1; held_by = its_generation; token = LAST; with_ticket = ticket; is_over = false;
  if :: living[slot] == its_generation -> owner = (slot) + 1 :: else fi
}

inline remove_holder() {
  holder = 0; held_by = 0; token = 0; with_ticket = 0; is_over = false
}

inline remove_waiter(at) {
  j = at;
  do
  :: j + 1 < queued ->
     slot_of[j] = slot_of[j + 1]; generation_of[j] = generation_of[j + 1]; ticket_of[j] = ticket_of[j + 1]; j++
  :: else -> break
  od;
  queued--;
  slot_of[queued] = 0; generation_of[queued] = 0; ticket_of[queued] = 0; j = 0
}

inline hand_over() {
  if
  :: holder == 0 && queued > 0 ->
     assert(ticket_of[0] > last_ticket);
     last_ticket = ticket_of[0];
     NEXT;
     grant(slot_of[0], generation_of[0], ticket_of[0]);
     remove_waiter(0)
  :: else
  fi
}

/* Finds the dead processes of the record, before the change, in the state that an earlier change left. */
inline look_for_the_dead() {
  dead = 0;
  if :: holder > 0 && IS_DEAD(holder - 1, held_by) -> dead = dead | BIT(holder - 1, held_by) :: else fi;
  i = 0;
  do
  :: i < queued ->
     if :: IS_DEAD(slot_of[i], generation_of[i]) -> dead = dead | BIT(slot_of[i], generation_of[i]) :: else fi;
     i++
  :: else -> break
  od;
  i = 0
}

inline forget_the_dead() {
  if :: holder > 0 && (is_over || (dead & BIT(holder - 1, held_by))) -> remove_holder() :: else fi;
  i = 0;
  do
  :: i < queued && (dead & BIT(slot_of[i], generation_of[i])) -> remove_waiter(i)
  :: i < queued && !(dead & BIT(slot_of[i], generation_of[i])) -> i++
  :: else -> break
  od;
  i = 0; dead = 0
}

#define IN_QUEUE ( \
  ticket_of[0] == mine || ticket_of[1] == mine || ticket_of[2] == mine || ticket_of[3] == mine || \
  ticket_of[4] == mine || ticket_of[5] == mine || ticket_of[6] == mine || ticket_of[7] == mine)

/* i: the position of this process's ticket in the queue, or `queued`. */
inline find_my_ticket() {
  i = 0;
  do
  :: i < queued && ticket_of[i] != mine -> i++
  :: else -> break
  od
}

/* What a probe would find to do. */
#define HOLDER_GONE (holder > 0 && (is_over || IS_DEAD(holder - 1, held_by)))
#if defined(HALF_PROBE) || defined(FREE)
#define SOMETHING_TO_DO HOLDER_GONE
#else
#define SOMETHING_TO_DO (HOLDER_GONE || (holder == 0 && queued > 0))
#endif

#define MY_TURN (holder == s + 1 && held_by == g && with_ticket == mine && !is_over)

inline die() {
  deaths--;
  lease[s] = false;
  living[s] = 0;
  if :: owner == s + 1 -> owner = 0 :: else fi;
  mine = 0; my_token = 0; dead = 0; i = 0; j = 0
}

#define KILLED :: atomic { deaths > 0 -> die(); goto dead_now }
#define STEP if KILLED :: atomic { true ->
#define END } fi

proctype process(byte s) {
  byte g = 1;                    /* the generation of this process's slot */
  byte mine = 0;                 /* the ticket of this process */
  byte my_token = 0;
  int dead = 0;
  byte i = 0;
  byte j = 0;
  byte rounds = ROUNDS;

want:
  if
  :: rounds == 0 -> goto idle
  :: else
  fi;
  STEP                           /* at once, if the permit is free and no process waits */
    if
#ifdef OVERTAKE
    :: holder == 0 ->
#else
    :: holder == 0 && queued == 0 ->
#endif
       assert(queued == 0); NEXT; grant(s, g, 0); my_token = token; goto critical
    :: else
    fi
  END;
  STEP look_for_the_dead() END;
  STEP
    forget_the_dead();
    if
    :: holder == 0 && queued == 0 -> NEXT; grant(s, g, 0); my_token = token; goto critical
    :: else ->
       NEXT; mine = LAST;
       slot_of[queued] = s; generation_of[queued] = g; ticket_of[queued] = mine; queued++
    fi
  END;
  STEP hand_over() END;          /* if dead processes left a free permit to earlier waiters */

waiting:
  if
  KILLED
  :: atomic { MY_TURN -> my_token = token; mine = 0; goto critical }
  :: atomic { !MY_TURN && !IN_QUEUE -> mine = 0; goto want }  /* its grant expired before it saw it */
  :: atomic { give_ups > 0 -> give_ups--; goto leave }
#ifndef NO_PROBE
  :: atomic { !MY_TURN && SOMETHING_TO_DO -> look_for_the_dead() };
     STEP forget_the_dead() END;
#ifndef FREE
     STEP hand_over() END
#endif
#endif
  fi;
  goto waiting;

leave:
  STEP
    if
    :: holder == s + 1 && held_by == g && with_ticket == mine ->
       if :: owner == s + 1 -> owner = 0 :: else fi;
       remove_holder(); hand_over()
    :: else ->
       find_my_ticket();
       if :: i < queued -> remove_waiter(i) :: else fi;
       i = 0
    fi;
    FORGET;
    mine = 0; rounds--
  END;
  goto want;

critical:
  STEP                           /* write to the store, with the token */
    if
#ifdef NO_FENCE
    :: true ->
#else
    :: my_token >= fence ->
#endif
       assert(my_token >= written); written = my_token; fence = my_token
#ifndef NO_FENCE
    :: else
#endif
    fi
  END;
  STEP                           /* release, and hand over in the same step */
    if
#ifdef ANY_RELEASE
    :: holder > 0 ->
#else
    :: holder == s + 1 && held_by == g && token == my_token && !is_over ->
#endif
       if :: owner == s + 1 -> owner = 0 :: else fi;
       remove_holder();
#ifndef FREE
       hand_over()
#endif
    :: else
    fi;
    FORGET;
    my_token = 0; rounds--
  END;
  goto want;

dead_now:
  g = 0;
  if
  :: goto gone
  :: atomic { lease[s] = true }  /* a new owner of the slot takes the lease, then bumps the generation */
  fi;
  STEP generation[s] = generation[s] + 1; g = generation[s]; living[s] = g END;
  if
  :: rounds = ROUNDS
  :: rounds = 0
  fi;
  goto want;

idle:
end_idle:
  if
  :: atomic { deaths > 0 -> die(); goto dead_now }
  fi;
gone:
  skip
}

/* A holder's time may run out at any moment. */
proctype clock() {
end_clock:
  do
  :: atomic { expiries > 0 && holder > 0 && !is_over ->
       expiries--; is_over = true;
       if :: owner == holder -> owner = 0 :: else fi }
  od
}

init {
  atomic {
    byte n = 0;
    do :: n < N -> lease[n] = true; generation[n] = 1; living[n] = 1; run process(n); n++ :: else -> break od;
    run clock();
    n = 0
  }
}
