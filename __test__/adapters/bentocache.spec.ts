/**
 * cache-machine/bentocache with bentocache 1.
 */
import { BentoCache, bentostore } from 'bentocache'
import { memoryDriver } from 'bentocache/drivers/memory'
import test from 'ava'
import { bentoBus, bentoDriver } from '../../lib/adapters/bentocache.ts'
import { createTestCache, createTestClock } from '../../testing.ts'
import { eventually } from '../helpers/eventually.ts'
import { adapterSuite } from './adapters.suite.ts'
import * as driver from './drivers/bentocache.ts'

adapterSuite('bentocache', driver)

test('the bus tells another host of a change, which then reads the new value', async (t) => {
  const first = createTestCache()
  t.teardown(() => first.close())
  const second = createTestCache({ name: first.name })
  t.teardown(() => second.close())
  const [one, two] = [first, second].map((cache) => {
    const layers = bentostore().useL1Layer(memoryDriver()).useL2Layer(bentoDriver(cache)).useBus(bentoBus(cache))
    return new BentoCache({ default: 'main', stores: { main: layers } })
  })
  t.teardown(() => Promise.all([one?.disconnectAll(), two?.disconnectAll()]))
  await one?.set({ key: 'a', value: 1 })
  t.is(await two?.get({ key: 'a' }), 1)
  await one?.set({ key: 'a', value: 2 })
  await eventually('the new value', async () => (await two?.get({ key: 'a' })) === 2)
  t.pass()
})

test('the driver takes milliseconds, and one caller pulls a value', async (t) => {
  const clock = createTestClock()
  const cache = createTestCache({ clock })
  t.teardown(() => cache.close())
  const driver = bentoDriver(cache).factory()
  t.true(await driver.set('a', 'value', 2000))
  clock.advance(1900)
  t.is(await driver.get('a'), 'value')
  clock.advance(100)
  t.is(await driver.get('a'), undefined)
  await driver.set('b', 'value')
  t.deepEqual([await driver.pull('b'), await driver.pull('b')], ['value', undefined])
  await driver.set('c', 'value', 0)
  t.is(await driver.get('c'), undefined)
})
