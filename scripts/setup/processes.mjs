/**
 * Runs other programs to their end, and ends them with their children when a time limit passes or a signal arrives.
 */
import { spawn } from 'node:child_process'
import { root } from './repository.mjs'

/**
 * Runs a program to its end and throws, with its output, if it fails.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {Parameters<typeof capture>[2]} [options]
 */
export async function run(command, args, options) {
  const { code, output } = await capture(command, args, options)
  if (code !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${code}\n${output.trimEnd()}`)
}

/**
 * Runs a program to its end, in a process group of its own, so that a time limit also ends the programs that it
 * started.
 *
 * @param {string} command
 * @param {string[]} args
 * @param {{
 *   env?: Record<string, string>, timeout?: number, signal?: AbortSignal, cwd?: string,
 *   onOutput?: (text: string) => void
 * }} [options] `timeout` in milliseconds. `signal` ends the program, such as a server. `onOutput`: gets each piece of the
 *   output as well.
 * @returns {Promise<{ code: number | string, output: string }>} `code`: the exit code, the name of a signal, `ENOENT`
 *   or `timeout`.
 */
export function capture(command, args, { env, timeout, signal, cwd = root, onOutput } = {}) {
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      cwd,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    })
    let output = ''
    const take = (text) => {
      output += text
      onOutput?.(text)
    }
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', take)

    const timer = timeout === undefined ? undefined : setTimeout(expire, timeout)
    let expired = false
    function expire() {
      expired = true
      take(`\nNot done within ${timeout / 1000} s: ended.\n`)
      end()
    }
    function end() {
      killGroup(child, 'SIGTERM')
      setTimeout(killGroup, 5_000, child, 'SIGKILL').unref()
    }
    function finish(code) {
      clearTimeout(timer)
      signal?.removeEventListener('abort', end)
      for (const stream of [child.stdout, child.stderr]) stream.destroy()
      forget(child)
      resolve({ code: expired ? 'timeout' : code, output })
    }

    watch(child)
    signal?.addEventListener('abort', end)
    child.on('error', (error) => {
      take(`${error.message}\n`)
      finish(error.code)
    })
    child.on('close', (code, signal) => finish(code ?? signal))
    // A daemon that the program left behind may hold the pipes open, and `close` waits for them.
    child.on('exit', (code, signal) => setTimeout(finish, 3_000, code ?? signal).unref())
  })
}

const running = new Set()
const signals = ['SIGINT', 'SIGTERM', 'SIGHUP']
let interruption

/**
 * The terminal's Ctrl-C does not reach another process group. So this process passes signals on, and obeys them once
 * the last child has ended.
 */
function watch(child) {
  if (running.size === 0) for (const signal of signals) process.on(signal, passOn)
  running.add(child)
}

function forget(child) {
  if (!running.delete(child) || running.size > 0) return
  for (const signal of signals) process.off(signal, passOn)
  if (interruption !== undefined) process.kill(process.pid, interruption)
}

function passOn(signal) {
  interruption = signal
  for (const child of running) killGroup(child, signal)
}

function killGroup(child, signal) {
  try {
    process.kill(-child.pid, signal)
  } catch {
    // The group has already ended.
  }
}
