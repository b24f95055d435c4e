/*
 * Headgate's gate, its two run queues and the entities that wait, small enough to be searched exhaustively.
 *
 * There is one thread, so a step (a run, an event from outside, a call of the operator) is atomic; what is free is the
 * order of steps. The variants differ in who is served when a buffer comes back:
 *
 *   HAND_OFF  the buffer becomes the property of the head of the most critical class that waits, in that very step
 *   SEED      HAProxy a73e59b69: one list; an offer estimates how many to wake; each retries, and may fail
 *   PARENT    the revision before: as SEED, but an applet that finds no buffer queues its stream in place of itself
 *
 * README.md says what each word is in the design and in the code. check.ts runs every row of its table.
 */

/* ---- sizes, and what may happen: each by -D --------------------------------------------------------------------- */

#ifndef LIMIT
#define LIMIT 3
#endif
#ifndef RESERVE
#define RESERVE 1
#endif
#ifndef STREAMS
#define STREAMS 2
#endif
#ifndef APPLETS
#define APPLETS 1
#endif
#ifndef SESSIONS
#define SESSIONS 1      /* of each entity; 0: without end */
#endif
#ifndef HOGS
#define HOGS 0          /* buffers with a response that nobody ever reads */
#endif
#ifndef STRANGERS
#define STRANGERS 0     /* tasks that become runnable once, together, and want no buffer */
#endif
#ifndef TIMERS
#define TIMERS 0        /* wakes, for another reason than a buffer, of an entity that waits */
#endif
#ifndef RESETS
#define RESETS 0        /* entities that end before their time, at any moment */
#endif
#ifndef DECLINES
#define DECLINES 0      /* 1: a run may want its buffer no more */
#endif
#ifndef FAILURES
#define FAILURES 0      /* creations that fail; without any, all areas exist from the start */
#endif
#ifndef RESIZE
#define RESIZE 0        /* the limit changes to this, and perhaps back */
#endif
#ifndef CLOSE
#define CLOSE 0         /* 1: the pool may close */
#endif
#ifndef WINDOWS
#define WINDOWS 0       /* favouring windows, each ending at any moment */
#endif
#ifndef PATIENT
#define PATIENT 0       /* 1: windows without number; each, and each pause, until it has served or nothing moves */
#endif
#ifndef ORDER
#define ORDER 0         /* 1: L5 is watched, for one entity, any */
#endif
#ifndef FAULT
#define FAULT 0         /* what is planted in HAND_OFF, of these: */
#endif
#define NO_OFFER 1               /* a give-back forgets to offer */
#define WAKE_ALONE 2             /* the head is woken, but the buffer stays free until it runs */
#define BARGING 3                /* a newcomer takes whatever is free */
#define NOT_THE_HEAD 4           /* the second of a class is served */
#define REVERSED 5               /* the least critical class is served */
#define STREAMS_NAME 6           /* the wake goes to the first stream */
#define GRANT_FORGOTTEN 7        /* who leaves does not pass its grant on */
#define STAYS_QUEUED 8           /* who leaves stays in the list */
#define QUEUED_TWICE 9           /* who asks again is queued again */
#define ROUNDED_MARGIN 10        /* margins are rounded, not floored */
#define RESERVE_IS_A_NUMBER 11   /* a grant makes only its own area exist */
#define LATE_RECOVERY 12         /* after a failed creation, only a give-back that finds nobody queued tries again */
#define FREEZING_SHRINK 13       /* nobody is served while the limit or more is lent */
#define SILENT_CLOSE 14          /* closing tells nobody */
#define TABLE_WITHOUT_OFFER 15   /* another table makes no offer */
#define ENDLESS_WINDOW 16        /* favouring never ends */
#define isPlanted(fault) (FAULT == fault)

/* The levels of the classes, most critical first. */
#define TX 0
#define CHANNEL 1
#define ENDPOINT 2
#define RX 3
#define NONE 4

/*
 * A stream asks for its request's buffer and then, with bytes in that, for its response's; then all leaves. An applet
 * asks for one buffer. The seed has two sides, which are the two ends of the four classes.
 */
#ifdef HAND_OFF
#define isHandOff true
#else
#define isHandOff false
#define RESPONSE TX
#define APPLET TX
#endif
#ifdef PARENT
#define isParent true
#else
#define isParent false
#endif
#ifndef RESPONSE
#define RESPONSE CHANNEL
#endif
#ifndef APPLET
#define APPLET ENDPOINT
#endif
#ifndef FIRST_APPLET
#define FIRST_APPLET APPLET
#endif

#define ENTITIES (STREAMS + APPLETS)
#define isStream(x) ((x) < STREAMS)
#define lastNeed(x) (isStream(x) -> RESPONSE : ((x) == STREAMS -> FIRST_APPLET : APPLET))
#define firstNeed(x) (isStream(x) -> RX : lastNeed(x))

/* ---- state ------------------------------------------------------------------------------------------------------ */

mtype = { idle, queued, granted, woken }        /* what a waiter is; in the seed it is woken, never granted */
mtype = { taken, waits, shut }                  /* what the door says */

byte limit = LIMIT, capacity = LIMIT, used = HOGS;
#define atStart (HOGS > RESERVE + 1 -> HOGS : RESERVE + 1)
byte allocated = (FAILURES > 0 -> atStart : LIMIT), failuresLeft = FAILURES;
bool failedSince;                               /* a creation failed, and no buffer has come back since */
#define isShort (failedSince && capacity < limit)
byte lent[4];                                   /* buffers lent, per level */
byte margins[4];                                /* in force, per level */
byte favoured = NONE;
bool tableHasServed, closed;                    /* the table in force served whom it is for */

chan waiting[4] = [ENTITIES + 1] of { byte }    /* who is queued, per level; the seed's one list is the first */
mtype waiter[ENTITIES] = idle;
byte needs[ENTITIES] = NONE;                    /* the level of the buffer that its session needs, and has not */
bool hasRequest[ENTITIES], hasLast[ENTITIES];   /* a stream's two buffers; an applet has the last only */

#define TASKS 0
#define APPLET_RUNS 1
#define STRANGER 255
chan runQueue[2] = [ENTITIES + STRANGERS] of { byte }
bool runnable[ENTITIES];                        /* it is in its run queue */
byte timersLeft = TIMERS, resetsLeft = RESETS;

byte broken;                                    /* the laws that did not hold, a bit each */
#if ORDER
byte watched;                                   /* whom nobody may overtake */
bool hasAsked[ENTITIES], cameLater[ENTITIES];   /* asked in vain for what it needs; and after the watched one did */
#endif

/* Used inside one step, and set there before they are read: no part of the state. */
hidden byte atLevel, eachPlace, eachEntity, nextWaiter, toVisit, isClaimed;
hidden short credit, threshold;
hidden mtype door;
/* The same inside a d_step: going back over one does not restore hidden variables, so they are its own. */
hidden byte eachIndex, eachLevel, counted, largest;

#define rests(x) (needs[x] == NONE && !hasRequest[x] && !hasLast[x])
#define isEntitled(level) (capacity - used > margins[level])
#define queuedInAll (len(waiting[0]) + len(waiting[1]) + len(waiting[2]) + len(waiting[3]))
#define runnableInAll (len(runQueue[TASKS]) + len(runQueue[APPLET_RUNS]))

/* floor(level * reserve / 3) */
#define ordinaryMargin(level) (((level) * RESERVE + isPlanted(ROUNDED_MARGIN)) / 3)
/* The place of a class in the table in force: `tx`, then the favoured one, then the others. */
#define place(level) ((level) == TX -> 0 : ((level) == favoured -> 1 : (level) + 1))

/* ---- laws ------------------------------------------------------------------------------------------------------- */

#define isBroken(number) (broken & (1 << (number) - 1))

inline law(number, holds) {
  if
  :: (holds) || isBroken(number)
  :: else -> broken = broken | (1 << number - 1); printf("L%d is broken\n", number)
  fi
}

/* A shortage of memory is forgotten as soon as nobody waits for it. Then the laws of a state. */
inline endStep() {
  d_step {
    if
    :: queuedInAll == 0 && !closed -> recover()
    :: else
    fi;
    law(1, used <= allocated && allocated <= capacity && (queuedInAll > 0 || closed || capacity >= limit));
    counted = HOGS; largest = 0;
    for (eachIndex : 0 .. ENTITIES - 1) {
      counted = counted + hasRequest[eachIndex] + hasLast[eachIndex] + (waiter[eachIndex] == granted);
      largest = largest + (waiter[eachIndex] == queued);
      law(6, !isHandOff || needs[eachIndex] != NONE || waiter[eachIndex] == idle);
      law(4, closed || waiter[eachIndex] != queued || needs[eachIndex] == NONE || !isEntitled(needs[eachIndex]))
    }
    law(3, counted == used);
    law(6, largest == queuedInAll);
    counted = 0; largest = limit;
    for (eachIndex : 0 .. 3) {
      eachLevel = 3 - eachIndex;
      addLentFrom(eachLevel);
      law(7, closed || counted == 0 || counted + ordinaryMargin(eachLevel) <= allocated)
    }
    law(1, closed || capacity <= largest)
  }
}

/* Counts what is lent at a level too. With that level's margin, it is what a shrinking capacity must still leave. */
inline addLentFrom(level) {
  counted = counted + lent[level];
  largest = (counted + ordinaryMargin(level) > largest -> counted + ordinaryMargin(level) : largest)
}

/* L5, when a buffer becomes x's: it overtakes nobody who asked before it, nor any class that stands before its own. */
inline becomesOwner(x) {
#if ORDER
  law(5, x == watched || !hasAsked[watched] || waiter[watched] == granted || place(needs[watched]) > place(needs[x]) ||
    (needs[watched] == needs[x] && hasAsked[x] && !cameLater[x]));
  waitsNoMore(x);
#endif
  tableHasServed = tableHasServed || favoured == NONE || needs[x] == favoured
}

inline asksInVain(x) {
#if ORDER
  cameLater[x] = (hasAsked[x] -> cameLater[x] : x != watched && hasAsked[watched]);
  hasAsked[x] = true
#else
  skip
#endif
}

inline waitsNoMore(x) {
#if ORDER
  for (eachEntity : 0 .. ENTITIES - 1) {
    cameLater[eachEntity] = cameLater[eachEntity] && x != watched && x != eachEntity
  }
  hasAsked[x] = false
#else
  skip
#endif
}

/* ---- the run queues --------------------------------------------------------------------------------------------- */

#define runQueueOf(x) runQueue[(isStream(x) -> TASKS : APPLET_RUNS)]

inline wake(x) {
  if
  :: runnable[x]
  :: else -> runnable[x] = true; runQueueOf(x)!x
  fi
}

inline unlinkRun(x) {
  if
  :: runnable[x] -> runQueueOf(x)??eval(x); runnable[x] = false
  :: else
  fi
}

/* ---- buffers ---------------------------------------------------------------------------------------------------- */

/* `tx` leaves no margin; those that were before the favoured class leave its margin. */
inline setMargins() {
  for (eachPlace : 0 .. 3) {
    margins[eachPlace] = ordinaryMargin(eachPlace);
    if
    :: favoured != NONE && eachPlace != TX && eachPlace < favoured -> margins[eachPlace] = ordinaryMargin(favoured)
    :: else
    fi
  }
}

/* A buffer for a level, if one may be taken now. The areas that this needs, margin included, are made one by one. */
#define areasNeeded(level) (used + 1 + (isPlanted(RESERVE_IS_A_NUMBER) -> 0 : margins[level]))
inline claim(level) {
  isClaimed = isEntitled(level) && !(isPlanted(FREEZING_SHRINK) && used >= limit);
  do
  :: isClaimed && allocated < areasNeeded(level) -> allocated++
  :: isClaimed && allocated < areasNeeded(level) && failuresLeft > 0 ->
     printf("a creation fails, and %d areas exist\n", allocated);
     failuresLeft--; failedSince = true; capacity = allocated; isClaimed = false
  :: else -> break
  od;
  used = used + isClaimed; lent[level] = lent[level] + isClaimed
}

/* Forgets an earlier failure to create, so that the next taker tries again. */
inline recover() {
  capacity = (capacity < limit -> limit : capacity)
}

inline attach(x) {
  if
  :: isStream(x) && !hasRequest[x] -> hasRequest[x] = true
  :: else -> hasLast[x] = true
  fi;
  needs[x] = NONE
}

/* Leaves the level of what it detached in atLevel. */
inline detachOne(x) {
  if
  :: hasLast[x] -> hasLast[x] = false; atLevel = lastNeed(x)
  :: else -> hasRequest[x] = false; atLevel = RX
  fi;
  used--; lent[atLevel]--
}

#ifdef HAND_OFF
/* ---- HAND_OFF: the gate ----------------------------------------------------------------------------------------- */

/* The one door: decides and queues in one step. A grant already made is handed out first. */
inline takeOrWait(x) {
  if
  :: waiter[x] == granted -> waiter[x] = idle; door = taken; printf("entity %d collects its grant\n", x)
  :: waiter[x] == queued -> door = waits;
     if
     :: isPlanted(QUEUED_TWICE) -> waiting[needs[x]]!x
     :: else
     fi
  :: waiter[x] == idle && closed -> door = shut
  :: else ->
     claim(needs[x]);
     if
     :: isPlanted(BARGING) && !isClaimed && used < capacity -> used++; lent[needs[x]]++; isClaimed = true
     :: else
     fi;
     if
     :: isClaimed -> door = taken; printf("entity %d takes, at level %d\n", x, needs[x]); becomesOwner(x)
     :: else -> door = waits; printf("entity %d is queued, at level %d\n", x, needs[x]); asksInVain(x);
        waiter[x] = queued; waiting[needs[x]]!x
     fi
  fi
}

/* One buffer is no longer counted as lent: what may exist is adjusted first, then its next owner is chosen. */
inline takeBack() {
  failedSince = false;
  if
  :: closed -> allocated--
  :: else ->
     shrink();
     if
     :: isPlanted(LATE_RECOVERY) && queuedInAll > 0
     :: else -> recover()
     fi;
     if
     :: isPlanted(NO_OFFER)
     :: else -> offer()
     fi
  fi
}

/* A capacity above the limit falls as far as no class loses what it may still need. */
inline shrink() {
  d_step {
    counted = 0; largest = limit;
    for (eachIndex : 0 .. 3) {
      eachLevel = 3 - eachIndex;
      addLentFrom(eachLevel)
    }
    capacity = (largest < capacity -> largest : capacity);
    allocated = (allocated > capacity -> capacity : allocated)
  }
}

/* Serves the head of the most critical class until that is not entitled: then nobody is, for margins only grow. */
inline offer() {
  do
  :: true ->
     findFirst();
     if
     :: atLevel == NONE -> break
     :: else -> claim(atLevel)
     fi;
     if
     :: !isClaimed -> break
     :: else ->
        if
        :: isPlanted(NOT_THE_HEAD) -> waiting[atLevel]?nextWaiter; waiting[atLevel]!nextWaiter
        :: else
        fi;
        waiting[atLevel]?nextWaiter;
        grant(nextWaiter)
     fi;
     if
     :: isPlanted(WAKE_ALONE) -> waiter[nextWaiter] = idle; used--; lent[atLevel]--; break
     :: else
     fi
  od
}

/* The most critical class that waits, by the table in force, in atLevel. */
#define comesBefore(one, other) (place(one) < place(other) || isPlanted(REVERSED))
inline findFirst() {
  atLevel = NONE;
  for (eachPlace : 0 .. 3) {
    if
    :: len(waiting[eachPlace]) > 0 && (atLevel == NONE || comesBefore(eachPlace, atLevel)) -> atLevel = eachPlace
    :: else
    fi
  }
}

/* From here on the buffer is its own. The wake carries nothing. */
inline grant(x) {
  printf("entity %d is granted, at level %d\n", x, needs[x]);
  becomesOwner(x);
  waiter[x] = granted;
  wake((isPlanted(STREAMS_NAME) -> 0 : x))
}

/* Ends what x is at: it leaves, then gives back. A grant that it leaves behind goes on to the next. */
inline finish(x) {
  waitsNoMore(x);
  if
  :: waiter[x] == queued && isPlanted(STAYS_QUEUED) -> waiter[x] = idle
  :: waiter[x] == granted && isPlanted(GRANT_FORGOTTEN) -> waiter[x] = idle
  :: waiter[x] == queued && !isPlanted(STAYS_QUEUED) -> waiter[x] = idle; waiting[needs[x]]??eval(x)
  :: waiter[x] == granted && !isPlanted(GRANT_FORGOTTEN) ->
     printf("entity %d passes its grant on\n", x);
     waiter[x] = idle; used--; lent[needs[x]]--; takeBack()
  :: else
  fi;
  needs[x] = NONE;
  do
  :: hasRequest[x] || hasLast[x] -> detachOne(x); takeBack()
  :: else -> break
  od
}

inline oneRun(x) {
  if
  :: needs[x] == NONE
  :: needs[x] != NONE ->
     takeOrWait(x);
     if
     :: door == taken -> attach(x)
     :: door == waits
     :: door == shut -> finish(x)
     fi
  :: DECLINES && needs[x] != NONE -> printf("entity %d wants it no more\n", x); finish(x)
  fi
}

/* Puts another table in force, which may entitle somebody. With NONE: the ordinary one. */
inline favour(level) {
  printf("level %d is favoured\n", level);
  favoured = level; tableHasServed = false;
  setMargins();
  if
  :: isPlanted(TABLE_WITHOUT_OFFER)
  :: else -> offer()
  fi
}

inline resize(to) {
  printf("the limit becomes %d\n", to);
  limit = to;
  shrink();
  recover();
  offer()
}

/* Everybody queued is told. Who was granted keeps its grant, holders keep valid buffers. */
inline close() {
  printf("the pool closes\n");
  closed = true; allocated = used;
  for (eachPlace : 0 .. 3) {
    do
    :: len(waiting[eachPlace]) > 0 ->
       waiting[eachPlace]?nextWaiter;
       waiter[nextWaiter] = idle;
       if
       :: isPlanted(SILENT_CLOSE)
       :: else -> wake(nextWaiter)
       fi
    :: else -> break
    od
  }
}

#else
/* ---- SEED and PARENT -------------------------------------------------------------------------------------------- */

inline enqueue(x) {
  if
  :: waiter[x] == queued
  :: else -> printf("entity %d is queued\n", x); waiter[x] = queued; waiting[0]!x
  fi
}

inline unlinkWaiter(x) {
  if
  :: waiter[x] == queued -> waiting[0]??eval(x)
  :: else
  fi;
  waiter[x] = idle
}

/*
 * Walks the list once, and stops at the estimate: what is free, less half the reserve, against the length of both run
 * queues. (The seed compares the two as unsigned numbers.)
 */
#define isEnough (credit <= threshold && (isParent || credit >= 0))
inline offer(from) {
  credit = capacity - used - RESERVE / 2;
  threshold = runnableInAll;
  toVisit = len(waiting[0]);
  printf("entity %d offers: credit %d, threshold %d, %d queued\n", from, credit, threshold, toVisit);
  do
  :: toVisit > 0 ->
     toVisit--;
     waiting[0]?nextWaiter;
     if
     :: isEnough || nextWaiter == from || runnable[nextWaiter] -> waiting[0]!nextWaiter
     :: else -> printf("entity %d is woken\n", nextWaiter); waiter[nextWaiter] = woken; credit--; wake(nextWaiter)
     fi
  :: else -> break
  od
}

inline takeOrWait(x) {
  claim(needs[x]);
  if
  :: isClaimed -> printf("entity %d takes, at level %d\n", x, needs[x]); becomesOwner(x); attach(x)
  :: else -> printf("entity %d finds none, at level %d\n", x, needs[x]); asksInVain(x);
     if
     :: isParent && !isStream(x) -> enqueue((x - STREAMS) % STREAMS)
     :: else -> enqueue(x)
     fi
  fi
}

/* What a stream's run takes first, and gives back if it fills nothing: with that comes an offer. */
inline workBuffer(x) {
  if
  :: isParent || (used < capacity && needs[x] != RESPONSE) -> offer(x)
  :: else
  fi;
  if
  :: used == capacity && needs[x] == NONE -> enqueue(x)
  :: else
  fi
}

inline oneRun(x) {
  if
  :: isStream(x) -> unlinkWaiter(x); workBuffer(x)
  :: !isStream(x) && waiter[x] == woken -> waiter[x] = idle
  :: else
  fi;
  if
  :: needs[x] == NONE
  :: needs[x] != NONE -> takeOrWait(x)
  :: DECLINES && needs[x] != NONE ->
     printf("entity %d wants it no more\n", x);
     if
     :: isEntitled(needs[x]) -> offer(x)      /* the run had it, and gave it back */
     :: else
     fi;
     finish(x)
  fi
}

/* One offer for all that is given back, and none if that is nothing. */
inline finish(x) {
  waitsNoMore(x);
  unlinkWaiter(x);
  needs[x] = NONE;
  if
  :: hasRequest[x] || hasLast[x] ->
     do
     :: hasRequest[x] || hasLast[x] -> detachOne(x)
     :: else -> break
     od;
     offer(x)
  :: else
  fi
}
#endif

/* ---- the processes ---------------------------------------------------------------------------------------------- */

proctype Scheduler(byte kind) {
  byte x;
  do
  :: atomic { runQueue[kind]?x ->
       if
       :: x == STRANGER
       :: else -> runnable[x] = false; oneRun(x)
       fi;
       x = 0;
       endStep()
     }
  od
}

/* What is outside an entity: its bytes come, its bytes leave, and it may end. */
proctype Outside(byte x) {
  byte left = SESSIONS;
  do
  :: atomic { rests(x) && (SESSIONS == 0 || left > 0) ->
       printf("entity %d begins\n", x);
       left = left - (SESSIONS > 0);
       needs[x] = firstNeed(x); wake(x)
     }
  :: atomic { needs[x] == NONE && hasRequest[x] && !hasLast[x] -> needs[x] = RESPONSE; wake(x) }
  :: atomic { hasLast[x] -> printf("entity %d gives back all\n", x); finish(x); endStep() }
  :: atomic { resetsLeft > 0 && !rests(x) ->
       printf("entity %d ends early\n", x);
       resetsLeft--;
       unlinkRun(x); finish(x);
       endStep()
     }
  :: atomic { timersLeft > 0 && needs[x] != NONE && !runnable[x] -> timersLeft--; wake(x) }
  od
}

#if STRANGERS > 0
active proctype Strangers() {
  byte left = STRANGERS;
  atomic {
    printf("%d strangers become runnable\n", STRANGERS);
    do
    :: left > 0 -> left--; runQueue[TASKS]!STRANGER
    :: else -> break
    od
  }
}
#endif

#if RESIZE > 0
active proctype Resizing() {
  atomic { resize(RESIZE); endStep() };
  if
  :: true
  :: atomic { resize(LIMIT); endStep() }
  fi
}
#endif

#if CLOSE
active proctype Closing() {
  if
  :: true
  :: atomic { close(); endStep() }
  fi
}
#endif

#if PATIENT
#define mayOpen(level, other) (tableHasServed && (last != level || len(waiting[other]) == 0))
#define mayEnd (tableHasServed || timeout)
#define nothingMoves (timeout && favoured == NONE)
#else
#define mayOpen(level, other) (windowsLeft > 0)
#define mayEnd !isPlanted(ENDLESS_WINDOW)
#define nothingMoves timeout
#endif
#if WINDOWS > 0 || PATIENT
inline openWindow(level) {
  last = level; windowsLeft = windowsLeft - (WINDOWS > 0);
  favour(level);
  endStep()
}

active proctype Ageing() {
  byte last = NONE, windowsLeft = WINDOWS;
  do
  :: atomic { favoured == NONE && len(waiting[RX]) > 0 && mayOpen(RX, ENDPOINT) -> openWindow(RX) }
  :: atomic { favoured == NONE && len(waiting[ENDPOINT]) > 0 && mayOpen(ENDPOINT, RX) -> openWindow(ENDPOINT) }
  :: atomic { favoured != NONE && mayEnd -> favour(NONE); endStep() }
  od
}
#endif

/*
 * L8: when nothing moves any more nobody waits, but for what the hogs keep for ever, or for memory that could not be had
 * when last a buffer came back. L3, L1: and all has come back.
 */
active proctype Stillness() {
  atomic { nothingMoves ->
    d_step {
      for (eachIndex : 0 .. ENTITIES - 1) {
        law(8, needs[eachIndex] == NONE || limit - HOGS <= ordinaryMargin(needs[eachIndex]) || isShort)
      }
      law(3, HOGS > 0 || isParent || isBroken(8) || (used == 0 && queuedInAll == 0));
      law(1, HOGS > 0 || closed || isBroken(8) || capacity == limit)
    }
  }
}

init {
  atomic {
    lent[RESPONSE] = HOGS;
    setMargins();
#if ORDER
    select(watched : 0 .. ENTITIES - 1);
#endif
    run Scheduler(TASKS);
    run Scheduler(APPLET_RUNS);
    for (eachPlace : 0 .. ENTITIES - 1) { run Outside(eachPlace) }
  }
}

/* ---- claims: one is chosen when the checker is run --------------------------------------------------------------- */

#if ENTITIES == 1
#define some(is) (is(0))
#elif ENTITIES == 2
#define some(is) (is(0) || is(1))
#elif ENTITIES == 3
#define some(is) (is(0) || is(1) || is(2))
#elif ENTITIES == 4
#define some(is) (is(0) || is(1) || is(2) || is(3))
#elif ENTITIES == 5
#define some(is) (is(0) || is(1) || is(2) || is(3) || is(4))
#endif
#define isQueued(x) (waiter[x] == queued)
#define isGranted(x) (waiter[x] == granted)
#define isWoken(x) (waiter[x] == woken)
#define isForgotten(x) (needs[x] != NONE && waiter[x] != granted && isEntitled(needs[x]))
#define isLost (runnableInAll == 0 && !closed && some(isForgotten))

/* All that must hold in every state, and its parts. */
ltl safe { [] (broken == 0 && !isLost) }
ltl books { [] !(isBroken(1) || isBroken(3) || isBroken(6) || isBroken(7)) }
ltl L3 { [] !isBroken(3) }
ltl L4 { [] !isBroken(4) }
ltl L5 { [] !isBroken(5) }
ltl L6 { [] !isBroken(6) }
ltl L7 { [] !isBroken(7) }
ltl L8 { [] !isBroken(8) }
/* No lost wakeup: it never is that nobody is runnable, and somebody sleeps beside a buffer that it may take. */
ltl lost { [] !isLost }

/* Whoever needs a buffer gets it: the first stream's request, its response, the first applet. */
#if STREAMS > 0
ltl request { [] (needs[0] == RX -> <> (needs[0] != RX)) }
ltl response { [] (needs[0] == RESPONSE -> <> (needs[0] != RESPONSE)) }
#endif
#if APPLETS > 0
ltl applet { [] (needs[STREAMS] != NONE -> <> (needs[STREAMS] == NONE)) }
#endif

/* These must fail: what the others speak of does happen. */
ltl neverQueued { [] !some(isQueued) }
ltl neverGranted { [] !some(isGranted) }
ltl neverGrantedWhenClosed { [] !(closed && some(isGranted)) }
ltl neverQueuedForMemory { [] !(isShort && some(isQueued)) }
ltl neverServedByFavour { [] !(favoured != NONE && tableHasServed) }
ltl neverQueuedWhileShrinking { [] !(capacity > limit && some(isQueued)) }

/*
 * The traces in which the seed and its parent lose a wakeup, as "there is no such run": what must fail. The step from
 * before `until` to after it is one.
 */
#define runsAlone(x) (runnable[x] && runnableInAll == 1)
#define areAllLent (used == capacity)
#define isOneFree (capacity - used == 1)

#ifdef PARENT
/* An applet finds none and its stream is queued in its place; then all sleep, and the applet with them. */
ltl inTheStreamsName {
  ! <> (needs[STREAMS] != NONE && waiter[STREAMS] == idle && waiter[0] == queued && <> isBroken(8))
}
#endif
#ifdef SEED
/* The only buffer lent comes back while strangers are runnable: in the end all are free, beside a waiter. */
ltl busyRunQueue { ! <> (some(isQueued) && used == 1 && runnableInAll == STRANGERS && <> (used == 0 && isBroken(8))) }
/* Nobody is runnable and all are lent; one comes back, and only half the reserve keeps the waiter from being woken. */
ltl halfTheReserve { ! <> (runnableInAll == 0 && areAllLent && ((runnableInAll == 0) until (isOneFree && isLost))) }
#if APPLETS > 1
/* The first applet is woken for the one that is free, which its margin forbids; who may take it sleeps on. */
ltl mixedSides {
  ! <> (isOneFree && runsAlone(STREAMS) && isWoken(STREAMS) && (isWoken(STREAMS) until (isQueued(STREAMS) && isLost)))
}
/* The first applet is woken, and ends before it runs; the next sleeps on. */
ltl killedBeforeItRan {
  ! <> (runsAlone(STREAMS) && isWoken(STREAMS) && (isWoken(STREAMS) until (rests(STREAMS) && isLost)))
}
#endif
#endif
