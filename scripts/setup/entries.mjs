/**
 * The entries of the package, and the fields of package.json that follow from them.
 *
 * The table of the adapters is the folder lib/adapters/: `lib/adapters/<name>.ts` is `cache-machine/<name>`. `npm run
 * docs` writes the fields, and the suite `drift` compares them.
 */
import { readdirSync } from 'node:fs'
import { join } from 'node:path'
import { readText, root } from './repository.mjs'

/**
 * @typedef {{ path: string, source: string, output: string, isAdapter: boolean }} Entry
 * `path`: as in `exports`. `source`: the TypeScript file. `output`: what it becomes below dist/, without an extension.
 */

/** The names of the adapters. */
export function adapters() {
  const files = readdirSync(join(root, 'lib/adapters')).filter((file) => file.endsWith('.ts'))
  return files.map((file) => file.slice(0, -'.ts'.length)).toSorted()
}

/** @returns {Entry[]} */
export function entries() {
  const own = ['index', 'testing', 'dashboard'].map((name) => ({
    path: name === 'index' ? '.' : `./${name}`,
    source: `${name}.ts`,
    output: name,
    isAdapter: false,
  }))
  const adapting = adapters().map((name) => ({
    path: `./${name}`,
    source: `lib/adapters/${name}.ts`,
    output: `lib/adapters/${name}`,
    isAdapter: true,
  }))
  return [...own, ...adapting]
}

/** The text of package.json with the fields that follow from the entries. */
export function manifestText() {
  const manifest = JSON.parse(readText('package.json'))
  const all = entries()
  const modes = ({ output }) => ({
    import: { types: `./dist/${output}.d.ts`, default: `./dist/${output}.js` },
    require: { types: `./dist/${output}.d.cts`, default: `./dist/${output}.cjs` },
  })
  // For resolvers that read no `exports`.
  const named = all.filter(({ path }) => path !== '.')
  manifest.typesVersions = {
    '*': Object.fromEntries(named.map(({ path, output }) => [path.slice(2), [`./dist/${output}.d.cts`]])),
  }
  manifest.exports = {
    ...Object.fromEntries(all.map((entry) => [entry.path, modes(entry)])),
    './package.json': './package.json',
  }
  return `${JSON.stringify(manifest, null, 2)}\n`
}
