/**
 * cache-manager 7: its suite with a Keyv 5 over our adapter in the place of each Keyv. Some of its tests use Redis on
 * port 6379.
 */
import manager from './cache-manager.mjs'

const keyv = `import { randomUUID } from 'node:crypto'
import { open } from 'cache-machine'
import { keyv5Store } from 'cache-machine/keyv5'
import { Keyv as RealKeyv } from 'real-keyv'

const name = process.env.SEGMENTS + randomUUID()
const cache = open({ name, size: '16mb' })
let stores = 0

export class Keyv extends RealKeyv {
  constructor({ store, ...options } = {}) {
    super({ ...options, store: store ?? keyv5Store(cache, { namespace: \`store \${++stores}\` }) })
  }
}
export default Keyv
`

/** @type {import('../hosts.mjs').Host} */
export default {
  ...manager,
  files(checkout) {
    const { 'src/host.ts': host, ...rest } = manager.files(checkout)
    return { ...rest, 'src/index.ts': host, 'keyv.js': keyv }
  },
}
