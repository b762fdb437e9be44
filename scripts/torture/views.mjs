/**
 * Whatever only looks: statistics, metrics as text, lists of segments. It must answer, and find no damage.
 */
import { regions, segments } from 'cache-machine'

export class Views {
  #scene

  constructor(scene) {
    this.#scene = scene
  }

  get steps() {
    return [{ group: 'statistics', weight: 0.05, run: () => this.#look() }]
  }

  #look() {
    const scene = this.#scene
    const { main, input, random } = scene
    const look = random.pick([
      () => main.metrics().prometheus(),
      () => main.size,
      () => segments.list(),
      () => segments.inspect(`${input.prefix}-main`)?.processes.length,
      () => regions.list(),
    ])
    scene.run('statistics', undefined, 0, () => void look())
    for (const [segment, { root }] of Object.entries(scene.caches)) {
      const { damaged, degradedReads } = root.stats()
      if (damaged > 0) scene.fail(`${segment} counts ${damaged} damaged entries`)
      // Of a segment that is destroyed under a reader, a read may be a miss for that.
      if (degradedReads > 0 && segment !== 'side') scene.fail(`${segment} counts ${degradedReads} degraded reads`)
    }
  }
}
