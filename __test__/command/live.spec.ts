/**
 * The live commands: `watch`, `monitor`, `top`.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { segments } from '../../index.ts'
import type { SharedCache } from '../../index.ts'
import { ended, lines, run, start } from '../helpers/command-line.ts'
import type { Ended } from '../helpers/command-line.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { STARTED, fork } from '../helpers/fork.ts'
import { openCache, segmentName } from '../helpers/segment.ts'

/** Starts a live command, and resolves when it is attached. */
async function attached(
  t: ExecutionContext,
  cache: SharedCache,
  args: string[],
): Promise<[ReturnType<typeof start>, Promise<Ended>]> {
  const child = start(t, args)
  const end = within('the end of the command', ended(child), 60_000)
  end.catch(() => undefined)
  await eventually('the command is attached', () => cache.stats().processes === 2, 40_000)
  return [child, end]
}

/** Writes until the command has printed something: it attaches a moment before it watches. */
async function writeUntil(child: ReturnType<typeof start>, write: () => void): Promise<void> {
  let hasPrinted = false
  child.stdout.once('data', () => (hasPrinted = true))
  await eventually('output', () => {
    if (!hasPrinted) write()
    return hasPrinted
  })
}

test.serial('watch prints every change, and ends after --count', async (t) => {
  const cache = openCache(t)
  const [child, end] = await attached(t, cache, ['watch', cache.name, '--prefix', 'a:', '--count', '4', '--json'])
  await writeUntil(child, () => cache.set('a:1', 1))
  cache.set('b:1', 1)
  cache.delete('a:1')
  cache.set('a:2', 1)
  cache.clear()
  cache.set('a:3', 1)
  cache.set('a:4', 1)
  const { out, code } = await end
  t.is(code, 0)
  const changes = lines<{ type: string; key: string | null; version: number; lost: number }>(out)
  t.is(changes.length, 4)
  t.deepEqual(Object.keys(changes[0] ?? {}), ['time', 'type', 'key', 'version', 'tags', 'lost'])
  t.is(changes[0]?.key, 'a:1')
  t.false(changes.some(({ key }) => key === 'b:1'))
})

test.serial('watch shows changes for people', async (t) => {
  const cache = openCache(t)
  const [child, end] = await attached(t, cache, ['watch', cache.name, '--tags', 'news', '--count', '1'])
  await writeUntil(child, () => cache.set('k', 1, { tags: ['news'] }))
  const { out } = await end
  t.regex(out, /^\d\d:\d\d:\d\d\.\d{3} {2}set {9}k {2}v\d+ {2}\[news\]\n$/)
})

test.serial('watch ends by SIGINT with exit code 0, and after --for', async (t) => {
  const cache = openCache(t)
  const [child, end] = await attached(t, cache, ['watch', cache.name])
  await writeUntil(child, () => cache.set('k', 1))
  child.kill('SIGINT')
  t.like(await end, { code: 0, err: '' })
  t.like(await run(t, ['watch', cache.name, '--for', '20ms']), { code: 0, out: '', err: '' })
})

test.serial('a live command ends when the segment is destroyed, and creates no new one', async (t) => {
  for (const command of ['watch', 'monitor', 'top']) {
    const cache = openCache(t)
    const [, end] = await attached(t, cache, [command, cache.name])
    cache.close()
    segments.destroy(cache.name, { force: true })
    const { code, err } = await end
    t.is(code, 1, command)
    t.regex(err, /ERR_NO_SEGMENT/, command)
    t.is(segments.inspect(cache.name), undefined)
  }
})

test.serial('monitor prints rates and a sample', async (t) => {
  const cache = openCache(t)
  const args = ['monitor', cache.name, '--sample', '3', '--interval', '300ms', '--json']
  const [child, end] = await attached(t, cache, args)
  let printed = ''
  child.stdout.on('data', (text: string) => (printed += text))
  await eventually(
    'an interval with changes',
    () => {
      for (let i = 0; i < 10; i++) cache.set(`k${i}`, i)
      cache.get('k1')
      return printed
        .split('\n')
        .slice(0, -1)
        .some((line) => (JSON.parse(line) as { changes: number }).changes > 3)
    },
    30_000,
  )
  child.kill('SIGINT')
  const { out, code } = await end
  t.is(code, 0)
  interface Interval {
    rates: { sets: number; hits: number }
    changes: number
    sample: { type: string; key: string }[]
  }
  const busy = lines<Interval>(out).find(({ changes }) => changes > 3)
  t.is(busy?.sample.length, 3)
  t.true(busy?.sample.every(({ type, key }) => type === 'set' && /^k\d$/.test(key)))
  t.true((busy?.rates.sets ?? 0) > 0)
})

test.serial('top shows rates, written and large keys, and processes', async (t) => {
  const cache = openCache(t)
  cache.set('large', 'x'.repeat(100_000))
  const [child, end] = await attached(t, cache, ['top', cache.name, '--interval', '200ms', '--json'])
  interface Frame {
    name: string
    written: [string, number][]
    largest: [string, number][]
    processes: { pid: number }[]
    rates: { sets: number }
  }
  let printed = ''
  child.stdout.on('data', (text: string) => (printed += text))
  await eventually(
    'a frame with the written key',
    () => {
      cache.incr('hot')
      return printed
        .split('\n')
        .slice(0, -1)
        .some((line) => (JSON.parse(line) as Frame).written.some(([key]) => key === 'hot'))
    },
    30_000,
  )
  child.kill('SIGTERM')
  const { out, code } = await end
  t.is(code, 0)
  const last = lines<Frame>(out).at(-1)
  t.is(last?.name, cache.name)
  t.is(last?.written[0]?.[0], 'hot')
  t.is(last?.largest[0]?.[0], 'large')
  t.true((last?.largest[0]?.[1] ?? 0) > 100_000)
  t.true(last?.processes.some(({ pid }) => pid === process.pid))
})

test.serial('a hot key is found with top alone, though its reads are hits of the near cache', async (t) => {
  const name = segmentName(t)
  const load = fork(t, 'dashboard-load', { name, hot: 'product:1234' })
  await load.next(STARTED)
  interface Frame {
    called: { namespace: string; key: string; reads: number; writes: number }[]
    written: [string, number][]
  }
  const child = start(t, ['top', name, '--interval', '500ms', '--json'])
  let printed = ''
  child.stdout.on('data', (text: string) => (printed += text))
  const frames = (): Frame[] => lines<Frame>(printed.slice(0, printed.lastIndexOf('\n') + 1))
  const [first, second] = await eventually(
    'a frame with the hot key',
    () => {
      const { called = [] } = frames().at(-1) ?? {}
      return called[0]?.key === 'product:1234' && called.length > 1 && called
    },
    40_000,
  )
  t.is(first?.namespace, '')
  t.true(
    (first?.reads ?? 0) > 20 * (second?.reads ?? 0) && (first?.reads ?? 0) > 10_000,
    JSON.stringify([first, second]),
  )
  t.false(
    frames().some(({ written }) => written.some(([key]) => key === 'product:1234' && written[0]?.[0] === key)),
    'the change stream does not tell',
  )
  child.kill('SIGINT')
  const { out } = await run(t, ['top', name, '--count', '4'])
  t.regex(out, /^CALLED KEYS +NAMESPACE +READS +WRITES\nproduct:1234 +- +[\d,]+\/s +0\/s$/m)
})

test.serial('top prints a frame for people', async (t) => {
  const cache = openCache(t)
  cache.set('k', 1)
  const { out, code } = await run(t, ['top', cache.name, '--count', '2', '--interval', '100ms'])
  t.is(code, 0)
  t.is(out.match(/^reads +0\/s, hit ratio - \(- ever\)$/gm)?.length, 2)
  t.regex(out, /^LARGE KEYS *\nk +\d+ B$/m)
  t.false(out.includes('\u001B'), 'no terminal')
})
