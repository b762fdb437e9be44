/**
 * A part of a player: the operations of one subject. `steps` are synchronous, `acts` wait; each has the group of
 * operations that it belongs to, and a weight for the random choice.
 */
export class Part {
  constructor(scene) {
    this.scene = scene
    this.random = scene.random
  }

  get steps() {
    return []
  }

  get acts() {
    return []
  }

  /** Called after the caches were opened again. */
  opened() {}
}
