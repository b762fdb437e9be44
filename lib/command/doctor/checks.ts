/**
 * The checks of `doctor`: each is a function of the facts, and says what it found and what to do.
 *
 * A check that does not apply, for example because there is no segment, returns undefined.
 */
import { cut, duration, size, some } from '../output.ts'
import type { HealthStatus } from '../../segment/health.ts'
import type { Facts, Squatter } from './facts.ts'

export interface Finding {
  readonly verdict: HealthStatus
  /** What was found, with numbers. */
  readonly finding: string
  /** What to do; undefined if all is well. */
  readonly fix?: string
}

export interface Check {
  /** Stable, for programs. */
  readonly id: string
  readonly title: string
  readonly run: (facts: Facts) => Finding | undefined
}

/** A finding with the check that made it. */
export interface Judged extends Finding {
  readonly id: string
  readonly title: string
}

const MIB = 2 ** 20
/** What Docker gives `/dev/shm` by default. */
const DOCKER_DEFAULT = 64 * MIB
/** A folder with less free space than this share is nearly full. */
const NEARLY_FULL = 0.05
/** The heap, the code and the stacks of a Node process, roughly. */
const HEAP = 128 * MIB

function ok(finding: string): Finding {
  return { verdict: 'ok', finding }
}

export const CHECKS: readonly Check[] = [
  {
    id: 'node-version',
    title: 'Node.js',
    run({ program: { node } }) {
      const [major = 0, minor = 0] = node.split('.').map(Number)
      const isFine = (major === 20 && minor >= 19) || (major === 22 && minor >= 12) || major > 22
      if (isFine) return ok(`Node.js ${node}`)
      return {
        verdict: 'problem',
        finding: `Node.js ${node} is not supported`,
        fix: 'Use Node.js 20.19 or newer, or 22.12 or newer.',
      }
    },
  },
  {
    id: 'native-addon',
    title: 'native addon',
    run({ program: { nativeProblem, version } }) {
      if (nativeProblem === undefined) return ok(`loaded, version ${version}`)
      return { verdict: 'problem', finding: nativeProblem.message, fix: nativeProblem.hint }
    },
  },
  {
    id: 'engine',
    title: 'engine',
    run({ program: { engine } }) {
      if (engine === undefined || engine === 'native') return ok('native: segments are shared')
      return {
        verdict: 'warning',
        finding: `CACHE_MACHINE_ENGINE is "${engine}" here: with the portable engine each process has a cache of its own`,
        fix: 'Remove CACHE_MACHINE_ENGINE from the environment of production processes.',
      }
    },
  },
  {
    id: 'libc',
    title: 'C library',
    run({ libc, program: { platform, arch } }) {
      if (libc === undefined) {
        return {
          verdict: 'problem',
          finding: `${platform} ${arch} has no shared memory of this package`,
          fix: 'Run on Linux; elsewhere the portable engine serves development (CACHE_MACHINE_ENGINE=portable).',
        }
      }
      const [major = 0, minor = 0] = (libc.version ?? '').split('.').map(Number)
      const isOld = libc.kind === 'glibc' && libc.version !== undefined && (major < 2 || (major === 2 && minor < 28))
      if (!isOld) return ok(`${libc.kind}${libc.version === undefined ? '' : ` ${libc.version}`}, ${arch}`)
      return {
        verdict: 'problem',
        finding: `glibc ${libc.version} is older than 2.28`,
        fix: 'Use a system of 2018 or later (Debian 10, Ubuntu 18.10, RHEL 8), or an image with musl.',
      }
    },
  },
  { id: 'folder', title: 'folder of the segments', run: checkFolder },
  { id: 'folder-size', title: 'space for segments', run: checkFolderSize },
  {
    id: 'cgroup',
    title: 'memory limit',
    run({ cgroup, segments }) {
      if (cgroup === undefined) return ok('no limit of a cgroup')
      const sizes = sum(segments.map(({ info }) => info.size))
      const text = `the cgroup has a limit of ${size(cgroup.limit)}`
      const used = cgroup.used === undefined ? '' : `, ${size(cgroup.used)} are used`
      if (sizes + HEAP <= cgroup.limit) return ok(`${text}${used}; the segments may take ${size(sizes)}`)
      return {
        verdict: 'warning',
        finding: `${text}${used}, and the segments may take ${size(sizes)}: the kernel may end processes`,
        fix:
          'Open smaller segments, or raise the limit (Docker: --memory; Kubernetes: limits.memory; systemd: MemoryMax) to ' +
          `at least ${size(sizes + HEAP)}, with room for the heap of each process.`,
      }
    },
  },
  {
    id: 'squatted-names',
    title: 'foreign files',
    run({ folder, user }) {
      const [first] = folder.squatters
      if (first === undefined) return ok('no other file has the name of a segment')
      const { path, owner } = first
      const why = whyForeign(first, folder.group, user.id)
      return {
        verdict: 'problem',
        finding: `${some(folder.squatters.length, 'file')} in the place of a segment: ${path} ${why}`,
        fix:
          owner === user.id
            ? `Delete it (rm ${path}); the next open creates the segment anew.`
            : 'If processes of both users share the segment, run all of them as one user, or pass the same group to open in ' +
              'all of them. Otherwise delete the file as its owner or as root, or pass a directory that no other user may write.',
      }
    },
  },
  {
    id: 'unfinished',
    title: 'unfinished segments',
    run({ folder: { unfinished, path } }) {
      if (unfinished.length === 0) return undefined
      return {
        verdict: 'warning',
        finding: `${some(unfinished.length, 'file')} of programs that create a segment now, or died while they did`,
        fix: `The next open of any segment in ${path} removes those that no process uses.`,
      }
    },
  },
  {
    id: 'left-over',
    title: 'segments without processes',
    run({ segments, now }) {
      const unused = segments.filter(({ info, processes }) => info.readable && processes.length === 0)
      if (unused.length === 0) return ok('every segment is in use')
      const taken = sum(unused.map(({ info }) => info.reservedBytes))
      const names = unused.map(({ info }) => `${info.name} (${duration(now - info.createdAt)} old)`).join(', ')
      return {
        verdict: 'warning',
        finding: `${some(unused.length, 'segment')} without a process: ${names}; they keep ${size(taken)}`,
        fix:
          'That is right for programs that come again, as after a restart. Remove the others: ' +
          `cache-machine destroy ${unused[0]?.info.name}`,
      }
    },
  },
  {
    id: 'other-layouts',
    title: 'versions',
    run({ segments }) {
      const others = segments.filter(({ info }) => !info.readable)
      if (others.length === 0) return ok('all segments are readable')
      const names = others.map(({ info }) => `${info.name} (layout ${info.layoutVersion})`).join(', ')
      return {
        verdict: 'warning',
        finding: `${some(others.length, 'segment')} of another version of this package, or damaged: ${names}`,
        fix:
          'During an update this is right: old processes keep their segment until they end. Use the command of their ' +
          `version to look into it. When no process uses it, delete ${others[0]?.info.path}.`,
      }
    },
  },
  {
    id: 'suspended',
    title: 'suspended processes',
    run({ segments }) {
      const suspended = segments.flatMap(({ info, processes }) =>
        processes.filter(({ state }) => state === 'suspended').map((process) => ({ ...process, segment: info.name })),
      )
      const [first] = suspended
      if (first === undefined) return ok('no attached process is suspended')
      const names = suspended.map(({ pid, segment, title }) => `${pid} of "${segment}" (${cut(title ?? '', 40)})`)
      return {
        verdict: 'problem',
        finding: `suspended by SIGSTOP or a debugger: ${names.join(', ')}`,
        fix:
          'A process that is suspended inside a write blocks writers to a part of the segment: they get ERR_BUSY. Resume ' +
          `it (kill -CONT ${first.pid}) or end it (kill -9 ${first.pid}): the next writer repairs what it left.`,
      }
    },
  },
  {
    id: 'codecs',
    title: 'codecs',
    run({ samples }) {
      const foreign = samples.filter((sample) => sample.foreign > 0)
      const mixed = foreign.find((sample) => sample.own > 0)
      if (foreign.length === 0) return samples.length === 0 ? undefined : ok('all sampled values can be read')
      if (mixed === undefined) return ok(`${names(foreign)}: objects in a codec of the application`)
      return {
        verdict: 'problem',
        finding:
          `"${mixed.segment}" has values of different codecs: ${mixed.foreign} of ${mixed.foreign + mixed.own} sampled ` +
          'objects are those of a custom codec or a newer version',
        fix: 'Pass the same codec to open in all processes, then delete the entries of the other one, or clear the segment.',
      }
    },
  },
  {
    id: 'damage',
    title: 'damage',
    run({ samples }) {
      const damaged = samples.filter((sample) => sample.damaged > 0 || sample.tagsUnjudged > 0)
      if (damaged.length === 0) return samples.length === 0 ? undefined : ok('no entry was dropped as damaged')
      const counts = damaged.map((sample) => `${sample.segment}: ${sample.damaged + sample.tagsUnjudged}`).join(', ')
      return {
        verdict: 'warning',
        finding: `entries were dropped because they were damaged or could not be judged: ${counts}`,
        fix: `See what is left: cache-machine verify ${damaged[0]?.segment}. A damaged value is a miss, never a wrong value.`,
      }
    },
  },
  {
    id: 'remove-ipc',
    title: 'RemoveIPC of logind',
    run({ logind, user, folder }) {
      if (logind === undefined) return ok('no systemd-logind')
      if (folder.path !== '/dev/shm') return ok('it removes files in /dev/shm only')
      if (!logind.removesIpc) return ok('RemoveIPC=no')
      if (user.id <= logind.lastSystemUser) return ok(`the user ${user.id} is a system user, which is excluded`)
      if (logind.lingers) return ok('the user lingers, so its last session never ends')
      return {
        verdict: 'warning',
        finding: `RemoveIPC=yes: when the last session of ${user.name ?? user.id} ends, logind removes the segments`,
        fix:
          `loginctl enable-linger ${user.name ?? user.id}, or RemoveIPC=no in /etc/systemd/logind.conf, or run the service as ` +
          'a system user, or pass a directory to open.',
      }
    },
  },
  {
    id: 'container',
    title: 'container',
    run({ container, folder }) {
      if (container === undefined) return ok('none')
      const what = container === 'container' ? 'a container' : `a container (${container})`
      if (folder.path !== '/dev/shm') return ok(`${what}: containers share segments if they share ${folder.path}`)
      return ok(
        `${what}: /dev/shm is that of the container alone, and ends with it. Containers share segments through a memory ` +
          'volume with the same path and user, or with --ipc=container:NAME',
      )
    },
  },
  {
    id: 'pm2-memory',
    title: "PM2's memory limit",
    run({ pm2, segments }) {
      if (pm2.length === 0) return undefined
      const sizeOf = (name: string): number => segments.find(({ info }) => info.name === name)?.info.size ?? 0
      const low = pm2.find(({ segment, limit }) => limit !== undefined && limit < sizeOf(segment) + HEAP)
      if (low === undefined) return ok(`${some(pm2.length, 'process', 'processes')} of PM2, with room for the segments`)
      const wanted = Math.ceil((sizeOf(low.segment) + (low.limit ?? 0)) / MIB)
      return {
        verdict: 'problem',
        finding:
          `"${low.name}" (${low.pid}) has max_memory_restart ${size(low.limit ?? 0)}, and PM2 counts the pages of ` +
          `"${low.segment}" (up to ${size(sizeOf(low.segment))}) in it: it restarts workers that are fine`,
        fix: `Add the size of the segment: max_memory_restart: '${wanted}M'.`,
      }
    },
  },
]

/** The findings of all checks that apply. */
export function judge(facts: Facts): Judged[] {
  return CHECKS.flatMap(({ id, title, run }) => {
    const finding = run(facts)
    return finding === undefined ? [] : [{ id, title, ...finding }]
  })
}

function checkFolder({ folder, user }: Facts): Finding {
  const { path, exists, isWritable, isMemory } = folder
  if (!exists) {
    return {
      verdict: 'problem',
      finding: `${path} does not exist`,
      fix: path === '/dev/shm' ? 'Mount a tmpfs there, or pass a directory to open.' : 'Create the folder.',
    }
  }
  if (!isWritable) {
    return {
      verdict: 'problem',
      finding: `the user ${user.id} may not write ${path}`,
      fix: 'Give the user the right to write there, or pass another directory to open.',
    }
  }
  if (isMemory === false) {
    return {
      verdict: 'warning',
      finding: `${path} is not in memory: the system writes pages of segments to the disk`,
      fix: 'Pass a folder on a tmpfs. A segment on a disk is not more durable: it ends with a restart of the host.',
    }
  }
  return ok(`${path}, ${isMemory === undefined ? 'of an unknown file system' : 'in memory'}`)
}

function checkFolderSize({ folder, segments, container }: Facts): Finding | undefined {
  const { path, total, free } = folder
  if (total === 0) return undefined
  const sizes = sum(segments.map(({ info }) => info.size))
  const taken = sum(segments.map(({ info }) => info.reservedBytes))
  const have = `${path} has ${size(total)}, ${size(free)} are free`
  const isDocker = total <= DOCKER_DEFAULT && path === '/dev/shm' && container !== undefined
  const fix =
    'Enlarge it (Docker: --shm-size=512m; Compose: shm_size; Kubernetes: an emptyDir with medium: Memory and a sizeLimit; ' +
    `elsewhere: mount -o remount,size=512m ${path}), open smaller segments, or pass another directory.`
  if (free < total * NEARLY_FULL) {
    return {
      verdict: 'problem',
      finding: `${have}: entries are evicted early, and open may fail with ERR_NO_SPACE`,
      fix,
    }
  }
  if (sizes - taken > free) {
    return { verdict: 'warning', finding: `${have}, and the segments may grow by ${size(sizes - taken)}`, fix }
  }
  if (isDocker) {
    return { verdict: 'warning', finding: `${have}: the default of Docker, less than a segment of 64 MiB can use`, fix }
  }
  return ok(`${have}; the segments have ${size(taken)} of at most ${size(sizes)}`)
}

/** Why a file in the place of a segment is not usable as such. */
function whyForeign({ owner, group, mode, links, isFile }: Squatter, wanted: number | undefined, user: number): string {
  if (!isFile) return 'is no plain file'
  if (wanted !== undefined && group !== wanted) return `belongs to the group ${group}`
  if (wanted === undefined && owner !== user) return `belongs to the user ${owner}`
  return `has the mode ${mode.toString(8)} and ${some(links, 'name')}`
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

function names(samples: readonly { readonly segment: string }[]): string {
  return samples.map(({ segment }) => `"${segment}"`).join(', ')
}
