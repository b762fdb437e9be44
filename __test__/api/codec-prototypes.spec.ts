/**
 * `__proto__` and inherited setters have no effect on values.
 */
import test from 'ava'
import { bytesOf, comesBack } from '../helpers/codec-values.ts'
import { decodeStructured } from '../helpers/internals.ts'

const NASTY_NAMES = [
  '__proto__',
  'constructor',
  'prototype',
  'toString',
  'valueOf',
  'hasOwnProperty',
  '__defineGetter__',
]

test('__proto__ and similar names are data, in both directions', (t) => {
  for (const name of NASTY_NAMES) {
    const properties = Object.getOwnPropertyDescriptors({ [name]: { polluted: true }, more: undefined })
    for (const base of [{}, Object.create(null) as object, [1], { 5: 1 }, new Error('x')]) {
      // Defined, since assigning to `__proto__` would set the prototype.
      const value = Object.defineProperties(base, properties)
      t.true(Object.hasOwn(value, name))
      comesBack(t, value, name)
    }
  }
  t.is(({} as { polluted?: boolean }).polluted, undefined)
  t.is(([] as { polluted?: boolean }).polluted, undefined)
})

test('the decoder calls no setter of Object.prototype', (t) => {
  const value = {
    name: 1,
    7: 2,
    list: Object.assign([1], { name: 3 }),
    u: undefined,
    error: Object.assign(new Error('e'), { name: 4 }),
  }
  const bytes = bytesOf(value)
  const set = (): never => {
    throw new Error('called')
  }
  try {
    for (const name of ['name', '7', 'list', 'u', 'error', 'message', 'cause']) {
      // oxlint-disable-next-line no-extend-native -- what a hostile or careless library does
      Object.defineProperty(Object.prototype, name, { set, get: () => undefined, configurable: true })
    }
    const found = decodeStructured(bytes) as typeof value
    for (const name of Object.keys(value)) t.true(Object.hasOwn(found, name), name)
    t.is(found.list.name, 3)
    t.is(found[7], 2)
  } finally {
    for (const name of ['name', '7', 'list', 'u', 'error', 'message', 'cause']) {
      Reflect.deleteProperty(Object.prototype, name)
    }
  }
})
