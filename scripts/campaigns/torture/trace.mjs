/**
 * The last operations of each place, in a ring of rows in a file that survives the process. They are printed after a
 * failure.
 *
 * A row is written when an operation begins and again when it has ended. A row without an end was pending at a kill.
 */
import { join } from 'node:path'
import { Table, now } from './ledger.mjs'

const LENGTH = 4096

export class Trace {
  #table
  #names
  #count

  /** `names`: the names of all operations, the same for all places. */
  constructor(folder, slot, names) {
    this.#table = new Table(join(folder, `trace-${slot}`))
    this.#names = names
    this.#count = this.#table.read(LENGTH)[0]
  }

  /** Returns the entry to pass to `end`. `key`: the index of the key, or -1. */
  begin(name, key, number) {
    const entry = { row: this.#count % LENGTH, what: [this.#names.indexOf(name), key, number, now(), 0, 0] }
    this.#table.write(entry.row, entry.what)
    this.#count++
    this.#table.write(LENGTH, [this.#count])
    return entry
  }

  /** `result`: the number of a value, 0 for none, or a negative number for an error. */
  end(entry, result) {
    entry.what[4] = now()
    entry.what[5] = result
    this.#table.write(entry.row, entry.what)
  }

  /** How many operations have begun. */
  get count() {
    return this.#table.read(LENGTH)[0]
  }

  close() {
    this.#table.close()
  }
}

/** The last operations of all places that `wanted` accepts, ordered by their beginning. */
export function readTraces(folder, slots, names, wanted) {
  const entries = []
  for (let slot = 0; slot < slots; slot++) {
    const table = new Table(join(folder, `trace-${slot}`))
    const count = Math.min(table.read(LENGTH)[0], LENGTH)
    for (let row = 0; row < count; row++) {
      const [name, key, number, begun, ended, result] = table.read(row)
      if (begun > 0) entries.push({ slot, name: names[name], key, number, begun, ended, result })
    }
    table.close()
  }
  return entries.filter(wanted).toSorted((a, b) => a.begun - b.begun)
}

/** The number of operations of all places. */
export function countOperations(folder, slots) {
  let sum = 0
  for (let slot = 0; slot < slots; slot++) {
    const table = new Table(join(folder, `trace-${slot}`))
    sum += table.read(LENGTH)[0]
    table.close()
  }
  return sum
}
