/**
 * express-rate-limit: its suites of the middleware, the options, the headers and the memory store, with our store in the
 * place of `source/memory-store.ts`. The clock of the cache is `Date`, which the suite moves.
 */
import { filesBelow } from './shared/checkout.mjs'
import { countsOf } from './shared/vitest.mjs'

const memory = `import { ExpressRateLimitStore } from 'cache-machine/express-rate-limit'
import { createTestCache } from 'cache-machine/testing'

const cache = createTestCache()
let stores = 0
export class MemoryStore extends ExpressRateLimitStore {
  constructor(_validations?: unknown) {
    super(cache.namespace(\`store \${++stores}\`), \`store \${stores}\`)
  }
}
`

const jest = {
  preset: 'ts-jest/presets/default-esm',
  testTimeout: 30_000,
  testMatch: ['**/test/library/{middleware,options,headers,memory-store}-test.ts'],
  moduleNameMapper: { '^(\\.{1,2}/.*)\\.js$': '$1' },
}
const tsconfig = {
  compilerOptions: {
    target: 'es2022',
    module: 'esnext',
    moduleResolution: 'bundler',
    esModuleInterop: true,
    strict: true,
    skipLibCheck: true,
    isolatedModules: true,
  },
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'express-rate-limit/express-rate-limit',
  dependencies: {
    '@jest/globals': '30.4.1',
    '@types/debug': '4.1.13',
    '@types/express': '5.0.6',
    '@types/node': '26.1.2',
    '@types/supertest': '7.2.1',
    debug: '4.4.3',
    express: '5.2.1',
    'ip-address': '10.2.0',
    jest: '30.4.2',
    'ratelimit-header-parser': '0.1.0',
    supertest: '7.2.2',
    'ts-jest': '29.4.12',
    typescript: '5.9.3',
  },
  files: (checkout) => ({
    ...filesBelow(checkout, 'source'),
    ...filesBelow(checkout, 'test/library'),
    'jest.config.json': JSON.stringify(jest),
    'source/memory-store.ts': memory,
    'tsconfig.json': JSON.stringify(tsconfig),
  }),
  command: ['jest', '--json', '--outputFile=report.json'],
  countsOf,
}
