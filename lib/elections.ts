/**
 * Elections over all processes and threads that have the segment open: one leads, and when it dies another does.
 *
 * A leadership is a place without a time limit in a space of its own. The thing to get wrong: a leader that is stopped or whose
 * event loop hangs is alive, and leads on; what must not be done twice is fenced by its `token`.
 */
import { resolveTurn } from './locks.ts'
import type { TurnOptions } from './locks.ts'
import { Space } from './native.ts'
import type { Turns } from './turns.ts'
import { givenKey, wholeKey } from './values.ts'
import type { Key } from './values.ts'

/** That this handle of the cache leads. `using` and `await using` resign at the end of their block. */
export interface Leadership extends Disposable, AsyncDisposable {
  readonly name: Key
  /** The fencing token: larger than that of every leader before. Starts anew when the segment is destroyed. */
  readonly token: number
  /** Whether it leads at this moment: looks into the segment, and takes no lock. */
  readonly leads: boolean
  /**
   * Aborted, with the `CacheError` that tells why, when the leadership is lost: the segment was destroyed, or the cache was
   * closed. Not by `resign`.
   */
  readonly signal: AbortSignal
  /** Leaves the lead to the one who has waited longest. Returns whether it still led; a second call returns false. */
  resign(): boolean
}

/** The leadership of `name`, as soon as it is this one's turn. */
export async function waitForLeadership(
  turns: Turns,
  name: Key,
  options: TurnOptions | undefined,
): Promise<Leadership> {
  const { limits } = resolveTurn(options)
  const key = wholeKey(name)
  const place = await turns.wait({ space: Space.Elections, key, permits: 1, ttl: 0 }, limits)
  return {
    name: givenKey(key),
    token: place.token,
    get leads() {
      return place.held
    },
    get signal() {
      return place.signal
    },
    resign: () => place.release(),
    [Symbol.dispose]: () => place[Symbol.dispose](),
    [Symbol.asyncDispose]: () => place[Symbol.asyncDispose](),
  }
}
