#!/usr/bin/env node
/**
 * The program `cache-machine`: gives the commands this process and this package. Only this file opens caches.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { CacheError, open, segments } from '../../index.ts'
import type { CacheErrorCode } from '../../index.ts'
import type { SegmentOptions } from '../arguments/options.ts'
import type { DashboardSource, ViewedCache } from '../dashboard/source.ts'
import { startServer } from '../dashboard/server.ts'
import { isLoaded, loadError } from '../native/addon.ts'
import type { ResizeResult } from '../segment/segments.ts'
import { call } from '../segment/handle.ts'
import { heldIn } from '../segment/holders.ts'
import { shardsOf } from '../segment/shards.ts'
import { problems } from '../segment/testing.ts'
import type { DashboardRequest, InspectedCache, World } from './command.ts'
import { Output } from './output.ts'
import { runCommandLine } from './run.ts'

/** The version in the package.json of this package, which is above dist/lib/command/. */
function versionOf(program: string): string {
  // npx starts a link to it.
  for (let up = realpathSync(program), i = 0; i < 5; i++, up = join(up, '..')) {
    try {
      const { name, version } = JSON.parse(readFileSync(join(up, 'package.json'), 'utf8')) as Record<string, string>
      if (name === 'cache-machine' && version !== undefined) return version
    } catch {
      // Not in this folder.
    }
  }
  return 'unknown'
}

/** SIGINT and SIGTERM end a command at its next step. A second signal ends the process. */
function signalOfProcess(): AbortSignal {
  const controller = new AbortController()
  for (const name of ['SIGINT', 'SIGTERM'] as const) process.once(name, () => controller.abort())
  return controller.signal
}

async function input(): Promise<string> {
  let text = ''
  for await (const part of process.stdin.setEncoding('utf8')) text += part as string
  return text
}

/** The segments of the native engine: those of the portable one are in other processes. */
function dashboardSource(
  { name: only, place }: Pick<DashboardRequest, 'name' | 'place'>,
  version: string,
): DashboardSource {
  return {
    version,
    only,
    appVersion: undefined,
    list: () => segments.list(place),
    inspect: (name) => segments.inspect(name, place),
    open: (name, appVersion) =>
      open({ name, ...place, version: appVersion, create: false, near: false, strict: true }) as unknown as ViewedCache,
    heldIn,
    shardsOf,
  }
}

/** A resize for a thread of its own. */
interface ResizeRequest {
  readonly name: string
  readonly size: number
  readonly place: SegmentOptions
}

/** The parts of an error that cross to another thread. */
interface ResizeFailure {
  readonly code: CacheErrorCode
  readonly message: string
  readonly hint: string
}

/** Starts this program once more, in a thread. */
function resizeInThread(request: ResizeRequest): Promise<ResizeResult> {
  const worker = new Worker(realpathSync(process.argv[1] ?? '.'), { workerData: request })
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (answer: { result: ResizeResult } | { failure: ResizeFailure }) => {
      if ('result' in answer) return resolve(answer.result)
      const { code, message, hint } = answer.failure
      reject(new CacheError(code, message, { hint }))
    })
  })
}

function answerResize({ name, size, place }: ResizeRequest): { result: ResizeResult } | { failure: ResizeFailure } {
  try {
    return { result: segments.resize(name, size, place) }
  } catch (error) {
    if (!(error instanceof CacheError)) throw error
    const { code, message, hint } = error
    return { failure: { code, message, hint } }
  }
}

async function main(): Promise<void> {
  // The reader of a pipe has ended, as in "| head": there is nothing left to do.
  process.stdout.on('error', (error: NodeJS.ErrnoException) => process.exit(error.code === 'EPIPE' ? 0 : 1))
  const version = versionOf(process.argv[1] ?? '.')
  const world: World = {
    version,
    open: (options) => open(options) as unknown as InspectedCache,
    segments,
    problems: (cache) => call(() => problems(cache)),
    heldIn,
    resize: (name, size, place) => resizeInThread({ name, size, place }),
    serveDashboard: ({ port, write, ...request }) =>
      startServer({ source: dashboardSource(request, version), port, write }),
    nativeProblem: () => (isLoaded ? undefined : loadError()),
    env: process.env,
    out: new Output(process.stdout, process.env),
    err: new Output(process.stderr, process.env),
    signal: signalOfProcess(),
    input,
  }
  process.exitCode = await runCommandLine(process.argv.slice(2), world)
}

if (isMainThread) void main()
else parentPort?.postMessage(answerResize(workerData as ResizeRequest))
