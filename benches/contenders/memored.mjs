/**
 * memored: a Map in the cluster primary, read and written with callbacks over the default JSON channel.
 */
import { primaryLibrary } from './descriptions.mjs'

/** @type {import('./index.mjs').Contender[]} */
export const memored = [primaryLibrary('memored', 'defaults', openStore)]

async function openStore() {
  const { default: library } = await import('memored')
  const promiseOf = (start) =>
    new Promise((resolve, reject) => {
      start((error, value) => (error ? reject(error) : resolve(value)))
    })
  return {
    get: (key) => promiseOf((done) => library.read(key, done)),
    set: (key, value) => promiseOf((done) => library.store(key, value, done)),
    close: () => undefined,
  }
}
