/**
 * What a user installs: the files of the package, both ways to load it, and types that say what there is.
 *
 * It looks at what is built (dist/, index.d.ts), and at the sources only where a build does not show it; `npm test` builds
 * before it runs this.
 */
import { execFile } from 'node:child_process'
import { readFileSync, readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import test from 'ava'
import ts from 'typescript'

const runFile = promisify(execFile)
const root = fileURLToPath(new URL('..', import.meta.url))
const declarations = fileURLToPath(new URL('../index.d.ts', import.meta.url))

const packed = await packedFiles()

test('the package has what it promises to load', (t) => {
  const wanted = ['package.json', 'LICENSE', 'dist/index.js', 'index.d.ts', 'native/index.cjs', 'native/index.d.ts']
  t.deepEqual(
    wanted.filter((path) => !packed.includes(path)),
    [],
  )
})

test('the package has nothing else: no sources, tests, tools or binaries', (t) => {
  const expected =
    /^(package\.json|LICENSE|(README|CHANGELOG)\.md|index\.d\.ts|native\/index\.(cjs|d\.ts)|dist\/.+\.(js|d\.ts))$/
  t.deepEqual(
    packed.filter((path) => !expected.test(path)),
    [],
  )
})

test('the package has no runtime dependencies and runs nothing when it is installed', (t) => {
  const manifest = JSON.parse(readFileSync(`${root}/package.json`, 'utf8')) as Record<string, Record<string, string>>
  t.is(manifest['dependencies'], undefined)
  const atInstall = ['preinstall', 'install', 'postinstall', 'prepare']
  t.deepEqual(
    atInstall.filter((name) => manifest['scripts']?.[name] !== undefined),
    [],
  )
})

// Where it unwinds into Node, a panic ends the process. What the module registers when it is loaded panics before anybody uses it.
test('every native function catches its panics', (t) => {
  const folder = `${root}/crates/node/src`
  const sources = readdirSync(folder).map((file) => readFileSync(`${folder}/${file}`, 'utf8'))
  const exported = sources.flatMap((text) => [...text.matchAll(/#\[napi(.*)\]\n(?:#.*\n)*pub fn (\w+)/g)])
  t.true(exported.length > 50)
  const open = exported.filter(([, options = '']) => !/catch_unwind|module_exports/.test(options))
  t.deepEqual(
    open.map(([, , name]) => name),
    [],
  )
})

// Node refuses to `require` a graph with a top-level await anywhere, so this also finds those.
test('require and import give the same class, since there is one instance of the module', async (t) => {
  const program = `
    const required = require('cache-machine')
    import('cache-machine').then((imported) => console.log(required.SharedCache === imported.SharedCache, typeof required.open))
  `
  const { stdout } = await runNode(['--input-type=commonjs', '--eval', program])
  t.is(stdout.trim(), 'true function')
})

test('what is typed is what is exported', async (t) => {
  const { stdout } = await runNode([
    '--input-type=module',
    '--eval',
    `console.log(JSON.stringify(Object.keys(await import('cache-machine'))))`,
  ])
  t.deepEqual(typedValues().toSorted(), (JSON.parse(stdout) as string[]).toSorted())
})

test('the types are one file that compiles alone, in a strict project', (t) => {
  const program = compileTypes()
  const problems = ts
    .getPreEmitDiagnostics(program)
    .map(({ messageText }) => ts.flattenDiagnosticMessageText(messageText, '\n'))
  t.deepEqual(problems, [])

  const imports = program.getSourceFile(declarations)?.statements.filter(ts.isImportDeclaration) ?? []
  const foreign = imports
    .map((statement) => statement.moduleSpecifier.getText())
    .filter((name) => !name.includes('node:'))
  t.deepEqual(foreign, [])
})

async function packedFiles(): Promise<string[]> {
  const { stdout } = await runFile('npm', ['pack', '--dry-run', '--json', '--ignore-scripts'], { cwd: root })
  const [report] = JSON.parse(stdout) as { files: { path: string }[] }[]
  return report?.files.map(({ path }) => path) ?? []
}

/** As a user's process: without options that would make a loader transform what it loads. */
function runNode(args: string[]): Promise<{ stdout: string }> {
  return runFile(process.execPath, args, { cwd: root, env: { ...process.env, NODE_OPTIONS: '' } })
}

function compileTypes(): ts.Program {
  return ts.createProgram([declarations], {
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
function typedValues(): string[] {
  const program = compileTypes()
  const checker = program.getTypeChecker()
  const file = program.getSourceFile(declarations)
  const module = file && checker.getSymbolAtLocation(file)
  if (module === undefined) return []
  const meant = (symbol: ts.Symbol) => (symbol.flags & ts.SymbolFlags.Alias ? checker.getAliasedSymbol(symbol) : symbol)
  const isValue = (symbol: ts.Symbol) => (meant(symbol).flags & ts.SymbolFlags.Value) !== 0
  return checker
    .getExportsOfModule(module)
    .filter(isValue)
    .map((symbol) => symbol.name)
}
