/**
 * A server program on a Unix socket, which the suite starts and stops.
 */
import { spawn } from 'node:child_process'
import { createConnection } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { killWithParent, prefixOf } from '../placement.mjs'

const MAX_START_MS = 10_000
const MAX_STOP_MS = 5_000

/**
 * Starts the program; resolves when it accepts connections.
 *
 * @param {{ command: string, args: string[], socket: string, placement: string }} options
 */
export async function startServer({ command, args, socket, placement }) {
  const [program, ...rest] = [...killWithParent(), ...prefixOf(placement), command, ...args]
  const child = spawn(program, rest, { stdio: ['ignore', 'ignore', 'inherit'] })
  const exit = new Promise((resolve) => {
    child.on('error', (error) => resolve(error.message))
    child.on('exit', (code, signal) => resolve(code ?? signal))
  })

  const end = performance.now() + MAX_START_MS
  while (!(await accepts(socket))) {
    const ended = await Promise.race([exit, sleep(20)])
    if (ended !== undefined) throw new Error(`${command} ended with ${ended}`)
    if (performance.now() > end) {
      child.kill('SIGKILL')
      throw new Error(`${command} did not listen within ${MAX_START_MS / 1000} s`)
    }
  }
  return {
    pid: child.pid,
    socket,
    async stop() {
      child.kill('SIGTERM')
      const killTimer = setTimeout(() => child.kill('SIGKILL'), MAX_STOP_MS)
      await exit
      clearTimeout(killTimer)
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
