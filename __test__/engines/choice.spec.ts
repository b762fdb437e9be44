/**
 * The choice of an engine: the option, the environment variable, and what `auto` does without the addon.
 */
import { spawnSync } from 'node:child_process'
import { join } from 'node:path'
import test from 'ava'
import { CacheError, open, openRegion, regions, segments } from '../../index.ts'
import { typeScript } from '../helpers/fork.ts'
import { root } from '../helpers/internals.ts'
import { segmentName } from '../helpers/segment.ts'

/** Runs a program with the environment, and with an addon that cannot be loaded. Returns its output and warnings. */
function withoutAddon(
  program: string,
  env: Record<string, string>,
): { readonly out: string; readonly warnings: string } {
  const code = `
    process.env.CACHE_MACHINE_NATIVE = '/nonexistent/cache-machine.node'
    const { open, segments } = await import(${JSON.stringify(join(root, 'index.ts'))})
    ${program}
  `
  const loader = [...typeScript, '--input-type=module', '--eval', code]
  const { stdout, stderr } = spawnSync(process.execPath, loader, {
    cwd: root,
    encoding: 'utf8',
    env: { ...process.env, ...env },
  })
  return { out: stdout.trim(), warnings: stderr }
}

test('a segment of one engine is not one of the other', (t) => {
  const name = segmentName(t)
  const portable = open({ name, engine: 'portable', size: '2mb' })
  t.is(segments.inspect(name, { engine: 'native' }), undefined)
  t.like(segments.inspect(name, { engine: 'portable' }), { name, processes: [{ pid: process.pid }] })
  t.deepEqual(
    segments.list({ engine: 'portable' }).map((info) => info.name),
    [name],
  )
  const native = open({ name, engine: 'native', size: '2mb' })
  portable.set('a', 'portable')
  native.set('a', 'native')
  t.is(portable.get('a'), 'portable')
  t.is(portable.namespace('n').stats({ scope: 'segment' }).sets, 1)
  t.throws(() => segments.destroy(name, { engine: 'portable' }), { code: 'ERR_SEGMENT_IN_USE' })
  portable.close()
  t.true(segments.destroy(name, { engine: 'portable' }))
  t.is(native.get('a'), 'native')
  native.close()
})

test('a region of one engine is not one of the other', (t) => {
  const cache = segmentName(t)
  const region = openRegion({ cache, name: 'bytes', size: 8, engine: 'portable' })
  t.is(regions.inspect(cache, 'bytes', { engine: 'native' }), undefined)
  new Uint8Array(region.buffer)[0] = 5
  region.close()
  t.is(region.buffer.byteLength, 0)
  const again = openRegion({ cache, name: 'bytes', size: 8, engine: 'portable' })
  t.deepEqual([...new Uint8Array(again.buffer)], [5, 0, 0, 0, 0, 0, 0, 0])
  again.close()
  t.deepEqual(
    regions.list({ engine: 'portable' }).map((info) => info.cache),
    [cache],
  )
  t.true(regions.destroy(cache, 'bytes', { engine: 'portable' }))
})

test('a wrong engine throws', (t) => {
  const name = segmentName(t)
  for (const engine of ['wasm', '', null, 5]) {
    t.throws(() => open({ name, engine: engine as never }), { instanceOf: CacheError, code: 'ERR_INVALID_ARGUMENT' })
    t.throws(() => segments.list({ engine: engine as never }), { code: 'ERR_INVALID_ARGUMENT' })
  }
})

test("without the addon the error names the portable engine, and 'auto' takes it with one warning", (t) => {
  const use =
    "const c = open({ name: 'auto', ENGINE }); c.set('a', 1); open({ name: 'b', ENGINE }); console.log(c.get('a'))"
  const native = withoutAddon(`try { open({ name: 'x' }) } catch (e) { console.log(e.code, e.hint) }`, {})
  t.regex(native.out, /^ERR_NATIVE_UNAVAILABLE .*engine: 'portable'.*CACHE_MACHINE_ENGINE=portable/)
  const auto = withoutAddon(use.replaceAll('ENGINE', "engine: 'auto'"), {})
  t.is(auto.out, '1')
  t.is(auto.warnings.match(/CACHE_MACHINE_PORTABLE/g)?.length, 1, auto.warnings)
  t.regex(auto.warnings, /NOT SHARED/)
  const portable = withoutAddon(use.replaceAll(', ENGINE', ''), { CACHE_MACHINE_ENGINE: 'portable' })
  t.is(portable.out, '1')
  t.notRegex(portable.warnings, /CACHE_MACHINE_PORTABLE/)
  const wrong = withoutAddon(`try { open({ name: 'x' }) } catch (e) { console.log(e.code, e.hint) }`, {
    CACHE_MACHINE_ENGINE: 'wasm',
  })
  t.regex(wrong.out, /^ERR_INVALID_ARGUMENT Set CACHE_MACHINE_ENGINE to one of native, portable, auto/)
})
