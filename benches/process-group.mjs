/**
 * The measuring processes of one contender: one process, or several with the same store.
 *
 * `ProcessGroup.start` resolves when all of them have opened the store. A group must also end when its start fails, so
 * it is in the suite's list before its first process starts.
 */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { prefixOf } from './placement.mjs'

const program = fileURLToPath(new URL('child.mjs', import.meta.url))
const primary = fileURLToPath(new URL('servers/primary.mjs', import.meta.url))
const MAX_STOP_MS = 10_000

let started = 0

export class ProcessGroup {
  #processes = []
  #peers = []
  #exits = []

  /**
   * @param {import('./suite.mjs').Suite} suite
   * @param {{ contender?: import('./contenders/index.mjs').Contender, placement?: string, count?: number, context?: object, execArgv?: string[] }} options
   *   `contender`: none for processes without a store; `count`: the number of processes.
   */
  static async start(suite, { contender, placement = 'free', count = 1, context = {}, execArgv = [] }) {
    const group = new ProcessGroup()
    group.contender = contender
    group.placement = placement
    if (suite.isAbandoned) throw new Error('the run was interrupted')
    suite.groups.add(group)
    try {
      await group.#launch(suite.hub, count, execArgv)
      if (contender !== undefined) await group.#open(suite, context)
      return group
    } catch (error) {
      await group.end(suite)
      throw error
    }
  }

  get first() {
    return this.#peers[0]
  }

  get pids() {
    return this.#peers.map(({ pid }) => pid)
  }

  /** Sends a command to the first `count` processes at the same time. */
  askAll(command, argsOf = () => ({}), count = this.#peers.length) {
    return Promise.all(this.#peers.slice(0, count).map((peer, i) => peer.ask(command, argsOf(i))))
  }

  ask(index, command, args) {
    return this.#peers[index].ask(command, args)
  }

  /** Closes the store, removes it from the host, and resolves when the processes have ended. */
  async end(suite) {
    if (!suite.groups.delete(this)) return
    for (const peer of this.#peers.slice(1)) await peer.ask('close', {}, MAX_STOP_MS).catch(() => undefined)
    await this.first?.ask('close', { destroy: true }, MAX_STOP_MS).catch(() => undefined)
    for (const peer of this.#peers) peer.disconnect()
    const killTimer = setTimeout(() => this.kill(), MAX_STOP_MS)
    await this.ended()
    clearTimeout(killTimer)
  }

  /** Resolves when all processes have ended. */
  async ended() {
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
    // The first process creates the store; the others attach to it.
    const [first, ...others] = this.#peers
    await first.ask('open', args)
    await Promise.all(others.map((peer) => peer.ask('open', args)))
  }
}
