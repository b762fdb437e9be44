/**
 * Whatever cuts the story short, as one aborted signal, so that it ends in the same way each time.
 */
const exitCodes = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 }

/**
 * From here to `dispose`, Ctrl-C, SIGTERM, a closed terminal, a closed pipe, and `longest` milliseconds gone by abort
 * `signal`. A second Ctrl-C changes nothing: the first is being obeyed.
 */
export class Interruption {
  #controller = new AbortController()
  #timer
  /** What the shell expects of a process that a signal has ended. */
  exitCode

  constructor(longest) {
    this.#timer = setTimeout(() => this.abort(new Error(`not done within ${longest / 1000} s`)), longest)
    for (const name of Object.keys(exitCodes)) process.on(name, this.#onSignal)
    // Whoever listened has gone, as in `npm start | head -1`.
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
