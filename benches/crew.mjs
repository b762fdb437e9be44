/**
 * The measuring processes of one contender: one, or several with the same store.
 *
 * `Crew.start` resolves when all have opened it. The thing to get wrong: a crew must be ended also when its start fails, so
 * it is in the suite's list from its first process on.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { prefixOf } from './placement.mjs'

const program = fileURLToPath(new URL('child.mjs', import.meta.url))
const primary = fileURLToPath(new URL('servers/primary.mjs', import.meta.url))
const LONGEST_END = 10_000

let started = 0

export class Crew {
  #processes = []
  #peers = []
  #exits = []

  /**
   * @param {import('./suite.mjs').Suite} suite
   * @param {{ contender?: import('./contenders/index.mjs').Contender, placement?: string, count?: number, context?: object, execArgv?: string[] }} options
   *   `contender`: none for processes that have no store; `count`: how many processes.
   */
  static async start(suite, { contender, placement = 'free', count = 1, context = {}, execArgv = [] }) {
    const crew = new Crew()
    crew.contender = contender
    crew.placement = placement
    if (suite.isAbandoned) throw new Error('the run was interrupted')
    suite.crews.add(crew)
    try {
      await crew.#launch(suite.hub, count, execArgv)
      if (contender !== undefined) await crew.#open(suite, context)
      return crew
    } catch (error) {
      await crew.end(suite)
      throw error
    }
  }

  get first() {
    return this.#peers[0]
  }

  /** The processes of the crew. */
  get pids() {
    return this.#peers.map(({ pid }) => pid)
  }

  /** The primary's, if it has one. */
  get primaryPid() {
    return this.contender?.server === 'primary' ? this.#processes[0].pid : undefined
  }

  /** Asks the first `count` processes at the same time. */
  askAll(command, argsOf = () => ({}), count = this.#peers.length) {
    return Promise.all(this.#peers.slice(0, count).map((peer, i) => peer.ask(command, argsOf(i))))
  }

  ask(place, command, args) {
    return this.#peers[place].ask(command, args)
  }

  /** Closes the store, removes what is left of it, and resolves when the processes are gone. */
  async end(suite) {
    if (!suite.crews.delete(this)) return
    for (const peer of this.#peers.slice(1)) await peer.ask('close', {}, LONGEST_END).catch(() => undefined)
    await this.first?.ask('close', { destroy: true }, LONGEST_END).catch(() => undefined)
    for (const peer of this.#peers) peer.hangUp()
    const impatience = setTimeout(() => this.kill(), LONGEST_END)
    await this.gone()
    clearTimeout(impatience)
  }

  /** Resolves when all its processes are. */
  async gone() {
    await Promise.all(this.#exits)
  }

  kill() {
    for (const child of this.#processes) child.kill('SIGKILL')
  }

  async #launch(hub, count, execArgv) {
    const ids = Array.from({ length: count }, () => `child-${++started}`)
    const inputs = ids.map((id) => JSON.stringify({ socket: hub.path, id }))
    if (this.contender?.server === 'primary') this.#spawnPrimary(inputs, execArgv)
    else for (const input of inputs) this.#spawn([...execArgv, program], { BENCH_CHILD: input })

    const failed = Promise.race(this.#exits).then((code) => {
      throw new Error(`a measuring process ended with ${code}`)
    })
    failed.catch(() => undefined)
    this.#peers = await Promise.all(ids.map((id) => hub.expect(id, failed)))
  }

  #spawnPrimary(workers, execArgv) {
    const { serialization, store } = this.contender
    this.#spawn([primary, JSON.stringify({ workers, program, execArgv, serialization, store })], {})
  }

  #spawn(args, env) {
    const [command, ...rest] = [...prefixOf(this.placement), process.execPath, ...args]
    const child = spawn(command, rest, { env: { ...process.env, ...env }, stdio: ['ignore', 'ignore', 'inherit'] })
    this.#processes.push(child)
    this.#exits.push(
      new Promise((resolve) => {
        child.on('error', (error) => resolve(error.message))
        child.on('exit', (code, signal) => resolve(code ?? signal))
      }),
    )
  }

  async #open(suite, context) {
    const { server } = this.contender
    const socket =
      server === undefined || server === 'primary'
        ? undefined
        : await suite.servers.socketOf(server, this.placement, context)
    const args = { contender: this.contender.id, context: { folder: suite.memoryFolder, socket, ...context } }
    // The first creates what the others attach to.
    const [first, ...others] = this.#peers
    await first.ask('open', args)
    await Promise.all(others.map((peer) => peer.ask('open', args)))
  }
}
