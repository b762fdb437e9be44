/**
 * Fixtures for the specs of regions: a region with a second user, a closed region, and the error of a call.
 */
import type { ExecutionContext } from 'ava'
import { CacheError, openRegion } from '../../index.ts'
import type { CacheErrorCode, Region } from '../../index.ts'
import { fork } from './fork.ts'
import type { Child } from './fork.ts'
import { openTestRegion, regionName } from './region.ts'

/** Other holders may be off their core for long. */
export const PATIENT = { timeout: '30s' } as const

/** A region with one user in another process. */
export async function shared(t: ExecutionContext): Promise<{ region: Region; names: Names; child: Child }> {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  return { region, names, child: await user(t, names) }
}

export interface Names {
  readonly cache: string
  readonly name: string
}

export async function user(t: ExecutionContext, names: Names): Promise<Child> {
  const child = fork(t, 'region-user', { ...names, size: 4096 })
  t.is(await child.next(30_000), 'ready')
  return child
}

/** A region that is open in no process, with some content, and the expected results of the next attempt to open it. */
export function closedRegion(t: ExecutionContext): {
  names: Names
  path: string
  reopens: () => void
  refuses: (code: CacheErrorCode, hint?: RegExp) => void
} {
  const names = regionName(t)
  const region = openTestRegion(t, names)
  new Uint8Array(region.buffer)[0] = 5
  region.close()
  const reopens = (): void => {
    const again = openTestRegion(t, names)
    t.false(again.created)
    t.is(new Uint8Array(again.buffer)[0], 5)
    again.close()
  }
  const refuses = (code: CacheErrorCode, hint?: RegExp): void => {
    throwsCode(t, code, () => openRegion({ ...names, size: 4096 }), hint)
  }
  return { names, path: region.path, reopens, refuses }
}

export function throwsCode(t: ExecutionContext, code: CacheErrorCode, run: () => unknown, hint = /./): void {
  const error = t.throws<CacheError>(run, { instanceOf: CacheError, code })
  t.regex(error?.hint ?? '', hint)
  t.true((error?.message.length ?? 0) > 10)
}
