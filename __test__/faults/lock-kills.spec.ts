/**
 * Several processes take one lock again and again: it is never held twice, every contender gets turns, and no process
 * waits for a dead one. `LOCK_SECONDS=600 npx ava __test__/faults/lock-kills.spec.ts` runs for longer.
 *
 * Each contender reports what it found; see `children/lock-contender.ts`. The contenders change a counter under the
 * lock by plain reads and writes, so two holders at the same time would also show in its sum.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { compile } from '../helpers/compiled.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import type { Contender } from '../children/lock-contender.ts'

const SECONDS = Number(process.env['LOCK_SECONDS'] ?? 12)

const PROCESSES = 4

/** Calls that wait at the same time in each process. */
const WAITERS = 2

/**
 * The longest allowed wait, in turns of other holders. A ticket waits for one turn of each other process; a wait behind
 * another wait of its own process also waits for the turn of that one. Twice as much is allowed.
 */
const MAX_TURNS = 2 * PROCESSES * WAITERS

/** What was seen of all contenders of one place. */
interface Seen {
  turns: number
  maxTurns: number
  maxMilliseconds: number
}

test.serial('four processes take the lock 500 times each, and no wait is long', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const compiled = compile(t, 180_000)
  const all = Array.from({ length: PROCESSES }, async (_, place) => {
    const child = fork(t, 'lock-contender', contender(name, place, 500), { stdout: 'pipe', compiled })
    const exit = await within('the end of a contender', child.exit, 150_000)
    t.deepEqual(exit, { code: 0, signal: null })
    const seen: Seen = { turns: 0, maxTurns: 0, maxMilliseconds: 0 }
    t.deepEqual(take(child.output, seen), [])
    return seen
  })
  const seen = await Promise.all(all)
  t.log(seen.map(describe).join('; '))
  t.is(cache.get('turns'), PROCESSES * 500)
  for (const { turns, maxTurns } of seen) {
    t.is(turns, 500)
    t.true(maxTurns <= MAX_TURNS, `a waiter waited for ${maxTurns} turns`)
  }
  t.is(cache.semaphore('contended', 1).counts().waiting, 0)
  t.truthy(cache.tryLock('contended'))
})

test.serial('there are never two holders and no waiter starves while holders and waiters are killed', async (t) => {
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const compiled = compile(t, (SECONDS + 60) * 1000)
  const end = performance.now() + SECONDS * 1000
  const kills = { holders: 0, others: 0 }
  const wrong: string[] = []
  const places = Array.from({ length: PROCESSES }, async (_, place) => {
    const seen: Seen = { turns: 0, maxTurns: 0, maxMilliseconds: 0 }
    while (performance.now() < end) await lifeOfAContender(t, compiled, { name, place, cache, kills, seen, wrong })
    return seen
  })
  const seen = await within('all are done', Promise.all(places), (SECONDS + 50) * 1000)

  const turns = seen.reduce((sum, place) => sum + place.turns, 0)
  const deaths = kills.holders + kills.others
  const starved = seen.filter(({ maxTurns }) => maxTurns > MAX_TURNS).length
  t.log(
    `${turns} turns, ${deaths} kills, ${kills.holders} of them inside; ` +
      `longest wait by process: ${seen.map(describe).join('; ')}; ${wrong.length} violations, ${starved} starved`,
  )
  t.deepEqual(wrong, [])
  t.is(starved, 0)
  t.true(deaths >= SECONDS, `only ${deaths} kills`)
  t.true(kills.holders > 0 && kills.others > 0, 'kills hit holders, and other processes')
  t.true(turns > deaths)
  const counted = cache.get('turns') as number
  t.true(counted >= turns && counted <= turns + deaths * WAITERS, `${counted} counted, ${turns} said`)
  t.truthy(await within('the lock', cache.lock('contended')))
  t.deepEqual(problems(cache), [])
})

function contender(name: string, place: number, turns: number): Contender {
  return { options: { name, size: SMALL }, me: `p${place}`, turns, waiters: WAITERS }
}

interface Life {
  readonly name: string
  readonly place: number
  readonly cache: SharedCache
  readonly kills: { holders: number; others: number }
  readonly seen: Seen
  readonly wrong: string[]
}

/** Starts a contender, kills it a moment after its first output, and reads all its output. */
async function lifeOfAContender(t: ExecutionContext, compiled: string, life: Life): Promise<void> {
  const { name, place, cache, kills, seen, wrong } = life
  const child = fork(t, 'lock-contender', contender(name, place, 1e9), { stdout: 'pipe', compiled })
  child.process.stdout?.once('data', () => {
    void delay(5 + Math.random() * 150).then(() => child.kill())
  })
  const { signal } = await within('the end of a contender', child.exit, 40_000)
  if (signal !== 'SIGKILL') wrong.push(`a contender ended by itself: ${child.output.slice(-200)}`)
  const inside = cache.get('inside')
  if (typeof inside === 'string' && inside.startsWith(`p${place}.`)) kills.holders++
  else kills.others++
  wrong.push(...take(child.output, seen))
}

/**
 * Adds up the output of a contender. Returns the violations that it found; output after the last line break is
 * incomplete and ignored.
 */
function take(output: string, seen: Seen): string[] {
  const wrong: string[] = []
  for (const line of output.split('\n').slice(0, -1)) {
    const [what, turns, milliseconds] = line.split(' ')
    if (what === 't') {
      seen.turns++
      seen.maxTurns = Math.max(seen.maxTurns, Number(turns))
      seen.maxMilliseconds = Math.max(seen.maxMilliseconds, Number(milliseconds))
    } else if (what !== 'done') wrong.push(line)
  }
  return wrong
}

function describe({ turns, maxTurns, maxMilliseconds }: Seen): string {
  return `${turns} turns, waited for ${maxTurns} turns or ${maxMilliseconds.toFixed(0)} ms at most`
}
