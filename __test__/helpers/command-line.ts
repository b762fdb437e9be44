/**
 * The built program `cache-machine` as a child process.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { within } from './eventually.ts'
import { STARTED } from './fork.ts'
import { root } from './internals.ts'

/** The built program. `npm test` builds before it runs the specs. */
export const program: string = join(root, 'dist/lib/command/main.cjs')

/** How a command line ended. */
export interface Ended {
  readonly out: string
  readonly err: string
  readonly code: number | null
}

export interface CommandOptions {
  readonly env?: NodeJS.ProcessEnv
  readonly input?: string
  /** The command before Node, with its arguments. */
  readonly wrapper?: readonly string[]
  /** Another program than the built one. */
  readonly file?: string
}

/** Starts a command line. It is killed when the test ends. */
export function start(
  t: ExecutionContext,
  args: readonly string[],
  { env = {}, wrapper = [], file = program }: CommandOptions = {},
): ChildProcessWithoutNullStreams {
  const [command = '', ...rest] = [...wrapper, process.execPath, file, ...args]
  // The programs of the segments that a command looks at may use any engine; the command itself has the native one.
  const child = spawn(command, rest, { env: { ...process.env, CACHE_MACHINE_ENGINE: '', ...env } })
  t.teardown(() => child.kill('SIGKILL'))
  return child
}

/** Runs a command line to its end. */
export async function run(t: ExecutionContext, args: readonly string[], options: CommandOptions = {}): Promise<Ended> {
  const child = start(t, args, options)
  child.stdin.on('error', () => undefined).end(options.input ?? '')
  return within(`cache-machine ${args.join(' ')}`, ended(child), STARTED)
}

/** Resolves when the child has ended and all its output was read. */
export function ended(child: ChildProcessWithoutNullStreams): Promise<Ended> {
  const [out, err] = [text(child.stdout), text(child.stderr)]
  return new Promise((resolve) => {
    child.on('close', (code) => resolve({ out: out.join(''), err: err.join(''), code }))
  })
}

/** The document that a command line prints with `--json`. */
export async function json<T = Record<string, unknown>>(
  t: ExecutionContext,
  args: readonly string[],
  options: CommandOptions = {},
): Promise<T> {
  const { out, err } = await run(t, [...args, '--json'], options)
  if (out === '') throw new Error(`no output: ${err}`)
  return JSON.parse(out) as T
}

/** The documents that a stream of `--json` has. */
export function lines<T>(out: string): T[] {
  return out
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T)
}

function text(stream: NodeJS.ReadableStream): string[] {
  const parts: string[] = []
  stream.setEncoding('utf8').on('data', (part: string) => parts.push(part))
  return parts
}
