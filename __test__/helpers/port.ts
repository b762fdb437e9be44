/**
 * The child's end of `fork.ts` and `thread.ts`: how a child program gets its input and exchanges messages with the
 * test.
 */
import { parentPort, workerData } from 'node:worker_threads'

/** The input that the test passed. */
export function input<T>(): T {
  return (parentPort ? workerData : JSON.parse(process.argv.at(-1) ?? '{}')) as T
}

/** Sends a message to the test. */
export function send(message: unknown): void {
  if (parentPort) parentPort.postMessage(message)
  else process.send?.(message)
}

/** Calls `listener` with each message of the test. Keeps the program alive. */
export function receive<T>(listener: (message: T) => void): void {
  if (parentPort) parentPort.on('message', listener)
  else process.on('message', listener as (message: unknown) => void)
}
