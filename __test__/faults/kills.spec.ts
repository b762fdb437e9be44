/**
 * `kill -9` at any moment: every acknowledged write is there afterwards, and no process waits for a dead one.
 *
 * Each slot has one writer at a time. The writer acknowledges every write on a pipe, and the contents of the pipe
 * outlive it. At its death the test knows the last acknowledged write of each of its keys; at most the next write may
 * have happened as well.
 */
import { isDeepStrictEqual } from 'node:util'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import type { SharedCache } from '../../index.ts'
import { MAX_LENGTH, ownKey, stateAfter } from '../helpers/acknowledged.ts'
import { compile } from '../helpers/compiled.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { openCache, segmentName } from '../helpers/segment.ts'
import { numberIn } from '../helpers/self-describing.ts'
import type { Writer } from '../children/acknowledged-writes.ts'

/** `npm run campaign -- --only kills` makes 100,000. */
const KILLS = 100

/** Enough for a machine that does other work as well. A run that has not made all kills by then has failed. */
const BUDGET_MS = 150_000

/** A call that waits for a dead process waits for ever, or for the `writeTimeout` of the cache, which is this long. */
const HANG_MS = 10_000

const SLOTS = 4

const OWN_KEYS = 24

const SHARED_KEYS = 40

const SIZE = '64mb'

test.serial('100 writers that are killed under load lose no acknowledged write, and no call hangs', async (t) => {
  const compiled = compile(t, BUDGET_MS + 30_000)
  const name = segmentName(t)
  const cache = openCache(t, { name, size: SIZE })
  const scene = { kills: 0, writes: 0, counted: 0, longest: 0, wrong: [] as string[] }

  // The view of a bystander: it writes and reads keys in all parts of the segment, again and again.
  const bystander = setInterval(() => {
    for (let i = 0; i < 16; i++) {
      const before = performance.now()
      try {
        cache.set(`bystander${i}`, before)
        if (cache.get(`bystander${i}`) !== before) scene.wrong.push('a bystander does not read what it wrote')
      } catch (error) {
        scene.wrong.push(`a bystander: ${String(error)}`)
      }
      scene.longest = Math.max(scene.longest, performance.now() - before)
    }
  }, 5)
  t.teardown(() => clearInterval(bystander))

  const slots = Array.from({ length: SLOTS }, async (_, slot) => {
    const numbers = Array<number>(OWN_KEYS).fill(0)
    // Some twenty kills hit a lock once, so the test goes on in the rare case that none of a hundred did.
    while (scene.kills < KILLS || cache.stats().repairs === 0) {
      scene.kills++
      const { said, wrong } = await lifeOfAWriter(t, compiled, { name, size: SIZE, slot, numbers, shared: SHARED_KEYS })
      scene.wrong.push(...wrong)
      scene.writes += said.writes
      scene.counted += said.counted
      for (const [index, number] of numbers.entries()) {
        const key = ownKey(slot, index)
        const found = cache.get(key)
        if (
          !isDeepStrictEqual(found, stateAfter(key, number)) &&
          !isDeepStrictEqual(found, stateAfter(key, number + 1))
        ) {
          scene.wrong.push(`${key} is neither as number ${number} nor as the next one left it`)
        }
      }
    }
  })
  await within('all slots are done', Promise.all(slots), BUDGET_MS)
  clearInterval(bystander)

  const { kills, writes, counted, longest, wrong } = scene
  const { repairs, damaged } = cache.stats()
  t.log(`${kills} kills, ${writes} acknowledged writes, ${repairs} repairs; longest stall ${longest.toFixed(1)} ms`)
  t.deepEqual(wrong, [])
  t.true(kills >= KILLS)
  t.true(repairs > 0, 'a kill hit a process inside a lock')
  t.true(longest < HANG_MS, `a call took ${longest} ms`)
  t.true(writes > kills)
  t.is(damaged, 0)
  const counter = cache.get('counter') as number
  t.true(counter >= counted && counter <= counted + kills, `${counter} counted, ${counted} said`)
  checkShared(cache)
  t.deepEqual(problems(cache), [])
  for (let i = 0; i < 1000; i++) t.true(cache.set(`afterwards${i}`, i) && cache.get(`afterwards${i}`) === i)
})

/** Starts a writer, kills it a moment after its first output, and reads all its output. */
async function lifeOfAWriter(
  t: ExecutionContext,
  compiled: string,
  writer: Writer,
): Promise<{ said: { writes: number; counted: number }; wrong: string[] }> {
  const child = fork(t, 'acknowledged-writes', writer, { stdout: 'pipe', compiled })
  child.process.stdout?.once('data', () => {
    setTimeout(() => child.kill(), 1 + Math.random() * 40)
  })
  const { signal } = await within('the end of a writer', child.exit, 30_000)
  const said = { writes: 0, counted: 0 }
  const wrong = signal === 'SIGKILL' ? [] : ['a writer ended by itself']
  // Output after the last line break is incomplete.
  for (const line of child.output.split('\n').slice(0, -1)) {
    const [what, index, number] = line.split(' ')
    if (what === 'c') said.counted++
    else if (what === 'w') {
      said.writes++
      writer.numbers[Number(index)] = Number(number)
    } else wrong.push(line)
  }
  return { said, wrong }
}

function checkShared(cache: SharedCache): void {
  for (let i = 0; i < SHARED_KEYS; i++) {
    const key = `common${i}`
    const value = cache.get(key)
    if (value !== undefined) numberIn(key, value, MAX_LENGTH)
  }
}
