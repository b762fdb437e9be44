/**
 * Loads: at most one load of a key at a time on the host; and `once`, with one permanent result for all processes.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { now } from './ledger.mjs'
import { Part } from './part.mjs'

const KEYS = 6
const NAMES = 200
/** Longer than all jumps of the clock, since another process may start a load when the lease of the first is over. */
const LEASE = '365d'

export class Loads extends Part {
  #load

  get acts() {
    return [
      { group: 'loads', weight: 3, name: 'getOrSet', run: () => this.#getOrSet() },
      { group: 'loads', weight: 1, name: 'wrap', run: () => this.#wrap() },
      { group: 'loads', weight: 1, name: 'once', run: () => this.#once() },
    ]
  }

  opened() {
    this.#load = undefined
  }

  async #getOrSet() {
    const which = this.random.below(KEYS)
    const options = { ttl: this.random.between(1, 200), lease: LEASE }
    const entry = this.scene.trace.begin('getOrSet', -1, which)
    const value = await this.scene
      .namespaceOf('loads')
      .getOrSet(`load-${which}`, (context) => this.#bring(which, context), options)
    this.#check(value, which)
    this.scene.trace.end(entry, 1)
  }

  async #wrap() {
    this.#load ??= this.scene
      .namespaceOf('loads')
      .wrap((which) => this.#bring(which), { key: (which) => `load-${which}`, ttl: 100, stale: 100 })
    const which = KEYS + this.random.below(KEYS)
    this.#check(await this.#load(which), which)
  }

  /** The loader. */
  async #bring(which, { token } = { token: 0 }) {
    const { generation } = this.scene
    const begun = now()
    if (this.random.chance(0.5)) await delay(this.random.between(0, 30))
    // A load without a token is not shared. After its cache was closed, another process may load.
    if (token > 0 && generation === this.scene.generation) this.scene.held('load', which, begun, now(), token)
    return { which, by: this.scene.slot }
  }

  #check(value, which) {
    if (value?.which !== which) this.scene.fail(`the load of ${which} brought ${JSON.stringify(value)}`)
  }

  async #once() {
    const which = this.random.below(NAMES)
    const run = () => `${this.scene.slot}/${this.scene.life}/${now()}`
    const value = await this.scene.main.once(`once-${which}`, run)
    const [slot, , at] = value.split('/')
    // Each run has another time.
    this.scene.held('once', which, Number(at), Number(at), Number(slot))
  }
}
