/**
 * The resources of one surviving process and of the segment over time: private memory, the accessed pages of
 * segments, open files, threads, and space in the segment.
 *
 * Caution: a process keeps memory that is not in use. glibc gives threads up to 8 arenas per processor, and each
 * arena keeps memory that it once needed. When threads start and end all the time, this takes up to an hour to level
 * out; it can look like a leak and can hide one. So the survivor runs with `ONE_ARENA`.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** A round with fewer samples shows no trend. */
const MIN_SAMPLES = 600
/**
 * The environment of the processes of a soak: all memory that they allocate outside V8 is then in the `[heap]`
 * mapping.
 */
export const ONE_ARENA = { MALLOC_ARENA_MAX: '1' }
/** Growth over the second half that does not count as a leak, since garbage collection varies. */
const SLACK = {
  own: 16 << 20,
  malloced: 4 << 20,
  shared: 8 << 20,
  files: 8,
  threads: 4,
  used: 4 << 20,
  reserved: 4 << 20,
}

export class Resources {
  #samples = []

  sample(pid, cache) {
    try {
      const status = readFileSync(`/proc/${pid}/status`, 'utf8')
      const { usedBytes, reservedBytes } = cache.stats()
      this.#samples.push({
        own: bytesOf(status, 'RssAnon'),
        malloced: heapOf(pid),
        shared: bytesOf(status, 'RssShmem'),
        files: countFiles(pid),
        threads: readdirSync(`/proc/${pid}/task`).length,
        used: usedBytes,
        reserved: reservedBytes,
      })
    } catch {
      // The process has just ended, or this system has no /proc.
    }
  }

  get last() {
    return this.#samples.at(-1)
  }

  /** The resources that grow from the third to the fourth quarter of a long round, as sentences. */
  get growing() {
    if (this.#samples.length < MIN_SAMPLES) return []
    const quarter = Math.floor(this.#samples.length / 4)
    const [third, fourth] = [this.#samples.slice(2 * quarter, 3 * quarter), this.#samples.slice(3 * quarter)]
    return Object.keys(SLACK).flatMap((what) => {
      const [before, after] = [mean(third, what), mean(fourth, what)]
      return after - before > SLACK[what] ? [`${what} grew from ${before.toFixed()} to ${after.toFixed()}`] : []
    })
  }

  toString() {
    if (this.#samples.length === 0) return 'no samples'
    const quarter = Math.max(1, Math.floor(this.#samples.length / 4))
    const [first, last] = [this.#samples.slice(0, quarter), this.#samples.slice(-quarter)]
    const mb = (list, what) => `${(mean(list, what) / 2 ** 20).toFixed(1)} MB`
    const number = (list, what) => mean(list, what).toFixed(1)
    return [
      `private memory ${mb(first, 'own')} then ${mb(last, 'own')}`,
      `of it in malloc ${mb(first, 'malloced')} then ${mb(last, 'malloced')}`,
      `shared memory ${mb(first, 'shared')} then ${mb(last, 'shared')}`,
      `used ${mb(first, 'used')} then ${mb(last, 'used')}`,
      `reserved ${mb(first, 'reserved')} then ${mb(last, 'reserved')}`,
      `files ${number(first, 'files')} then ${number(last, 'files')}`,
      `threads ${number(first, 'threads')} then ${number(last, 'threads')}`,
    ].join(', ')
  }
}

/**
 * A field in kB of the status of a process, in bytes. Throws if the field is missing, as for a process that has just
 * ended.
 */
function bytesOf(status, field) {
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)
  return Number(kilobytes) * 1024
}

/** The resident bytes of the heap, in use or kept by malloc. */
function heapOf(pid) {
  const [, kilobytes] = /\[heap\]\n(?:.*\n)*?Rss:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/smaps`, 'utf8')) ?? []
  return Number(kilobytes ?? 0) * 1024
}

/** Open files without modules: Node leaves the modules open that a thread was reading when it was terminated. */
function countFiles(pid) {
  const folder = `/proc/${pid}/fd`
  return readdirSync(folder).filter((name) => !isModule(`${folder}/${name}`)).length
}

function isModule(link) {
  try {
    return /\.m?js$/.test(readlinkSync(link))
  } catch {
    return false // closed meanwhile
  }
}

function mean(samples, what) {
  return samples.reduce((sum, sample) => sum + sample[what], 0) / samples.length
}
