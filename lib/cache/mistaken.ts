/**
 * The errors for a cache that was passed to a library which needs an adapter. Keyv takes any object that looks like a
 * Map, and would store its own lifetimes under wrong meanings.
 */
import { CacheError } from '../errors.ts'

/** The error for the event `error`, which no cache has, and which Keyv 5 listens to before it uses a store. */
export function noErrorEvent(): CacheError {
  return new CacheError('ERR_INVALID_ARGUMENT', 'a cache has no event "error", and is not a store of Keyv 5', {
    hint: "Pass keyv5Store(cache) of 'cache-machine/keyv5' to Keyv. Trouble with the segment is the event damage.",
  })
}

/** Makes `capabilities` throw, which Keyv 6 reads before it uses a store. */
export function refuseKeyv(prototype: object): void {
  Object.defineProperty(prototype, 'capabilities', {
    configurable: true,
    get() {
      // A prototype is no store: tools that look at one read its properties.
      if (this === prototype) return undefined
      throw new CacheError('ERR_INVALID_ARGUMENT', 'a cache is not a store of Keyv 6', {
        hint: "Pass keyvStore(cache) of 'cache-machine/keyv' to Keyv.",
      })
    },
  })
}
