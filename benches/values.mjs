/**
 * The stored values. Each value follows from the index of its key, so that a reader can detect a wrong one.
 *
 * The timed loop calls `use` with each value that it reads. `use` throws for a miss; the sum of its results shows
 * afterwards whether every read returned the value of its key. `check` compares a value in full.
 */
import { Buffer } from 'node:buffer'

/**
 * @typedef {object} Kind
 * @property {string} label
 * @property {number} bytes the approximate size, without the key
 * @property {(index: number) => unknown} make
 * @property {(value: any) => number} use
 * @property {(value: any, index: number) => boolean} check
 */

/** @type {Record<string, Kind>} */
export const kinds = {
  string: {
    label: '100-byte string',
    bytes: 100,
    make: (index) => `${digits(index)}:`.padEnd(100, 'cache'),
    use: (value) => value.length + value.charCodeAt(6) * 10 + value.charCodeAt(5),
    check: (value, index) => value === kinds.string.make(index),
  },
  object: {
    label: '1 KiB object',
    bytes: 1024,
    make: makeObject,
    use: (value) => value.visits + value.id.length + value.name.length + value.theme.length + (value.active ? 1 : 0),
    // As text, because some codecs return objects of their own class. A missing or wrong field shows in the text.
    check: (value, index) => JSON.stringify(value) === JSON.stringify(makeObject(index)),
  },
  'buffer-16k': bufferKind('16 KiB Buffer', 16 * 1024),
  'buffer-1m': bufferKind('1 MiB Buffer', 1024 * 1024),
}

export function keyOf(index) {
  return `user:session:${digits(index)}`
}

/** An object of 20 fields, 1,024 bytes as JSON. */
function makeObject(index) {
  const id = digits(index)
  const object = {
    id: `u_${id}`,
    name: `Ada Lovelace the ${id}th of her name`,
    email: `ada.lovelace.${id}@mail.example`,
    active: index % 2 === 0,
    visits: index,
    createdAt: 1_700_000_000_000 + index,
    lastSeenAt: 1_700_000_500_000 + index,
    language: 'en-GB',
    timeZone: 'Europe/London',
    theme: index % 3 === 0 ? 'dark' : 'light',
    company: 'Analytical Engines Limited, Mill Works, London',
    title: 'Countess, mathematician, first programmer',
    address: "12 St James's Square, London SW1Y 4JH, England",
    phone: `+44 20 7946 ${id}`,
    manager: null,
    token: `${id}-b3f1c6d28e7a40599c1d7e5f3a2b4860-${id}-0f9e8d7c6b5a49382716`,
    preferences: 'mail=weekly;push=off;digest=on;beta=yes;density=comfortable;contrast=high',
    avatar: `https://images.example/avatars/256/${id}/portrait-by-carpenter.webp`,
    lastPage: `/engines/analytical/notes/g/bernoulli-numbers?from=search&step=${id}`,
    biography: '',
  }
  const room = 1024 - JSON.stringify(object).length
  object.biography = 'She published the first algorithm meant for a machine. '.repeat(12).slice(0, room)
  return object
}

function bufferKind(label, bytes) {
  const make = (index) => Buffer.alloc(bytes, `${digits(index)}.`)
  return {
    label,
    bytes,
    make,
    use: (value) => value.length + value[6] * 10 + value[value.length - 1],
    check: (value, index) => Buffer.isBuffer(value) && value.equals(make(index)),
  }
}

function digits(index) {
  return String(index).padStart(7, '0')
}
