/**
 * What a thread does when its process gets SIGTERM, without a change for the application: its own listeners run, and
 * where there are none the process ends by the signal, as it would without this listener.
 */

type Work = () => Promise<unknown>

/** Marks the listener, also for another copy of this module in the process. */
const MARK = Symbol.for('cache-machine.sigterm')

const works = new Set<Work>()

const listener: NodeJS.SignalsListener & { [MARK]?: true } = () => {
  // Asked now: a listener that the application added by `once` is gone afterwards.
  void workAndEnd(foreignListeners() === 0)
}
listener[MARK] = true

/** Runs `work` at SIGTERM. Returns a function that ends that. Does not keep the process alive. */
export function onSigterm(work: Work): () => void {
  works.add(work)
  // The first: listeners of the application may end the process.
  if (works.size === 1) process.prependListener('SIGTERM', listener)
  return () => {
    if (works.delete(work) && works.size === 0) process.removeListener('SIGTERM', listener)
  }
}

async function workAndEnd(isAlone: boolean): Promise<void> {
  await Promise.allSettled([...works].map((work) => work()))
  if (!isAlone) return
  works.clear()
  process.removeListener('SIGTERM', listener)
  if (process.listenerCount('SIGTERM') === 0) process.kill(process.pid, 'SIGTERM')
}

function foreignListeners(): number {
  return process.listeners('SIGTERM').filter((other) => !Object.hasOwn(other, MARK)).length
}
