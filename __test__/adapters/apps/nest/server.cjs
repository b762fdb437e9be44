/** The application as CommonJS. */
const app = require('./app.cjs')

const [common, core, nestCache] = ['common', 'core', 'cache-manager'].map((name) => require(`@nestjs/${name}`))
const cacheManager = require('cache-manager')
const machine = require('cache-machine')
const adapter = require('cache-machine/nest')

const [, , name, isHostWide] = process.argv
app.start({ common, core, nestCache, cacheManager, adapter, machine }, name, isHostWide === 'host-wide')
