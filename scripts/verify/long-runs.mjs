/**
 * The suites that run a program of scripts/ for a short time: models, fuzz, torture and story; and `leftovers`.
 */
import { existsSync, readdirSync } from 'node:fs'
import { capture } from '../setup.mjs'
import { add, check, failure, minutes, success } from './outcomes.mjs'

export async function runSpinModels() {
  const { runModels } = await import('./model.mjs')
  return runModels({ quick: true })
}

/**
 * Runs each target for a few seconds: first with a fixed seed, so that a known failure shows again, then with a new
 * one.
 */
export async function runFuzzTargets() {
  const { runFuzz } = await import('../campaigns/fuzz.mjs')
  const log = (line) => console.log(line)
  const fixed = await runFuzz({ seconds: 4, seed: 1, log })
  if (fixed.failed > 0) return fixed
  const random = await runFuzz({ seconds: 6, seed: 2 + Math.floor(Math.random() * 2 ** 30), log })
  // The targets that were skipped are named once.
  return add(fixed, { ...random, skipped: [] })
}

/** A minute of torture. Each round counts as a test. */
export async function runTorture() {
  const { code, output } = await capture(process.execPath, ['scripts/campaigns/torture.mjs'], { timeout: 8 * minutes })
  const [, rounds] = /^(\d+) rounds, .*: 0 failed$/m.exec(output) ?? []
  if (code !== 0 || rounds === undefined) return failure(`${output.trimEnd()}\nThe torture ended with ${code}`)
  const skipped = [...output.matchAll(/^skipped: (.+)$/gm)].map(([, name]) => name)
  return { passed: Number(rounds), failed: 0, skipped, output }
}

export function runStory() {
  return check('npm start', process.execPath, ['scripts/story/start.mjs', '--check'], { timeout: 3 * minutes })
}

const segmentsBefore = listSegments()

/** Segments that existed when this module was loaded belong to other programs. */
export function checkLeftovers() {
  const left = listSegments().filter((name) => !segmentsBefore.includes(name))
  return left.length === 0 ? success : failure(`Left in /dev/shm: ${left.join(', ')}`)
}

function listSegments() {
  return existsSync('/dev/shm') ? readdirSync('/dev/shm').filter((name) => name.startsWith('cache-machine.')) : []
}
