/**
 * cluster-shared-memory: an object in the cluster primary, read and written over the default JSON channel.
 */
import { primaryLibrary } from './descriptions.mjs'

/** @type {import('./index.mjs').Contender[]} */
export const clusterSharedMemory = [primaryLibrary('cluster-shared-memory', 'defaults (an unbounded store)', openStore)]

async function openStore() {
  const { default: library } = await import('cluster-shared-memory')
  return {
    get: (key) => library.get(key),
    set: (key, value) => library.set(key, value),
    close: () => undefined,
  }
}
