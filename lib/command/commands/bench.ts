/** `bench`: the speed of this machine, beside Redis. */
import { setImmediate as turn } from 'node:timers/promises'
import { placeOf } from '../command.ts'
import type { Command } from '../command.ts'
import { casesOf, measure, redisCases } from '../bench/cases.ts'
import type { Result } from '../bench/cases.ts'
import { RedisServer } from '../bench/redis.ts'
import { count } from '../output.ts'
import { Progress } from '../progress.ts'

const DEFAULT_SECONDS = 24
const MAX_SECONDS = 60
/** Characters of a column of numbers. */
const COLUMN = 13

export const bench: Command = {
  name: 'bench',
  summary: 'measure this machine in less than a minute, beside Redis if it is installed',
  about: [
    'One process calls set, get, getOrSet and incr on 1,000 keys in a segment of its own, which is destroyed at the end. If ' +
      'redis-server is in the PATH, it is started without persistence on a Unix socket in a temporary folder, and the same ' +
      'calls are made through it, with JSON for objects.',
    'It compares the two ways of a process to its cache on this machine, now. It says nothing about many processes, nor about ' +
      'values that do not fit the near cache. The repository has longer measurements (npm run bench).',
  ],
  parameters: [],
  options: {
    seconds: {
      type: 'count',
      short: 's',
      value: 'N',
      what: `time of all measurements together, at most ${MAX_SECONDS}; default: ${DEFAULT_SECONDS}`,
    },
    'no-redis': { type: 'flag', what: 'leave Redis out' },
  },
  examples: [
    ['cache-machine bench', 'half a minute'],
    ['cache-machine bench --seconds 5 --no-redis', 'a glance'],
  ],
  json: 'an object with "node", "redis" (whether it was measured) and "results": "subject", "operation", "callsPerSecond"',
  async run(call, world) {
    const seconds = call.count('seconds') ?? DEFAULT_SECONDS
    if (seconds > MAX_SECONDS) throw call.wrong(`--seconds is ${seconds}, above ${MAX_SECONDS}`)
    const name = `bench-${process.pid}-${Date.now().toString(36)}`
    const place = placeOf(call)
    const redis = call.flag('no-redis') ? undefined : await RedisServer.start()
    const cache = world.open({ name, size: '16mb', ...place })
    const progress = new Progress(world.err, 'bench')
    try {
      const cases = [...casesOf(cache), ...(redis === undefined ? [] : redisCases(redis))]
      const each = (seconds * 1000) / cases.length
      const results: Result[] = []
      for (const [i, one] of cases.entries()) {
        // A signal arrives in a turn of the event loop.
        await turn()
        if (world.signal.aborted) return 1
        const tick = (elapsed: number): boolean => {
          progress.show(Math.round(i * each + Math.min(elapsed, each)), Math.round(seconds * 1000))
          return !world.signal.aborted
        }
        results.push(await measure(one, each, tick))
      }
      progress.end()
      print(results, redis !== undefined, call.flag('json'), world.out)
      return 0
    } finally {
      progress.end()
      cache.close()
      world.segments.destroy(name, { ...place, force: true })
      redis?.[Symbol.dispose]()
    }
  },
}

function print(
  results: readonly Result[],
  hasRedis: boolean,
  isJson: boolean,
  out: Parameters<Command['run']>[1]['out'],
): void {
  const { node } = process.versions
  if (isJson) {
    out.json({
      node,
      redis: hasRedis,
      results: results.map((result) => ({ ...result, callsPerSecond: Math.round(result.callsPerSecond) })),
    })
    return
  }
  const operations = [...new Set(results.map(({ operation }) => operation))]
  const cell = (subject: string, operation: string): string => {
    const found = results.find((result) => result.subject === subject && result.operation === operation)
    return found === undefined ? '-' : count(found.callsPerSecond)
  }
  const subjects = hasRedis ? ['cache-machine', 'Redis'] : ['cache-machine']
  out.line(`Calls per second of one process, Node.js ${node}.`)
  out.line()
  out.table(
    ['CALL', ...subjects.map((subject) => subject.padStart(COLUMN))],
    operations.map((operation) => [operation, ...subjects.map((subject) => cell(subject, operation).padStart(COLUMN))]),
  )
  if (!hasRedis) out.line('\nredis-server is not installed, or was left out.')
}
