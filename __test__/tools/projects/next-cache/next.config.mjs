import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)
const [major] = require('next/package.json').version.split('.')

const cacheHandlers = { default: require.resolve('./use-cache-handler.mjs') }
const experimental = { useCache: true, ...(major === '15' && { cacheHandlers }) }

export default {
  output: 'standalone',
  serverExternalPackages: ['cache-machine'],
  // CommonJS here, and a module above.
  cacheHandler: require.resolve('./cache-handler.cjs'),
  cacheMaxMemorySize: 0,
  ...(major !== '15' && { cacheHandlers }),
  experimental,
}
