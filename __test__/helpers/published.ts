/**
 * The packages as they are published, in folders or in a registry of this machine. Only this machine's platform has its
 * binary: the packages of other platforms have placeholders, which cannot be loaded.
 */
import { execFile, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually } from './eventually.ts'
import { root } from './internals.ts'

/** Types for the modules of `scripts/release`, which have none. */
interface Release {
  stagePackages(
    folder: string,
    options: { binaryOf: (platform: { file: string }) => string | undefined; version?: string },
  ): Promise<string[]>
}

/** Stages all packages in `folder`; returns their folders, that of `cache-machine` last. */
export async function stage(folder: string, version?: string): Promise<string[]> {
  const { stagePackages } = (await import(join(root, 'scripts/release/stage.mjs'))) as Release
  const binaryOf = ({ file }: { file: string }): string | undefined => {
    const built = join(root, 'native', file)
    return existsSync(built) ? built : undefined
  }
  return stagePackages(folder, { binaryOf, ...(version !== undefined && { version }) })
}

/** A registry on loopback that has nothing but what is published into it, and asks no other registry. */
export class Registry {
  readonly url: string
  readonly #server: ChildProcess
  readonly #folder: string

  private constructor(url: string, server: ChildProcess, folder: string) {
    this.url = url
    this.#server = server
    this.#folder = folder
  }

  /** Starts it; it keeps everything in `folder`. */
  static async start(folder: string): Promise<Registry> {
    const port = await freePort()
    const config = join(folder, 'config.yaml')
    writeFileSync(
      config,
      `storage: ${join(folder, 'storage')}
auth: { htpasswd: { file: ${join(folder, 'htpasswd')} } }
uplinks: {}
packages: { '**': { access: $all, publish: $all } }
web: { enable: false }
log: { type: stdout, level: warn }
`,
    )
    const url = `http://127.0.0.1:${port}/`
    const program = join(root, 'node_modules/verdaccio/bin/verdaccio')
    const server = spawn(process.execPath, [program, '--config', config, '--listen', `127.0.0.1:${port}`], {
      stdio: 'ignore',
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    // Also when an uncaught error ends the test process.
    process.once('exit', () => server.kill('SIGKILL'))
    const registry = new Registry(url, server, folder)
    await eventually('the registry answers', () => isUp(`${url}-/ping`), 60_000)
    return registry
  }

  /** Publishes what `stage` makes. */
  async publish(version?: string): Promise<void> {
    const folder = join(this.#folder, `packages-${version ?? 'own'}`)
    // Any token will do, but without one npm does not even try.
    const token = `--//${new URL(this.url).host}/:_authToken=none`
    const tag = version === undefined ? 'latest' : 'other'
    const args = ['publish', '--registry', this.url, token, '--tag', tag]
    const publishing = (await stage(folder, version)).map((cwd) => {
      return promisify(execFile)('npm', args, { cwd, env: cleanEnvironment(this.#folder) })
    })
    await Promise.all(publishing)
  }

  async stop(): Promise<void> {
    if (this.#server.exitCode !== null) return
    this.#server.kill('SIGKILL')
    await once(this.#server, 'exit')
  }
}

/**
 * The environment of a user with a new account: no settings of npm and no caches. `folder`: the home. `path`: the only
 * folder with programs.
 */
export function cleanEnvironment(folder: string, path = process.env['PATH'] ?? ''): NodeJS.ProcessEnv {
  const home = join(folder, 'home')
  mkdirSync(home, { recursive: true })
  const settings = { npm_config_cache: join(home, 'npm'), npm_config_update_notifier: 'false', CI: '1' }
  return { PATH: path, HOME: home, XDG_DATA_HOME: home, XDG_CACHE_HOME: home, ...settings }
}

async function isUp(url: string): Promise<boolean> {
  try {
    return (await fetch(url)).ok
  } catch {
    return false
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
