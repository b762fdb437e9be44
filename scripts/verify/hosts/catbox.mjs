/**
 * hapi: the suite of catbox, with ours in the place of the calls of the engine that it brings. The options of that engine
 * stay, since the tests of the client look at them. Left out is `esm.js`, which has no engine.
 */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { commonJs, fileOf, filesBelow, segment } from './shared/checkout.mjs'

const engine = `'use strict'
${segment}
const { catboxEngine } = require('cache-machine/catbox')
const Own = require('./own-connection')
module.exports = class Connection extends Own {
  constructor(options) {
    super(options)
    const ours = catboxEngine(cache, { namespace: \`store \${++stores}\` })
    for (const name of ['start', 'stop', 'isReady', 'validateSegmentName', 'get', 'set', 'drop']) {
      this[name] = ours[name].bind(ours)
    }
  }
}
`

const dependencies = {
  '@hapi/boom': '10.0.1',
  '@hapi/code': '9.0.3',
  '@hapi/hoek': '11.0.7',
  '@hapi/lab': '26.0.1',
  '@hapi/podium': '5.0.2',
  '@hapi/validate': '2.0.1',
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'hapijs/catbox',
  dependencies,
  files: (checkout) => ({
    ...filesBelow(checkout, 'lib'),
    ...Object.fromEntries(
      ['client', 'index', 'policy'].map((name) => [`test/${name}.js`, fileOf(checkout, `test/${name}.js`)]),
    ),
    'test/own-connection.js': fileOf(checkout, 'test/connection.js'),
    'test/connection.js': engine,
    'package.json': JSON.stringify({ ...JSON.parse(commonJs(dependencies)), main: 'lib/index.js' }),
  }),
  command: [
    'lab',
    '-a',
    '@hapi/code',
    '-m',
    '5000',
    '-l',
    '-r',
    'console',
    '-o',
    'stdout',
    '-r',
    'json',
    '-o',
    'report.json',
    'test/client.js',
    'test/index.js',
    'test/policy.js',
  ],
  countsOf(_output, folder) {
    if (!existsSync(join(folder, 'report.json'))) return { passed: 0, failed: 1, skipped: 0 }
    const { tests } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'))
    const all = Object.values(tests).flat()
    const failed = all.filter(({ err }) => err).length
    const skipped = all.filter((test) => test.skipped).length
    return { passed: all.length - failed - skipped, failed, skipped }
  },
}
