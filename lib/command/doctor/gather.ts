/**
 * Collects the facts of `doctor` from this machine. Reads only: it creates, changes and removes nothing.
 */
import { accessSync, constants, existsSync, lstatSync, readdirSync, statfsSync } from 'node:fs'
import { userInfo } from 'node:os'
import { join } from 'node:path'
import type { SegmentOptions } from '../../arguments/options.ts'
import { parseBytes } from '../../arguments/units.ts'
import { CacheError } from '../../errors.ts'
import { limitsOfCgroups } from '../../segment/limits.ts'
import { textOf } from '../../segment/system-files.ts'
import type { World } from '../command.ts'
import { factsOf } from '../commands/inspect.ts'
import type { SegmentFacts } from '../commands/inspect.ts'
import type { Facts, FolderFacts, LogindFacts, Pm2Process, Sample, Squatter } from './facts.ts'

/** The magic number of tmpfs. ramfs has another one. */
const IN_MEMORY: readonly number[] = [0x01021994, 0x858458f6]

/** Maximum number of entries that are read of each segment. */
const SAMPLE = 200

/** The facts for the segments in a place. */
export function gather(place: SegmentOptions, world: World): Facts {
  const { segments, nativeProblem, env } = world
  const problem = nativeProblem()
  const found = problem === undefined ? segments.list(place).map((info) => factsOf(info)) : []
  return {
    now: Date.now(),
    program: {
      version: world.version,
      node: process.versions.node,
      platform: process.platform,
      arch: process.arch,
      engine: env['CACHE_MACHINE_ENGINE'] || undefined,
      nativeProblem: problem && { message: problem.message, hint: problem.hint },
    },
    libc: libcOf(),
    user: userFacts(),
    folder: folderFacts(place),
    cgroup: limitsOfCgroups(),
    container: containerOf(env),
    logind: logindFacts(),
    segments: found,
    pm2: found.flatMap((facts) => pm2Of(facts)),
    samples: problem === undefined ? found.flatMap(({ info }) => sampleOf(info.name, info.readable, place, world)) : [],
  }
}

function libcOf(): Facts['libc'] {
  if (process.platform !== 'linux') return undefined
  const { header } = process.report.getReport() as { header: { glibcVersionRuntime?: string } }
  const version = header.glibcVersionRuntime
  return version === undefined ? { kind: 'musl', version: undefined } : { kind: 'glibc', version }
}

function userFacts(): Facts['user'] {
  const id = process.geteuid?.() ?? -1
  try {
    return { id, name: userInfo().username }
  } catch {
    // A container may have no entry for the user.
    return { id, name: undefined }
  }
}

function folderFacts({ directory: path = '/dev/shm', group }: SegmentOptions): FolderFacts {
  const gid = group === undefined ? undefined : gidOf(group)
  const owner = group === undefined ? uid() : `g${gid}`
  const { blocks = 0, bsize = 0, bavail = 0, type } = attempt(() => statfsSync(path)) ?? {}
  const names = attempt(() => readdirSync(path)) ?? []
  return {
    path,
    exists: existsSync(path),
    isWritable: attempt(() => accessSync(path, constants.W_OK) ?? true) ?? false,
    isMemory: type === undefined ? undefined : IN_MEMORY.includes(type),
    total: blocks * bsize,
    free: bavail * bsize,
    group: gid,
    squatters: squattersIn(path, names, gid),
    unfinished: names.filter((name) => new RegExp(`^cache-machine\\.\\d+\\.${owner}\\..*~`).test(name)),
  }
}

function uid(): number {
  return process.geteuid?.() ?? -1
}

/** Undefined: a group that is not in the file of the system, as one of a directory service. */
function gidOf(group: string | number): number | undefined {
  if (typeof group === 'number') return group
  const line = textOf('/etc/group')
    .split('\n')
    .find((text) => text.startsWith(`${group}:`))
  return line === undefined ? undefined : Number(line.split(':')[2])
}

function squattersIn(folder: string, names: readonly string[], gid: number | undefined): Squatter[] {
  const ours = new RegExp(`^cache-machine\\.\\d+\\.${gid === undefined ? uid() : `g${gid}`}\\.[^~]+$`)
  return names
    .filter((name) => ours.test(name))
    .flatMap((name): Squatter[] => {
      const path = join(folder, name)
      const stat = attempt(() => lstatSync(path))
      if (stat === undefined) return []
      const { uid: owner, gid: group, nlink: links } = stat
      const squatter = { path, owner, group, mode: stat.mode & 0o777, links, isFile: stat.isFile() }
      const isOurs =
        gid === undefined
          ? owner === uid() && (squatter.mode & 0o077) === 0
          : group === gid && (stat.mode & 0o7777) === 0o660
      return isOurs && links === 1 && squatter.isFile ? [] : [squatter]
    })
}

function containerOf(env: NodeJS.ProcessEnv): string | undefined {
  if (env['KUBERNETES_SERVICE_HOST'] !== undefined) return 'kubernetes'
  if (existsSync('/.dockerenv')) return 'docker'
  if (existsSync('/run/.containerenv')) return 'podman'
  return /docker|containerd|kubepods|lxc/.test(textOf('/proc/1/cgroup')) ? 'container' : undefined
}

/** Undefined where logind does not run. */
export function logindFacts(root = '/'): LogindFacts | undefined {
  if (!existsSync(join(root, 'run/systemd/system'))) return undefined
  const folders = ['usr/lib/systemd', 'run/systemd', 'etc/systemd'].map((folder) => join(root, folder))
  const files = folders.flatMap((folder) => [
    join(folder, 'logind.conf'),
    ...(attempt(() => readdirSync(join(folder, 'logind.conf.d'))) ?? [])
      .filter((name) => name.endsWith('.conf'))
      .toSorted()
      .map((name) => join(folder, 'logind.conf.d', name)),
  ])
  // The last setting counts.
  const settings = files.flatMap((file) => [...textOf(file).matchAll(/^\s*RemoveIPC\s*=\s*(\S+)/gim)])
  const setting = settings.at(-1)?.[1]?.toLowerCase()
  const { name } = userFacts()
  const lastSystemUser = Number(/^\s*SYS_UID_MAX\s+(\d+)/m.exec(textOf(join(root, 'etc/login.defs')))?.[1] ?? 999)
  return {
    removesIpc: setting === undefined || ['yes', 'true', '1', 'on'].includes(setting),
    lingers: name !== undefined && existsSync(join(root, 'var/lib/systemd/linger', name)),
    lastSystemUser,
  }
}

/** PM2 passes its settings to each process in the environment: one by one, or in cluster mode as JSON in `pm2_env`. */
function pm2Of({ info, processes }: SegmentFacts): Pm2Process[] {
  return processes
    .filter(({ state }) => state !== 'unseen')
    .flatMap(({ pid }) => {
      const environment = environmentOf(pid)
      const { name, ...settings } = pm2SettingsOf(environment)
      if (!('pm_id' in environment || 'pm2_env' in environment) || name === undefined) return []
      return [{ pid, segment: info.name, name: String(name), limit: memoryOf(settings['max_memory_restart']) }]
    })
}

function environmentOf(pid: number): Record<string, string> {
  const lines = textOf(`/proc/${pid}/environ`).split('\0')
  return Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)]))
}

function pm2SettingsOf(environment: Record<string, string>): Record<string, unknown> {
  const all = environment['pm2_env']
  return all === undefined ? environment : (attempt(() => JSON.parse(all) as Record<string, unknown>) ?? environment)
}

/** PM2 has bytes here, or a size such as `300M`. */
export function memoryOf(given: unknown): number | undefined {
  const text = String(given ?? '')
  if (/^\d+$/.test(text)) return Number(text)
  const bytes = parseBytes(text.toLowerCase().replace(/([kmg])b?$/, '$1b'))
  return Number.isNaN(bytes) ? undefined : bytes
}

/** Reads some entries, without a trace. */
function sampleOf(segment: string, isReadable: boolean, place: object, world: World): Sample[] {
  if (!isReadable) return []
  try {
    const cache = world.open({ ...place, name: segment, create: false, near: false, strict: true })
    try {
      let [own, foreign, read] = [0, 0, 0]
      for (const key of cache.keys()) {
        if (++read > SAMPLE) break
        try {
          if (typeof cache.peek(key) === 'object') own++
        } catch (error) {
          if (error instanceof CacheError && error.code === 'ERR_CODEC_MISMATCH') foreign++
        }
      }
      const { damaged, tagsUnjudged } = cache.stats()
      return [{ segment, own, foreign, damaged, tagsUnjudged }]
    } finally {
      cache.close()
    }
  } catch {
    // It was destroyed meanwhile, or it cannot be opened: another check tells that.
    return []
  }
}

function attempt<T>(run: () => T): T | undefined {
  try {
    return run()
  } catch {
    return undefined
  }
}
