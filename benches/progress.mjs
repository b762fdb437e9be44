/**
 * Where the run is: one line that is rewritten on a terminal, and one line for each part elsewhere.
 */
export class Progress {
  #start = performance.now()
  #part = ''
  #log
  #rewrites = process.stderr.isTTY === true

  /** @param {(line: string) => void} log */
  constructor(log) {
    this.#log = log
  }

  /** A new part of the run. */
  part(title) {
    this.#part = title
    this.#clear()
    this.#log(`${this.#time()} ${title}`)
  }

  /** A step within the part; shown on a terminal only. */
  step(text) {
    if (!this.#rewrites) return
    this.#clear()
    process.stderr.write(`${this.#time()} ${this.#part}: ${text}`)
  }

  /** What a reader must not miss. */
  say(text) {
    this.#clear()
    this.#log(text)
  }

  end() {
    this.#clear()
  }

  #time() {
    return `${((performance.now() - this.#start) / 1000).toFixed(0).padStart(4)} s`
  }

  #clear() {
    if (this.#rewrites) process.stderr.write('\r\u001B[K')
  }
}
