/**
 * A bar for work that takes longer than a second. It is shown on a terminal only, on standard error.
 */
import type { Milliseconds } from '../arguments/units.ts'
import { count } from './output.ts'
import type { Output } from './output.ts'

const QUIET: Milliseconds = 1000
const EVERY: Milliseconds = 100
const WIDTH = 24

export class Progress {
  readonly #err: Output
  readonly #title: string
  readonly #begun: Milliseconds
  readonly #now: () => Milliseconds
  #drawn: Milliseconds
  #isShown = false

  constructor(err: Output, title: string, now: () => Milliseconds = () => performance.now()) {
    this.#err = err
    this.#title = title
    this.#now = now
    this.#begun = now()
    this.#drawn = this.#begun
  }

  /** `total` may grow meanwhile; 0: unknown. */
  show(done: number, total: number): void {
    this.#draw((elapsed) => barOf(this.#title, done, total, elapsed))
  }

  /** Shows the time so far, until `work` is done: for work that does not tell how far it is. Ends the bar. */
  async during<T>(work: Promise<T>): Promise<T> {
    const timer = setInterval(() => this.showTime(), EVERY)
    try {
      return await work
    } finally {
      clearInterval(timer)
      this.end()
    }
  }

  /** Shows the time so far. */
  showTime(): void {
    this.#draw((elapsed) => `${this.#title}  ${Math.floor(elapsed / 1000)} s`)
  }

  #draw(line: (elapsed: Milliseconds) => string): void {
    if (!this.#err.isTerminal) return
    const now = this.#now()
    if (now - this.#begun < QUIET || now - this.#drawn < EVERY) return
    this.#drawn = now
    this.#isShown = true
    this.#err.write(`\r\u001B[K${line(now - this.#begun)}`)
  }

  /** Removes the bar. */
  end(): void {
    if (this.#isShown) this.#err.write('\r\u001B[K')
    this.#isShown = false
  }
}

/** The line of a bar. */
export function barOf(title: string, done: number, total: number, elapsed: Milliseconds): string {
  if (total <= 0) return `${title}  ${count(done)}`
  const part = Math.min(1, done / total)
  const full = Math.round(part * WIDTH)
  const left = part === 0 ? '' : `, ${Math.ceil((elapsed * (1 - part)) / part / 1000)} s left`
  const bar = '#'.repeat(full) + '.'.repeat(WIDTH - full)
  return `${title}  [${bar}] ${Math.floor(part * 100)} %, ${count(done)} of ${count(total)}${left}`
}
