/**
 * Locks, semaphores, leadership and the lock of a region. When each but the last was held is noted with a clock that all share, and at the
 * end of the round no moment may have had more holders than it is for, and no token may be older than an earlier one.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { openRegion } from 'cache-machine'
import { now } from './ledger.mjs'
import { countOne } from './tallies.mjs'

/** Keys of locks. */
const LOCKS = 3
export const PERMITS = 2

export class Turns {
  #scene
  #random
  #region

  constructor(scene) {
    this.#scene = scene
    this.#random = scene.random
  }

  get steps() {
    return [
      { group: 'turns', weight: 0.1, run: () => this.#tryLock() },
      { group: 'region', weight: 0.5, run: () => this.#countInRegion() },
    ]
  }

  get acts() {
    return [
      { group: 'turns', weight: 3, name: 'lock', run: () => this.#lock() },
      { group: 'turns', weight: 2, name: 'semaphore', run: () => this.#acquire() },
      { group: 'turns', weight: 1, name: 'elect', run: () => this.#elect() },
      { group: 'turns', weight: 0.5, name: 'lock of a segment that is destroyed', run: () => this.#lockAside() },
    ]
  }

  opened() {
    this.#region?.close()
    this.#region = undefined
  }

  #tryLock() {
    const which = this.#random.below(LOCKS)
    const { generation } = this.#scene
    const lock = this.#scene.run('tryLock', undefined, which, () => this.#scene.main.tryLock(`lock-${which}`))
    if (lock === undefined) return
    const begun = now()
    this.#countUnderLock(which)
    this.#giveBack({ kind: 'lock', which, generation, begun, token: lock.token, release: () => lock.release() })
  }

  #lock() {
    const which = this.#random.below(LOCKS)
    const ask = () => this.#scene.main.lock(`lock-${which}`, this.#limits())
    return this.#hold('lock', which, ask, (lock) => lock.release())
  }

  #acquire() {
    const ask = () => this.#scene.main.semaphore('permits', PERMITS).acquire(this.#limits())
    return this.#hold('semaphore', 0, ask, (permit) => permit.release())
  }

  #elect() {
    const ask = () => this.#scene.main.elect('leader', this.#limits())
    return this.#hold('leader', 0, ask, (leadership) => leadership.resign())
  }

  async #hold(kind, which, ask, giveUp) {
    const { generation } = this.#scene
    const entry = this.#scene.trace.begin(kind, -1, which)
    const turn = await ask()
    // Got, and lost by `close` before we were told of it.
    if (generation !== this.#scene.generation) return
    const begun = now()
    if (kind === 'lock') this.#countUnderLock(which)
    await this.#passTime()
    this.#giveBack({ kind, which, generation, begun, token: turn.token, release: () => giveUp(turn) })
    this.#scene.trace.end(entry, turn.token)
  }

  /** What is held there is lost with the segment, so only the answer counts. */
  async #lockAside() {
    const cache = this.#scene.caches.side?.root
    if (cache === undefined) return
    const lock = await cache.lock('lock', this.#limits())
    await this.#passTime()
    lock.release()
  }

  /** Waits without a limit as well: every waiter must be answered. */
  #limits() {
    return { ref: true, timeout: this.#random.chance(0.5) ? undefined : this.#random.between(0, 500) }
  }

  async #passTime() {
    if (this.#random.chance(0.6)) await delay(this.#random.between(0, 40))
  }

  /** A count by a plain read and a plain write: two who were inside at the same time lose one. */
  #countUnderLock(which) {
    if (which !== 0) return
    const cache = this.#scene.namespaceOf('tallies')
    countOne(this.#scene, 'lock', () => void cache.set('lock', (cache.get('lock') ?? 0) + 1))
  }

  #giveBack({ kind, which, generation, begun, token, release }) {
    const isClosed = generation !== this.#scene.generation
    const ended = isClosed ? this.#scene.closings[generation] : now()
    const wasHeld = release()
    if (!wasHeld && !isClosed) this.#scene.fail(`${kind} ${which} was lost, with token ${token}`)
    this.#scene.held(kind, which, begun, ended, token)
  }

  /** Two numbers that only somebody who dies in between leaves different. */
  #countInRegion() {
    this.#region ??= openRegion({ cache: this.#scene.input.prefix, name: 'numbers', size: 4096 })
    const numbers = new Float64Array(this.#region.buffer)
    const count = ({ recovered }) => {
      if (recovered) numbers[1] = numbers[0]
      else if (numbers[0] !== numbers[1]) {
        this.#scene.fail(`a region has ${numbers[0]} and ${numbers[1]}, and says nothing of a death`)
      }
      numbers[0]++
      numbers[1]++
    }
    const add = () => void this.#region.withLock(count, { timeout: '1s' })
    countOne(this.#scene, 'region', () => this.#scene.run('region', undefined, 0, add))
  }
}
