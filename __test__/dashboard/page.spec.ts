/**
 * The page of the dashboard in a browser: it shows what a program under load does, and it can be used by keyboard, on a phone and with a screen reader.
 */
import { spawn } from 'node:child_process'
import type { ChildProcessWithoutNullStreams } from 'node:child_process'
import { createRequire } from 'node:module'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import anyTest from 'ava'
import type { ExecutionContext, TestFn } from 'ava'
import type { Browser, Page } from 'playwright-core'
import { segments } from '../../index.ts'
import { browserProgram, openPage, startBrowser } from '../helpers/browser.ts'
import { program, start } from '../helpers/command-line.ts'
import { eventually, within } from '../helpers/eventually.ts'
import { Child, STARTED } from '../helpers/fork.ts'
import { root } from '../helpers/internals.ts'
import { openCache } from '../helpers/segment.ts'

const serial = (browserProgram === undefined ? anyTest.serial.skip : anyTest.serial) as TestFn['serial']
const name = `test-${process.pid}-dashboard`
const axeSource = readFileSync(createRequire(join(root, 'package.json')).resolve('axe-core/axe.min.js'), 'utf8')
const SECTIONS = ['overview', 'latency', 'memory', 'keys', 'namespaces', 'tags', 'processes', 'locks'] as const

/** What axe finds, with the markup of each place. */
const VIOLATIONS = `axe.run(document, { resultTypes: ['violations'] }).then(({ violations }) =>
  violations.map(({ id, nodes }) => id + ': ' + nodes.map(({ html }) => html.slice(0, 160)).join(' | ')))`
/** Pixels by which the content is wider than the window. */
const OVERFLOW = 'document.documentElement.scrollWidth - document.documentElement.clientWidth'

let browser: Browser
let ui: ChildProcessWithoutNullStreams | undefined
let load: Child
/** Of a dashboard of the program under load. */
let url: string

anyTest.before(async () => {
  if (browserProgram === undefined) return
  browser = await startBrowser()
  load = new Child('dashboard-load', { name }, {})
  await load.next(STARTED)
  ui = spawn(process.execPath, [program, 'ui', name, '--json'])
  url = await urlOf(ui)
})

anyTest.after.always(async () => {
  await browser?.close()
  ui?.kill('SIGKILL')
  load?.kill()
  await load?.exit
  segments.destroy(name, { force: true })
})

/** Starts another dashboard. */
function serve(t: ExecutionContext, args: readonly string[]): Promise<string> {
  return urlOf(start(t, ['ui', ...args, '--json']))
}

async function urlOf(child: ChildProcessWithoutNullStreams): Promise<string> {
  const line = new Promise<string>((resolve) => child.stdout.setEncoding('utf8').once('data', resolve))
  return (JSON.parse(await within('the URL', line, STARTED)) as { url: string }).url
}

async function go(page: Page, section: (typeof SECTIONS)[number]): Promise<void> {
  await page.locator('#sections a', { hasText: new RegExp(`^${section}$`, 'i') }).click()
  await page.locator(`#sections a[href="#/${section}"][aria-current="page"]`).waitFor()
}

/** The text of the first key of the list of hottest keys. */
function hottest(page: Page): Promise<string> {
  return page.locator('#hottest tbody tr').first().innerText()
}

serial('the overview shows the load: rates, hit ratio, and the hot key first', async (t) => {
  const page = await openPage(t, browser, url)
  t.false(page.url().includes('token'), 'the token leaves the address bar')
  await page.locator('#connection', { hasText: 'Live' }).waitFor()
  await eventually('the hot key comes first', async () => (await hottest(page)).startsWith('product:42'), 30_000)
  const tile = (title: string): Promise<string> => page.locator('.tile', { hasText: title }).locator('dd').innerText()
  t.regex(await tile('Reads'), /^[\d,.]+M?\/s/)
  const ratio = Number.parseFloat(await tile('Hit ratio'))
  t.true(ratio > 80 && ratio < 100, `hit ratio ${ratio}`)
  t.regex(await tile('Memory'), /^\d+\.\d %\s+[\d.]+ MiB of [\d.]+ MiB/)
  t.is(await page.locator('.chart canvas').count(), 5)
  t.regex((await page.locator('.chart').first().getAttribute('aria-label')) ?? '', /^Reads, latest: hits [\d,.]+M?\/s/)
  t.is(await page.locator('#access').innerText(), 'Read-only')
})

serial('latencies, the map of the shards, namespaces, processes and locks', async (t) => {
  const page = await openPage(t, browser, url)
  await go(page, 'latency')
  const near = page.locator('.panel', { hasText: 'Hits of the near cache' })
  await near.locator('.histogram .bars rect').first().waitFor({ state: 'attached', timeout: 30_000 })
  t.regex(await near.locator('.facts').innerText(), /median\s+[\d.]+ (?:ns|µs)/)

  await go(page, 'memory')
  t.is(await page.locator('#map .cell').count(), 2)
  t.regex(await page.locator('#map .cell').first().innerText(), /^#0\s*\d+\.\d %/)

  await go(page, 'namespaces')
  const sessions = page.locator('tbody tr', { hasText: 'sessions' })
  await sessions.waitFor()
  t.regex(await sessions.innerText(), /2 MiB of 2 MiB|1\.9 MiB of 2 MiB|[\d.]+ (?:K|M)iB of 2 MiB/)

  await go(page, 'processes')
  await page
    .locator('tbody tr', { hasText: String(load.process.pid) })
    .locator('text=running')
    .waitFor()

  await go(page, 'locks')
  const lock = page.locator('tbody tr', { hasText: 'invoice:17' })
  t.regex(
    await lock.innerText(),
    new RegExp(`^lock\\s+invoice:17\\s+–\\s+${load.process.pid}\\s+in .+${load.process.pid}$`, 's'),
  )
})

serial('the key browser finds keys, and shows values as what they are', async (t) => {
  const page = await openPage(t, browser, url)
  await go(page, 'keys')
  await page.getByRole('tab', { name: 'Largest' }).click()
  await page.locator('#list-1 tbody tr', { hasText: 'report:large' }).waitFor({ timeout: 60_000 })
  await page.getByRole('tab', { name: 'Browse' }).click()
  const find = async (prefix: string, key: string): Promise<void> => {
    await page.getByLabel('Prefix of the key').fill(prefix)
    await page.getByRole('button', { name: 'Search' }).click()
    await page.locator('#list-2').getByRole('button', { name: key, exact: true }).click()
    await page.locator('#entry h2', { hasText: key }).waitFor()
  }
  await find('kin', 'kinds')
  await page.locator('.value').waitFor()
  const value = await page.locator('.value').innerText()
  for (const part of [
    'Date 2026-11-30T09:12:04.193Z',
    '12n',
    'Map, 2 entries',
    'Set, 2 items',
    'undefined',
    'Buffer, 13 bytes',
  ]) {
    t.true(value.includes(part), `${part} in ${value}`)
  }
  t.true(value.includes('<img src=x onerror=alert(1)>'), 'markup is text')
  t.is(await page.locator('#entry img').count(), 0)
  t.regex(value, /73 68 61 72 65 64 20 6d 65 6d 6f 72 79 +shared memory/)

  await find('orders', 'orders')
  t.regex(await page.locator('#entry .facts').innerText(), /expires\s+\d{4}-.+\(in 1h 5\dm\)/)
  t.is(await page.locator('#entry button').count(), 0, 'read-only')

  await go(page, 'tags')
  await page.getByLabel('Tags, with commas').fill('front')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByRole('button', { name: 'orders', exact: true }).waitFor()
  t.is(await page.getByRole('button', { name: 'Invalidate these tags' }).count(), 0)
})

serial('with --write the page deletes an entry and changes a lifetime, after a question', async (t) => {
  const cache = openCache(t)
  cache.set('a', 1)
  cache.set('b', 2)
  const page = await openPage(t, browser, await serve(t, [cache.name, '--write']))
  t.is(await page.locator('#access').innerText(), 'Changes allowed')
  await go(page, 'keys')
  await page.getByRole('tab', { name: 'Browse' }).click()
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByRole('button', { name: 'a', exact: true }).click()
  await page.getByLabel(/New lifetime/).fill('1h')
  await page.getByRole('button', { name: 'Set lifetime' }).click()
  await page.locator('#entry', { hasText: 'The lifetime was changed.' }).waitFor()
  t.true((cache.ttl('a') ?? 0) > 3_500_000)
  await page.locator('#entry').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Cancel' }).click()
  t.true(cache.has('a'))
  await page.locator('#entry').getByRole('button', { name: 'Delete' }).click()
  await page.getByRole('dialog').getByRole('button', { name: 'Delete' }).click()
  await eventually('it is deleted', () => !cache.has('a'))
  t.true(cache.has('b'))
})

serial('keys of a version of the application are found and shown', async (t) => {
  const cache = openCache(t)
  const page = await openPage(t, browser, await serve(t, [cache.name]))
  await go(page, 'keys')
  await page.getByRole('tab', { name: 'Browse' }).click()
  const version = page.getByLabel('Version')
  await page.locator('#connection', { hasText: 'Live' }).waitFor()
  t.false(await version.isVisible(), 'an application without versions need not know of them')
  openCache(t, { name: cache.name, version: 'v2' }).set('user:1', 'of the second version')
  await version.waitFor()
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByText('0 keys found').waitFor()
  await version.selectOption('v2')
  await page.getByRole('button', { name: 'Search' }).click()
  await page.getByRole('button', { name: 'user:1', exact: true }).click()
  await page.locator('#entry', { hasText: 'of the second version' }).waitFor()
  t.true((await page.locator('#entry').innerText()).includes('v2'))
})

serial('the keyboard reaches everything', async (t) => {
  const page = await openPage(t, browser, url)
  await page.locator('#connection', { hasText: 'Live' }).waitFor()
  await page.keyboard.press('Tab')
  t.is(await page.evaluate('document.activeElement.textContent'), 'Skip to content')
  const seen: string[] = []
  for (let i = 0; i < 14; i++) {
    await page.keyboard.press('Tab')
    const focused = await page.evaluate<{ text: string; outline: string }>(
      `({ text: document.activeElement.textContent, outline: getComputedStyle(document.activeElement).outlineStyle })`,
    )
    seen.push(focused.text)
    t.is(focused.outline, 'solid', `the focus on ${focused.text} is visible`)
    if (focused.text === 'Memory') break
  }
  t.deepEqual(seen.slice(0, 3), ['Pause', 'Theme: system', 'Overview'])
  await page.keyboard.press('Enter')
  await page.locator('#map .cell').first().focus()
  await page.keyboard.press('ArrowRight')
  t.true(await page.evaluate(`document.activeElement.textContent.startsWith('#1')`))
  await page.locator('h2', { hasText: 'Shard 1' }).waitFor()
  await go(page, 'keys')
  await page.getByRole('tab', { name: 'Hottest' }).focus()
  await page.keyboard.press('ArrowRight')
  t.is(await page.getByRole('tab', { name: 'Largest' }).getAttribute('aria-selected'), 'true')
})

serial('the theme can be chosen, and is remembered', async (t) => {
  const page = await openPage(t, browser, url, { colorScheme: 'light' })
  const ground = (): Promise<string> => page.evaluate('getComputedStyle(document.documentElement).backgroundColor')
  const light = await ground()
  const theme = page.getByRole('button', { name: /^Theme/ })
  await theme.click()
  await theme.click()
  t.is(await theme.innerText(), 'Theme: dark')
  t.not(await ground(), light)
  const dark = await ground()
  await page.reload()
  t.is(await ground(), dark)
})

for (const [scheme, width] of [
  ['light', 1280],
  ['dark', 1280],
  ['light', 360],
] as const) {
  serial(`axe finds nothing, and nothing is wider than the page: ${scheme}, ${width} pixels`, async (t) => {
    const page = await openPage(t, browser, url, { colorScheme: scheme, viewport: { width, height: 780 } })
    await page.locator('#connection', { hasText: 'Live' }).waitFor()
    // Through the debugger, as the policy of the page forbids other scripts.
    await page.evaluate(axeSource)
    for (const section of SECTIONS) {
      await go(page, section)
      if (section === 'keys') {
        await page.locator('#list-0 tbody button').first().click({ timeout: 30_000 })
        await page.locator('.value').waitFor()
      }
      t.deepEqual(await page.evaluate(VIOLATIONS), [], section)
      const over = await page.evaluate<number>(OVERFLOW)
      t.true(over <= 0, `${section} is ${over} pixels too wide`)
    }
  })
}

serial('a destroyed segment is said, and shown again when it is back', async (t) => {
  const cache = openCache(t)
  const page = await openPage(t, browser, await serve(t, [cache.name]))
  await page.locator('#connection', { hasText: 'Live' }).waitFor()
  cache.close()
  segments.destroy(cache.name, { force: true })
  await page.locator('#trouble', { hasText: 'no segment' }).waitFor()
  t.is(segments.inspect(cache.name), undefined, 'the dashboard creates nothing')
  openCache(t, { name: cache.name }).set('again', 1)
  await page.locator('#connection', { hasText: 'Live' }).waitFor()
  t.true(await page.locator('#trouble').isHidden())
})
