/**
 * Arbitrary calls for the oracle: of every method, with few keys, so that they meet, and with arguments that are wrong.
 */
import * as fc from 'fast-check'
import { CacheError, segments } from '../../index.ts'
import type { Bytes, Lock, NamespaceOptions, ResizeResult, SharedCache, Transaction } from '../../index.ts'
import { moveClock, walk } from './oracle.ts'
import type { Call, Side } from './oracle.ts'
import { within } from './eventually.ts'

const KEYS: readonly (string | Uint8Array)[] = [
  'a',
  'b',
  'ab',
  'żółć😀',
  'a\uFFFDb',
  Buffer.from('b'),
  Uint8Array.of(0xff, 0xfe),
  'k'.repeat(8192),
]
const WRONG_KEYS: readonly unknown[] = ['', 'k'.repeat(8193), '\uD800', new Uint8Array(0), 5, undefined]
const VALUES: readonly unknown[] = [
  'text',
  '',
  'żółć',
  'a\uFFFDb',
  '\uD800 alone',
  0,
  -0,
  42.5,
  Number.NaN,
  Number.MAX_SAFE_INTEGER,
  true,
  false,
  null,
  7n,
  -(2n ** 63n),
  2n ** 100n,
  Buffer.from('bytes'),
  Uint8Array.of(1, 2, 3),
  new Uint8Array(70_000).fill(7),
  { a: 1, b: ['x', null] },
  [1, 'two', { three: 3 }],
  { date: new Date(5) },
  new Map([['a', 1]]),
]
const WRONG_VALUES: readonly unknown[] = [undefined, () => 1, new Uint8Array(2_000_000)]
const TAGS = ['t1', 't2', 't3']
const WRONG_TTLS: readonly unknown[] = [0, -1, Number.NaN, 'soon']

const key = fc.oneof({ weight: 40, arbitrary: fc.constantFrom(...KEYS) }, fc.constantFrom(...WRONG_KEYS))
const value = fc.oneof({ weight: 40, arbitrary: fc.constantFrom(...VALUES) }, fc.constantFrom(...WRONG_VALUES))
const ttl = fc.oneof({ weight: 20, arbitrary: fc.integer({ min: 1, max: 100 }) }, fc.constantFrom(...WRONG_TTLS))
const tags = fc.subarray(TAGS)
const which = fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat({ max: 5 }))

function call(name: string, args: readonly unknown[], run: (side: Side) => unknown): Call {
  return { text: `${name}(${args.map((arg) => fc.stringify(arg).slice(0, 80)).join(', ')})`, run }
}

/** A call of a method on one of the caches. */
function method(name: string, ...args: readonly fc.Arbitrary<unknown>[]): fc.Arbitrary<Call> {
  return fc.tuple(which, ...args).map(([cache, ...given]) => {
    const run = (side: Side): unknown => {
      const target = side.caches[cache as number] as unknown as Record<string, (...args: unknown[]) => unknown>
      return target[name]?.(...given)
    }
    return call(`caches[${cache as number}].${name}`, given, run)
  })
}

/** An options object: a field that is not there is not there. */
function options(fields: Record<string, fc.Arbitrary<unknown>>): fc.Arbitrary<Record<string, unknown>> {
  return fc.record(fields, { requiredKeys: [], noNullPrototype: true })
}

const storing = { ttl, stale: ttl, tags }
const condition = fc.constantFrom('absent', 'present', 'sometimes', { version: 0 })

/** A change on the condition that the entry has the version that some key has. */
const onVersions = fc.tuple(which, key, key, fc.boolean()).map(([cache, changed, other, sets]) =>
  call(`caches[${cache}].${sets ? 'set' : 'delete'} on a version`, [changed, other], (side) => {
    const target = side.caches[cache] as SharedCache
    const version = target.getEntry(other as string, { allowStale: true })?.version ?? 1
    if (!sets) return target.delete(changed as string, { version })
    return target.set(changed as string, 'on a version', { if: { version } })
  }),
)

const reads = [
  method('get', key),
  method('get', key),
  method('peek', key),
  method('has', key),
  method('ttl', key),
  method('getEntry', key, options({ allowStale: fc.boolean() })),
  method('getMany', fc.array(key, { maxLength: 4 })),
  method('hasMany', fc.array(key, { maxLength: 4 })),
]

const writes = [
  method('set', key, value),
  method('set', key, value, ttl),
  method('set', key, value, options({ ...storing, keepTtl: fc.boolean(), if: condition })),
  method('add', key, value, options(storing)),
  method('replace', key, value, options({ ...storing, keepTtl: fc.boolean() })),
  method('swap', key, value, options(storing)),
  method('take', key),
  method('delete', key),
  method('delete', key, options({ version: fc.constantFrom(0, 1, -1, 1.5, 2 ** 53) })),
  onVersions,
  method('touch', key, ttl),
  method('persist', key),
  method('append', key, fc.constantFrom('x', 'é', Uint8Array.of(9), 5), options({ ttl, tags })),
  method('incr', key, fc.constantFrom(1, -2.5, 1e300, Number.MAX_SAFE_INTEGER), options({ init: fc.constant(5), ttl })),
  method('incr', key, fc.constant(3), options({ min: fc.constant(-2), max: fc.constant(7) })),
  method('incrBigInt', key, fc.constantFrom(1n, -(2n ** 70n)), options({ init: fc.constant(5n), ttl })),
  method('setMany', fc.array(fc.tuple(key, value), { maxLength: 4 }), options({ ttl })),
  method('deleteMany', fc.array(key, { maxLength: 4 })),
  fc
    .tuple(which, key)
    .map(([cache, updated]) =>
      call(`caches[${cache}].update`, [updated], (side) =>
        (side.caches[cache] as SharedCache).update(updated as string, (before) =>
          before === undefined ? 'first' : [before].flat(1).length,
        ),
      ),
    ),
]

const members = ['x', 'y', 'zz', 'ż', 1, '1', null, { a: 1 }, 7n, Buffer.from('x')]
const member = fc.oneof({ weight: 30, arbitrary: fc.constantFrom<unknown>(...members) }, fc.constant(undefined))
const field = fc.oneof({ weight: 30, arbitrary: fc.constantFrom<unknown>('f', 'g', 'ff', 'ż') }, fc.constantFrom('', 5))
const index = fc.oneof({ weight: 9, arbitrary: fc.integer({ min: -5, max: 5 }) }, fc.constantFrom(Infinity, Number.NaN))
const score = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom(-1, 0, -0, 1.5, 3) },
  fc.constantFrom(Infinity, Number.NaN),
)
const adding = options({ if: fc.constantFrom('absent', 'present'), only: fc.constantFrom('greater', 'less') })
const ranking = options({ reverse: fc.boolean() })
const scores = { withoutMin: fc.boolean(), withoutMax: fc.boolean() }

/** A call of a method of a collection, of which there are few keys. */
function collected(kind: string, name: string, ...args: readonly fc.Arbitrary<unknown>[]): fc.Arbitrary<Call> {
  return fc.tuple(which, fc.constantFrom('a', `of ${kind}`), ...args).map(([cache, target, ...given]) =>
    call(`caches[${cache as number}].${kind}(${target}).${name}`, given, (side) => {
      const whole = side.caches[cache as number] as unknown as Record<
        string,
        (key: unknown, options: unknown) => object
      >
      const collection = whole[kind]?.(target, { tags: ['t1'] }) as Record<string, unknown>
      const method = collection[name]
      const result: unknown = typeof method === 'function' ? method.apply(collection, given) : method
      return typeof result === 'object' && result !== null && Symbol.iterator in result
        ? [...(result as Iterable<unknown>)]
        : result
    }),
  )
}

const collections = [
  collected('hash', 'set', field, member, options({ ttl, if: fc.constantFrom('absent', 'present', 'never') })),
  collected('hash', 'setMany', fc.array(fc.tuple(field, member), { maxLength: 4 })),
  collected('hash', 'getMany', fc.array(field, { maxLength: 3 })),
  collected('hash', 'has', field),
  collected('hash', 'take', field),
  collected('hash', 'delete', field, field),
  collected('hash', 'incr', field, fc.constantFrom(1, -0.5, Number.MAX_VALUE)),
  collected('hash', 'ttl', field),
  collected('hash', 'expire', field, ttl),
  collected('hash', 'entries'),
  collected('hash', 'size'),
  collected('list', 'push', member, member),
  collected('list', 'unshiftMany', fc.array(member, { maxLength: 3 }), options({ max: fc.constantFrom(1, 3, 0) })),
  collected('list', 'popMany', index),
  collected('list', 'shift'),
  collected('list', 'slice', index, index),
  collected('list', 'at', index),
  collected('list', 'set', index, member),
  collected('list', 'insertAfter', member, member),
  collected('list', 'indexOf', member, index),
  collected('list', 'remove', member, fc.constantFrom(0, 1, -1)),
  collected('list', 'trim', index, index),
  collected('setOf', 'add', member, member),
  collected('setOf', 'delete', member),
  collected('setOf', 'hasMany', fc.array(member, { maxLength: 3 })),
  collected('setOf', 'toSet'),
  collected('sortedSet', 'add', member, score, adding),
  collected('sortedSet', 'addMany', fc.array(fc.tuple(member, score), { maxLength: 4 }), adding),
  collected('sortedSet', 'incr', member, score, adding),
  collected('sortedSet', 'delete', member),
  collected('sortedSet', 'rank', member, ranking),
  collected('sortedSet', 'range', index, index, ranking),
  collected(
    'sortedSet',
    'rangeByScore',
    score,
    score,
    options({ ...scores, reverse: fc.boolean(), offset: fc.constantFrom(0, 1), limit: fc.constantFrom(0, 2) }),
  ),
  collected('sortedSet', 'countByScore', score, score, options(scores)),
  collected('sortedSet', 'deleteByScore', score, score, options(scores)),
  collected('sortedSet', 'deleteRange', index, index),
  collected('sortedSet', 'popMax', fc.constantFrom(0, 1, 3)),
]

/** What is done with a transaction. An error of one step ends neither the others nor the transaction. */
interface Step {
  readonly text: string
  run(tx: Transaction): unknown
}

function step(name: string, ...args: readonly fc.Arbitrary<unknown>[]): fc.Arbitrary<Step> {
  return fc.tuple(fc.constantFrom('', 'red', 'blue'), ...args).map(([namespace, ...given]) => ({
    text: `${namespace as string}.${name} ${fc.stringify(given).slice(0, 60)}`,
    run(tx) {
      const part = namespace === '' ? tx : tx.namespace(namespace as string)
      const target = part as unknown as Record<string, (...args: unknown[]) => unknown>
      return target[name]?.(...given)
    },
  }))
}

/** A step with a collection. */
function collectedStep(kind: string, name: string, ...args: readonly fc.Arbitrary<unknown>[]): fc.Arbitrary<Step> {
  return fc.tuple(fc.constantFrom('a', `of ${kind}`), ...args).map(([target, ...given]) => ({
    text: `${kind}(${target as string}).${name}`,
    run(tx) {
      const whole = tx as unknown as Record<string, (key: unknown, options: unknown) => Record<string, unknown>>
      const collection = whole[kind]?.(target, { tags: ['t1'] }) ?? {}
      return (collection[name] as (...args: unknown[]) => unknown).apply(collection, given)
    },
  }))
}

const steps = fc.oneof(
  step('get', key),
  step('has', key),
  step('set', key, value),
  step('set', key, value, options({ ...storing, keepTtl: fc.boolean(), if: condition })),
  step('add', key, value, options(storing)),
  step('replace', key, value, options({ ...storing, keepTtl: fc.boolean() })),
  step('delete', key),
  step('take', key),
  step('touch', key, ttl),
  step('incr', key, fc.constantFrom(1, -2.5, 1e300), options({ init: fc.constant(5), max: fc.constant(7), ttl })),
  step('deleteMany', fc.array(key, { maxLength: 3 })),
  collectedStep('hash', 'set', field, member, options({ ttl })),
  collectedStep('hash', 'getMany', fc.array(field, { maxLength: 3 })),
  collectedStep('list', 'push', member, member),
  collectedStep('list', 'shift'),
  collectedStep('sortedSet', 'incr', member, score),
  collectedStep('setOf', 'delete', member),
)

const transactions = fc
  .tuple(which, fc.array(steps, { minLength: 1, maxLength: 6 }), fc.nat({ max: 9 }))
  .map(([cache, chosen, ending]) =>
    call(
      `caches[${cache}].transaction`,
      chosen.map(({ text }) => text),
      (side) =>
        (side.caches[cache] as SharedCache).transaction((tx) => {
          const results = chosen.map(({ run }) => codeOrResult(() => run(tx)))
          if (ending === 0) throw new Error('so it is')
          return results
        }),
    ),
  )

function codeOrResult(run: () => unknown): unknown {
  try {
    return run()
  } catch (error) {
    if (error instanceof CacheError) return error.code
    throw error
  }
}

/** What both engines promise of a resize: how long it takes, and what has ended and was not swept, they do not. */
function resized({ from, to, evicted }: ResizeResult): unknown {
  return { from, to, evicted }
}

const wholes = [
  method('clear'),
  fc
    .tuple(which, fc.constantFrom('a', 'b', 'ż', Uint8Array.of(0xff), ''))
    .map(([cache, prefix]) =>
      call(`caches[${cache}].deletePrefix`, [prefix], (side) =>
        walk(side, () => (side.caches[cache] as SharedCache).deletePrefix(prefix)),
      ),
    ),
  method(
    'invalidateTags',
    fc.oneof(tags, fc.constantFrom(...TAGS)),
    options({ mode: fc.constantFrom('remove', 'stale') }),
  ),
  method('publish', fc.constantFrom('news', 'other'), value),
  fc
    .constantFrom<Bytes>('8mb', '12mb', '16mb', '1mb', 5)
    .map((size) => call('resize', [size], ({ root, engine }) => resized(segments.resize(root.name, size, { engine })))),
  fc.integer({ min: 1, max: 120 }).map((by) => call('moveClock', [by], (side) => moveClock(side, by))),
  fc
    .tuple(which, fc.constantFrom('a', 'ż', ''))
    .map(([cache, prefix]) =>
      call(`caches[${cache}].entries`, [prefix], (side) =>
        Array.from((side.caches[cache] as SharedCache).entries({ prefix }), ([found]) => fc.stringify(found)).sort(),
      ),
    ),
]

/** What a lock shows, and what is done with it. */
function shownLock(side: Side, lock: Lock | undefined): unknown {
  if (lock === undefined) return undefined
  side.locks.push(lock)
  return { token: lock.token, held: lock.held, expires: lock.expiresAt !== undefined }
}

function onLock(name: string, run: (lock: Lock) => unknown): fc.Arbitrary<Call> {
  return fc.nat({ max: 9 }).map((index) =>
    call(`locks[${index}].${name}`, [], ({ locks }) => {
      const lock = locks[index % Math.max(locks.length, 1)]
      return lock === undefined ? undefined : run(lock)
    }),
  )
}

const lockKey = fc.constantFrom('a', 'b')

/** Settings under which nothing is evicted: a namespace that evicts has room for every entry that the calls make. */
const roomy = options({
  reserve: fc.constantFrom(0, 1, 1000, '300kb', '2mb', '1gb', -1, 1.5, 'much'),
  size: fc.constantFrom(Infinity, '6mb', '7mb', 0, -1),
  eviction: fc.constantFrom('lru', 's3-fifo', 'never'),
})

/** A full namespace refuses writes. */
const narrow = fc.record({
  eviction: fc.constant('none'),
  reserve: fc.constantFrom(0, 1, 1000, 20_000, '1mb'),
  size: fc.constantFrom(1, 500, 20_000, '100kb', Infinity),
})

const quotas = [
  fc.tuple(fc.constantFrom('red', 'red:deep'), roomy),
  fc.tuple(fc.constant('blue'), fc.oneof(narrow, fc.constant({}))),
].map((settings) =>
  settings.map(([name, given]) =>
    call('namespace', [name, given], ({ root }) => {
      const { guaranteedBytes, maximumBytes, evictedForSize, evictedForOthers } = root
        .namespace(name, given as NamespaceOptions)
        .stats()
      return { guaranteedBytes, maximumBytes, evictedForSize, evictedForOthers }
    }),
  ),
)

const coordination = [
  fc
    .tuple(lockKey, options({ ttl }))
    .map(([name, given]) => call('tryLock', [name, given], (side) => shownLock(side, side.root.tryLock(name, given)))),
  fc
    .tuple(lockKey, options({ ttl }))
    .map(([name, given]) =>
      call('tryAcquire', [name, given], (side) => shownLock(side, side.root.semaphore(name, 2).tryAcquire(given))),
    ),
  lockKey.map((name) => call('counts', [name], (side) => side.root.semaphore(name, 2).counts())),
  fc
    .tuple(lockKey, fc.boolean())
    .map(([name, on]) =>
      call('event', [name, on], (side) => [side.root.event(name)].map((e) => [on ? e.set() : e.clear(), e.isSet])),
    ),
  fc
    .tuple(lockKey, fc.integer({ min: 0, max: 3 }))
    .map(([name, count]) => call('notify', [name, count], (side) => side.root.condition(name).notify(count))),
  fc.tuple(lockKey, fc.integer({ min: 0, max: 3 })).map(([name, n]) =>
    call('queue', [name, n], (side) => {
      const queue = side.root.queue(name, { capacity: 4, attempts: 2, visibility: '1h' })
      if (n === 0) return [queue.tryPush(n) !== undefined, queue.counts()]
      const item = queue.tryTake()
      const shown = [item?.value, item?.attempts]
      if (n === 1) return [shown, item?.ack(), item?.release(), queue.counts()]
      if (n === 2) return [shown, item?.release(), item?.ack(), queue.counts()]
      const letters = queue.deadLetters().map(({ value }) => value)
      return [shown, item?.extend(), item?.release(), letters, queue.revive(), queue.counts()]
    }),
  ),
  // Callers of a barrier, one more than it has parties.
  lockKey.map((name) =>
    call('barrier', [name], async (side) => {
      const waits = [1, 2, 3].map(() => side.root.barrier(name, 2).wait({ timeout: '10s' }))
      const first = await within('two parties', Promise.all(waits.slice(0, 2)))
      const { waiting } = side.root.barrier(name, 2)
      return [first, waiting, await side.root.barrier(name, 2).wait(), await waits[2]]
    }),
  ),
  onLock('release', (lock) => lock.release()),
  onLock('held', (lock) => lock.held),
  onLock('extend', (lock) => lock.extend(50)),
  // A waiter gets the permit from its holder.
  lockKey.map((name) =>
    call('hand over', [name], async (side) => {
      const first = side.root.tryLock(name)
      const waiting = [1, 2].map(() => side.root.lock(name, { timeout: '10s' }))
      if (first === undefined) for (const lock of side.locks) lock.release()
      else first.release()
      const [second] = await within('the first waiter', Promise.all(waiting.slice(0, 1)))
      second?.release()
      const [third] = await within('the second waiter', Promise.all(waiting.slice(1)))
      return [{ token: second?.token }, { token: third?.token }, third?.release()]
    }),
  ),
]

const limiting = fc
  .record({
    algorithm: fc.constantFrom('gcra', 'sliding-window', 'fixed-window'),
    limit: fc.constantFrom(1, 3, 10, Number.MAX_SAFE_INTEGER),
    window: fc.constantFrom(1, 7, 100, 86_400_000),
    call: fc.constantFrom('consume', 'peek', 'penalty', 'reward', 'reset'),
    tokens: fc.constantFrom(1, 0, 2, 11, -1, 1.5),
    limited: key,
  })
  .map(({ algorithm, limit, window, call: name, tokens, limited }) =>
    call(`limiter.${name}`, [algorithm, limit, window, limited, tokens], ({ root }) => {
      const limiter = root.limiter(`of ${algorithm}`, { algorithm, limit, window } as never) as unknown as Record<
        string,
        (...args: unknown[]) => unknown
      >
      return limiter[name]?.(limited, tokens)
    }),
  )

const measure = fc.constantFrom(1, 0, -1, 0.5, 1e308, Number.POSITIVE_INFINITY, Number.NaN)
const labels = fc.constantFrom({}, { path: '/a' }, { path: 'ż"\\' }, { path: '\uFFFD' })

const metrics = [
  fc.tuple(measure, labels).map(([by, label]) =>
    call('counter.inc', [by, label], ({ root }) => {
      root.metrics().counter('calls', label, { help: 'Calls' }).inc(by)
    }),
  ),
  fc.tuple(measure, labels, fc.boolean()).map(([by, label, sets]) =>
    call('gauge', [by, label, sets], ({ root }) => {
      const gauge = root.metrics().gauge('level', label)
      if (sets) gauge.set(by)
      else gauge.inc(by)
      return gauge.value
    }),
  ),
  fc.tuple(measure, labels).map(([by, label]) =>
    call('histogram', [by, label], ({ root }) => {
      const histogram = root.metrics().histogram('seconds', label, { buckets: [0.1, 1, 10] })
      histogram.observe(by)
      return histogram.value
    }),
  ),
  fc
    .constantFrom('calls', 'level', 'seconds', 'none')
    .map((name) => call('metrics.delete', [name], ({ root }) => root.metrics().delete(name))),
  fc.constant(call('prometheus', [], ({ root }) => root.metrics().prometheus({ statistics: false }))),
]

const loading = [
  fc
    .tuple(which, key, value, options({ ttl, stale: ttl, tags, force: fc.boolean() }))
    .map(([cache, loaded, result, given]) =>
      call(`caches[${cache}].getOrSet`, [loaded, result, given], (side) =>
        (side.caches[cache] as SharedCache).getOrSet(loaded as string, () => result, given as never),
      ),
    ),
  fc
    .tuple(lockKey, value)
    .map(([name, result]) => call('once', [name, result], ({ root }) => root.once(name, () => result))),
  // A change during a load is newer than its result.
  fc.tuple(key, fc.constantFrom('set', 'delete', 'clear', 'invalidate', 'nothing')).map(([loaded, change]) =>
    call('a load under a change', [loaded, change], async ({ root }) => {
      const result = await root.getOrSet(
        loaded as string,
        () => {
          if (change === 'set') root.set(loaded as string, 'newer')
          if (change === 'delete') root.delete(loaded as string)
          if (change === 'clear') root.clear()
          if (change === 'invalidate') root.invalidateTags('t2')
          return 'loaded'
        },
        { force: true, tags: ['t2'] },
      )
      return [result, root.get(loaded as string)]
    }),
  ),
  key.map((awaited) =>
    call('waitFor', [awaited], async ({ root }) => {
      const after = root.getEntry(awaited as string)?.version ?? 0
      const waiting = within('the entry', root.waitFor(awaited as string, { after, timeout: '10s' }))
      root.set(awaited as string, 'awaited')
      const { value: found, version: later } = await waiting
      return [found, later > after]
    }),
  ),
]

const regions = [
  fc.constant(call('region.withLock', [], ({ region }) => region.withLock(({ recovered }) => recovered))),
  fc.constant(
    call('region.withLock that throws', [], ({ region }) =>
      region.withLock(() => {
        throw new Error('so it is')
      }),
    ),
  ),
  fc.constant(
    call('region.tryLock', [], ({ region }) => {
      const lock = region.tryLock()
      const again = region.tryLock()
      lock?.abandon()
      return [lock?.recovered, again === undefined]
    }),
  ),
  fc.nat({ max: 63 }).map((at) =>
    call('bytes', [at], ({ region }) => {
      const bytes = new Uint8Array(region.buffer)
      bytes[at] = (bytes[at] ?? 0) + 1
      return [...bytes]
    }),
  ),
]

/** Any call. */
export const anyCall: fc.Arbitrary<Call> = fc.oneof(
  { weight: 30, arbitrary: fc.oneof(...reads) },
  { weight: 45, arbitrary: fc.oneof(...writes) },
  { weight: 25, arbitrary: fc.oneof(...collections) },
  { weight: 15, arbitrary: transactions },
  { weight: 15, arbitrary: fc.oneof(...wholes) },
  { weight: 8, arbitrary: fc.oneof(...coordination) },
  { weight: 8, arbitrary: limiting },
  { weight: 6, arbitrary: fc.oneof(...metrics) },
  { weight: 6, arbitrary: fc.oneof(...loading) },
  { weight: 4, arbitrary: fc.oneof(...regions) },
  { weight: 4, arbitrary: fc.oneof(...quotas) },
)
