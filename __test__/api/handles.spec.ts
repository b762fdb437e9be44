/** What the objects behind each call look like to V8. */
import { setFlagsFromString } from 'node:v8'
import { runInThisContext } from 'node:vm'
import test from 'ava'
import { nativeHandles } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

setFlagsFromString('--allow-natives-syntax')
const hasFastProperties = runInThisContext('(object) => %HasFastProperties(object)') as (object: object) => boolean

test('a raw call is found without a search: its handle is no dictionary', (t) => {
  const cache = openCache(t)
  cache.get('key')
  const handle = nativeHandles.get(cache)
  t.truthy(handle)
  t.true(hasFastProperties(handle as object))
  // A check of the check: what an accessor in a literal with a spread does.
  t.false(
    hasFastProperties({
      get size() {
        return 1
      },
      ...handle,
    }),
  )
})
