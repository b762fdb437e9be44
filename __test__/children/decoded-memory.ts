/**
 * Measures the memory of decoded values, in a process without other work: garbage of other code that is freed between
 * two measurements would count as negative.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { decodeStructured } from '../helpers/internals.ts'
import { send } from '../helpers/port.ts'
import { TAGS, varint, withTokens } from '../helpers/tokens.ts'

/** The report: bytes of memory for each byte of input, and the growth of the process while it refused input. */
export interface Measured {
  readonly factors: Record<string, number>
  readonly grown: Record<string, { readonly code: string; readonly bytes: number }>
}

const { ARRAY, KEYED, OBJECT, BARE, MAP, SET, DATE, REGEXP, ERROR, BYTES } = TAGS
const ONE = 0x81
const COUNT = 50_000

/** Each token is as small as its kind allows, and takes the most memory for its size. */
const TOKENS: Record<string, [token: number[], text?: string]> = {
  'empty object': [[OBJECT, 1]],
  'object with 3 names': [[OBJECT, 2, ONE, ONE, ONE]],
  'object with the index 1023': [[OBJECT, 3, ONE]],
  'empty object without a prototype': [[BARE, OBJECT, 1]],
  'object without a prototype with the index 1023': [[BARE, OBJECT, 3, ONE]],
  'empty array': [[ARRAY, 0]],
  'empty array of a length': [[KEYED, 16, 0]],
  'empty array of a large length': [[KEYED, ...varint(30_000_000), 0]],
  'array with one element far out': [[KEYED, ...varint(1001), 1, 4, ...varint(2000), ONE]],
  'array with a name': [[KEYED, 0, 1, 0x41, ONE], 'x'],
  'empty Map': [[MAP, 0, 0, 0, 0]],
  'Map of one': [[MAP, 1, 0, 0, 0, ONE, ONE]],
  'empty Set': [[SET, 0, 0, 0, 0]],
  Date: [[DATE, 0, 0, 0, 0, 0, 0, 0, 0]],
  RegExp: [[REGEXP, 0, 0]],
  'RegExp with a source': [[REGEXP, 1, 0], 'x'],
  'empty Error': [[ERROR, 0, 0, 1, 1, 1, 1, OBJECT, 1]],
  'Error with the name 1023': [[ERROR, 0, 0, 1, 1, 1, 1, OBJECT, 3, ONE]],
  AggregateError: [[ERROR, 7, 15, 1, 1, 1, 1, OBJECT, 1]],
  'empty Buffer': [[BYTES, 0, 0, 0, 0, 0]],
  'Buffer of one byte': [[BYTES, 0, 1, 0, 0, 0, 7]],
  'empty ArrayBuffer': [[BYTES, 1, 0, 0, 0, 0]],
  'empty DataView': [[BYTES, 2, 0, 0, 0, 0]],
  'empty Uint8Array': [[BYTES, 3, 0, 0, 0, 0]],
  'Uint8Array of one byte': [[BYTES, 3, 1, 0, 0, 0, 7]],
  bigint: [[7, 1, 2, 3, 4, 5, 6, 7, 8]],
  'text of 2 units': [[0x42], 'ab'],
  'text of 13 units': [[0x4d], 'abcdefghijklm'],
}

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

send({
  factors: Object.fromEntries(Object.entries(TOKENS).map(([what, [token, text]]) => [what, factorOf(token, text)])),
  grown: grownByBombs(),
} satisfies Measured)

/** Bytes of memory for each byte of many such tokens. */
function factorOf(token: readonly number[], text = ''): number {
  const shapes = ['{}', '{"a":0,"b":0,"c":0}', '{"1023":0}']
  const first = [OBJECT, 0, 2, OBJECT, 0, 19, ONE, ONE, ONE, OBJECT, 0, 10, ONE]
  const all = Uint8Array.from({ length: COUNT * token.length }, (_, i) => token[i % token.length] as number)
  const bytes = withTokens([ARRAY, ...varint(COUNT + 3), ...first, ...all], shapes.join('') + text.repeat(COUNT))
  decodeStructured(bytes) // remembered shapes and compiled code do not belong to this value
  const before = usedMemory()
  const value = decodeStructured(bytes) as unknown[]
  const used = usedMemory() - before
  if (value.length !== COUNT + 3) throw new Error('not all was decoded')
  return used / bytes.length
}

/** 900 nested containers, each of which would have room for all bytes that follow. */
function grownByBombs(): Measured['grown'] {
  const length = 1_000_000
  const shape = JSON.stringify(Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`n${i}`, 0])))
  const bombs: Record<string, [token: number[], text: string]> = {
    array: [[ARRAY, ...varint(length - 10_000)], ''],
    names: [[KEYED, ...varint(length), ...varint(length / 2 - 10_000)], ''],
    Map: [[MAP, 0xf0, 0x49, 2, 0], ''],
    'objects with 10,000 names': [[OBJECT, 1], shape],
  }
  const entries = Object.entries(bombs).map(([what, [token, text]]) => {
    const start = text === '' ? [] : [OBJECT, 0, ...varint(text.length)]
    const levels = Array.from({ length: 900 }, () => token).flat()
    const bytes = withTokens([...start, ...levels, ...new Uint8Array(length)], text)
    collect()
    const before = process.resourceUsage().maxRSS
    const code = refusalOf(bytes)
    return [what, { code, bytes: (process.resourceUsage().maxRSS - before) * 1024 }] as const
  })
  return Object.fromEntries(entries)
}

function refusalOf(bytes: Buffer): string {
  try {
    decodeStructured(bytes)
    return 'none'
  } catch (error) {
    return (error as { code: string }).code
  }
}

function usedMemory(): number {
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
