/**
 * @nestjs/throttler: its end-to-end tests with Express and Fastify, and the tests of its storage, with ours in the place
 * of `src/throttler.service.ts`. Left out are the tests of its guard, which bring a storage of their own.
 */
import { commonJs, fileOf, filesBelow } from './shared/checkout.mjs'
import { command, configuration, countsOf, jest } from './shared/jest.mjs'

const service = `import { Injectable } from '@nestjs/common'
import { open } from 'cache-machine'
import { NestThrottlerStorage } from 'cache-machine/nest-throttler'
import { ThrottlerStorage } from './throttler-storage.interface'

const cache = open({ name: process.env.SEGMENTS + process.pid, size: '16mb' })
let stores = 0

@Injectable()
export class ThrottlerStorageService extends NestThrottlerStorage implements ThrottlerStorage {
  constructor() {
    super(cache.namespace(\`store \${++stores}\`))
  }
}
`

const dependencies = {
  ...jest,
  '@nestjs/common': '11.2.10',
  '@nestjs/core': '11.2.10',
  '@nestjs/platform-express': '11.2.10',
  '@nestjs/platform-fastify': '11.2.8',
  '@nestjs/testing': '11.2.6',
  '@types/node': '24.13.3',
  pactum: '3.9.1',
  'reflect-metadata': '0.2.2',
  rxjs: '7.8.2',
}

/** @type {import('../hosts.mjs').Host} */
export default {
  repository: 'nestjs/throttler',
  dependencies,
  files(checkout) {
    const { 'src/throttler.guard.spec.ts': _, ...source } = filesBelow(checkout, 'src')
    return {
      ...source,
      ...filesBelow(checkout, 'test'),
      'src/throttler.service.ts': service,
      'tsconfig.json': fileOf(checkout, 'tsconfig.json'),
      'jest.config.json': configuration(['src', 'test']),
      'package.json': commonJs(dependencies),
    }
  },
  command,
  countsOf,
}
