/**
 * Nest 11 as CommonJS: our application of two servers, with the package as it is published. Nest has no suite for stores.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { root } from '../../setup.mjs'
import { command, countsOf } from './shared/node-test.mjs'

const folder = '__test__/adapters/apps/nest'

/** @type {import('../hosts.mjs').Host} */
export default {
  dependencies: {
    '@nestjs/cache-manager': '3.1.3',
    '@nestjs/common': '11.2.10',
    '@nestjs/core': '11.2.10',
    '@nestjs/platform-express': '11.2.10',
    'cache-manager': '7.2.9',
    keyv: '5.6.0',
    'reflect-metadata': '0.2.2',
    rxjs: '7.8.2',
  },
  files() {
    const names = ['app.cjs', 'server.cjs', 'nest.test.mjs']
    return Object.fromEntries(names.map((name) => [name, readFileSync(join(root, folder, name), 'utf8')]))
  },
  env: { SERVER: './server.cjs' },
  command: [...command, 'nest.test.mjs'],
  countsOf,
}
