/**
 * Child programs: started from `children/`, reached over IPC, ended when the test ends.
 *
 * A program gets its input as JSON in its last argument and sends messages with `port.ts`. Caution: every wait for a
 * child must also end when the child ends, or a crash would look like a hang.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess, Serializable, StdioOptions } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { ExecutionContext } from 'ava'
import { within } from './eventually.ts'

/** Milliseconds to wait for a message: a large program takes long to start on a busy machine. */
export const PATIENCE = 30_000

/** The arguments with which Node.js runs TypeScript. */
export const typeScript: readonly string[] = ['--import', new URL('typescript.mjs', import.meta.url).href]

/** Milliseconds to wait for a process to start: a busy machine may take this long. */
export const STARTED = 40_000

/** How a child ended. */
export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface ForkOptions {
  /** The command before Node, with its arguments: `['unshare', '-pf']`. */
  wrapper?: readonly string[]
  /** A folder made by `compile`. Its program is started instead: for tests with very many children. */
  compiled?: string
  /** What happens to standard output: it is printed with the output of the test, or the test reads it. */
  stdout?: 'inherit' | 'pipe'
}

/** A running child program. */
export class Child {
  readonly process: ChildProcess
  /** Settles when the child has ended and all its output was read. */
  readonly exit: Promise<Exit>
  /** All its output, if `stdout` is `'pipe'`. */
  output = ''
  readonly #messages: unknown[] = []
  #wake: () => void = () => undefined
  #ended: Exit | undefined

  constructor(program: string, input: unknown, options: ForkOptions) {
    const file =
      options.compiled === undefined
        ? [...typeScript, fileURLToPath(new URL(`../children/${program}.ts`, import.meta.url))]
        : [join(options.compiled, '__test__', 'children', `${program}.js`)]
    const node = [process.execPath, ...file, JSON.stringify(input)]
    const [command = '', ...args] = [...(options.wrapper ?? []), ...node]
    const stdio: StdioOptions = ['ignore', options.stdout ?? 'inherit', 'inherit', 'ipc']
    this.process = spawn(command, args, { stdio, serialization: 'advanced' })
    this.process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.output += text))
    this.process.on('message', (message) => {
      this.#messages.push(message)
      this.#wake()
    })
    this.exit = new Promise((resolve) => {
      this.process.on('close', (code, signal) => {
        this.#ended = { code, signal }
        this.#wake()
        resolve(this.#ended)
      })
    })
  }

  /** The next message. Rejects if the child ends first, or after `timeout` milliseconds. */
  next<T = unknown>(timeout = PATIENCE): Promise<T> {
    return within(`a message of child ${this.process.pid}`, this.#next<T>(), timeout)
  }

  /** Sends a message, and returns the next message of the child. */
  ask<T = unknown>(question: unknown, timeout = PATIENCE): Promise<T> {
    this.send(question)
    return this.next<T>(timeout)
  }

  send(message: unknown): void {
    this.process.send(message as Serializable)
  }

  kill(signal: NodeJS.Signals = 'SIGKILL'): void {
    this.process.kill(signal)
  }

  async #next<T>(): Promise<T> {
    while (this.#messages.length === 0) {
      if (this.#ended) throw new Error(`the child ended with ${this.#ended.code ?? this.#ended.signal}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#messages.shift() as T
  }
}

/** Starts `children/<program>.ts`. It is killed when the test ends. */
export function fork(t: ExecutionContext, program: string, input: unknown = {}, options: ForkOptions = {}): Child {
  const child = new Child(program, input, options)
  t.teardown(async () => {
    child.kill()
    await child.exit
  })
  return child
}
