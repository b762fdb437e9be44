import test from 'ava'
import { makeRunner } from '../measure.mjs'
import { expectedSum, LENGTH, makeSchedule } from '../schedule.mjs'
import { median, percentile, summary } from '../statistics.mjs'
import { keyOf, kinds } from '../values.mjs'
import { delaysOf } from '../workloads/wake-up.mjs'
import { randomFrom, zipfIndices } from '../zipf.mjs'

test('the median is the middle sample, or the mean of the middle two, in any order', (t) => {
  t.is(median([9, 1, 5]), 5)
  t.is(median([4, 1, 3, 2]), 2.5)
  t.is(median([7]), 7)
  // Compared as numbers, not as text.
  t.is(median([100, 20, 3]), 20)
})

test('a percentile is a sample, and the 100th percentile is the maximum', (t) => {
  const samples = Array.from({ length: 100 }, (_, i) => 100 - i)
  t.is(percentile(samples, 0.5), 50)
  t.is(percentile(samples, 0.99), 99)
  t.is(percentile(samples, 1), 100)
  t.is(percentile([3], 0.5), 3)
})

test('a summary has the median, the spread, and the samples in their original order', (t) => {
  t.deepEqual(summary([3, 1, 2]), { median: 2, min: 1, max: 3, samples: [3, 1, 2] })
})

test('random numbers depend only on their seed', (t) => {
  const draw = (seed) => Array.from({ length: 5 }, randomFrom(seed))
  t.deepEqual(draw(1), draw(1))
  t.notDeepEqual(draw(1), draw(2))
  t.true(draw(3).every((number) => number >= 0 && number < 1))
})

test("keys follow Zipf's law, and the two hottest keys are not neighbours", (t) => {
  const count = 1000
  const length = 200_000
  const indices = zipfIndices({ count, length, seed: 5 })
  t.deepEqual(indices, zipfIndices({ count, length, seed: 5 }))

  const counts = Array.from({ length: count }, () => 0)
  for (const index of indices) counts[index]++
  const ranked = counts.map((times, index) => ({ times, index })).toSorted((a, b) => b.times - a.times)
  const harmonic = Array.from({ length: count }, (_, i) => 1 / (i + 1) ** 0.99).reduce((a, b) => a + b)
  for (const rank of [1, 2, 10, 100]) {
    const expected = length / harmonic / rank ** 0.99
    const { times } = ranked[rank - 1]
    t.true(Math.abs(times / expected - 1) < 0.2, `rank ${rank}: ${times} draws, not ${expected}`)
  }
  const [first, second] = ranked
  t.true(Math.abs(first.index - second.index) > 1)
})

for (const kind of ['string', 'object', 'buffer-16k']) {
  test(`check and use distinguish a value of kind ${kind} from that of another key`, (t) => {
    const { make, check, use, bytes } = kinds[kind]
    t.true(check(make(7), 7))
    t.false(check(make(7), 8))
    t.false(check(undefined, 7))
    t.not(use(make(7)), use(make(8)))
    const size = kind === 'object' ? JSON.stringify(make(7)).length : make(7).length
    t.is(size, bytes)
  })
}

test('a schedule has the share of writes that its operation asks for', (t) => {
  for (const [operation, share] of Object.entries({ get: 0, set: 1, '95/5': 0.05, '50/50': 0.5 })) {
    const { writes, keys } = makeSchedule({ kind: 'string', keys: 100, operation, seed: 3 })
    t.is(keys.length, LENGTH)
    const found = writes.reduce((a, b) => a + b) / LENGTH
    t.true(Math.abs(found - share) < 0.01, `${operation}: ${found}`)
  }
})

test('the expected sum of a range of calls is right, also beyond the end of the schedule', (t) => {
  const schedule = makeSchedule({ kind: 'string', keys: 50, operation: '50/50', seed: 4 })
  const indexOf = new Map(Array.from({ length: 50 }, (_, i) => [keyOf(i), i]))
  const { make, use } = kinds.string
  const from = LENGTH - 10
  let sum = 0
  for (let i = from; i < from + LENGTH + 25; i++) {
    const index = i % LENGTH
    if (schedule.writes[index] === 0) sum += use(make(indexOf.get(schedule.keys[index])))
  }
  t.is(expectedSum(schedule, from, LENGTH + 25), sum)
})

test('a message that is received with the next one has the delay until then', (t) => {
  const received = [
    { sent: 10, at: 11 },
    { sent: 30, at: 34 },
  ]
  t.deepEqual(delaysOf([10, 20, 30], received), [1, 14, 4])
})

const scheduleOf = (operation) => makeSchedule({ kind: 'string', keys: 100, operation, seed: 3 })

/** A runner on a store in a Map, synchronous or asynchronous. */
function runnerOf(values, operation, inFlight) {
  const wrap = (result) => (inFlight === 0 ? result : Promise.resolve(result))
  const store = { get: (key) => wrap(values.get(key)), set: (key, value) => wrap(values.set(key, value)) }
  return makeRunner({ store, kind: kinds.string, schedule: scheduleOf(operation), operation, inFlight })
}

const allValues = () => new Map(Array.from({ length: 100 }, (_, i) => [keyOf(i), kinds.string.make(i)]))

for (const inFlight of [0, 1, 100]) {
  for (const operation of ['get', '95/5']) {
    const how = `${operation}, ${inFlight === 0 ? 'synchronous' : `${inFlight} in flight`}`

    test(`${how}: a run verifies every read and counts its calls`, async (t) => {
      const runner = runnerOf(allValues(), operation, inFlight)
      const { calls, elapsed } = await runner.run({ duration: 5 })
      t.true(calls > 0)
      t.true(elapsed >= 5)
      // The next run continues where this one ended.
      await t.notThrowsAsync(runner.run({ duration: 5 }))
    })

    test(`${how}: one wrong value fails the run`, async (t) => {
      const values = allValues()
      const { keys, writes } = scheduleOf(operation)
      values.set(keys[writes.indexOf(0)], kinds.string.make(12_345))
      const runner = runnerOf(values, operation, inFlight)
      await t.throwsAsync(runner.run({ duration: 5 }), { message: /wrong values/ })
    })

    test(`${how}: a miss fails the run`, async (t) => {
      await t.throwsAsync(runnerOf(new Map(), operation, inFlight).run({ duration: 5 }), { instanceOf: TypeError })
    })
  }
}
