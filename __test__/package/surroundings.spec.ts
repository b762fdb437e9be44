/**
 * Ends without a warning: of threads inside a call, of the only thread that has loaded the addon, of a process that
 * holds and awaits everything. And clocks that differ in another namespace.
 */
import { spawnSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { openRegion, regions, segments } from '../../index.ts'
import type { Entry, SharedCache } from '../../index.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { asynchronous, regionsOfCalls, segmentOfCalls, synchronous } from '../helpers/every-call.ts'
import { fork } from '../helpers/fork.ts'
import { problems } from '../helpers/internals.ts'
import { counted } from '../helpers/raw-calls.ts'
import { SMALL, openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'
import { testIf, works } from '../helpers/system.ts'
import { startThread } from '../helpers/thread.ts'
import type { Ending } from '../children/leaves-everything.ts'

/** Threads that start together: each takes much longer to start than to end. */
const GROUP = 4

/** For a child with a useless standard error. */
const silent = ['sh', '-c', 'exec "$@" 2>/dev/null', 'sh']

/** Programs before Node, by the clock that they set ahead: a million seconds are more than any lifetime below. */
const clocks: Record<string, { wrapper: (t: ExecutionContext) => readonly string[]; canBeSet: boolean }> = {
  'the time since boot': inNamespace('boottime'),
  'the time that pauses while the host is suspended': inNamespace('monotonic'),
  'the wall time': { wrapper: aheadOfTheWall, canBeSet: works('cc', '--version') },
}

test.serial('a thread that is terminated inside a call leaves nothing behind, for each call', async (t) => {
  t.timeout(400_000)
  const name = segmentName(t)
  const options = { name, size: SMALL } as const
  const cache = openCache(t, options)
  t.teardown(() => {
    destroyRegions(name, regionsOfCalls)
    segments.destroy(segmentOfCalls(name), { force: true })
  })
  const calls = [...Object.keys(synchronous), ...Object.keys(asynchronous)]
  for (let at = 0; at < calls.length; at += GROUP) {
    const group = calls.slice(at, at + GROUP).map((call) => startThread(t, 'one-call', { options, call }))
    for (const thread of group) t.is(await thread.next(), 'ready')
    for (const thread of group) {
      await delay(Math.random() * 5) // into the middle of any step
      await within('the end of a thread', thread.worker.terminate())
    }
    t.true(cache.set('after', at), calls.slice(at, at + GROUP).join())
    t.is(cache.get('after'), at)
    t.deepEqual(problems(cache), [])
  }
  await everythingIsFree(cache, { lock: 'locked', permits: ['permits', 2], load: 'loaded1', region: 'locked' })
  t.is(segments.inspect(name)?.processes.length, 1)
})

test.serial('the calls of this spec cover every native call', async (t) => {
  const name = segmentName(t)
  t.teardown(() => destroyRegions(name, regionsOfCalls))
  const [cache, counts] = counted(() => openCache(t, { name }))
  for (const call of Object.values(synchronous)) call(cache, 0)
  for (const call of Object.values(asynchronous)) await within('a call', call(cache, 0) as Promise<unknown>)
  cache.close()
  const missing = Object.keys(counts).filter((call) => counts[call] === 0)
  t.deepEqual(missing, [])
})

test.serial('a process lives on when threads that end are the only ones that load the addon', async (t) => {
  t.timeout(120_000)
  const name = segmentName(t)
  const cache = openCache(t, { name })
  const child = fork(t, 'only-in-workers', { name, size: SMALL, rounds: 6 })
  t.is(await child.next(60_000), 'done')
  t.deepEqual(await within('its end', child.exit), { code: 0, signal: null })
  t.is(cache.get('round'), 5)
  t.deepEqual(problems(cache), [])
})

for (const ending of ['exit', 'throw', 'kill'] as const satisfies Ending[]) {
  test.serial(`a process that ends by ${ending} frees all that it holds and awaits`, async (t) => {
    const name = segmentName(t)
    const cache = openCache(t, { name })
    t.teardown(() => destroyRegions(name, ['region']))
    const mine = await cache.lock('of the test')
    const child = fork(t, 'leaves-everything', { name }, ending === 'throw' ? { wrapper: silent } : {})
    t.is(await child.next(), 'ready')
    t.is(cache.tryLock('lock'), undefined, 'the child holds it')
    child.send(ending)
    const exit = await within('its end', child.exit)
    const expected = {
      exit: { code: 3, signal: null },
      throw: { code: 1, signal: null },
      kill: { code: null, signal: 'SIGKILL' },
    } as const
    const { code, signal } = expected[ending]
    t.deepEqual(exit, { code, signal })

    await everythingIsFree(cache, { lock: 'lock', permits: ['permit', 1], load: 'load', region: 'region' })
    const leadership = await within('the leadership', cache.elect('leader'))
    leadership.resign()
    t.is(
      await within(
        'the call of once',
        cache.once('once', () => 'done'),
      ),
      'done',
    )
    t.is(cache.publish('news', 1), 0, 'no subscription is left')
    mine.release()
    t.true(cache.tryLock('of the test')?.release(), 'no ticket is left in the queue')
    t.is(segments.inspect(name)?.processes.length, 1)
    t.deepEqual(problems(cache), [])
  })
}

for (const [clock, { wrapper, canBeSet }] of Object.entries(clocks)) {
  testIf(canBeSet).serial(
    `a process for which ${clock} differs shares its deadlines with all other processes`,
    async (t) => {
      const name = segmentName(t)
      const cache = openCache(t, { name })
      const child = fork(t, 'operations', { name, size: SMALL }, { wrapper: wrapper(t) })
      await child.next()
      cache.set('from here', 1, '1h')
      await child.ask(['set', 'from there', 2, '1h'])
      t.deepEqual(await child.ask(['get', 'from here']), { value: 1 })
      t.is(cache.get('from there'), 2)
      for (const key of ['from here', 'from there']) {
        const there = (await child.ask<{ value: number }>(['ttl', key])).value
        const here = cache.ttl(key) ?? 0
        t.true(here > 3_500_000 && here <= 3_600_000, `${key}: ${here} ms here`)
        t.true(there > 3_500_000 && there <= 3_600_000, `${key}: ${there} ms there`)
      }
      // In wall time each process has its own deadline.
      const there = (await child.ask<{ value: Entry }>(['getEntry', 'from here'])).value
      const ahead = (there.expiresAt ?? 0) - (cache.getEntry('from here')?.expiresAt ?? 0)
      t.is(ahead > 5e8, clock === 'the wall time', `${ahead} ms ahead`)
      await child.ask(['set', 'short', 3, 1])
      await eventually('the short one is over', () => cache.get('short') === undefined)
      t.deepEqual(await child.ask(['get', 'short']), { value: undefined })
    },
  )
}

function inNamespace(clock: 'boottime' | 'monotonic'): (typeof clocks)[string] {
  const args = ['--time', `--${clock}`, '1000000', '--fork', '--kill-child']
  return { wrapper: () => ['unshare', ...args], canBeSet: works('unshare', ...args, 'true') }
}

/** Only the program sees this clock: a test cannot set the clock of the host. */
function aheadOfTheWall(t: ExecutionContext): readonly string[] {
  const directory = temporaryDirectory(t)
  const [source, library] = [join(directory, 'clock.c'), join(directory, 'clock.so')]
  writeFileSync(
    source,
    `#include <sys/syscall.h>
    #include <time.h>
    #include <sys/time.h>
    #include <unistd.h>
    int gettimeofday(struct timeval *time, void *zone) {
      int result = syscall(SYS_gettimeofday, time, zone);
      if (time) time->tv_sec += 1000000;
      return result;
    }
    int clock_gettime(clockid_t clock, struct timespec *time) {
      int result = syscall(SYS_clock_gettime, clock, time);
      if (clock == CLOCK_REALTIME) time->tv_sec += 1000000;
      return result;
    }`,
  )
  t.is(spawnSync('cc', ['-shared', '-fPIC', '-o', library, source]).status, 0)
  return ['env', `LD_PRELOAD=${library}`]
}

interface Names {
  readonly lock: string
  readonly permits: readonly [name: string, count: number]
  readonly load: string
  readonly region: string
}

/** A dead process holds nothing, and waits for nothing. */
async function everythingIsFree(cache: SharedCache, { lock, permits, load, region }: Names): Promise<void> {
  await within(
    'the lock',
    cache.withLock(lock, () => undefined),
  )
  await within(
    'the permits',
    cache.semaphore(...permits).use(() => undefined),
  )
  await within(
    'the load',
    cache.getOrSet(load, () => 'loaded'),
  )
  const opened = openRegion({ cache: cache.name, name: region, size: 4096 })
  opened.withLock(() => undefined, { timeout: '10s' })
  opened.close()
}

function destroyRegions(cache: string, names: readonly string[]): void {
  for (const name of names) regions.destroy(cache, name, { force: true })
}
