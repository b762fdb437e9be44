/**
 * The next items of change streams and message streams.
 */
import type { Change } from '../../index.ts'
import { within } from './eventually.ts'

/** The next `count` items. */
export async function take<T>(items: AsyncIterableIterator<T>, count: number): Promise<T[]> {
  const taken: T[] = []
  while (taken.length < count) {
    const { done, value } = await within('the next item', items.next())
    if (done) throw new Error('the stream ended')
    taken.push(value)
  }
  return taken
}

/** The next `count` changes as text: type and key. */
export async function told(changes: AsyncIterableIterator<Change>, count: number): Promise<string[]> {
  return (await take(changes, count)).map(({ type, key }) => (key === undefined ? type : `${type} ${String(key)}`))
}
