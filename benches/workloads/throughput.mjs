/**
 * Calls per second of one process, for each kind of value and number of keys: gets, sets and mixes, keys by Zipf's law.
 */
import { startAll } from '../suite.mjs'
import { kinds } from '../values.mjs'

const SEED = 99
/** Stores behind a round trip are verified by a sample, to save time. Every timed read is checked anyway. */
const SAMPLE = 2_000
const MANY = 100_000

const all = ['get', 'set', '95/5', '50/50']

/**
 * @typedef {{ id: string, kind: string, keys: number, operations: string[] }} Scene
 * @type {Scene[]}
 */
export const scenes = [
  { id: 'string-1k', kind: 'string', keys: 1_000, operations: all },
  { id: 'string-100k', kind: 'string', keys: 100_000, operations: all },
  { id: 'object-1k', kind: 'object', keys: 1_000, operations: all },
  { id: 'object-100k', kind: 'object', keys: 100_000, operations: all },
  { id: 'buffer-16k', kind: 'buffer-16k', keys: 1_000, operations: ['get', 'set'] },
  { id: 'buffer-1m', kind: 'buffer-1m', keys: 32, operations: ['get', 'set'] },
]

/** For `--quick`: the operations and contenders of the claims. */
const quickOperations = ['get', 'set']
const quickContenders = /^(cache-machine-(off|copy|frozen)|lru-cache|lmdb|lmdb-tuned|ioredis|process-send-json)$/

/** @param {Scene} scene */
export function titleOf({ kind, keys }) {
  return `${kinds[kind].label}, ${keys.toLocaleString('en')} keys`
}

/**
 * @param {import('../suite.mjs').Suite} suite
 * @param {Scene} scene
 */
export async function measureThroughput(suite, scene) {
  const { plan, progress } = suite
  const { id, kind, keys } = scene
  const operations = plan.quick ? scene.operations.filter((name) => quickOperations.includes(name)) : scene.operations

  progress.part(`${titleOf(scene)}: ${operations.join(', ')}`)
  const entrants = suite.entrants((contender) => takesPart(contender, scene, plan))
  const loaded = new Set()
  const startEntrant = ({ contender, placement }) => {
    progress.step(`starting ${contender.label}`)
    const bytes = keys * (kinds[kind].bytes + 100)
    const options = { contender, placement, context: { name: suite.newName(), kind, bytes } }
    return suite.start(id, options, (group) => prepare(group, { ...scene, operations }, loaded, plan))
  }
  const groups = await startAll(entrants, 2, startEntrant)

  const results = await suite.alternate(id, groups, (group) => runEach(group, operations, plan))
  for (const group of groups) await suite.attempt(id, group, () => verify(group, scene))

  for (const [{ contender, placement }, rounds] of await suite.finish(results)) {
    for (const operation of operations) {
      suite.record({
        workload: 'throughput',
        scene: id,
        operation,
        contender: contender.id,
        placement,
        unit: 'calls/s',
        better: 'higher',
        samples: rounds.map((round) => round[operation]),
      })
    }
  }
}

function takesPart({ id, kinds: accepted, only, inFlight, server }, { kind, keys }, { quick }) {
  if (only !== undefined && only !== 'throughput') return false
  if (accepted !== undefined && !accepted.includes(kind)) return false
  // 100 values of 1 MiB in flight would measure the memory, not the server.
  if (kind === 'buffer-1m' && inFlight > 1) return false
  // The number of keys does not change the cost of a round trip, and loading 100,000 keys into a primary takes long.
  if (keys >= MANY && (server === 'primary' || (quick && server !== undefined))) return false
  return !quick || quickContenders.test(id)
}

/** Clients of one server use the same keys and values, so only the first loads them. */
async function prepare(group, { kind, keys, operations }, loaded, { warmUp }) {
  const { contender, placement, first } = group
  const isServer = contender.server === 'redis' || contender.server === 'memcached'
  const store = isServer ? `${contender.server} ${placement}` : contender.id + placement
  if (!loaded.has(store)) await first.ask('load', { kind, keys })
  loaded.add(store)

  await verify(group, { kind, keys })
  await first.ask('prepare', { kind, keys, operations, seed: SEED })
  for (const operation of operations) await first.ask('warm', { operation, duration: warmUp })
}

function verify({ contender, first }, { kind, keys }) {
  return first.ask('verify', { kind, keys, ...(contender.server !== undefined && { sample: SAMPLE }) })
}

/** @returns {Promise<Record<string, number>>} calls per second of each operation */
async function runEach({ first }, operations, { window }) {
  const rates = {}
  for (const operation of operations) {
    const { calls, elapsed } = await first.ask('run', { operation, duration: window })
    rates[operation] = (calls / elapsed) * 1000
  }
  return rates
}
