/**
 * The lock of a region within one process.
 */
import test from 'ava'
import { CacheError } from '../../index.ts'
import { PATIENT } from '../helpers/region-scene.ts'
import { openTestRegion, regionName } from '../helpers/region.ts'

test('withLock returns the result of the function, and passes on its error', (t) => {
  const region = openTestRegion(t)
  t.is(
    region.withLock(({ recovered }) => `recovered: ${recovered}`),
    'recovered: false',
  )
  const error = new RangeError('half-way')
  t.is(
    t.throws(() => region.withLock(() => fail(error))),
    error,
  )
})

test('a holder learns that the previous one threw, until a holder has finished', (t) => {
  const region = openTestRegion(t)
  const recovered = (): boolean => region.withLock((lock) => lock.recovered)
  for (let i = 0; i < 3; i++) {
    t.throws(() => region.withLock((lock) => fail(new Error(`recovered: ${lock.recovered}`))), {
      message: `recovered: ${i > 0}`,
    })
  }
  t.true(recovered())
  t.false(recovered())
  region.lock().abandon()
  t.true(recovered())
  t.false(recovered())
})

test('a lock is released once, and then belongs to the next holder', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const other = openTestRegion(t, names)
  const lock = region.lock()
  t.false(lock.recovered)
  t.is(other.tryLock(), undefined)
  lock.release()
  const next = other.tryLock()
  t.false(next?.recovered)
  lock.release()
  lock.abandon()
  lock[Symbol.dispose]()
  t.is(region.tryLock(), undefined)
  next?.[Symbol.dispose]()
  region.lock().release()
})

test('a thread that holds the lock and takes it again gets ERR_BUSY at once', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  const other = openTestRegion(t, names)
  region.withLock(() => {
    for (const again of [region, other]) {
      const before = performance.now()
      const error = t.throws<CacheError>(() => again.withLock(() => 1, PATIENT), { code: 'ERR_BUSY' })
      t.regex(error?.message ?? '', /this thread holds/)
      t.true(performance.now() - before < 5000)
    }
  })
  t.is(
    other.withLock(() => 'free again'),
    'free again',
  )
})

test('a handle that is closed inside its lock abandons the lock', (t) => {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  t.is(
    region.withLock(() => {
      region.close()
      return 'done'
    }),
    'done',
  )
  t.true(openTestRegion(t, names).withLock(({ recovered }) => recovered))
})

test('a function that returns a promise is refused, since it would go on without the lock', (t) => {
  const region = openTestRegion(t)
  t.throws(() => region.withLock(async () => 1), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  t.true(region.withLock(({ recovered }) => recovered))
})

test('wrong options of the lock throw', (t) => {
  const region = openTestRegion(t)
  for (const timeout of [-1, 'soon', null, Number.NaN, Infinity, '61s', '1h']) {
    t.throws(() => region.lock({ timeout } as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  }
  t.throws(() => region.withLock(undefined as never), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
  t.is(
    region.withLock(() => 'free', { timeout: 0 }),
    'free',
  )
})

function fail(error: Error): never {
  throw error
}
