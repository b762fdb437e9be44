/**
 * dist/: the CommonJS build, an ES wrapper over the same instance for each entry of the package, and the types of both.
 *
 *     dist/index.cjs    dist/lib/**.cjs    what runs, in both modes
 *     dist/index.js                        names what index.cjs exports
 *     dist/index.d.cts  dist/index.d.ts    the rolled-up types; the second re-exports the first
 *     dist/lib/dashboard/page/**           the page of the dashboard, and uPlot
 *
 * An adapter has the same four files in dist/lib/adapters/.
 *
 * So `import` and `require` in one process share one instance: one class, one registry of handles.
 */
import { createRequire } from 'node:module'
import { existsSync } from 'node:fs'
import { cp, mkdir, readdir, readFile, rename, rm, unlink, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { entries } from './entries.mjs'
import { run } from './processes.mjs'
import { root, toolPath } from './repository.mjs'

const nextFolder = join(root, 'dist-next')

/** Compiles into a new folder that then replaces dist/, so that no output of a deleted source remains. */
export async function compileTypeScript() {
  await rm(nextFolder, { recursive: true, force: true })
  await run(toolPath('tsc'), ['--project', 'tsconfig.build.json', '--outDir', nextFolder])
  await renameModules()
  for (const { output } of entries()) await writeFile(join(nextFolder, `${output}.js`), wrapperOf(output))
  await copyPage()
  await rm(join(root, 'dist'), { recursive: true, force: true })
  await rename(nextFolder, join(root, 'dist'))
}

/** The page of the dashboard is served as it is. uPlot comes with its licence, so the package needs no dependency. */
async function copyPage() {
  const page = 'lib/dashboard/page'
  await cp(join(root, page), join(nextFolder, page), { recursive: true })
  const uplot = join(root, 'node_modules/uplot')
  const files = { 'dist/uPlot.iife.min.js': 'uplot.js', 'dist/uPlot.min.css': 'uplot.css', LICENSE: 'LICENSE' }
  await mkdir(join(nextFolder, page, 'uplot'))
  for (const [from, to] of Object.entries(files)) await cp(join(uplot, from), join(nextFolder, page, 'uplot', to))
}

/**
 * Writes the types of all entries into dist/, as those of the CommonJS build, which the ES wrappers re-export: a project
 * that mixes both modes sees one class. Returns the texts by the outputs of the entries.
 *
 * Not checked here: `packaging.spec.ts` compiles the result.
 */
export async function writeTypes() {
  await rm(nextFolder, { recursive: true, force: true })
  const options = ['--declaration', '--emitDeclarationOnly', '--outDir', nextFolder]
  await run(toolPath('tsc'), ['--project', 'tsconfig.build.json', ...options])
  const texts = {}
  for (const { output } of entries()) {
    texts[output] = output === 'index' ? await rollUp(output) : await declarationsOf(output)
    await writeFile(join(root, `dist/${output}.d.cts`), texts[output])
    await writeFile(join(root, `dist/${output}.d.ts`), `export * from './${basename(output)}.cjs'\n`)
  }
  const shared = 'lib/adapters/shared'
  const files = existsSync(join(nextFolder, shared)) ? await readdir(join(nextFolder, shared)) : []
  for (const name of files.map((file) => basename(file, '.d.ts'))) {
    await writeFile(join(root, `dist/${shared}/${name}.d.cts`), await declarationsOf(`${shared}/${name}`))
  }
  await rm(nextFolder, { recursive: true })
  return texts
}

async function rollUp(output) {
  const file = join(nextFolder, `${output}.rolled.d.ts`)
  const options = ['--no-check', '--project', 'tsconfig.build.json', '--export-referenced-types=false']
  await run(toolPath('dts-bundle-generator'), [...options, '--out-file', file, `${output}.ts`])
  return readFile(file, 'utf8')
}

/**
 * The types of a module beside `index` refer to those of the package, since a second roll-up would declare a second
 * class `SharedCache`. All that the module imports as a type is exported by `index.ts`, or by `lib/adapters/shared/`.
 */
async function declarationsOf(output) {
  const types = await readFile(join(nextFolder, `${output}.d.ts`), 'utf8')
  return types.replaceAll(/\bfrom '(\.[^']+)\.ts'/g, (_, path) => {
    const isShared = output.startsWith('lib/adapters/') && /^\.\/(?:shared\/)?[^/]+$/.test(path)
    return isShared ? `from '${path}.cjs'` : "from 'cache-machine'"
  })
}

/**
 * tsc names a module by its source, so the build renames all of them. Modules of Node come from `getBuiltinModule`,
 * since a bundle in ES format has no `require`.
 */
async function renameModules() {
  for (const file of await readdir(nextFolder, { recursive: true })) {
    const path = join(nextFolder, file)
    if (file.endsWith('.d.ts')) await unlink(path)
    if (!file.endsWith('.js')) continue
    const text = await readFile(path, 'utf8')
    const renamed = lazily(text)
      .replaceAll(/\brequire\("(\.[^"]+)\.js"\)/g, 'require("$1.cjs")')
      .replaceAll(/\brequire\("(node:[^"]+)"\)/g, 'process.getBuiltinModule("$1")')
    await writeFile(path.replace(/\.js$/, '.cjs'), renamed)
    await unlink(path)
  }
}

/**
 * Loads the portable engine at its first use: it is a quarter of the package's code, and a production process never uses
 * it. Each use of a name reads the getter of that name.
 */
function lazily(text) {
  return text.replace(/^const (\w+) = (require\("\.\.\/portable\/engine\.js"\));$/m, (_, module, load) => {
    const names = new Set(Array.from(text.matchAll(new RegExp(`\\b${module}\\.(\\w+)`, 'g')), ([, name]) => name))
    const getters = Array.from(names, (name) => `get ${name}() { return ${load}.${name} }`)
    return `const ${module} = { ${getters.join(', ')} };`
  })
}

/** Names are spelled out, since not every tool finds the names that a CommonJS module exports. */
function wrapperOf(output) {
  const names = Object.keys(createRequire(import.meta.url)(join(nextFolder, `${output}.cjs`)))
  return `import exported from './${basename(output)}.cjs'\n\nexport const { ${names.toSorted().join(', ')} } = exported\n`
}
