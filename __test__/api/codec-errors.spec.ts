/**
 * Errors as values: what comes back of an Error.
 */
import test from 'ava'
import { bytesOf, comesBack, roundTrip } from '../helpers/codec-values.ts'
import { decodeStructured, encodeStructured } from '../helpers/internals.ts'

test('an Error that lost its stack or message comes back without', (t) => {
  const error = new AggregateError([], 'm') as Partial<AggregateError>
  for (const name of ['stack', 'message', 'errors'] as const) {
    delete error[name]
    comesBack(t, error)
  }
})

test('an Error that is its own name is stored without the stack, which cannot be made', (t) => {
  const error = new TypeError('x')
  Object.assign(error, { name: error })
  t.throws(() => error.stack, { instanceOf: RangeError })
  const [found] = decodeStructured(encodeStructured([error])) as [{ name: unknown; message: unknown }]
  t.is(found.name, found)
  t.is(found.message, 'x')
  t.false(Object.hasOwn(found, 'stack'))
})

test('an Error that is its own message comes back with its stack', (t) => {
  const error = new RangeError('far')
  const { stack } = error
  Object.defineProperty(error, 'message', { value: error })
  const back = roundTrip(error)
  t.true(back instanceof RangeError)
  t.is(back.message as unknown, back)
  t.is(back.stack, stack)
  t.deepEqual(Reflect.ownKeys(back), ['stack', 'message'])
})

test('decoding leaves Error.stackTraceLimit as it was', (t) => {
  const { stackTraceLimit } = Error
  const bytes = bytesOf([new Error('a')])
  decodeStructured(bytes)
  t.is(Error.stackTraceLimit, stackTraceLimit)
  t.throws(() => decodeStructured(bytes.subarray(0, -20)))
  t.is(Error.stackTraceLimit, stackTraceLimit)
})
