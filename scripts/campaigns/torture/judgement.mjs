/**
 * The checks at the end of a round, when all players have ended.
 */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { openRegion } from 'cache-machine'
import { problems } from '../internals.mjs'
import { Table, now } from './ledger.mjs'
import { holdings, limit, limitWindow, tallies } from './plan.mjs'
import { openSegment, segmentsOf } from './segments.mjs'
import { openTallies, readTallies } from './tallies.mjs'
import { isDeletion, numberIn, shorten } from './values.mjs'

/** All failures of a round that has ended; `main` is its open cache. */
export function judge(round, main) {
  const failures = []
  const fail = (what, key) => failures.push({ what, key: key?.index ?? -1, at: now() })
  const ledger = new Table(join(round.folder, 'ledger'))
  try {
    judgeKeys(round, main, ledger, fail)
    judgeTallies(round, main, ledger, fail)
    judgeHoldings(round, fail)
    judgeSegments(round, main, fail)
    for (const growth of round.resources.growing) fail(growth)
  } finally {
    ledger.close()
  }
  return failures
}

/** No entry of `kept` may be missing. */
function judgeKeys({ layout }, main, ledger, fail) {
  const kept = main.namespace('kept')
  for (const key of layout.keys.filter(({ space }) => space.name === 'kept')) {
    const [begun] = ledger.read(layout.begunRow(key))
    const [acknowledged] = ledger.read(layout.acknowledgedRow(key))
    const known = `the last acknowledged number is ${acknowledged}, the last begun is ${begun}`
    const value = kept.get(key.name)
    const number = value === undefined ? undefined : numberIn(key, value)
    if (value !== undefined && !(number >= acknowledged && number <= begun)) {
      fail(`at the end ${key.name} is ${shorten(value)}; ${known}`, key)
    }
    const states = Array.from({ length: begun - acknowledged + 1 }, (_, i) => acknowledged + i)
    if (value === undefined && !states.some((state) => state === 0 || isDeletion(key, state))) {
      fail(`at the end ${key.name} is missing; ${known}`, key)
    }
  }
  kept.close()
}

function judgeTallies({ layout, plan, scene }, main, ledger, fail) {
  const cache = main.namespace('tallies')
  const found = readTallies(openTallies(main, cache))
  cache.close()
  if (plan.groups.includes('region')) {
    const region = openRegion({ cache: scene.prefix, name: 'numbers', size: 4096 })
    found.region = region.withLock(() => new Float64Array(region.buffer)[0])
    region.close()
  }
  const passed = plan.manualClock ? ledger.read(layout.clockRow)[0] : plan.seconds * 1000 + 60_000
  for (const kind of tallies) {
    if (found[kind] === undefined) continue
    let [min, max] = [0, 0]
    for (let slot = 0; slot < layout.slots; slot++) {
      const [done, perhaps, pending] = ledger.read(layout.tallyRow(slot, kind))
      min += done
      max += done + perhaps + pending
    }
    // Tokens return at a steady rate.
    if (kind === 'gcra') min -= Math.ceil((passed * limit) / limitWindow) + 1
    if (found[kind] < min || found[kind] > max) {
      fail(`${kind} is ${found[kind]}, and must be ${min === max ? min : `from ${min} to ${max}`}`)
    }
  }
}

function judgeHoldings({ folder, layout }, fail) {
  const kinds = Object.keys(holdings)
  const groups = new Map()
  for (let slot = 0; slot < layout.slots; slot++) {
    const file = join(folder, `holds-${slot}`)
    if (!existsSync(file)) continue
    const table = new Table(file)
    const [count] = table.read(0)
    for (let row = 1; row <= count; row++) {
      const [kind, which, begun, ended, token, holder] = table.read(row)
      const name = `${kinds[kind]} ${which}`
      if (!groups.has(name)) groups.set(name, [])
      groups.get(name).push({ begun, ended, token, holder })
    }
    table.close()
  }
  for (const [name, holds] of groups)
    judgeHolds(
      name,
      holds.toSorted((a, b) => a.begun - b.begun),
      fail,
    )
}

function judgeHolds(name, holds, fail) {
  const kind = name.split(' ', 1)[0]
  if (kind === 'once' && new Set(holds.map(({ begun }) => begun)).size > 1) fail(`${name} had more than one result`)
  const permits = holdings[kind]
  let inside = []
  let newest = 0
  for (const hold of holds) {
    inside = [...inside.filter(({ ended }) => ended > hold.begun), hold]
    if (inside.length > permits)
      fail(`${name} was held by ${inside.map(({ holder }) => `place ${holder}`).join(' and ')}`)
    if (permits === 1 && hold.token > 0 && hold.token <= newest) fail(`${name} had token ${hold.token} after ${newest}`)
    newest = Math.max(newest, hold.token)
  }
}

function judgeSegments({ scene, layout }, main, fail) {
  for (const problem of problems(main)) fail(`the structures of main: ${problem}`)
  const { evictions, damaged } = main.stats()
  if (evictions > 0) fail(`${evictions} entries were evicted from main, which has room for all`)
  if (damaged > 0) fail(`${damaged} damaged entries in main`)
  for (const segment of segmentsOf(layout.spaces).filter((name) => name !== 'main')) {
    try {
      const cache = openSegment(scene, segment, { writeTimeout: '10s' })
      for (const problem of problems(cache)) fail(`the structures of ${segment}: ${problem}`)
      cache.close()
    } catch (error) {
      if (error.code !== 'ERR_NO_SPACE') throw error // the tiny segment may never have been created
    }
  }
}
