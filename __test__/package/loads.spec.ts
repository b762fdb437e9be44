/**
 * One process may load the package, and the addon, any number of times: two bundles in a server, an emptied cache of
 * modules, contexts, threads. Each load works, and nothing is left when the process ends.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import test from 'ava'
import { segments } from '../../index.ts'
import { within } from '../helpers/eventually.ts'
import { problems } from '../helpers/internals.ts'
import { SMALL, openCache, segmentName } from '../helpers/segment.ts'

const program = fileURLToPath(new URL('../children/many-loads.mjs', import.meta.url))

/** `classes`: how many different classes the loads give. */
const cases = [
  { way: 'dlopen', loads: 3, classes: 3, title: '`process.dlopen` loads the addon three times in one thread' },
  { way: 'cache', loads: 100, classes: 100, title: 'the cache of modules is emptied 100 times' },
  { way: 'addons', loads: 20, classes: 20, title: 'each of twenty bundles loads the addon' },
  { way: 'contexts', loads: 20, classes: 20, title: 'twenty contexts have a registry of modules each' },
  { way: 'threads', loads: 10, classes: 40, title: 'four threads empty their caches of modules ten times each' },
]

for (const { way, loads, classes, title } of cases) {
  test.serial(`${title}: each load works, and the process ends cleanly`, async (t) => {
    t.timeout(120_000)
    const name = segmentName(t)
    const cache = openCache(t, { name })
    const child = fork(program, [JSON.stringify({ name, size: SMALL, way, loads })], { execArgv: [] })
    t.teardown(() => child.kill('SIGKILL'))
    const ended = once(child, 'exit')
    const [message] = await within('its loads', Promise.race([once(child, 'message'), ended]), 100_000)
    t.is(message, classes)
    t.deepEqual(await within('its end', ended), [0, null])

    t.is(segments.inspect(name)?.processes.length, 1, 'its place in the table is free')
    for (const key of cache.keys())
      t.true(cache.tryLock(`held ${key}`)?.release(), `the lock of ${String(key)} is free`)
    t.deepEqual(problems(cache), [])
  })
}
