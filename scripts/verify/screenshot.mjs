/**
 * Makes docs/dashboard.png: the page of the dashboard in Chromium, beside a program under load.
 *
 *   node scripts/verify/screenshot.mjs
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { statSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { chromium } from 'playwright-core'
import { ensureBuild, ensureDependencies, isMain, root } from '../setup.mjs'

const SEGMENT = 'shop'
const FILE = 'docs/dashboard.png'
/** Bytes. */
const MAX_SIZE = 300_000
/** Milliseconds until the charts have something to show. */
const WATCHED = 75_000
const ARGS = ['--no-sandbox', '--disable-gpu', '--no-first-run', '--disable-background-networking', '--disable-sync']

async function main() {
  await ensureDependencies()
  await ensureBuild()
  const program = join(root, 'dist/lib/command/main.cjs')
  const loader = ['--import', join(root, '__test__/helpers/typescript.mjs')]
  const input = JSON.stringify({ name: SEGMENT, rest: 4 })
  const load = spawn(process.execPath, [...loader, join(root, '__test__/children/dashboard-load.ts'), input], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  let browser
  let ui
  try {
    await once(load, 'message')
    ui = spawn(process.execPath, [program, 'ui', SEGMENT, '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [line] = await once(ui.stdout.setEncoding('utf8'), 'data')
    browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ARGS })
    await draw(browser, JSON.parse(line).url)
  } finally {
    await browser?.close()
    ui?.kill()
    load.kill('SIGKILL')
    await once(load, 'exit')
    spawn(process.execPath, [program, 'destroy', SEGMENT, '--force'])
  }
  const { size } = statSync(join(root, FILE))
  if (size > MAX_SIZE) throw new Error(`${FILE} has ${size} bytes, more than ${MAX_SIZE}`)
  console.log(`${FILE} has ${size} bytes`)
}

async function draw(browser, url) {
  const page = await browser.newPage({ viewport: { width: 1240, height: 900 }, colorScheme: 'light' })
  await page.goto(url)
  await delay(WATCHED)
  await page.screenshot({ path: join(root, FILE), fullPage: true })
}

if (isMain(import.meta.url)) await main()
