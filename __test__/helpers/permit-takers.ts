/**
 * Other processes and threads that take locks, permits and leaderships: `children/permit-taker.ts`.
 */
import type { ExecutionContext } from 'ava'
import { fork, STARTED } from './fork.ts'
import type { Child } from './fork.ts'
import { SMALL } from './segment.ts'
import { startThread } from './thread.ts'
import type { Thread } from './thread.ts'

/** Starts a process, and resolves when it is ready. */
export async function startTaker(t: ExecutionContext, name: string): Promise<Child> {
  const child = fork(t, 'permit-taker', { name, size: SMALL })
  await child.next(STARTED)
  return child
}

/** Starts a worker thread, and resolves when it is ready. */
export async function startTakerThread(t: ExecutionContext, name: string): Promise<Thread> {
  const thread = startThread(t, 'permit-taker', { name, size: SMALL })
  await thread.next(STARTED)
  return thread
}
