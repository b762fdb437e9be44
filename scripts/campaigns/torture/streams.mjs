/**
 * Changes and messages: none arrives twice or out of order, and each missing one is counted as lost.
 */
import { now } from './ledger.mjs'
import { Part } from './part.mjs'

const CHANNEL = 'news'
/** Milliseconds within which a player must receive its own change. */
const PATIENCE = 30_000

export class Streams extends Part {
  #published = 0
  /** Ends the streams when the caches are opened again. */
  #abort = new AbortController()
  #isListening = false

  get steps() {
    return [{ group: 'streams', weight: 0.5, run: () => this.#publish() }]
  }

  get acts() {
    return [{ group: 'streams', weight: 1, name: 'watch', run: () => this.#watch() }]
  }

  opened() {
    this.#abort.abort()
    this.#abort = new AbortController()
    this.#isListening = false
  }

  #publish() {
    if (!this.#isListening) this.#listen()
    const { slot, life } = this.scene
    const message = {
      from: `${slot}/${life}`,
      number: this.#published + 1,
      padding: 'x'.repeat(this.scene.random.below(300)),
    }
    this.scene.run('publish', undefined, message.number, () => this.scene.main.publish(CHANNEL, message))
    this.#published++
  }

  #listen() {
    const { signal } = this.#abort
    const messages = this.scene.main.subscribe(CHANNEL, { signal, buffer: 100_000 })
    this.#isListening = true
    void this.#judge(messages).catch((error) => {
      if (!signal.aborted && error.code !== 'ERR_CLOSED') throw error
    })
  }

  async #judge(messages) {
    let lost = 0
    const last = new Map()
    for await (const { message, lost: more } of messages) {
      lost += more
      const before = last.get(message.from)
      if (before !== undefined) {
        const { number } = message
        if (number <= before.number) this.scene.fail(`message ${number} of ${message.from} came after ${before.number}`)
        if (number > before.number + 1 && lost === before.lost) {
          this.scene.fail(`messages of ${message.from} are missing between ${before.number} and ${number}`)
        }
      }
      last.set(message.from, { number: message.number, lost })
      this.scene.count('messages')
    }
  }

  /** The player's own change must arrive in order, or be counted as lost. */
  async #watch() {
    const scene = this.scene
    const cache = scene.namespaceOf(`watched-${scene.slot}`)
    const entry = scene.trace.begin('watch', -1, 0)
    const limit = AbortSignal.timeout(PATIENCE)
    const changes = cache.watch({ key: 'watched' }, { signal: limit, ref: true })
    cache.set('watched', now())
    const { version } = cache.getEntry('watched') ?? {}
    let newest = 0
    for await (const change of changes) {
      if (change.type === 'set' && change.version <= newest) {
        scene.fail(`version ${change.version} of a watched key came after ${newest}`)
      }
      newest = Math.max(newest, change.version)
      if (newest >= version || change.lost > 0 || change.key === undefined) break
    }
    scene.trace.end(entry, newest)
  }
}
