/**
 * The ledger of a round: which operations were begun and which were acknowledged. It is a plain file of rows with
 * fixed places.
 *
 * A written row is in the page cache, so it survives a `kill -9` of its writer. Each row has one writer at a time. A
 * reader may find a row half written: the last number of a row is a checksum, and a row with a wrong checksum is read
 * again.
 */
import { Buffer } from 'node:buffer'
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs'

/** Numbers in a row, without the checksum. */
export const WIDTH = 7
const BYTES = (WIDTH + 1) * 8
const TRIES = 10_000

/** Rows of numbers in a file. A row that was never written has only zeros. */
export class Table {
  #file
  #numbers = new Float64Array(WIDTH + 1)
  #bytes = Buffer.from(this.#numbers.buffer)

  constructor(path) {
    this.#file = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600)
  }

  write(row, values) {
    for (let i = 0; i < WIDTH; i++) this.#numbers[i] = values[i] ?? 0
    this.#numbers[WIDTH] = checksum(this.#numbers)
    writeSync(this.#file, this.#bytes, 0, BYTES, row * BYTES)
  }

  /** Returns a new array. */
  read(row) {
    for (let tries = 0; tries < TRIES; tries++) {
      const length = readSync(this.#file, this.#bytes, 0, BYTES, row * BYTES)
      this.#bytes.fill(0, length)
      if (this.#numbers[WIDTH] === checksum(this.#numbers)) return Array.from(this.#numbers.subarray(0, WIDTH))
    }
    throw new Error(`row ${row} of the ledger never has a right checksum`)
  }

  close() {
    closeSync(this.#file)
  }
}

function checksum(numbers) {
  let sum = 0
  for (let i = 0; i < WIDTH; i++) sum += numbers[i] * (i + 3)
  return sum
}

/** Milliseconds of a monotonic clock that all processes and threads of the host share. */
export function now() {
  return Number(process.hrtime.bigint()) / 1e6
}
