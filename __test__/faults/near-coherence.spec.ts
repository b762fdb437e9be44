/**
 * Near copies while writers write and are killed: no read returns a value that had ended before the read began.
 *
 * Each writer records in the cache itself what it has written. The reader reads that record with `peek`, which never
 * uses near copies, then reads the key, then reads the record again: the value must have existed at some moment in
 * between.
 */
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import { compile } from '../helpers/compiled.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { isPossible, keyName, numberOf, saidName } from '../helpers/near-states.ts'
import { counted } from '../helpers/raw-calls.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'
import type { NearWriter } from '../children/near-writer.ts'

const WRITERS = 4

const KEYS = 3

const KILLS = 24

const BUDGET_MS = 40_000

test.serial(
  'no near copy outlives its entry and no key goes back while four writers are killed again and again',
  async (t) => {
    const compiled = compile(t, BUDGET_MS * 2)
    const name = segmentName(t)
    const [readers, counts] = counted(() =>
      [{ objects: 'copy' }, { objects: 'frozen' }, { maxEntries: 1 }].map((near) => {
        const root = openCache(t, { name, size: SMALL, near: near as { objects: 'copy' | 'frozen' } })
        const keys = Array.from({ length: WRITERS * KEYS }, (_, i) => {
          const [slot, index] = [Math.floor(i / KEYS), i % KEYS]
          const key = keyName(slot, index)
          return { key, said: saidName(slot, index), space: root.namespace(key), newest: 0 }
        })
        return { root, keys }
      }),
    )
    const scene = { kills: 0, reads: 0, changes: 0, wrong: [] as string[], over: false }

    const slots = Array.from({ length: WRITERS }, async (_, slot) => {
      const end = performance.now() + BUDGET_MS
      while (scene.kills < KILLS && performance.now() < end) {
        const child = fork(t, 'near-writer', { name, size: SMALL, slot, keys: KEYS } satisfies NearWriter, { compiled })
        await child.next(30_000)
        await delay(20 + Math.random() * 400)
        child.kill()
        await within('the end of a writer', child.exit, 30_000)
        scene.kills++
      }
    })

    const look = (root: (typeof readers)[0]['root'], each: (typeof readers)[0]['keys'][0]): void => {
      const { key, said, space } = each
      const before = (root.peek(said) as number | undefined) ?? 0
      for (let i = 0; i < 4; i++) {
        const value = space.get(key)
        const after = (root.peek(said) as number | undefined) ?? 0
        if (!isPossible(key, value, before, after)) {
          scene.wrong.push(`${key} is ${JSON.stringify(value)} between ${before} and ${after}`)
        }
        scene.reads++
        if (value === undefined) continue
        const number = numberOf(key, value)
        if (number < each.newest) scene.wrong.push(`${key} went back from ${each.newest} to ${number}`)
        if (number > each.newest) scene.changes++
        each.newest = number
      }
    }

    const reading = (async () => {
      while (!scene.over) {
        const end = performance.now() + 10
        while (performance.now() < end) for (const { root, keys } of readers) for (const each of keys) look(root, each)
        await delay(1)
      }
    })()
    await within('all writers', Promise.all(slots), BUDGET_MS * 1.5)
    scene.over = true
    await reading
    const near = scene.reads - (counts['getNear'] ?? 0)
    t.log(`${scene.kills} kills, ${scene.reads} reads, ${near} of them near, ${scene.changes} changes seen`)
    t.deepEqual(scene.wrong.slice(0, 10), [])
    t.true(scene.kills >= 8 && scene.changes > 200, 'too little has happened')
    t.true(near > scene.reads / 20, 'too few near hits to prove anything')
    for (const { root } of readers) t.deepEqual(problems(root), [])
  },
)
