/**
 * The packages that a user installs: their files, both ways to load them, and the types.
 *
 * The spec reads what is built and staged for publication, and the sources only where a build does not show it.
 * `npm test` builds before it runs this spec. `registry.spec.ts` installs the packages.
 */
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import ts from 'typescript'
import { nativeSources } from '../helpers/internals.ts'
import { stage } from '../helpers/published.ts'

const runFile = promisify(execFile)

const root = fileURLToPath(new URL('../..', import.meta.url))

/** The entries of the package and their types. Only the types of `cache-machine` itself import no other module. */
const entries = Object.entries((manifestOf(root)['exports'] ?? {}) as Record<string, { require: { types: string } }>)
  .filter(([path]) => !path.endsWith('.json'))
  .map(([path, { require }]) => ({
    entry: path.replace('.', 'cache-machine'),
    declarations: join(root, require.types),
    isAlone: path === '.' || path === './dashboard',
  }))

const folder = mkdtempSync(join(tmpdir(), 'cache-machine-packages-'))
const packages = await stage(folder)
const main = packages.at(-1) ?? ''
const packed = await packedFiles(main)

test.after.always(() => rmSync(folder, { recursive: true, force: true }))

test('the package has the files that are needed to load it', (t) => {
  const built = entries.flatMap(({ declarations }) => {
    const output = declarations.slice(root.length).replace(/\.d\.cts$/, '')
    return ['js', 'cjs', 'd.ts', 'd.cts'].map((extension) => `${output}.${extension}`)
  })
  t.true(built.length > 8)
  const wanted = ['package.json', 'LICENSE', 'native/loader.cjs', ...built]
  t.deepEqual(
    wanted.filter((path) => !packed.includes(path)),
    [],
  )
})

test('the package has no other files: no sources, tests, tools or binaries', (t) => {
  const expected =
    /^(package\.json|LICENSE|(README|CHANGELOG)\.md|native\/loader\.cjs|dist\/(lib\/adapters\/)?[a-z0-9-]+\.(c?js|d\.c?ts)|dist\/lib\/adapters\/shared\/[a-z0-9-]+\.d\.cts|dist\/lib\/.+\.cjs|dist\/lib\/dashboard\/page\/([a-z]+\.(html|css|js|svg)|uplot\/(uplot\.(js|css)|LICENSE)))$/
  t.deepEqual(
    packed.filter((path) => !expected.test(path)),
    [],
  )
})

test('the package has the program cache-machine', (t) => {
  const { bin } = manifestOf(main) as { bin?: Record<string, string> }
  t.deepEqual(Object.keys(bin ?? {}), ['cache-machine'])
  const file = (bin?.['cache-machine'] ?? '').replace('./', '')
  t.true(packed.includes(file), file)
  t.regex(readFileSync(join(main, file), 'utf8'), /^#!\/usr\/bin\/env node\n/)
})

test('the package depends on those with the binaries, in its own version, and runs no script', (t) => {
  const { version, dependencies, devDependencies, optionalDependencies, scripts } = manifestOf(main)
  t.deepEqual([dependencies, devDependencies, scripts], [undefined, undefined, undefined])
  const binaries = packages.slice(0, -1)
  t.is(binaries.length, 4)
  t.deepEqual(optionalDependencies, Object.fromEntries(binaries.map((place) => [basename(place), version])))
})

test('a package with a binary is for one platform, has three files, and no dependency or script', async (t) => {
  const { version, engines } = manifestOf(main)
  for (const place of packages.slice(0, -1)) {
    const name = basename(place)
    const [, , cpu, libc] = /^cache-machine-(linux)-(x64|arm64)-(gnu|musl)$/.exec(name) ?? []
    const manifest = manifestOf(place)
    const expected = { name, version, engines, os: ['linux'], cpu: [cpu], libc: [libc === 'gnu' ? 'glibc' : libc] }
    t.like(manifest, expected)
    t.deepEqual([manifest['dependencies'], manifest['scripts']], [undefined, undefined])
    const binary = `${name.replace('machine-', 'machine.')}.node`
    t.deepEqual(
      (await packedFiles(place)).toSorted(),
      ['LICENSE', 'README.md', 'index.js', 'package.json', binary].toSorted(),
    )
  }
})

// A panic that unwinds into Node ends the process. What the module registers when it is loaded panics before any call.
test('every native function catches its panics', (t) => {
  const sources = nativeSources().map((path) => readFileSync(path, 'utf8'))
  const exported = sources.flatMap((text) => [...text.matchAll(/#\[napi(.*)\]\n(?:#.*\n)*pub fn (\w+)/g)])
  t.true(exported.length > 50)
  const open = exported.filter(([, options = '']) => !/catch_unwind|module_exports/.test(options))
  t.deepEqual(
    open.map(([, , name]) => name),
    [],
  )
})

// Node refuses to `require` a graph with a top-level await anywhere, so this test also finds those.
test('require and import return the same class from one instance of the module', async (t) => {
  const program = `
    const required = require('cache-machine')
    import('cache-machine').then((imported) => {
      const same = Object.keys(required).filter((name) => required[name] === imported[name])
      console.log(same.length === Object.keys(imported).length, typeof required.open)
      const name = 'packaging-' + process.pid
      const cache = required.open({ name, size: '8mb' })
      console.log(cache instanceof imported.SharedCache, imported.segments.list().some((segment) => segment.name === name))
      cache.close()
      imported.segments.destroy(name)
    })
  `
  const { stdout } = await runNode(['--input-type=commonjs', '--eval', program])
  t.is(stdout.trim(), 'true function\ntrue true')
})

for (const { entry, declarations, isAlone } of entries) {
  test(`${entry}: the typed values are the exported values`, async (t) => {
    const { stdout } = await runNode([
      '--input-type=module',
      '--eval',
      `console.log(JSON.stringify(Object.keys(await import('${entry}'))))`,
    ])
    t.deepEqual(typedValues(programOf(isAlone), declarations).toSorted(), (JSON.parse(stdout) as string[]).toSorted())
  })

  test(`${entry}: the types compile alone, in a strict project`, (t) => {
    const program = programOf(isAlone)
    const problems = ts
      .getPreEmitDiagnostics(program)
      .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
    t.deepEqual(problems, [])

    const found = program.getSourceFile(declarations)?.statements.filter(ts.isImportDeclaration) ?? []
    const foreign = found
      .map((statement) => statement.moduleSpecifier.getText())
      .filter((name) => !name.includes('node:'))
    // An adapter gets the types of the package, directly or by what it shares with others.
    t.is(foreign.length > 0, !isAlone)
    t.deepEqual(
      foreign.filter((name) => isAlone || !/^'(?:cache-machine|\.\/shared\/[a-z0-9-]+\.cjs)'$/.test(name)),
      [],
    )
  })
}

function manifestOf(place: string): Record<string, unknown> {
  return JSON.parse(readFileSync(join(place, 'package.json'), 'utf8')) as Record<string, unknown>
}

async function packedFiles(place: string): Promise<string[]> {
  const { stdout } = await runFile('npm', ['pack', '--dry-run', '--json'], { cwd: place })
  const [report] = JSON.parse(stdout) as { files: { path: string }[] }[]
  return report?.files.map(({ path }) => path) ?? []
}

/** As the process of a user: without options that would make a loader transform what it loads. */
function runNode(args: string[]): Promise<{ stdout: string }> {
  return runFile(process.execPath, args, { cwd: root, env: { ...process.env, NODE_OPTIONS: '' } })
}

const programs = new Map<boolean, ts.Program>()
/** The program of the entries that need no types of others, or that of all other entries: one for each would take minutes. */
function programOf(isAlone: boolean): ts.Program {
  const files = entries.filter((entry) => entry.isAlone === isAlone).map(({ declarations }) => declarations)
  const program = programs.get(isAlone) ?? compileTypes(files)
  programs.set(isAlone, program)
  return program
}

function compileTypes(declarations: string[]): ts.Program {
  return ts.createProgram(declarations, {
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.NodeNext,
    lib: ['lib.es2023.d.ts', 'lib.esnext.disposable.d.ts'],
    types: ['node'],
    strict: true,
    exactOptionalPropertyTypes: true,
    skipLibCheck: false,
    noEmit: true,
  })
}

/** The exported names that exist at run time: classes, functions and constants, not types. */
function typedValues(program: ts.Program, declarations: string): string[] {
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(declarations)
  const module = file && checker.getSymbolAtLocation(file)
  if (module === undefined) return []
  const meant = (symbol: ts.Symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
  const isTypeOnly = (symbol: ts.Symbol) => symbol.declarations?.every(ts.isTypeOnlyImportOrExportDeclaration) === true
  const isValue = (symbol: ts.Symbol) => !isTypeOnly(symbol) && (meant(symbol).flags & ts.SymbolFlags.Value) !== 0
  return checker
    .getExportsOfModule(module)
    .filter(isValue)
    .map((symbol) => symbol.name)
}
