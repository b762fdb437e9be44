const { open } = require('cache-machine')
const { cacheHandler } = require('cache-machine/next')

module.exports = cacheHandler(() => open({ name: process.env.SEGMENT, size: '128mb', maxEntrySize: '8mb' }))
