/**
 * Calls per second of one process, for each kind of value and number of keys: gets, sets and mixes, keys by Zipf's law.
 */
import { inLanes } from '../suite.mjs'
import { kinds } from '../values.mjs'

const SEED = 99
/** Of a round trip each verification costs one, so they are sampled; every timed read is checked all the same. */
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

/** For `--quick`: what the claims speak of. */
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
  const start = ({ contender, placement }) => {
    progress.step(`starting ${contender.label}`)
    const bytes = keys * (kinds[kind].bytes + 100)
    const options = { contender, placement, context: { name: suite.newName(), kind, bytes } }
    return suite.start(id, options, (crew) => prepare(crew, { ...scene, operations }, loaded, plan))
  }
  const crews = (await inLanes(entrants, 2, start)).filter((crew) => crew !== undefined)

  const results = await suite.alternate(id, crews, (crew) => runEach(crew, operations, plan))
  for (const crew of crews) await suite.attempt(id, crew, () => verify(crew, scene))

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
  // A hundred megabytes under way measure the memory, not the server.
  if (kind === 'buffer-1m' && inFlight > 1) return false
  // How many keys a Map in the primary has is not what a round trip to it costs, and to load them takes long.
  if (keys >= MANY && (server === 'primary' || (quick && server !== undefined))) return false
  return !quick || quickContenders.test(id)
}

/** Two clients of one server store the same keys and values, so the first loads for both. */
async function prepare(crew, { kind, keys, operations }, loaded, { warmUp }) {
  const { contender, placement, first } = crew
  const isServer = contender.server === 'redis' || contender.server === 'memcached'
  const store = isServer ? `${contender.server} ${placement}` : contender.id + placement
  if (!loaded.has(store)) await first.ask('load', { kind, keys })
  loaded.add(store)

  await verify(crew, { kind, keys })
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
