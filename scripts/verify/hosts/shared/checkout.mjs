/**
 * Files of a checkout.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The text files below a folder of the checkout, by their paths from the checkout. */
export function filesBelow(checkout, folder) {
  const entries = readdirSync(join(checkout, folder), { recursive: true, withFileTypes: true })
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return Object.fromEntries(paths.map((path) => [path.slice(checkout.length + 1), readFileSync(path, 'utf8')]))
}

/** The text of one file of the checkout. */
export function fileOf(checkout, path) {
  return readFileSync(join(checkout, path), 'utf8')
}

/** A package.json for a CommonJS host, with what `dependencies` says. */
export function commonJs(dependencies) {
  return JSON.stringify({ name: 'host', version: '0.0.0', private: true, dependencies })
}

/** CommonJS that opens a segment for the suite, and destroys it at the end: for the text of a file of a host. */
export const segment = `const { open, segments } = require('cache-machine')
const name = \`host-suite-\${process.pid}-\${Date.now()}\`
const cache = open({ name, size: '16mb' })
process.on('exit', () => {
  cache.close()
  segments.destroy(name, { force: true })
})
let stores = 0
`
