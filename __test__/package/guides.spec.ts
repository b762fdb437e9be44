/**
 * The code of README.md and of every guide runs as it stands, ends by itself, and prints what its comments say. A page
 * with the comment `node: 22` has a host that asks for that version.
 */
import { spawnSync } from 'node:child_process'
import { readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import test from 'ava'
import { regions, segments } from '../../index.ts'
import { programPath, root } from '../helpers/internals.ts'
import { nodeFor } from '../helpers/newer-node.ts'
import { asPromised, codeOf, outputOf } from '../helpers/page-code.ts'
import { segmentName } from '../helpers/segment.ts'

const LIMIT_MS = 60_000

const guides = readdirSync(join(root, 'docs/guides')).filter((file) => file.endsWith('.md'))
const pages = ['README.md', ...guides.map((file) => `docs/guides/${file}`)]
  .map((page) => ({ page, text: readFileSync(join(root, page), 'utf8') }))
  .filter(({ text }) => codeOf(text) !== '')

for (const { page, text } of pages) {
  test.serial(`the code of ${page} runs, ends, and prints what it says`, async (t) => {
    t.timeout(2 * LIMIT_MS + 30_000)
    const node = await nodeFor(Number(/^<!-- node: (\d+) -->$/m.exec(text)?.[1] ?? 0))
    const name = segmentName(t)
    const file = programPath(`guide-${process.pid}.mjs`)
    t.teardown(() => {
      rmSync(file, { force: true })
      for (const region of regions.list()) {
        if (region.cache === name) regions.destroy(name, region.name, { force: true })
      }
      segments.destroy(name, { force: true })
    })
    writeFileSync(file, codeOf(text).replaceAll("'app'", `'${name}'`).replaceAll('cache="app"', `cache="${name}"`))
    const { stdout, stderr, status } = spawnSync(node, [file], { encoding: 'utf8', timeout: LIMIT_MS })
    t.is(stderr, '')
    t.is(status, 0)
    const wanted = outputOf(text)
    t.deepEqual(asPromised(stdout.replaceAll(name, 'app'), wanted), wanted)
  })
}

test('README.md and most guides have code', (t) => {
  t.true(pages.some(({ page }) => page === 'README.md'))
  t.true(pages.length > guides.length / 2, `${pages.length} of ${guides.length}`)
})
