/**
 * The hint for a segment or a namespace that is not there: which names there are, the similar ones first.
 */
import { CacheError, fromNative, showKey } from '../errors.ts'
import { bySimilarity } from '../arguments/similar.ts'
import { engineFor, native } from '../engine/engine.ts'
import type { EngineOpenOptions } from '../engine/engine.ts'

/** Maximum number of names in a hint. */
const MAX_NAMES = 5

/** `ERR_NO_SEGMENT` and `ERR_SEGMENT_VERSION` of an open that may not create, with hints for it; other errors as they are. */
export function missing(error: unknown, options: EngineOpenOptions): unknown {
  if (options.create !== false) return error
  const known = fromNative(error)
  if (!(known instanceof CacheError)) return error
  if (known.code === 'ERR_SEGMENT_VERSION') {
    const hint = 'Use the version of this package that the program with the segment uses, for example in its folder.'
    return new CacheError(known.code, `${showKey(options.name)}: ${known.message}`, { hint, cause: error })
  }
  if (known.code !== 'ERR_NO_SEGMENT') return error
  return new CacheError(known.code, known.message, { hint: hintFor(known.message, options), cause: error })
}

function hintFor(message: string, options: EngineOpenOptions): string {
  const { name, directory, group, namespace, engine } = options
  if (namespace !== undefined && message.includes('namespace')) {
    return 'Check the name: stats().namespaces lists those of the segment. A program makes one with cache.namespace(name).'
  }
  const place = directory ?? (engineFor(engine) === 'portable' ? 'this thread' : '/dev/shm')
  const names = bySimilarity(name, namesIn(options))
  if (names.length === 0) {
    return (
      `This ${group === undefined ? 'user' : 'group'} has no segment in ${place}. Start the program that creates it, run as ` +
      'its user, or pass the directory and the group that it passes to open.'
    )
  }
  const first = names.slice(0, MAX_NAMES).map(showKey).join(', ')
  const more = names.length > MAX_NAMES ? ` and ${names.length - MAX_NAMES} more` : ''
  return `${place} has ${first}${more}. Check name, directory, user and group, or start the program that creates it.`
}

function namesIn(options: EngineOpenOptions): string[] {
  try {
    return native.segmentsList(options, options.engine).map(({ name }) => name)
  } catch {
    // The list is only a part of a hint.
    return []
  }
}
