/**
 * cache-machine/session with @fastify/session, in Fastify.
 */
import { sessionSuite } from '../sessions.suite.ts'

sessionSuite('fastify-session')
