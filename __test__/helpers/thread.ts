/**
 * Child programs as worker threads; `fork.ts` starts the same programs as processes.
 */
import { Worker } from 'node:worker_threads'
import type { ExecutionContext } from 'ava'
import { within } from './eventually.ts'
import { PATIENCE, typeScript } from './fork.ts'

/** A running worker thread. */
export class Thread {
  readonly worker: Worker
  /** The exit code. */
  readonly exit: Promise<number>
  readonly #messages: unknown[] = []
  #failure: unknown
  #ended = false
  #wake: () => void = () => undefined

  constructor(program: string, input: unknown) {
    this.worker = new Worker(new URL(`../children/${program}.ts`, import.meta.url), {
      workerData: input,
      execArgv: [...typeScript],
    })
    this.worker.on('message', (message) => {
      this.#messages.push(message)
      this.#wake()
    })
    this.worker.on('error', (error) => (this.#failure = error))
    this.exit = new Promise((resolve) => {
      this.worker.on('exit', (code) => {
        this.#ended = true
        this.#wake()
        resolve(code)
      })
    })
  }

  next<T = unknown>(timeout = PATIENCE): Promise<T> {
    return within('a message of a thread', this.#next<T>(), timeout)
  }

  ask<T = unknown>(question: unknown, timeout = PATIENCE): Promise<T> {
    this.worker.postMessage(question)
    return this.next<T>(timeout)
  }

  async #next<T>(): Promise<T> {
    while (this.#messages.length === 0) {
      if (this.#ended) throw new Error('the thread ended', { cause: this.#failure })
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    return this.#messages.shift() as T
  }
}

/** Starts `children/<program>.ts` in a worker thread, which is terminated when the test ends. */
export function startThread(t: ExecutionContext, program: string, input: unknown = {}): Thread {
  const thread = new Thread(program, input)
  t.teardown(async () => {
    await thread.worker.terminate()
  })
  return thread
}
