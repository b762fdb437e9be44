/**
 * Turns everything that can interrupt the story into one aborted signal, so that the story always ends in the same way.
 */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }

/**
 * From its construction to `dispose`, these abort `signal`: Ctrl-C, SIGTERM, a closed terminal, a closed pipe, and
 * the end of `maxTime` milliseconds. A second Ctrl-C changes nothing.
 */
export class Interruption {
  #controller = new AbortController()
  #timer
  /** The exit code that a shell expects after the signal. */
  exitCode

  constructor(maxTime) {
    this.#timer = setTimeout(() => this.abort(new Error(`not done within ${maxTime / 1000} s`)), maxTime)
    for (const name of Object.keys(exitCodes)) process.on(name, this.#onSignal)
    // The reader of the pipe has ended, as in `npm start | head -1`.
    process.stdout.on('error', (error) => this.abort(error))
  }

  get signal() {
    return this.#controller.signal
  }

  abort(reason) {
    this.#controller.abort(reason)
  }

  dispose() {
    clearTimeout(this.#timer)
    for (const name of Object.keys(exitCodes)) process.off(name, this.#onSignal)
  }

  #onSignal = (name) => {
    this.exitCode ??= exitCodes[name]
    this.abort(new Error(`${name}: cleaning up`))
  }
}
