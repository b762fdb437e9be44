/**
 * Apollo Server: the tests of @apollo/utils.keyvaluecache, with ours in the place of `src/InMemoryLRUCache.ts`. Left out
 * is `ErrorsAreMissesCache.test.ts`, which is about a wrapper of the host and has no cache.
 */
import { commonJs, fileOf, filesBelow } from './shared/checkout.mjs'
import { command, configuration, countsOf, jest } from './shared/jest.mjs'

// The host does not call \`keys\`, but a test reads what its wrapper has stored.
const store = `import { type Namespace, open } from 'cache-machine'
import { ApolloCache } from 'cache-machine/apollo'
import type { KeyValueCache, KeyValueCacheSetOptions } from './KeyValueCache'

const cache = open({ name: process.env['SEGMENTS']! + process.pid, size: '16mb' })
let stores = 0

export type InMemoryLRUCacheSetOptions<_V = string, _FC = unknown> = KeyValueCacheSetOptions
export class InMemoryLRUCache<
  V = string,
  SO extends InMemoryLRUCacheSetOptions = InMemoryLRUCacheSetOptions
> extends ApolloCache<V> implements KeyValueCache<V, SO> {
  readonly #space: Namespace

  constructor() {
    const space = cache.namespace(\`store \${++stores}\`)
    super(space)
    this.#space = space
  }
  keys() {
    return [...this.#space.keys()]
  }
}
`

const dependencies = {
  ...jest,
  '@apollo/utils.logger': '3.0.0',
  '@types/node': '24.13.3',
  'lru-cache': '11.5.3',
  'ts-expect': '1.3.0',
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'apollographql/apollo-utils',
  dependencies,
  files(checkout) {
    const folder = 'packages/keyValueCache/src'
    const found = Object.entries(filesBelow(checkout, folder)).filter(([path]) => path.endsWith('.ts'))
    const files = Object.fromEntries(found.map(([path, text]) => [path.replace(folder, 'src'), text]))
    const { 'src/__tests__/ErrorsAreMissesCache.test.ts': _, ...rest } = files
    const { compilerOptions } = JSON.parse(fileOf(checkout, 'tsconfig.base.json'))
    return {
      ...rest,
      'src/InMemoryLRUCache.ts': store,
      'tsconfig.json': JSON.stringify({ compilerOptions: { ...compilerOptions, types: ['node', 'jest'] } }),
      'jest.config.json': configuration(['src']),
      'package.json': commonJs(dependencies),
    }
  },
  command,
  countsOf,
}
