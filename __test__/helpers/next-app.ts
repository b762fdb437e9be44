/**
 * An application of Next as a spec sees it: builds, servers, and what it asks them.
 */
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { root } from './internals.ts'

export interface Server {
  readonly url: string
  output(): string
  end(): Promise<void>
}

export interface Variant {
  readonly versions: string
  readonly sources: string
  readonly flags: string[]
}

interface Apps {
  readonly variants: Record<string, Variant>
  installApp(variant: Variant): Promise<{ folder: string; remove(): Promise<void> }>
  /** Returns the folder of the standalone server. */
  buildApp(folder: string, variant: Variant, name: string, env: Record<string, string>): Promise<string>
  /** Returns what the compiler says. */
  checkAppTypes(folder: string): Promise<string>
  serveApp(folder: string, env: Record<string, string>): Promise<Server>
  countingService(): Promise<{ url: string; countOf(path: string): number; close(): void }>
}

/** Of a build and of a server, on a machine with other load. */
export const NEXT_LIMIT_MS = 900_000

export const nextApps = (await import(join(root, 'scripts/verify/next-apps.mjs'))) as Apps

export interface Answer {
  readonly status: number
  readonly text: string
  /** What the service counted when the page asked it. */
  readonly count: number
  /** `HIT`, `STALE` or `MISS`. */
  readonly cache: string | null
}

export async function ask(server: Server | undefined, path: string, init?: RequestInit): Promise<Answer> {
  const response = await fetch(`${server?.url}${path}`, init)
  const text = await response.text()
  const cache = response.headers.get('x-nextjs-cache')
  return { status: response.status, text, count: Number(/count (\d+)/.exec(text)?.[1]), cache }
}

export async function countAt(server: Server | undefined, path: string): Promise<number> {
  return (await ask(server, path)).count
}

/** Revalidates a tag or a path in a route handler. `profile: 'now'`: at once. */
export async function change(
  t: ExecutionContext,
  server: Server | undefined,
  query: { tag?: string; path?: string; profile?: string },
): Promise<void> {
  const { text } = await ask(server, `/change?${new URLSearchParams(query).toString()}`, { method: 'POST' })
  t.is(text, 'changed')
}

/** Submits the form of a page with a server action, as a browser without scripts does. */
export async function act(t: ExecutionContext, server: Server | undefined, tag: string): Promise<void> {
  const { text } = await ask(server, '/action')
  const [, action] = /name="(\$ACTION_ID_[^"]+)"/.exec(text) ?? []
  const body = new FormData()
  body.set(action ?? '', '')
  body.set('tag', tag)
  t.is((await ask(server, '/action', { method: 'POST', body })).status, 200)
}
