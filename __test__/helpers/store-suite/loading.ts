/**
 * `getOrSet`.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { absent, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function loading(contract: Contract): void {
  contract('getOrSet loads a missing value once for all concurrent callers', async (t, { store, advance }) => {
    let loads = 0
    const load = async (): Promise<object> => {
      loads++
      await turn()
      return { number: loads }
    }
    const ask = (): Promise<unknown> => store.getOrSet('a', load, { ttl: 1000 })
    const values = await Promise.all([ask(), ask(), ask()])
    for (const value of [...values, await ask()]) t.deepEqual(value, { number: 1 })
    t.not(values[1], values[2])
    holds(t, store, 'a', { number: 1 })
    t.is(store.ttl('a'), 1000)
    t.deepEqual(await store.getOrSet('a', load, { ttl: 500, force: true }), { number: 2 })
    advance(500)
    t.deepEqual(await ask(), { number: 3 })
  })

  contract('getOrSet stores neither undefined nor errors', async (t, { store }) => {
    const error = new Error('no')
    const call = store.getOrSet('a', () => Promise.reject(error))
    await t.throwsAsync(call, { is: error })
    t.is(await store.getOrSet('a', () => undefined), undefined)
    absent(t, store, 'a')
    t.is(await store.getOrSet('a', () => 1, { ttl: () => 0 }), 1)
    absent(t, store, 'a')
    const signal = AbortSignal.abort(error)
    await t.throwsAsync(
      store.getOrSet('a', () => 1, { signal }),
      { is: error },
    )
    await t.throwsAsync(
      store.getOrSet('a', () => 1, { ttl: 0 }),
      { code: 'ERR_INVALID_TTL' },
    )
    await t.throwsAsync(store.getOrSet('a', 1 as never), { code: 'ERR_INVALID_ARGUMENT' })
    t.is(await store.getOrSet('a', () => 1), 1)
    holds(t, store, 'a', 1)
  })
}
