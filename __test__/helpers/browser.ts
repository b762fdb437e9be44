/**
 * The page of the dashboard in headless Chromium.
 */
import { existsSync } from 'node:fs'
import type { ExecutionContext } from 'ava'
import { chromium } from 'playwright-core'
import type { Browser, BrowserContextOptions, Page } from 'playwright-core'

const PROGRAMS = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome']

/** The program of the browser; undefined: this machine has none. */
export const browserProgram: string | undefined = PROGRAMS.find((path) => existsSync(path))

/** No sandbox, since tests run as root; and nothing that talks to other machines. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Starts the browser. Its profile is empty and is removed with it. */
export async function startBrowser(): Promise<Browser> {
  if (browserProgram === undefined) throw new Error('there is no Chromium')
  return chromium.launch({ executablePath: browserProgram, headless: true, args: ARGS, timeout: 60_000 })
}

/** A page that is closed when the test ends. A message of the console, such as one about the policy, fails the test. */
export async function openPage(
  t: ExecutionContext,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Page> {
  const context = await browser.newContext({ viewport: { width: 1280, height: 860 }, ...options })
  const page = await context.newPage()
  page.setDefaultTimeout(20_000)
  const messages: string[] = []
  page.on('console', (message) => {
    if (['error', 'warning'].includes(message.type())) messages.push(message.text())
  })
  page.on('pageerror', (error) => messages.push(error.message))
  t.teardown(async () => {
    await context.close()
    if (messages.length > 0) throw new Error(`the console of the page has:\n${messages.join('\n')}`)
  })
  await page.goto(url)
  return page
}
