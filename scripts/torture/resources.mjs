/**
 * What the survivor of a round and the segment take, over time: memory, its own and the pages of segments that it has touched;
 * open files, threads, space.
 *
 * The thing to get wrong: memory that a process keeps is not all in use. glibc gives threads up to 8 arenas for each processor,
 * and each keeps what it has once needed; where threads come and go that takes most of an hour to level out, and hides a leak as
 * well as it looks like one. So the survivor has `ONE_ARENA`, and its memory tells.
 */
import { readFileSync, readdirSync, readlinkSync } from 'node:fs'

/** Rounds with fewer samples say nothing of a trend. */
const ENOUGH = 600
/** For the environment of a soak's processes, of which one is watched. What it allocates outside V8 is all in its heap then. */
export const ONE_ARENA = { MALLOC_ARENA_MAX: '1' }
/** Growth over the second half that is no leak: garbage collection has its moods. */
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
      // It has just ended, or this system has no /proc.
    }
  }

  get last() {
    return this.#samples.at(-1)
  }

  /** What grows from the third to the fourth quarter of a long round. */
  get growing() {
    if (this.#samples.length < ENOUGH) return []
    const quarter = Math.floor(this.#samples.length / 4)
    const [third, fourth] = [this.#samples.slice(2 * quarter, 3 * quarter), this.#samples.slice(3 * quarter)]
    return Object.keys(SLACK).flatMap((what) => {
      const [before, after] = [mean(third, what), mean(fourth, what)]
      return after - before > SLACK[what] ? [`${what} grew from ${before.toFixed()} to ${after.toFixed()}`] : []
    })
  }

  toString() {
    if (this.#samples.length === 0) return 'nothing was sampled'
    const quarter = Math.max(1, Math.floor(this.#samples.length / 4))
    const [first, last] = [this.#samples.slice(0, quarter), this.#samples.slice(-quarter)]
    const mb = (list, what) => `${(mean(list, what) / 2 ** 20).toFixed(1)} MB`
    const number = (list, what) => mean(list, what).toFixed(1)
    return [
      `memory of its own ${mb(first, 'own')} then ${mb(last, 'own')}`,
      `of which malloc has ${mb(first, 'malloced')} then ${mb(last, 'malloced')}`,
      `shared memory ${mb(first, 'shared')} then ${mb(last, 'shared')}`,
      `used ${mb(first, 'used')} then ${mb(last, 'used')}`,
      `reserved ${mb(first, 'reserved')} then ${mb(last, 'reserved')}`,
      `files ${number(first, 'files')} then ${number(last, 'files')}`,
      `threads ${number(first, 'threads')} then ${number(last, 'threads')}`,
    ].join(', ')
  }
}

/** A line of the file that the kernel keeps of a process, which is in kB. One that has just ended lacks it: then it throws. */
function bytesOf(status, field) {
  const [, kilobytes] = new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)
  return Number(kilobytes) * 1024
}

/** What is resident of the heap, in use or kept. */
function heapOf(pid) {
  const [, kilobytes] = /\[heap\]\n(?:.*\n)*?Rss:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/smaps`, 'utf8')) ?? []
  return Number(kilobytes ?? 0) * 1024
}

/** But for modules: when a thread is terminated while it loads them, Node leaves open those that it was reading. */
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
