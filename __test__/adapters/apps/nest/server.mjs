/** The application as an ES module. */
import * as common from '@nestjs/common'
import * as core from '@nestjs/core'
import * as nestCache from '@nestjs/cache-manager'
import * as cacheManager from 'cache-manager'
import * as machine from 'cache-machine'
import * as adapter from 'cache-machine/nest'
import app from './app.cjs'

const [, , name, isHostWide] = process.argv
await app.start({ common, core, nestCache, cacheManager, adapter, machine }, name, isHostWide === 'host-wide')
