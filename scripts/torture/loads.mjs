/**
 * Loads: one at a time on the whole host, whoever asks; and `once`, whose result is the same for all and for ever.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { now } from './ledger.mjs'

const KEYS = 6
const NAMES = 200
/** The clock jumps by hours, and a load whose time has run out may be another's as well. */
const LEASE = '365d'

export class Loads {
  #scene
  #random
  #load

  constructor(scene) {
    this.#scene = scene
    this.#random = scene.random
  }

  get steps() {
    return []
  }

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
    const which = this.#random.below(KEYS)
    const options = { ttl: this.#random.between(1, 200), lease: LEASE }
    const entry = this.#scene.trace.begin('getOrSet', -1, which)
    const value = await this.#scene
      .namespaceOf('loads')
      .getOrSet(`load-${which}`, (context) => this.#bring(which, context), options)
    this.#check(value, which)
    this.#scene.trace.end(entry, 1)
  }

  async #wrap() {
    this.#load ??= this.#scene
      .namespaceOf('loads')
      .wrap((which) => this.#bring(which), { key: (which) => `load-${which}`, ttl: 100, stale: 100 })
    const which = KEYS + this.#random.below(KEYS)
    this.#check(await this.#load(which), which)
  }

  /** The loader. */
  async #bring(which, { token } = { token: 0 }) {
    const { generation } = this.#scene
    const begun = now()
    if (this.#random.chance(0.5)) await delay(this.#random.between(0, 30))
    // Without a token it is one of its own; and one whose cache was closed is given up, and somebody else may load.
    if (token > 0 && generation === this.#scene.generation) this.#scene.held('load', which, begun, now(), token)
    return { which, by: this.#scene.slot }
  }

  #check(value, which) {
    if (value?.which !== which) this.#scene.fail(`the load of ${which} brought ${JSON.stringify(value)}`)
  }

  async #once() {
    const which = this.#random.below(NAMES)
    const run = () => `${this.#scene.slot}/${this.#scene.life}/${now()}`
    const value = await this.#scene.main.once(`once-${which}`, run)
    const [slot, , at] = value.split('/')
    // The time tells the runs apart.
    this.#scene.held('once', which, Number(at), Number(at), Number(slot))
  }
}
