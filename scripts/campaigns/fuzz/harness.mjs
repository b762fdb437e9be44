/**
 * Shared by the fuzz targets in JavaScript: random numbers from a seed, mutated bytes, and the main loop.
 *
 * There is no coverage feedback from JavaScript. Instead, `Corpus` keeps each input that had a new outcome, and
 * mutates it further.
 */
import { parseArgs } from 'node:util'

/** A generator of whole numbers below a limit, the same for the same seed. */
export function randomBelow(seed) {
  let state = (seed ^ 0x9e3779b9) >>> 0 || 1
  return (limit) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % limit
  }
}

/** Inputs to mutate: valid ones at first, then also each input that had a new outcome. */
export class Corpus {
  #inputs
  #below
  #outcomes = new Set()

  constructor(inputs, below) {
    this.#inputs = inputs
    this.#below = below
  }

  next() {
    return mutate(this.#pick(), this.#pick(), this.#below)
  }

  note(input, outcome) {
    if (this.#outcomes.has(outcome)) return
    this.#outcomes.add(outcome)
    this.#inputs.push(input)
  }

  #pick() {
    return this.#inputs[this.#below(this.#inputs.length)]
  }
}

/** Bytes of an input. */
const MAX_LENGTH = 4096

/**
 * Makes one to eight changes: bits, bytes, numbers, and pieces that are removed, repeated or taken from another
 * input.
 */
function mutate(input, other, below) {
  let bytes = Buffer.from(input)
  for (let changes = 1 << below(4); changes > 0; changes--) {
    if (bytes.length === 0) bytes = Buffer.from([below(256)])
    const at = below(bytes.length)
    const piece = 1 + below(Math.min(16, bytes.length))
    switch (below(8)) {
      case 0:
        bytes[at] ^= 1 << below(8)
        break
      case 1:
        bytes[at] = below(256)
        break
      case 2:
        bytes[at] = [0, 1, 0x7f, 0x80, 0xff][below(5)]
        break
      case 3:
        bytes = Buffer.concat([bytes.subarray(0, at), bytes.subarray(at + piece)])
        break
      case 4:
        bytes = Buffer.concat([bytes.subarray(0, at + piece), bytes.subarray(at)])
        break
      case 5:
        bytes = Buffer.concat([bytes.subarray(0, at), other.subarray(below(other.length + 1))])
        break
      case 6:
        if (bytes.length >= 4)
          bytes.writeUInt32LE([0, 1, 0xffff, 0x7fffffff, 0xffffffff, bytes.length][below(6)], below(bytes.length - 3))
        break
      default:
        bytes = bytes.subarray(0, at)
    }
    bytes = bytes.subarray(0, MAX_LENGTH)
  }
  return bytes
}

/**
 * Calls `run` until the seconds of `--seconds` are over, then prints the number of executions.
 *
 * @param {(options: { below: (limit: number) => number, seed: number }) => { run(): void | Promise<void>, end?():
 *   void }} prepare
 */
export async function fuzz(prepare) {
  const { values } = parseArgs({ options: { seconds: { type: 'string' }, seed: { type: 'string' } } })
  const seed = Number(values.seed ?? 1)
  const end = performance.now() + Number(values.seconds ?? 60) * 1000
  const { run, end: finish } = prepare({ below: randomBelow(seed), seed })
  let executions = 0
  try {
    for (; performance.now() < end; executions++) {
      // Sequential, since each execution starts from the state that the one before it left.
      await run()
    }
  } finally {
    finish?.()
  }
  console.log(`executions: ${executions}`)
}

/** The prototypes that hostile data might change, each with the names of its properties, as text to compare. */
export function prototypesNow() {
  const all = [Object, Array, Map, Set, Error, RegExp, Date, Function, Uint8Array, String, Number]
  return all.map(({ name, prototype }) => `${name}: ${Reflect.ownKeys(prototype).map(String).join()}`).join('\n')
}
