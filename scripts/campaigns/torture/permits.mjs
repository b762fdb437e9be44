/**
 * Locks, semaphores, leadership and the lock of a region. Except for the region, the times at which each was held are
 * noted with a clock that all processes share. At the end of the round, no moment may have had too many holders, and
 * tokens must increase.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { openRegion } from 'cache-machine'
import { now } from './ledger.mjs'
import { Part } from './part.mjs'
import { countOne } from './tallies.mjs'

/** The number of locks. */
const LOCKS = 3
export const PERMITS = 2

export class Permits extends Part {
  #region

  get steps() {
    return [
      { group: 'permits', weight: 0.1, run: () => this.#tryLock() },
      { group: 'region', weight: 0.5, run: () => this.#countInRegion() },
    ]
  }

  get acts() {
    return [
      { group: 'permits', weight: 3, name: 'lock', run: () => this.#lock() },
      { group: 'permits', weight: 2, name: 'semaphore', run: () => this.#acquire() },
      { group: 'permits', weight: 1, name: 'elect', run: () => this.#elect() },
      { group: 'permits', weight: 0.5, name: 'lock of a segment that is destroyed', run: () => this.#lockAside() },
    ]
  }

  opened() {
    this.#region?.close()
    this.#region = undefined
  }

  #tryLock() {
    const which = this.random.below(LOCKS)
    const { generation } = this.scene
    const lock = this.scene.run('tryLock', undefined, which, () => this.scene.main.tryLock(`lock-${which}`))
    if (lock === undefined) return
    const begun = now()
    this.#countUnderLock(which)
    this.#giveBack({ kind: 'lock', which, generation, begun, token: lock.token, release: () => lock.release() })
  }

  #lock() {
    const which = this.random.below(LOCKS)
    const ask = () => this.scene.main.lock(`lock-${which}`, this.#limits())
    return this.#hold('lock', which, ask, (lock) => lock.release())
  }

  #acquire() {
    const ask = () => this.scene.main.semaphore('permits', PERMITS).acquire(this.#limits())
    return this.#hold('semaphore', 0, ask, (permit) => permit.release())
  }

  #elect() {
    const ask = () => this.scene.main.elect('leader', this.#limits())
    return this.#hold('leader', 0, ask, (leadership) => leadership.resign())
  }

  async #hold(kind, which, ask, giveUp) {
    const { generation } = this.scene
    const entry = this.scene.trace.begin(kind, -1, which)
    const permit = await ask()
    // `close` released the permit before this call was resumed.
    if (generation !== this.scene.generation) return
    const begun = now()
    if (kind === 'lock') this.#countUnderLock(which)
    await this.#passTime()
    this.#giveBack({ kind, which, generation, begun, token: permit.token, release: () => giveUp(permit) })
    this.scene.trace.end(entry, permit.token)
  }

  /** This lock is lost with its segment, so the only check is that the call is answered. */
  async #lockAside() {
    const cache = this.scene.caches.side?.root
    if (cache === undefined) return
    const lock = await cache.lock('lock', this.#limits())
    await this.#passTime()
    lock.release()
  }

  /** Half of the waits have no time limit: every waiter must be answered. */
  #limits() {
    return { ref: true, timeout: this.random.chance(0.5) ? undefined : this.random.between(0, 500) }
  }

  async #passTime() {
    if (this.random.chance(0.6)) await delay(this.random.between(0, 40))
  }

  /** Counts by a plain read and a plain write: two holders at the same time would lose a count. */
  #countUnderLock(which) {
    if (which !== 0) return
    const cache = this.scene.namespaceOf('tallies')
    countOne(this.scene, 'lock', () => void cache.set('lock', (cache.get('lock') ?? 0) + 1))
  }

  #giveBack({ kind, which, generation, begun, token, release }) {
    const isClosed = generation !== this.scene.generation
    const ended = isClosed ? this.scene.closings[generation] : now()
    const wasHeld = release()
    if (!wasHeld && !isClosed) this.scene.fail(`${kind} ${which} was lost, with token ${token}`)
    this.scene.held(kind, which, begun, ended, token)
  }

  /** Two numbers that differ only if a process was killed between the writes. */
  #countInRegion() {
    this.#region ??= openRegion({ cache: this.scene.input.prefix, name: 'numbers', size: 4096 })
    const numbers = new Float64Array(this.#region.buffer)
    const count = ({ recovered }) => {
      if (recovered) numbers[1] = numbers[0]
      else if (numbers[0] !== numbers[1]) {
        this.scene.fail(`a region has ${numbers[0]} and ${numbers[1]}, and does not report a death`)
      }
      numbers[0]++
      numbers[1]++
    }
    const add = () => void this.#region.withLock(count, { timeout: '1s' })
    countOne(this.scene, 'region', () => this.scene.run('region', undefined, 0, add))
  }
}
