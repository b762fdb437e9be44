/**
 * cache-machine/undici with undici 8.
 */
import * as undici from 'undici'
import { undiciSuite } from '../undici.suite.ts'

undiciSuite(undici)
