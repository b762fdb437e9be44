/**
 * The built package loads the portable engine when it is first used, and by then a test may have replaced the timers.
 */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'
import { root } from '../helpers/internals.ts'
import { segmentName } from '../helpers/segment.ts'

/** Prints what `code` logs, as a program that requires the package. */
function printed(code: string): string {
  const program = `const { open, segments } = require(${JSON.stringify(join(root, 'dist/index.cjs'))})
    const isLoaded = () => Object.keys(require.cache).some((path) => path.endsWith('portable/engine.cjs'))
    ${code}`
  const env = { ...process.env, CACHE_MACHINE_ENGINE: '' }
  return execFileSync(process.execPath, ['--eval', program], { encoding: 'utf8', env, timeout: 60_000 })
}

test('a process on the native engine does not load the portable one', (t) => {
  const name = segmentName(t)
  const code = `
    const cache = open({ name: '${name}', size: '8mb' })
    cache.set('a', 1)
    cache.keys().next()
    cache.stats()
    cache.close()
    segments.inspect('${name}')
    segments.destroy('${name}')
    console.log(isLoaded())
    open({ name: '${name}', engine: 'portable' }).close()
    console.log(isLoaded())`
  t.is(printed(code), 'false\ntrue\n')
})

test('the portable engine keeps the timers of the runtime, also if it is loaded under replaced ones', (t) => {
  const code = `
    const { setTimeout: real } = globalThis
    globalThis.setTimeout = () => { throw new Error('replaced') }
    performance.now = () => 0
    const cache = open({ name: 'lazy', engine: 'portable' })
    cache.set('a', 1, 5)
    const wait = () => (cache.has('a') ? real(wait, 1) : console.log('expired'))
    wait()`
  t.is(printed(code), 'expired\n')
})
