/**
 * Calls that only read: stats, metrics as text, lists of segments. They must answer and find no damage.
 */
import { regions, segments } from 'cache-machine'
import { Part } from './part.mjs'

export class Views extends Part {
  get steps() {
    return [{ group: 'stats', weight: 0.05, run: () => this.#view() }]
  }

  #view() {
    const scene = this.scene
    const { main, input, random } = scene
    const view = random.pick([
      () => main.metrics().prometheus(),
      () => main.size,
      () => segments.list(),
      () => segments.inspect(`${input.prefix}-main`)?.processes.length,
      () => regions.list(),
    ])
    scene.run('stats', undefined, 0, () => void view())
    for (const [segment, { root }] of Object.entries(scene.caches)) {
      const { damaged, degradedReads } = root.stats()
      if (damaged > 0) scene.fail(`${segment} counts ${damaged} damaged entries`)
      // A read of a segment that is destroyed at the same time may be a degraded miss.
      if (degradedReads > 0 && segment !== 'side') scene.fail(`${segment} counts ${degradedReads} degraded reads`)
    }
  }
}
