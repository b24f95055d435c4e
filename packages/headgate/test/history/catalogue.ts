/**
 * History's bugs and other pools' tests, and what stands against each here: 85 rows of HAProxy's own history and 14 more
 * found by reading it (`U1`…), 40 cases that the pools of other languages are tested with, and the five of the seed. Each
 * has tests, or a reason why it cannot be written here, or both: a reason for what the type or the shape rules out, a test
 * for what is left.
 *
 * `catalogue.test.ts` checks that nothing is missing and that every test named here exists. Run as a program, this file prints the
 * tables of `docs/verification.md`.
 */

/** A test, by its file and the text of its title (or of its name in a table of tests). */
export interface Guard {
  readonly file: string
  readonly title: string
}

export interface Row {
  readonly id: string
  readonly what: string
  readonly tests: ReadonlyArray<Guard>
  readonly reason: string | undefined
}

export interface Bug extends Row {
  /** As in `classes`. */
  readonly classes: ReadonlyArray<string>
  /** HAProxy's, that made or mended it; none for what was found by reading. */
  readonly commits: ReadonlyArray<string>
}

export const classes: { readonly [short: string]: string } = {
  LW: "lost wakeup",
  WT: "wrong target",
  SL: "spin",
  TH: "thundering herd",
  DQ: "queue membership",
  UF: "use after free",
  XT: "across threads",
  SV: "starvation",
  RV: "reserve",
  PI: "priority inversion",
  AC: "accounting",
  NN: "needless wake",
  FO: "forgotten release",
  ST: "state on failed allocation",
  LC: "lifecycle",
  OB: "observability at zero buffers"
}

// ---- the tests that are named below ---------------------------------------------------------------------------------------

const inFile = (file: string) => (title: string): Guard => ({ file, title })
const ofHeadgate = (name: string) => inFile(`packages/headgate/test/${name}.test.ts`)
const ofTesting = (name: string) => inFile(`packages/testing/test/${name}.test.ts`)

const waiting = ofHeadgate("history/waiting")
const running = ofHeadgate("history/running")
const counting = ofHeadgate("history/counting")
const acceptance = ofHeadgate("face/Acceptance")
const waking = ofHeadgate("face/Waking")
const schedulers = ofHeadgate("face/Schedulers")
const closing = ofHeadgate("face/Closing")
const ageing = ofHeadgate("face/Ageing")
const applets = ofHeadgate("face/Applet")
const byteBuffer = ofHeadgate("ByteBuffer")
const identity = ofHeadgate("Identity")
const rules = ofTesting("DesignRules")
const relayBytes = ofTesting("relay/bytes")
const relayEnds = ofTesting("relay/ends")

const leftWithGrant = waiting(
  "a waiter was destroyed after its wake, and those behind it slept on beside the free buffer"
)
const appletLeft = waiting("an applet left for good with the buffer that it was woken for, and nobody else was woken")
const oneFree = waiting("one free buffer was offered to nobody, or withheld because much else was about to run")
const lastAlone = waiting("the last waiter was alone with all buffers free, for offers come only with a release")
const reasonLost = waiting(
  "that it was for the buffer was forgotten when the task had been woken for input already"
)
const skippedRunning = waiting("a wake was skipped, or its reason cleared, because the task was running")
const bothSides = waiting(
  "one side was queued and the other forgotten, and a release never served the other side of its own"
)
const closedIsNews = waiting("an applet waited for ever to write into what had been closed")
const ownPlace = waiting(
  "a callback that asked for the buffer was refused it, for the sake of its own place in the queue"
)
const wrongTarget = waiting("an applet waited for the buffer, and its stream was queued and woken instead")
const herd = waiting(
  "a release woke everybody, or more than it had buffers for, when less than half of the reserve was free"
)
const smallDrain = waiting("each small drain of a full buffer woke all who waited")
const askedAgain = waiting("who asked again while it waited was queued twice, or told that this never happens")
const inNoList = waiting("who was told that it is blocked was in no list, so that nothing could end its waiting")
const brokenWalk = waiting(
  "a callback that took itself and others out, or came back in, broke the walk through the list"
)
const twoLists = waiting("a callback that took its buffer, asked for another and gave the first back was in two lists")
const brokenPass = waiting(
  "who woke itself in its run and stopped the next left the run queue broken, and it never ended"
)
const servedKept = waiting(
  "who had been served kept its place in the queue, and later ate a buffer that others waited for"
)
const satOnGrant = waiting("who needed nothing any more said yes to its wake, and sat on the buffer")
const wokenForData = waiting("an applet was woken for data that it would not consume")
const sentKept = waiting("a response that had been sent stayed allocated until its stream happened to run again")
const consumedInRun = waiting(
  "an applet's data was consumed in the run of its stream, and nobody released or offered"
)
const appletKept = waiting("an applet kept the empty buffer into which it had put nothing")
const freedFull = waiting("a stream was freed together with its full buffers: leaked, and offered to nobody")

const rang = running(
  "an applet that could not have its buffer was woken for other reasons, and rang until it was killed"
)
const expiryInPast = running(
  "a stream without its buffer left with an expiry in the past, and was woken again and again"
)
const spareByte = running(
  "any spare byte ran an applet that wanted more room, and it and its stream woke each other for ever"
)
const releasedWoken = running(
  "who had been released was still in the wait list, or in the run queue, and was woken there"
)
const timeoutFreed = running(
  "a timeout freed the buffer that an applet was still about to use, and another had it by then"
)
const onceMore = running("the handler ran once more after its end, and what had been released was released again")
const whileItRan = running("who was woken, or freed, while it ran was not run again, or freed under its own feet")
const setUpFailed = running("what could not be set up stayed in a list of the living")
const passedQueue = running("a wake gave the right to pass the queue, and it was never taken away")
const markStayed = running("the mark of a class that runs apart was never removed")

const noReserve = counting("it had had no effect for years, and nobody noticed")
const reserveGone = counting(
  "it was not there at the start, or given away to make memory free, or a number without memory behind it"
)
const trimmedBetween = counting(
  "what had been counted as free was trimmed before it was taken, and the taker slept for ever"
)
const failedTaken = counting(
  "a failed allocation was taken for a success, or killed whose buffer it was (allocation %s fails)"
)
const secondNeeded = counting("the few buffers were with those who still had to run, and who each needed a second one")
const lostAge = counting(
  "who was woken for a buffer that it may not have went to the end of the queue, and lost its age"
)
const allRequests = counting("all buffers were requests whose answers needed one more")
const failedCounted = counting("failed allocations were counted as allocated, until the limit was reached for ever")
const queueCounter = counting("the counter of a run queue did not move with what was taken out of it")
const operatorBlind = counting(
  "the operator's own view needed a buffer and died first, or lost what did not fit into one"
)

const doorTypes = ofHeadgate("users/traps")("alloc and tryAlloc say in their types how they can fail")
const exactSize = identity("of another size, or a part of a larger ArrayBuffer, is a failed creation")
const otherPools = waking("a buffer of one, given back to or pinned at the other, is a defect that changes neither")
const othersWaiter = waking("a waiter of one, brought to the other's door, is a defect that changes neither")
const neverInside = waking("of a fiber never comes inside the step that granted: only the flush resumes it")
const notMade = acceptance("while the pool is made, at creation %s of the reserve's: it is not made")
const warmest = acceptance("is lent again last in, first out: the warmest")
const cancelledHead = acceptance(
  "after its grant: the next in line is served in the same step, in its own class or in another"
)
const runsWithout = applets(
  "and runs all the same with none, queued in its own name and at its own class, not its stream's"
)
const givenBuffer = applets(
  "if it may have one: the same again while bytes are in it, and it goes back if nothing was put"
)
const depth = schedulers(
  "of the app's own scheduler starts at most runQueueDepth runs, and lets others in before the next"
)
const twoQueues = schedulers("runs tasks and applets from two queues: neither delays nor starts the other's")
const wakeOrder = schedulers("starts runs in the order of their wakes, whatever the order in which they were made")
const core = ofTesting("PoolModel")("agree after every step of any history of a pool, and every step keeps the laws")
const programs = ofHeadgate("face/Laws")(
  "keep L1-L7 and L9 after every step, whatever interrupts them (${runs} programs)"
)
const keepsPlace = rules("who asks again keeps its place, and a newcomer gets nothing past it")
const readingIsOn = relayBytes(
  "reading is on exactly while what is read can be placed: off with a full buffer, on again with room"
)
const readsNothing = ofTesting("relay/waiting")(
  "who waits reads nothing: neither bytes nor an end are asked for until a buffer comes"
)
const doneAtOnce = relayEnds("events from inside readStart, write and end keep their order, and lose nothing")
const everyByte = ofTesting("relay/lives")(
  "whatever happens, every byte arrives once and in order, or both sides see an abort (HEADGATE_SEED=${seed})"
)
const pageInPieces = inFile("packages/node/test/StatusServer.test.ts")(
  "a page is made by an applet, through buffers however small"
)
const pageAnswers = inFile("packages/node/test/StatusServer.test.ts")(
  "it answers while the relay's own traffic has every buffer it can get"
)

// ---- the tables -----------------------------------------------------------------------------------------------------------

type Against = ReadonlyArray<Guard | string>

const one = (id: string, what: string, ...against: Against): Row => ({
  id,
  what,
  tests: against.filter((entry) => typeof entry !== "string"),
  reason: against.find((entry) => typeof entry === "string")
})

const wordsOf = (text: string): ReadonlyArray<string> => text.split(" ").filter((word) => word !== "")

const bug = (id: string, short: string, commits: string, what: string, ...against: Against): Bug => ({
  ...one(id, what, ...against),
  classes: wordsOf(short),
  commits: wordsOf(commits)
})

const oneThread =
  "One thread: the core's entry points are synchronous, and nothing here hands a buffer, a waiter or an entity " +
  "to another one (memory that its holder transfers away is replaced, and counted as a misuse)"
const noFlag =
  "No flag says 'full', 'blocked' or 'no data': room is `size` less `length`, computed when it is asked for"
const noSentinel = "No sentinel: a channel without a buffer has `undefined`, and the type makes every reader look"
const onlyWakes =
  "Nothing starts a run but news of its buffer, its timer, or a call of `wakeUnsafe`: consuming and filling wake nobody"

/** HAProxy's history, by the numbers of our notes on it. The wording is ours. */
export const bugs: ReadonlyArray<Bug> = [
  bug(
    "1",
    "TH SV",
    "a24adf079 656859d47 10fc09e87 bf883e0aa",
    "a release woke far too many, or all buffers were requests or all were responses",
    herd,
    allRequests
  ),
  bug("2", "LC", "3b2464174", "a session whose set-up had failed stayed in the list of all", setUpFailed),
  bug("3", "RV", "57767b803", "freeing memory gave the reserve away", reserveGone),
  bug("4", "ST", "a69fc9f80", "the wrong variable was looked at after a failed allocation", failedTaken),
  bug(
    "5",
    "DQ",
    "2d7ec46b0",
    "the wait node of some streams was never initialised",
    "A `Waiter` is built whole by its constructor, and `Channel` makes its own in its constructor, whoever makes the stream"
  ),
  bug(
    "6",
    "ST",
    "3e3a608f1 486d52a2a",
    "a script wrote into a request buffer that it had not got",
    doorTypes,
    "Only a `ByteBuffer` can be written to, and `ByteChannel.alloc` has one or fails with `BufferPending`, in its type"
  ),
  bug("7", "AC", "484b53da5", "buffers were a little larger than was asked for", exactSize),
  bug(
    "8",
    "LW SV",
    "999f643ed 8a32106ff 169c47028 93dc478a0 ef907fee1",
    "five attempts at 'may this channel receive?'",
    readingIsOn,
    `${noFlag}; the relay decides in one place (\`Direction.steer\`), after every step`
  ),
  bug("9", "WT LW", "a73e59b69", "an applet waited, its stream was woken", wrongTarget),
  bug("10", "AC", "1cbe74cd8", "an applet without a buffer left the active list, and the count did not", queueCounter),
  bug("11", "FO SV", "a64c70337", "a sent response kept its buffer until its task ran", sentKept),
  bug("12", "WT", "4596fb705", "an applet needed the buffer, a stream was woken", wrongTarget),
  bug("13", "LW", "ff4491726", "the reason of a wake was lost in a task queued for input", reasonLost),
  bug("14", "ST", "600d37edd", "one of two sentinels was taken for a buffer", failedTaken, noSentinel),
  bug(
    "15",
    "LW RV",
    "fa5c812a6",
    "the free count was tested first and the buffer taken later",
    trimmedBetween,
    "`Gate.claim` tests and takes in one synchronous step"
  ),
  bug(
    "16",
    "WT",
    "929b52d8a",
    "the target of a wait node was the wrong object",
    wrongTarget,
    "`target` only labels: what is called is the waiter's own `wake`"
  ),
  bug("17", "LC UF", "ac580608d", "a timeout freed a buffer that an applet still needed", timeoutFreed),
  bug("18", "DQ LW", "b2e290acb", "marked as blocked and put in no list", inNoList),
  bug(
    "19",
    "NN",
    "21028b5e7 b882dd88c",
    "whether a waiter had been served was judged by its task's state",
    servedKept,
    skippedRunning
  ),
  bug("20", "LW", "674e0addc", "a failed receive marked an empty buffer as full", readingIsOn, noFlag),
  bug("21", "UF", "759ca1eac", "a failed allocation destroyed a stream that its caller still owned", failedTaken),
  bug("22", "ST", "203d735ca", "a test for no buffer did not know the second sentinel", failedTaken, noSentinel),
  bug(
    "23",
    "SL",
    "2b09443e0",
    "a loop tried the failed allocation again for ever",
    expiryInPast,
    "A run that fails with `BufferPending` is over: only the grant, or somebody's wake, starts another"
  ),
  bug(
    "24",
    "XT SV",
    "186e96ece",
    "every release took a global lock before it looked for waiters",
    `${oneThread}. There is no lock, and \`Gate.first\` answers for an empty queue by one comparison`
  ),
  bug("25", "LW", "201840abf", "the releaser was passed over, though it waited for its other side", bothSides),
  bug(
    "26",
    "FO",
    "a64c70337",
    "emptied buffers were not released after sending or after an applet's run",
    sentKept,
    appletKept
  ),
  bug(
    "27",
    "ST",
    "9f5839cde dc523e3b8",
    "an error reply was built in a buffer that had not been allocated",
    failedTaken,
    "Only a `ByteBuffer` can be written to, and there is none until one was had"
  ),
  bug("28", "LW", "6716cc2b9 efebff35b", "waiting for room while the destination was empty", readingIsOn, noFlag),
  bug(
    "29",
    "LW",
    "d57e34978",
    "a shortage turned reading off at the wrong layer",
    readsNothing,
    "One layer: a direction turns its own source off and on (`Direction.steer`)"
  ),
  bug("30", "XT NN", "2104659cd e8e509151", "callbacks ran on whichever thread released", neverInside, oneThread),
  bug("31", "DQ", "6c96fc166", "a walk was not told of a removal under its feet", brokenWalk),
  bug(
    "32",
    "AC",
    "d79422a0f",
    "one way of allocating passed by the cache that freeing filled",
    warmest,
    "One list of unused areas (`Gate.unused`), no cache before it: what came back last is taken next"
  ),
  bug(
    "33",
    "AC",
    "b381a505c",
    "buffers from outside were swapped into the pool",
    otherPools,
    "Only a pool's own `open` makes a `Lease`, and a lease's area cannot be exchanged"
  ),
  bug(
    "34",
    "TH LW",
    "4d77bbf85",
    "offers were withheld by counting what has nothing to do with buffers",
    herd,
    oneFree,
    lastAlone
  ),
  bug("35", "RV SV", "0f495b3d8 d68d4f100", "the reserve had had no effect for years", noReserve),
  bug("36", "RV", "a5b229d01", "one build did not create the reserve at the start", reserveGone),
  bug("37", "AC", "932dd19cc", "failed allocations were counted as allocated", failedCounted),
  bug("38", "SL", "686501cb1", "a failed allocation left an expiry in the past", expiryInPast),
  bug(
    "39",
    "SL",
    "c17c31c82",
    "stream and multiplexer woke each other while neither could have a buffer",
    expiryInPast,
    onlyWakes
  ),
  bug("40", "DQ NN", "6d781f612", "a check stayed in the wait list between two runs", servedKept),
  bug("41", "AC", "50fe00650", "a count of buffers rose although the allocation had failed", failedCounted),
  bug("42", "TH", "93c5511af", "each small drain woke every stream", smallDrain),
  bug("43", "LW", "68d02e5fa", "a waiter left, and nobody woke those behind it", leftWithGrant),
  bug(
    "44",
    "AC",
    "89c6b67a8 a57f2a5cf",
    "trimming kept what it should free, and created what was there",
    trimmedBetween
  ),
  bug("45", "UF", "ebf90ca55", "released but not yet freed, it was woken in the wait list", releasedWoken),
  bug("46", "XT UF", "d069825c5", "a failed takeover released on the wrong thread", releasedWoken, oneThread),
  bug("47", "FO LW", "17cc4e468 19559d444", "an applet kept its empty buffers", appletKept),
  bug(
    "48",
    "ST",
    "aaa72e06e 4309a6fbf e399daa67 a70816da8",
    "four allocations whose failure nobody checked",
    failedTaken
  ),
  bug("49", "SL", "072686daf", "an applet without a buffer was woken for other reasons until it was killed", rang),
  bug("50", "SV", "9a27d7aa6 a160b3c50 ee0d56ac8", "the few buffers sat in tasks that were only queued", secondNeeded),
  bug(
    "51",
    "XT UF",
    "821a04377",
    "a connection changed threads while queued in the first",
    othersWaiter,
    `${oneThread}; a \`PoolWaiter\` knows its pool, and another's door refuses it`
  ),
  bug(
    "52",
    "OB",
    "982805e6a ab0c97139 f263a45dd",
    "a listing longer than a buffer was cut",
    operatorBlind,
    pageInPieces,
    pageAnswers
  ),
  bug("53", "DQ", "dcf226161", "asking while queued was thought impossible", askedAgain),
  bug("54", "ST", "9ad9def12", "at the start a pool that could not be made was ignored", notMade),
  bug(
    "55",
    "ST",
    "c2b544629",
    "a frame was copied into a buffer that had not been had",
    failedTaken,
    "Only a `ByteBuffer` can be written to, and there is none until one was had"
  ),
  bug(
    "56",
    "LW",
    "13c344516",
    "one reason of a wake led nowhere",
    reasonLost,
    "Every reason is delivered as itself, in the run's set: there is no second list of events to map it to"
  ),
  bug("57", "AC FO", "1cb254ad7", "a stream was freed with its buffer", freedFull),
  bug(
    "58",
    "WT LW",
    "6e2979ca3 e5843b383 78c0c5070",
    "streams were woken instead of applets, hidden by a timer",
    wrongTarget
  ),
  bug("59", "DQ", "9994238ad", "an applet that woke itself and paused the next broke the list", brokenPass),
  bug("60", "LW", "eca572fe7", "an applet waited to write into a closed channel", closedIsNews),
  bug(
    "61",
    "LW",
    "90b5abe46",
    "in one branch an applet did not say that it was blocked",
    runsWithout,
    "An applet has nothing to say: it is queued by the allocation that precedes its run"
  ),
  bug("62", "LW UF", "2802b07d9 c73060687", "waking or freeing an applet that was running", whileItRan),
  bug("63", "LW", "c5a9d5bf2", "an event was cleared before its stream saw it", skippedRunning),
  bug("64", "SL TH", "171d5f203", "any spare byte ran a blocked applet again", spareByte),
  bug(
    "65",
    "SL",
    "f26c26cca",
    "'wants to put' was used for 'may receive'",
    spareByte,
    `${onlyWakes}; there is no such flag`
  ),
  bug("66", "LW", "51205a195", "a wake was skipped because the task seemed queued", skippedRunning, reasonLost),
  bug("67", "SL", "371723b0c", "a stream and an applet woke each other", spareByte, onlyWakes),
  bug("68", "SL NN", "037b3ebd3 69fad00eb", "a stale flag let the two sides wake each other", spareByte, onlyWakes),
  bug(
    "69",
    "OB",
    "19920d6fc 8a3f58280 df3cab1ca 54b7539d6 854888497 dfdccbd2a",
    "a detector of spinning killed applets that made progress",
    rang,
    "No detector: an applet that says 'again' without a buffer waits, and nothing is ever ended for running often"
  ),
  bug(
    "70",
    "FO LW",
    "1eedf9b4c",
    "an applet consumed, and the producer was not told",
    consumedInRun,
    "Emptied, the buffer is offered by itself; of room in one that is not empty its consumer must tell, by `wakeFillerUnsafe`: a program of one's own can forget that"
  ),
  bug(
    "71",
    "SV",
    "df99408e0 7833596ff",
    "one side waited for data, the other for room",
    everyByte,
    "One buffer between source and sink, written whenever it holds bytes and no write is in flight: nobody waits for more"
  ),
  bug("72", "NN", "04f03e15c fffdac42d", "an applet was woken for data that it would not consume", wokenForData),
  bug(
    "73",
    "LW",
    "95125886e fab82bfd5",
    "it still needed room though a filter had emptied the buffer",
    readingIsOn,
    noFlag
  ),
  bug("74", "LC UF", "cd7e73efa 9affa931c 0ea601127", "freed late, released twice, run after its end", onceMore),
  bug(
    "75",
    "LW",
    "589fb1290 efc46de29 7214dcd52 41a40680c 0d371d272",
    "an applet's flags were set or kept at the wrong time",
    givenBuffer,
    noFlag
  ),
  bug(
    "76",
    "LW",
    "5fc12b0af 00bea05a1",
    "an applet was not woken by a synchronous send, or at shutdown",
    closedIsNews,
    doneAtOnce
  ),
  bug(
    "77",
    "LW SL",
    "6f1296b5c 72c23bd4c 5e84f13a0 e99c43907",
    "the last applet left while streams waited for one",
    appletLeft,
    "No set of applets that serves many streams: each fills one channel for life, and who needs its end asks `await`"
  ),
  bug(
    "78",
    "UF",
    "cf181c76e b042e4f6f 42a066291",
    "a waiter pointed to an applet that had been released",
    releasedWoken
  ),
  bug(
    "79",
    "AC",
    "09eeb7684 736ea41c6 77551ee8a e85ee7b66 09e498f1a 07308677d 45e83e8e8 24455aa4e",
    "the counters of the run queue did not move with its items",
    queueCounter,
    "A queue's length is its list's own, kept by `push` and `unlink` alone"
  ),
  bug(
    "80",
    "SV",
    "b4a4d9aed 3cfaa8d1e 0c0c85ed9",
    "no bound on the applets or timers of one pass",
    depth,
    "Timers are Effect's, and one that expires only queues its task"
  ),
  bug(
    "81",
    "SV PI",
    "3cec0f94f f8bce3125 5bd73063a",
    "one kind of work used up the budget of another",
    twoQueues,
    depth
  ),
  bug(
    "82",
    "PI",
    "587a8130b",
    "niceness was multiplied by a length of zero",
    wakeOrder,
    "No niceness: runs start in the order of their wakes"
  ),
  bug("83", "UF", "a70bfaaf8 9b36cb4a4", "a task was freed while queued", releasedWoken),
  bug("84", "PI", "4c48edba4", "the mark of a heavy task was never removed", markStayed),
  bug("85", "AC", "7e1cc0fcd 261aa2352 82d723dd8", "scheduling raced with the running task", skippedRunning, oneThread),
  bug("U1", "TH", "", "a signed number compared as unsigned woke everybody", herd),
  bug("U2", "NN", "", "success did not dequeue", servedKept),
  bug(
    "U3",
    "SV",
    "",
    "one node for needs with different margins lost its age",
    lostAge,
    "One waiter per channel, whose class is fixed when it is made"
  ),
  bug("U4", "LW TH", "", "an offer that was withheld was never repeated", lastAlone, oneFree),
  bug("U5", "SV", "", "the queue did not know what a waiter needs", lostAge, lastAlone),
  bug("U6", "LW", "", "one free buffer was never offered to who needs no margin", oneFree),
  bug("U7", "LW", "", "a callback's own place in the queue made its allocation fail", ownPlace),
  bug("U8", "PI", "", "one wake gave the right to pass the queue for ever", passedQueue),
  bug("U9", "LW TH", "", "what came back refilled the reserve first, and was announced as offered", oneFree, herd),
  bug("U10", "AC", "", "the limit was tested and counted in two steps", core, oneThread),
  bug("U11", "LW", "", "one node for several needs, passed over at its own release", bothSides),
  bug("U12", "NN", "", "a callback said yes although nothing was needed any more", satOnGrant),
  bug("U13", "DQ", "", "a callback that moved itself broke the walk", brokenWalk, twoLists),
  bug("U14", "LW", "", "queued for one direction, it was not queued for the other", bothSides)
]

const noWeights = "No weighted requests: a request is for one buffer, so none is too large, and none is served in part"

/** What other pools are tested with, by the numbers of our notes on them. */
export const cases: ReadonlyArray<Row> = [
  one(
    "1",
    "counters exact on every step",
    acceptance("are exact, and what comes back is lent as empty as it was"),
    core
  ),
  one(
    "2",
    "a request above the limit fails at once",
    `${noWeights}. A pool needs a limit above its reserve, so whoever waits can be served`
  ),
  one("3", "a full-size waiter is served when everything is back", `${noWeights}. The nearest is case 17`),
  one(
    "4",
    "exhaustion has its own error",
    acceptance("has an error of its own, which says limit, use, queue and class, in fields and in words")
  ),
  one("5", "a timeout neither early nor late", acceptance("of a wait comes neither early nor late")),
  one(
    "6",
    "after a timeout the queue is empty",
    acceptance("the queue is without whoever gave up, and the next is served by the next give-back"),
    "Nothing is served in part, so there is no part to give back"
  ),
  one(
    "7",
    "two queued fibers interrupted in any order",
    acceptance("are interrupted in either order: nobody is queued, and the next is served")
  ),
  one(
    "8",
    "a throwing hook cannot wedge the pool",
    acceptance(
      "at its call %s wedges nothing: its buffer goes on, the releaser does not hear of it, and it is reported once"
    ),
    identity("a wake that throws, of a target that cannot be printed, is declined, and the next is served"),
    "Metrics have no hook: they are numbers that whoever wants them reads. What the pool calls of its user's is wakes, labels, and the allocator (case 11); clock and logger are Effect's"
  ),
  one("9", "stress with random yields", programs, "All requests are of one size"),
  one("10", "counters beyond 2^31 and near 2^53", acceptance("stay exact, whatever is counted")),
  one(
    "11",
    "the allocator throws at the k-th creation",
    notMade,
    acceptance("later, at creation %s: the buffer is not counted, and the next who waits has a chance"),
    acceptance("for a fiber: it waits as in any shortage, and the next give-back serves it")
  ),
  one(
    "12",
    "give back after close",
    closing("leaves holders valid buffers, and destroys each area at its give-back")
  ),
  one(
    "13",
    "close fails all waiters",
    closing(
      "ends every wait with PoolClosed, 100 fibers in every class, and leaves nobody parked (acceptance case 13)"
    ),
    rules("tells 100 waiters of all classes, leaves none in a queue, and refuses whoever comes later")
  ),
  one(
    "14",
    "a head that accumulates is not overtaken",
    keepsPlace,
    `${noWeights}; that nobody of its class overtakes the head holds for it too`
  ),
  one(
    "15",
    "never visible as free on its way",
    acceptance("is never to be seen as free, at any step of the scheduler, from the first wait to the last"),
    rules("a unit moves from releaser to waiter without ever being visible as free (case 15)")
  ),
  one(
    "16",
    "while somebody waits, trying fails",
    acceptance("gets nothing at that class or a less critical one, whatever is nominally free"),
    "A more critical class may take from what the waiter must leave behind"
  ),
  one(
    "17",
    "only the release that completes the need wakes",
    acceptance("is woken once, by the give-back that completes them"),
    "The need is the margin of its class, not a weight"
  ),
  one("18", "close and release in every order", acceptance("keeps the counts and stays closed, in all six orders")),
  one(
    "19",
    "a cancelled part goes to the next",
    cancelledHead,
    `${noWeights}; a whole grant goes to the next in the same step`
  ),
  one(
    "20",
    "a wake callback re-enters the pool",
    waking("as the %s of three: nothing is lost, nobody forgotten"),
    rules("at position $position: $action")
  ),
  one(
    "21",
    "shrinking takes what it can, and reopens nothing",
    acceptance("takes at once what is not lent, and the rest as it comes back"),
    acceptance("or a higher one never opens a closed pool again"),
    "`resize` returns nothing: the snapshot's `capacity` says how far it has come"
  ),
  one(
    "22",
    "grow wakes as many as fit; shrink drains lazily",
    acceptance("growing serves exactly as many as fit; shrinking below what is lent absorbs what comes back"),
    rules("growing wakes exactly as many as fit; shrinking below what is lent absorbs what comes back"),
    "A shrink still grants: each give-back lowers the capacity only as far as no class loses what it may need"
  ),
  one(
    "23",
    "split and merge conserve",
    otherPools,
    "A buffer is one lease on one area, neither split nor merged; handed to another pool it is a defect"
  ),
  one(
    "24",
    "every interleaving of three fibers",
    ofTesting("explorer/Headgate")("3 fibers of mixed classes, limit 2, reserve 1"),
    ofTesting("explorer/Headgate")("3 fibers at rx, limit 2, reserve 1")
  ),
  one(
    "25",
    "the list that is left from the middle, against arrays",
    ofHeadgate("List")("is what two arrays are, whatever is pushed, taken off, unlinked and pushed again")
  ),
  one(
    "26",
    "giving back too often is a defect",
    acceptance("is a defect that names the pool, and never more capacity"),
    rules("giving back twice, or more than was taken, is a defect and never extra capacity")
  ),
  one(
    "27",
    "a large request beside endless small ones",
    ageing("is served in the first favoured window, after 1 s, with ageing"),
    `${noWeights}; what corresponds is a waiter at \`rx\`, which needs the reserve free, beside traffic that never pauses`
  ),
  one(
    "28",
    "the head is cancelled",
    acceptance("with buffers free that neither may take: the next moves up, and has the next that may be taken"),
    cancelledHead
  ),
  one(
    "29",
    "interrupted before, or in the moment of the grant",
    acceptance("already gets nothing, even if buffers are free"),
    acceptance("in the step in which it was granted, before or after, passes the buffer on in that step")
  ),
  one(
    "30",
    "a leak is reported once",
    ofHeadgate("face/Leaks")(
      "that is older is reported once, however long it stays, and its return is reported with its age"
    ),
    ofHeadgate("face/Leaks")("says where it was taken only with trackOrigins"),
    "A handle that was garbage collected is not looked for: a lease that is out for too long is reported, reachable or not"
  ),
  one(
    "31",
    "the same handle twice, and after its end",
    byteBuffer("giving it back twice"),
    byteBuffer("writing, consuming, committing, or asking for room after it was given back"),
    byteBuffer("is out of reach of old views after give-back with debug: they are empty")
  ),
  one(
    "32",
    "load at the knee and above",
    acceptance("arriving as fast as it can be served, everybody is, and nobody waits"),
    acceptance("arriving faster, what is too much is refused at once, and as many are served as before: no collapse")
  ),
  one(
    "33",
    "a bounded queue refuses at once",
    acceptance("of %s refuses the next fiber at once, in each class for itself"),
    rules("refuses the fiber after the last that may wait, in each class for itself; entities always enter")
  ),
  one("34", "given back to another pool", otherPools, byteBuffer("handing it to another pool")),
  one(
    "35",
    "a throwing body gives its buffer back",
    acceptance("with %s gives its buffer to who waits, in that step")
  ),
  one("36", "the order of reuse", warmest, "Always last in, first out: no option without a user"),
  one(
    "37",
    "no two owners share bytes",
    acceptance("never see another's bytes, nor write into another's (order %s)")
  ),
  one(
    "38",
    "lent never above the limit, and the sums agree",
    programs,
    core,
    "No tenants: the sum is over the classes"
  ),
  one(
    "39",
    "interrupt at every operation, at every yield budget",
    ofTesting("sweep/headgate")("$situation (debug: $debug): leaks nothing and forgets nobody"),
    ofTesting("sweep/acquire")("loses no wake, at every yield budget from 3 to 64")
  ),
  one(
    "40",
    "the literal order across classes",
    acceptance("is literally this, first in, first out inside each, while %s is favoured"),
    ageing("at %s is favoured for a quarter of its wait, 250 ms to 4 s"),
    "No tenants; and age does not raise a priority step by step: an old head's class is favoured in bounded windows"
  )
]

/** What the seed itself, HAProxy's commit a73e59b69, was about. */
export const seed: ReadonlyArray<Row> = [
  one("S1", "an applet that waits is itself woken, not its stream", wrongTarget),
  one("S2", "queued twice is queued once", askedAgain),
  one("S3", "destroyed while queued, it leaves the list", releasedWoken),
  one(
    "S4",
    "a wake that needs nothing passes the buffer on",
    waking("that declines passes its buffer on, down the whole queue, in one step")
  ),
  one(
    "S5",
    "the releaser is skipped when it is first",
    bothSides,
    "It is not skipped: a grant is not a wake, so nothing spins, and who waits for its own other side is served"
  )
]

// ---- the tables in words --------------------------------------------------------------------------------------------------

const namesOf = (short: ReadonlyArray<string>): string => short.map((one) => classes[one] ?? one).join(", ")

const againstOf = ({ reason, tests }: Row): string =>
  [
    ...tests.map(({ file, title }) => `\`${file.replace(/^packages\//, "").replace(/\.test\.ts$/, "")}\`: ${title}`),
    ...(reason === undefined ? [] : [`${reason}.`])
  ].join("<br>").replaceAll("|", "\\|")

const table = (heads: ReadonlyArray<string>, rows: ReadonlyArray<ReadonlyArray<string>>): string =>
  [heads, heads.map(() => "---"), ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")

export const markdown = (): string =>
  [
    "### HAProxy's bugs, and what stands against each",
    "By the commits that made or mended them; U1 to U14 were found by reading, and by running, its code. Titles are as in the " +
    "source: what a placeholder stands for is in the file.",
    table(
      ["#", "commits", "what happened", "class", "test, or why it cannot be written here"],
      bugs.map((bug) => [bug.id, bug.commits.join(" "), bug.what, namesOf(bug.classes), againstOf(bug)])
    ),
    "### The forty acceptance cases, and the seed's own",
    table(["#", "case", "test, or the decision"], [...cases, ...seed].map((row) => [row.id, row.what, againstOf(row)]))
  ].join("\n\n")

if (import.meta.main) console.log(markdown())
