/**
 * A server program on a Unix socket, started and stopped by the suite.
 */
import { spawn } from 'node:child_process'
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { endsWithParent, prefixOf } from '../placement.mjs'

const LONGEST_START = 10_000
const LONGEST_END = 5_000

/**
 * Resolves when it accepts connections.
 *
 * @param {{ command: string, args: string[], socket: string, placement: string }} options
 */
export async function startServer({ command, args, socket, placement }) {
  const [program, ...rest] = [...endsWithParent(), ...prefixOf(placement), command, ...args]
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
  const exit = new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(code ?? signal))
  })

  const end = performance.now() + LONGEST_START
  while (!(await accepts(socket))) {
    const ended = await Promise.race([exit, sleep(20)])
    if (ended !== undefined) throw new Error(`${command} ended with ${ended}`)
    if (performance.now() > end) {
      child.kill('SIGKILL')
      throw new Error(`${command} did not listen within ${LONGEST_START / 1000} s`)
    }
  }
  return {
    pid: child.pid,
    socket,
    async stop() {
      child.kill('SIGTERM')
      const impatience = setTimeout(() => child.kill('SIGKILL'), LONGEST_END)
      await exit
      clearTimeout(impatience)
    },
  }
}

function accepts(path) {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.on('connect', () => resolve(true))
    socket.on('error', () => resolve(false))
    socket.on('connect', () => socket.destroy())
  })
}
