/**
 * The progress of a build by cargo, which takes minutes the first time: how many crates, which one now, and for how
 * long.
 */

/** Milliseconds between two lines where there is no terminal. */
const LINE_AFTER = 10_000

export class CargoProgress {
  #crates = 0
  #current
  #rest = ''
  #start
  /** When the present crate began, and when the last line was shown. */
  #since
  #shown
  #log
  #terminal
  #now
  #timer

  /**
   * @param {(line: string) => void} log
   * @param {{ terminal?: { isTTY?: boolean, write(text: string): unknown }, now?: () => number }} [options] `terminal`:
   *   shows the progress in one line. `now`: milliseconds.
   */
  constructor(log, { terminal = process.stdout, now = () => performance.now() } = {}) {
    this.#log = log
    this.#terminal = terminal.isTTY ? terminal : undefined
    this.#now = now
    this.#start = this.#since = this.#shown = now()
  }

  /** Shows the progress each second until `end`. */
  begin() {
    this.#timer = setInterval(() => this.show(), 1000)
  }

  /** Reads a piece of the output of cargo. */
  take(text) {
    const lines = (this.#rest + text).split('\n')
    this.#rest = lines.pop()
    for (const line of lines) {
      const [, crate] = /^\s*Compiling (\S+) v/.exec(line) ?? []
      if (crate === undefined) continue
      this.#crates++
      this.#current = crate
      this.#since = this.#now()
    }
  }

  show() {
    const now = this.#now()
    if (this.#terminal !== undefined) this.#terminal.write(`\r\u{1b}[K${this.#line(now)}`)
    else if (now - this.#shown >= LINE_AFTER) {
      this.#shown = now
      this.#log(this.#line(now))
    }
  }

  end() {
    clearInterval(this.#timer)
    if (this.#terminal !== undefined) this.#terminal.write('\r\u{1b}[K')
  }

  #line(now) {
    const time = `${seconds(now - this.#start)} s`
    if (this.#current === undefined) return `  ${time}: cargo prepares the build`
    const count = this.#crates === 1 ? '1 crate' : `${this.#crates} crates`
    return `  ${time}: ${count}, now ${this.#current} for ${seconds(now - this.#since)} s`
  }
}

function seconds(ms) {
  return Math.floor(ms / 1000)
}
