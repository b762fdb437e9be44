/**
 * Plays round after round until the time is over or a round fails, and prints the results.
 */
import { planRound } from './plan.mjs'
import { Round } from './round.mjs'
import { historyOf, shrink } from './shrink.mjs'
import { Distribution, formatDuration } from './stalls.mjs'

/** Milliseconds between progress lines of a long round. */
const PROGRESS = 60_000

export class Campaign {
  #options
  #round
  #interruption
  #sums = { rounds: 0, repairs: 0, operations: 0, counts: {}, longestGap: 0 }
  #durations = { kills: new Distribution(), stops: new Distribution(), other: new Distribution() }

  constructor(options) {
    this.#options = options
  }

  /** Resolves with whether every round passed. */
  async run() {
    const { milliseconds, rounds, seedOf, plan, canMount } = this.#options
    const start = performance.now()
    if (!canMount) console.log('skipped: the tiny file system, which only root can mount')
    for (let i = 0; i < rounds && this.#interruption === undefined; i++) {
      const left = (milliseconds - (performance.now() - start)) / 1000
      if (i > 0 && left < 3) break
      const planned = planRound(seedOf(i), plan)
      const seconds = plan.seconds ?? Math.max(3, Math.min(planned.seconds, left))
      const round = await this.#play({ ...planned, seconds })
      this.#add(round)
      console.log(describe(round))
      if (round.failures.length > 0) return this.#explain(round)
      round.dispose()
    }
    this.#summarize((performance.now() - start) / 1000)
    return this.#interruption === undefined
  }

  /** Ends the current round and removes its files and segments. */
  interrupt(signal) {
    this.#interruption = signal
    this.#round?.interrupt()
  }

  async #play(plan) {
    const { canMount, isWatched } = this.#options
    const round = new Round(plan, { canMount, isWatched })
    this.#round = round
    const progress = setInterval(() => console.log(`  … ${describe(round)}`), PROGRESS)
    try {
      return await round.play()
    } finally {
      clearInterval(progress)
    }
  }

  #add({ operations, counts, longestGap, durations, repairs }) {
    this.#sums.rounds++
    this.#sums.repairs += repairs
    this.#sums.operations += operations
    this.#sums.longestGap = Math.max(this.#sums.longestGap, longestGap)
    for (const [what, count] of Object.entries(counts)) {
      this.#sums.counts[what] = (this.#sums.counts[what] ?? 0) + count
    }
    for (const kind of Object.keys(durations)) this.#durations[kind].merge(durations[kind])
  }

  #summarize(seconds) {
    const { rounds, operations, counts, longestGap, repairs } = this.#sums
    const { kills, stops, other } = this.#durations
    console.log(`
Durations of synchronous operations, without those that ended in ERR_BUSY:
  around kills  ${kills}
  around stops  ${stops}
  otherwise     ${other}
  The longest gap between two clock reads of an otherwise idle process: ${formatDuration(longestGap)}
Counted: ${list(counts)}
${rounds} rounds, ${operations} operations in ${seconds.toFixed(0)} s, ${counts.kills ?? 0} kills, ${repairs} repairs, ${counts.stops ?? 0} stops: 0 failed`)
  }

  async #explain(round) {
    for (const { what } of round.failures.slice(0, 5)) console.log(`\nFAILED with seed ${round.plan.seed}: ${what}`)
    if (this.#interruption !== undefined) {
      round.dispose()
      return false
    }
    console.log('\nLooking for a smaller failing round …')
    const play = async (plan) => {
      const smaller = await this.#play(plan)
      console.log(`  ${smaller.failures.length > 0 ? 'fails' : 'passes'}: ${describe(smaller)}`)
      return smaller
    }
    const smallest = await shrink(round, play, () => this.#interruption !== undefined)
    console.log(`\nThe smallest failing round: ${smallest.failures[0].what}`)
    console.log(historyOf(smallest).join('\n'))
    console.log(
      `\nnpm run torture -- --seed ${smallest.plan.seed} --rounds 1 --plan '${JSON.stringify(smallest.plan)}'`,
    )
    console.log(`1 failed: seed ${round.plan.seed}`)
    smallest.dispose()
    return false
  }
}

function describe({ plan, operations, counts, resources, seconds, repairs }) {
  const { seed, processes, threads, faults } = plan
  const done = operations === undefined ? '' : `${operations} operations in ${seconds.toFixed(1)} s, `
  const players = `${processes} processes of ${threads + 1} threads`
  const { kills = 0, stops = 0, terminations = 0, ERR_BUSY = 0 } = counts
  const what = `kills ${kills}, stops ${stops}, threads ended ${terminations}, repairs ${repairs}, ERR_BUSY ${ERR_BUSY}`
  return `seed ${seed}: ${players}, ${faults.join('+') || 'no faults'}: ${done}${what}; ${resources}`
}

function list(counts) {
  return Object.entries(counts)
    .map(([what, count]) => `${what} ${count}`)
    .join(', ')
}
