/**
 * A process that is suspended (SIGSTOP) inside a write.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import type { OpenOptions, SharedCache } from '../../index.ts'
import { eventually } from './eventually.ts'
import { fork } from './fork.ts'
import type { Child } from './fork.ts'
import { isSuspended } from './system.ts'

/** The first write that failed beside a suspended process. */
export interface FailedWrite {
  readonly key: string
  readonly took: number
  readonly error: unknown
}

/** Starts a process that writes large values without end, and resolves when it writes. */
export async function startLargeWriter(t: ExecutionContext, options: OpenOptions): Promise<Child> {
  const child = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] })
  await child.next()
  return child
}

/** Suspends `child` again and again, until a write of `cache` fails because `child` holds the shard of its key. */
export function suspendInsideWrite(child: Child, cache: SharedCache): Promise<FailedWrite> {
  return eventually(
    'a write meets a suspended holder',
    async () => {
      await delay(Math.random() * 5)
      child.kill('SIGSTOP')
      await isSuspended(child.process.pid)
      for (let i = 0; i < 20; i++) {
        const [key, before] = [`probe${i}`, performance.now()]
        try {
          cache.set(key, i)
        } catch (error) {
          return { key, took: performance.now() - before, error }
        }
      }
      child.kill('SIGCONT')
      return undefined
    },
    30_000,
  )
}
