/**
 * Shows the progress of the run: on a terminal as one line that is rewritten, elsewhere as one line for each part.
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

  /** Starts a new part of the run. */
  part(title) {
    this.#part = title
    this.#clear()
    this.#log(`${this.#time()} ${title}`)
  }

  /** Shows a step within the part, on a terminal only. */
  step(text) {
    if (!this.#rewrites) return
    this.#clear()
    process.stderr.write(`${this.#time()} ${this.#part}: ${text}`)
  }

  /** Prints a line that stays. */
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
