/**
 * An application under a real PM2 daemon of its own.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { eventually } from './eventually.ts'
import { STARTED } from './fork.ts'
import { Client } from './host-app.ts'
import { programPath, root } from './internals.ts'

/** A process or a module of PM2. */
export interface Pm2Process {
  readonly name: string
  readonly pid: number
  readonly status: string
  readonly restarts: number
  readonly isWorker: boolean
  readonly metrics: Readonly<Record<string, { readonly value: unknown }>>
}

interface Pm2Daemon extends Record<'start' | 'stop' | 'reload' | 'show', (what: string) => Promise<string>> {
  install(what: string, folder?: string): Promise<string>
  set(name: string, value: string): Promise<string>
  trigger(name: string, action: string, argument?: string): Promise<string>
  kill(): Promise<string>
  list(): Promise<Pm2Process[]>
  workers(): Promise<{ pid: number }[]>
}

export const { Pm2 } = (await import(join(root, 'scripts/story/pm2.mjs'))) as {
  Pm2: new (home: string, variables?: Record<string, string>) => Pm2Daemon
}

export const { freePorts } = (await import(join(root, 'scripts/story/ports.mjs'))) as {
  freePorts(howMany: number): Promise<number[]>
}

/** How long PM2 waits for a worker that handles its signal, in milliseconds: a busy machine is slow. */
const KILL_TIMEOUT = 30_000

export interface Pm2App {
  readonly client: Client
  /** Replaces all workers, and resolves when each of the new ones answers. Returns their pids. */
  reload(): Promise<number[]>
  /** Resolves when each worker answers `/ready`. Returns their pids. */
  allAnswer(): Promise<number[]>
}

/**
 * Starts `workers` processes of the program that `code` returns for a port: CommonJS, with the package and its hosts by
 * their names. It answers `/ready` with JSON. The daemon ends with the test.
 */
export async function startUnderPm2(
  t: ExecutionContext,
  workers: number,
  code: (port: number) => string,
): Promise<Pm2App> {
  const [port = 0] = await freePorts(1)
  const home = mkdtempSync(join(tmpdir(), 'cache-machine-pm2-'))
  const script = programPath(`pm2-app-${process.pid}-${port}.cjs`)
  const pm2 = new Pm2(home)
  t.teardown(async () => {
    await pm2.kill()
    rmSync(home, { recursive: true, force: true })
    rmSync(script, { force: true })
  })
  writeFileSync(script, code(port))
  const ecosystem = join(home, 'ecosystem.config.cjs')
  const settings = { name: 'app', script, instances: workers, exec_mode: 'cluster', kill_timeout: KILL_TIMEOUT }
  writeFileSync(ecosystem, `module.exports = { apps: [${JSON.stringify(settings)}] }`)

  const client = new Client({ port })
  const allAnswer = async (): Promise<number[]> => {
    const pids = (await pm2.workers()).map(({ pid }) => pid).toSorted()
    const seen = new Set<number>()
    await eventually(
      'each worker answers',
      async () => {
        const worker = await client
          .get('/ready')
          .then((answer) => answer.worker)
          .catch(() => 0)
        return seen.add(worker) && pids.every((pid) => seen.has(pid))
      },
      STARTED,
    )
    t.is(pids.length, workers)
    return pids
  }
  const reload = async (): Promise<number[]> => {
    await pm2.reload('app')
    return allAnswer()
  }
  await pm2.start(ecosystem)
  await allAnswer()
  return { client, reload, allAnswer }
}
