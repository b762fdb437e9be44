/**
 * Keys: which texts and bytes are keys.
 */
import type { Key } from '../../../index.ts'
import { UNUSUAL_KEYS } from '../unusual-keys.ts'
import { absent, byKey, holds } from './contract.ts'
import type { Contract } from './contract.ts'

export function keys(contract: Contract): void {
  contract('keys are any text, byte for byte', (t, { store }) => {
    for (const [index, key] of UNUSUAL_KEYS.entries()) t.true(store.set(key, index))
    for (const [index, key] of UNUSUAL_KEYS.entries()) holds(t, store, key, index)
    t.deepEqual([...store.keys()].toSorted(), UNUSUAL_KEYS.toSorted())
  })

  contract('a text and its UTF-8 bytes are one key', (t, { store }) => {
    for (const text of ['a', 'é€😀', 'x\uFFFDy']) {
      store.set(text, 'by text')
      holds(t, store, Buffer.from(text), 'by text')
      store.set(new TextEncoder().encode(text), 'by bytes')
      holds(t, store, text, 'by bytes')
      t.true(store.delete(Buffer.from(text)))
      absent(t, store, text)
    }
  })

  contract('keys have 1 byte to 8 KiB', (t, { store }) => {
    for (const key of ['x', 'x'.repeat(8192), 'é'.repeat(4096), Buffer.alloc(8192, 0xff)]) {
      t.true(store.set(key, 'value'))
      holds(t, store, key, 'value')
      t.deepEqual([...store.keys()].map(hex), [hex(key)])
      t.true(store.delete(key))
    }
  })

  contract('a wrong key throws in every method', (t, { store }) => {
    store.set('kept', 1)
    for (const [method, call] of Object.entries(byKey(store))) {
      for (const key of [undefined, null, 5, {}, '', new Uint8Array(0), 'lone \uD800', '\uDC00', new Uint16Array(1)]) {
        t.throws(() => call(key as Key), { code: 'ERR_INVALID_ARGUMENT' }, `${method} ${String(key)}`)
      }
      for (const key of ['x'.repeat(8193), 'é'.repeat(4097), Buffer.alloc(8193)]) {
        t.throws(() => call(key), { code: 'ERR_KEY_TOO_LONG' }, method)
      }
    }
    t.deepEqual([...store.keys()], ['kept'])
  })
}

/** The bytes of a key, short enough for a report. */
function hex(key: Key): string {
  const bytes = Buffer.from(key as string)
  return `${bytes.length} bytes, ${bytes.subarray(0, 20).toString('hex')}`
}
