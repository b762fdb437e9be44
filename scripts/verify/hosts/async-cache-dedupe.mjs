/**
 * async-cache-dedupe: the tests of its cache, with ours in the place of both of its storages, and the tests of these
 * storages that ask what a storage answers. Left out are tests that look into the store of a storage of the host, and
 * tests of its own options and logs.
 */
import { commonJs, fileOf, filesBelow, segment } from './shared/checkout.mjs'
import { command, countsOf } from './shared/node-test.mjs'

const storage = `'use strict'
${segment}
const { dedupeStorage } = require('cache-machine/async-cache-dedupe')
module.exports = function Storage() {
  return dedupeStorage(cache, { namespace: \`store \${++stores}\` })
}
`

const redis = `'use strict'
module.exports = class Redis {
  async flushall() {}
  async quit() {}
}
`

const own =
  /storage\.store|redisClient\.(?!flushall)|[kK]eys?References|referencesKeys|clearReferences|log: \{|\.gc\(|proxyquire\(|createStorage\('redis'\)|(client: -?1|size: -?1|referencesTTL: -1|client: \{\})/
const suites = ['base', 'cache', 'clear', 'stale', 'storage-base', 'storage-custom', 'transformer', 'ttl']

const dependencies = { '@matteo.collina/tspl': '0.2.0', mnemonist: '0.40.8', 'safe-stable-stringify': '2.5.0' }

/** The tests of a storage that do not look into its store. */
function answersOf(text) {
  return text.replaceAll(/^( +)test\('[^]*?^\1\}\)\n/gm, (test) => (own.test(test) ? '' : test))
}

/** Ours answers with promises, as the storage for Redis does, and the one in memory does not. */
function awaited(text) {
  const calls = /(?<!await )storage\.(set|get|exists|getTTL|remove|invalidate|clear|refresh)\(/g
  return text.replaceAll(calls, 'await storage.$1(')
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'mcollina/async-cache-dedupe',
  node: 22,
  dependencies,
  files(checkout) {
    const testOf = (name) =>
      awaited(fileOf(checkout, `test/${name}.test.js`))
        .replace(`require('ioredis')`, `require('../redis')`)
        .replace(`require('proxyquire')`, 'require')
    const tests = suites.map((name) => [`test/${name}.test.js`, testOf(name)])
    const answers = ['memory', 'redis'].map((name) => [
      `test/storage-${name}.test.js`,
      answersOf(testOf(`storage-${name}`)),
    ])
    return {
      ...filesBelow(checkout, 'src'),
      ...Object.fromEntries([...tests, ...answers]),
      'index.js': fileOf(checkout, 'index.js'),
      'src/storage/memory.js': storage,
      'src/storage/redis.js': storage,
      'redis.js': redis,
      'package.json': commonJs(dependencies),
    }
  },
  command,
  countsOf,
}
