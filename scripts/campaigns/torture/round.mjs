/**
 * One round: the players, the faults, and the judgement at the end.
 *
 * Caution: a player that the round killed must not count as one that ended by itself, and one that the round
 * suspended must not count as one that hangs.
 */
import { fork, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { regions, segments } from 'cache-machine'
import { advance } from '../internals.mjs'
import { judge } from './judgement.mjs'
import { Table, now } from './ledger.mjs'
import { Layout } from './plan.mjs'
import { Probe } from './probe.mjs'
import { Random } from './random.mjs'
import { ONE_ARENA, Resources } from './resources.mjs'
import { openSegment, segmentsOf } from './segments.mjs'
import { Distribution, SLICE } from './stalls.mjs'
import { countOperations } from './trace.mjs'

/** Milliseconds without a beat after which a player counts as hanging. */
const HANGS_AFTER = 30_000
/** Milliseconds within which all players must end after the round. */
const MAX_ENDING = 60_000
/** Milliseconds after a kill during which it may delay other processes. */
const AFTERMATH = 250
const MAX_JUMP = 3_600_000
/** The size of the tiny file system. */
const TINY = '4m'
const programOf = (name) => fileURLToPath(new URL(`${name}.mjs`, import.meta.url))

let rounds = 0

export class Round {
  failures = []
  counts = {}
  durations = { kills: new Distribution(), stops: new Distribution(), other: new Distribution() }
  /** The longest gap that the clock watcher measured. */
  longestGap = 0
  /** Shards of `main` that were rebuilt. */
  repairs = 0
  resources = new Resources()

  constructor(plan, { canMount, isWatched = false }) {
    // Without the right to mount, the tiny file system is not part of the round.
    this.plan = canMount ? plan : { ...plan, spaces: plan.spaces.filter((name) => name !== 'tiny') }
    this.layout = new Layout(this.plan)
    this.random = new Random(plan.seed, 1)
    this.folder = mkdtempSync(join(tmpdir(), 'cache-machine-torture-'))
    this.#isWatched = isWatched
    this.scene = {
      prefix: `torture-${process.pid}-${++rounds}`,
      plan: this.plan,
      folder: this.folder,
      tinyFolder: this.plan.spaces.includes('tiny') ? this.#mount() : undefined,
    }
  }

  #isWatched
  #players = []
  #victim
  #kills = []
  #stops = []
  #slices = []
  #ledger
  #main
  #probe
  #watcher
  #isOver = false
  #isInterrupted = false

  /**
   * Plays the round to its end or to the first failure. Resolves with this object; `failures` is empty if the round
   * passed.
   */
  async play() {
    try {
      await this.#playAll()
    } catch (error) {
      this.#fail(error.stack)
    }
    await this.#end()
    return this
  }

  /** Makes the round end at once. */
  interrupt() {
    this.#isInterrupted = true
  }

  async #playAll() {
    this.#ledger = new Table(join(this.folder, 'ledger'))
    this.#main = openSegment(this.scene, 'main', { writeTimeout: '10s' })
    this.#probe = new Probe(openSegment(this.scene, 'main', { writeTimeout: '10ms' }))
    this.#watcher = fork(programOf('clock-watcher'), { stdio: ['ignore', 'ignore', 'inherit', 'ipc'] })
    this.#watcher.on('message', (gap) => (this.longestGap = Math.max(this.longestGap, gap)))
    const { processes, threads } = this.plan
    for (let i = 0; i < processes; i++) this.#players.push(this.#start(i * (threads + 1), 1))

    const end = now() + this.plan.seconds * 1000
    const tasks = this.#tasks()
    this.begun = now()
    while (now() < end && !this.#isInterrupted && !this.#check()) {
      for (const task of tasks) {
        if (now() < task.next) continue
        task.next = now() - Math.log(1 - this.random.next()) * task.every
        await task.strike()
      }
      await delay(5)
    }
    this.#isOver = true
    for (const player of this.#players) this.#resume(player)
    if (this.failures.length > 0 || this.#isInterrupted) return
    await this.#endVictim(this.#victim)
    await this.#letFinish()
    if (this.#check()) return
    this.failures.push(...judge(this, this.#main))
  }

  /** The faults of the plan and the regular checks. `every`: milliseconds on average. */
  #tasks() {
    const { plan } = this
    const all = [
      { fault: 'kills', every: 1000 / plan.killsPerSecond, strike: () => this.#kill() },
      { fault: 'kills', every: 2000, strike: () => this.#sacrifice() },
      { fault: 'stops', every: 1000 / plan.stopsPerSecond, strike: () => this.#stop() },
      { fault: 'jumps', every: 300, strike: () => this.#jump() },
      { fault: 'fills', every: 700, strike: () => this.#fill() },
    ]
    const chosen = all.filter(({ fault }) => plan.faults.includes(fault))
    const watch = { every: 1000, strike: () => this.#watch() }
    const probe = { every: 100, strike: () => this.#checkProbe() }
    const end = { every: 10, strike: () => this.#endVictimInTime() }
    return [...chosen, watch, probe, end].map((task) => ({
      ...task,
      next: now() + task.every * this.random.next(),
    }))
  }

  // The players.

  #start(slot, life) {
    const input = { ...this.scene, slot, life }
    const child = fork(programOf('player'), [JSON.stringify(input)], {
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: this.#isWatched ? { ...process.env, ...ONE_ARENA } : process.env,
    })
    const player = { slot, life, child, isKilled: false, stoppedUntil: 0, since: now() }
    child.on('message', (message) => {
      player.hasBegun = true
      if (message === 'begun') return
      this.#slices.push(...message.slices)
      for (const [what, count] of Object.entries(message.counts)) this.#count(what, count)
    })
    player.ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        if (!player.isKilled && !(this.#isOver && code === 0))
          this.#endedByItself(`place ${slot}`, code ?? signal, slot)
        player.hasEnded = true
        resolve()
      })
    })
    return player
  }

  #endedByItself(name, how, slot) {
    // Ctrl-C in a terminal reaches every process.
    if (!this.#isInterrupted || how !== 'SIGINT') this.#fail(`${name} ended by itself, with ${how}`, slot)
  }

  /**
   * Kills a player and starts it again at once. A player is rarely killed before it has begun. In a soak, the first
   * player is never killed, so that its memory can be watched.
   */
  async #kill() {
    const first = this.#isWatched ? 1 : 0
    if (this.#players.length <= first || this.#isSacrificing) return
    const which = first + this.random.below(this.#players.length - first)
    const player = this.#players[which]
    if (player.hasEnded || (!player.hasBegun && this.random.chance(0.9))) return
    player.isKilled = true
    this.#kills.push(now())
    player.child.kill('SIGKILL')
    await player.ended
    this.#count('kills')
    this.#players[which] = this.#start(player.slot, player.life + 1)
  }

  /**
   * Starts a victim, a process that only writes, to kill it soon, most likely while it holds a lock. From then on no
   * process is killed, started or suspended until every shard can be written to. A new process in the victim's slot
   * would reveal that the victim is dead, and so hide a fault in finding that out without it.
   */
  #sacrifice() {
    if (this.#isSacrificing || (this.#victim !== undefined && !this.#victim.isKilled)) return
    const stdio = ['ignore', 'inherit', 'inherit', 'ipc']
    const child = fork(programOf('victim'), [JSON.stringify(this.scene)], { stdio })
    const victim = { child, isKilled: false, endsAt: undefined }
    const life = this.random.between(5, 50)
    child.on('message', () => (victim.endsAt = now() + life))
    victim.ended = new Promise((resolve) => {
      child.on('exit', (code, signal) => {
        if (!victim.isKilled) this.#endedByItself('the victim', code ?? signal)
        resolve()
      })
    })
    this.#victim = victim
    this.#count('victims')
  }

  get #isSacrificing() {
    const isWriting = this.#victim?.endsAt !== undefined && !this.#victim.isKilled
    return isWriting || !this.#probe.isDone
  }

  /** Kills the victim when its time is over and every player has a slot. */
  async #endVictimInTime() {
    const isDue = this.#victim?.endsAt < now() && !this.#victim.isKilled
    if (isDue && this.#players.every(({ hasBegun }) => hasBegun)) await this.#endVictim(this.#victim)
  }

  async #endVictim(victim) {
    if (victim === undefined) return
    if (!victim.isKilled) this.#kills.push(now())
    victim.isKilled = true
    victim.child.kill('SIGKILL')
    await victim.ended
    this.#probe.begin()
  }

  #stop() {
    const player = this.random.pick(this.#players)
    if (player.hasEnded || player.stoppedUntil > now() || this.#isSacrificing) return
    const milliseconds = this.random.between(20, this.plan.maxStop)
    player.stoppedUntil = now() + milliseconds
    this.#stops.push([now(), player.stoppedUntil])
    player.child.kill('SIGSTOP')
    setTimeout(() => this.#resume(player), milliseconds)
    this.#count('stops')
  }

  #resume(player) {
    if (!player.hasEnded) player.child.kill('SIGCONT')
    player.stoppedUntil = 0
    player.since = now()
  }

  async #letFinish() {
    for (const { child } of this.#players) if (child.connected) child.send('stop')
    const all = Promise.all(this.#players.map(({ ended }) => ended))
    const late = delay(MAX_ENDING, 'late', { ref: false })
    if ((await Promise.race([all, late])) === 'late') {
      this.#fail('a player does not end')
    }
  }

  // The clock, the file system and the checks.

  /** Advances the segment's clock. The ledger has the maximum and the minimum time that the clock may show. */
  #jump() {
    if (!this.plan.manualClock) return
    const { clockRow } = this.layout
    const [, shown] = this.#ledger.read(clockRow)
    const by = Math.floor(this.random.chance(0.1) ? this.random.next() * MAX_JUMP : this.random.next() * 300)
    this.#ledger.write(clockRow, [shown + by, shown])
    advance(this.#main, by)
    this.#ledger.write(clockRow, [shown + by, shown + by])
    this.#count('jumps')
  }

  #mount() {
    const folder = join(this.folder, 'tiny')
    mkdirSync(folder)
    const { status, stderr } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${TINY},mode=700`, 'tmpfs', folder])
    if (status !== 0) throw new Error(`mount: ${stderr}`)
    return folder
  }

  /** Fills the tiny file system with the file of another program, or removes that file. */
  #fill() {
    const { tinyFolder } = this.scene
    if (tinyFolder === undefined) return
    const file = join(tinyFolder, 'of-another-program')
    if (existsSync(file)) return rmSync(file)
    const { bavail, bsize } = statfsSync(tinyFolder)
    try {
      writeFileSync(file, new Uint8Array(bavail * bsize))
    } catch (error) {
      if (error.code !== 'ENOSPC') throw error // a player took the space first
    }
    this.#count('fills')
  }

  #checkProbe() {
    const stoppedSince = (time) =>
      this.#stops.some(([, until]) => until >= time) || this.#players.some(({ stoppedUntil }) => stoppedUntil > 0)
    const what = this.#probe.check(stoppedSince)
    if (what !== undefined) this.#fail(what)
  }

  #watch() {
    const survivor = this.#players[0]
    if (!survivor.hasEnded) this.resources.sample(survivor.child.pid, this.#main)
  }

  // Results.

  /** Whether a failure was found. */
  #check() {
    const file = join(this.folder, 'failures')
    if (existsSync(file)) {
      const lines = readFileSync(file, 'utf8').trim().split('\n')
      this.failures = [...lines.map((line) => JSON.parse(line)), ...this.failures]
      return true
    }
    for (const player of this.#players) {
      if (player.hasEnded || player.stoppedUntil > 0) continue
      for (let i = 0; i <= this.plan.threads; i++) this.#checkBeat(player, player.slot + i)
    }
    return this.failures.length > 0
  }

  #checkBeat(player, slot) {
    const [beat] = this.#ledger.read(this.layout.beatRow(slot))
    const quiet = now() - Math.max(beat, player.since)
    if (quiet < HANGS_AFTER) return
    this.#fail(`place ${slot} has not written a beat for ${quiet.toFixed()} ms`, slot)
  }

  #count(what, by = 1) {
    this.counts[what] = (this.counts[what] ?? 0) + by
  }

  async #end() {
    this.seconds = (now() - (this.begun ?? now())) / 1000
    for (const player of this.#players) {
      player.isKilled = true
      player.child.kill('SIGKILL')
    }
    this.#watcher?.kill('SIGKILL')
    await Promise.all(this.#players.map(({ ended }) => ended))
    await this.#endVictim(this.#victim)
    this.operations = countOperations(this.folder, this.layout.slots)
    this.#sortSlices()
    this.repairs = this.#main?.stats().repairs ?? 0
    this.#probe?.close()
    this.#main?.close()
    this.#ledger?.close()
    for (const segment of segmentsOf(this.layout.spaces)) {
      const directory = segment === 'tiny' ? this.scene.tinyFolder : undefined
      this.#attempt(() => segments.destroy(`${this.scene.prefix}-${segment}`, { directory, force: true }))
    }
    this.#attempt(() => regions.destroy(this.scene.prefix, 'numbers', { force: true }))
  }

  #attempt(step) {
    try {
      step()
    } catch (error) {
      this.#fail(error.stack)
    }
  }

  #fail(what, slot) {
    this.failures.push({ what, key: -1, slot, at: now() })
  }

  /** Removes the folder of the round, which has the data to explain a failure. */
  dispose() {
    if (this.scene.tinyFolder !== undefined) spawnSync('umount', ['-l', this.scene.tinyFolder])
    rmSync(this.folder, { recursive: true, force: true })
  }

  #sortSlices() {
    for (const slice of this.#slices) {
      const [begun, ended] = [Math.min(slice.begun, slice.slice * SLICE), (slice.slice + 1) * SLICE]
      const isNear = ([from, to]) => from < ended && to > begun
      const kind = this.#stops.some(isNear)
        ? 'stops'
        : this.#kills.some((at) => isNear([at, at + AFTERMATH]))
          ? 'kills'
          : 'other'
      this.durations[kind].add(slice)
    }
    this.#slices = []
  }
}
