/**
 * Import circles among the files of each crate. One test for each crate.
 *
 *   node scripts/verify/rust-modules.mjs
 *
 * An import is a `use` declaration or a path in the code that begins with `crate`, `super` or `self`. A path leads to
 * the file that defines the name, also where a parent module re-exports it. These do not count as imports: `mod`
 * declarations, code under `#[cfg(test)]`, and a re-export of a name that the file does not use itself.
 *
 * This is no compiler: it finds paths with regular expressions. Names that macros make and methods of traits are not
 * seen.
 */
import { isMain, readText } from '../setup.mjs'
import { committedFiles } from './files.mjs'
import { add, judge, report } from './outcomes.mjs'
import { blankComments, blankTests, inlineModules, inTestFile, lineAt, useDeclarations } from './rust-source.mjs'

const CRATES = ['shm', 'core', 'node']
const ITEM = String.raw`(?:struct|enum|union|fn|trait|const|static|type|macro_rules!)\s+(?:mut\s+)?`

export function checkRustModules() {
  return CRATES.map((crate) => judge(`Import circles in crates/${crate}`, circlesOf(`crates/${crate}/src`))).reduce(add)
}

/** Each circle as text: its files, and one import for each edge. */
function circlesOf(folder) {
  const crate = readCrate(folder)
  const edges = new Map([...crate.files.keys()].map((path) => [path, importsOf(crate, path)]))
  return components(edges)
    .filter((files) => files.length > 1)
    .map((files) => describeCircle(folder, files, edges))
}

/** All files of a crate by module path, such as `a::b`; the root is the empty path. */
function readCrate(folder) {
  const files = new Map()
  for (const path of committedFiles().filter((name) => name.startsWith(`${folder}/`) && name.endsWith('.rs'))) {
    const module = path
      .slice(folder.length + 1, -'.rs'.length)
      .replace(/(?:^|\/)(?:mod|lib|main)$/, '')
      .replaceAll('/', '::')
    files.set(module, { path, text: blankTests(blankComments(readText(path))) })
  }
  const testFiles = [...files.keys()].filter((module) => inTestFile(files, module))
  for (const module of testFiles) files.delete(module)
  for (const file of files.values()) {
    file.inline = inlineModules(file.text)
    file.uses = useDeclarations(file.text)
    // Without its `use` declarations: what the code itself names.
    file.code = file.uses.reduce(
      (text, { start, end }) =>
        text.slice(0, start) + text.slice(start, end).replaceAll(/[^\n]/g, ' ') + text.slice(end),
      file.text,
    )
  }
  return { files }
}

/** The files that a file imports, each with the line of the first import. */
function importsOf(crate, module) {
  const file = crate.files.get(module)
  const found = new Map()
  const note = (segments, position) => {
    const target = resolve(crate, [...split(module), ...modulesAround(file, position)], segments)
    if (target === undefined || target === module) return
    if (!found.has(target)) found.set(target, { path: file.path, line: lineAt(file.text, position) })
  }
  for (const { start, isPublic, leaves } of file.uses) {
    for (const { segments, name } of leaves) {
      const isUsed = !isPublic || (name !== '*' && new RegExp(`\\b${name}\\b`).test(file.code))
      if (isUsed) note(segments, start)
    }
  }
  for (const match of file.code.matchAll(/(?<![\w:])\$?(?:crate|super|self)(?:::\w+)+/g)) {
    note(match[0].replace('$', '').split('::'), match.index)
  }
  return found
}

function modulesAround({ inline }, position) {
  return inline.filter(({ start, end }) => start < position && position < end).map(({ name }) => name)
}

/** The module that defines the last name of a path, seen from the module `from`; undefined for other crates. */
function resolve(crate, from, segments, depth = 0) {
  const rest = [...segments]
  let at = [...from]
  if (rest[0] === 'crate') at = []
  else if (rest[0] === 'super') at = from.slice(0, -1)
  else if (rest[0] !== 'self' && !crate.files.has([...from, rest[0]].join('::'))) return undefined
  if (['crate', 'self', 'super'].includes(rest[0])) rest.shift()
  for (; rest[0] === 'super'; rest.shift()) at = at.slice(0, -1)
  while (rest.length > 0 && crate.files.has([...at, rest[0]].join('::'))) at.push(rest.shift())
  // An inline module has no file of its own.
  while (!crate.files.has(at.join('::'))) at.pop()
  return definer(crate, at, rest[0], depth)
}

/** Follows re-exports of `name` from the module `at`. */
function definer(crate, at, name, depth) {
  const module = at.join('::')
  const { text, uses } = crate.files.get(module)
  const isPlain = name === undefined || name === 'self' || name === '*'
  if (isPlain || depth > 5 || new RegExp(`\\b${ITEM}${name}\\b`).test(text)) return module
  for (const { leaves } of uses) {
    const leaf = leaves.find((other) => other.name === name)
    if (leaf !== undefined) return resolve(crate, at, leaf.segments, depth + 1) ?? module
  }
  for (const { segments } of uses.flatMap(({ leaves }) => leaves.filter((leaf) => leaf.name === '*'))) {
    const target = resolve(crate, at, segments, depth + 1)
    const isThere = target !== undefined && new RegExp(`\\b${ITEM}${name}\\b`).test(crate.files.get(target).text)
    if (isThere) return target
  }
  return module
}

function split(module) {
  return module === '' ? [] : module.split('::')
}

/** Strongly connected components, by Tarjan's algorithm. */
function components(edges) {
  const [order, low, stack, found] = [new Map(), new Map(), [], []]
  const visit = (node) => {
    order.set(node, order.size)
    low.set(node, order.get(node))
    stack.push(node)
    for (const next of edges.get(node).keys()) {
      if (!order.has(next)) visit(next)
      if (stack.includes(next)) low.set(node, Math.min(low.get(node), low.get(next)))
    }
    if (low.get(node) === order.get(node)) found.push(stack.splice(stack.indexOf(node)))
  }
  for (const node of edges.keys()) if (!order.has(node)) visit(node)
  return found
}

function describeCircle(folder, files, edges) {
  const name = (module) => (module === '' ? 'the root' : module)
  const lines = files
    .toSorted()
    .flatMap((from) =>
      [...edges.get(from)]
        .filter(([to]) => files.includes(to))
        .map(([to, { path, line }]) => `    ${name(from)} → ${name(to)}: ${path}:${line}`),
    )
  const shortest = shortestCircle(files, edges).map(name).join(' → ')
  const all = files.toSorted().map(name).join(', ')
  return `${files.length} files of ${folder}: ${all}\n    the shortest circle: ${shortest}\n${lines.join('\n')}`
}

function shortestCircle(files, edges) {
  const circles = files.map((start) => {
    const paths = [[start]]
    const seen = new Set()
    for (const path of paths) {
      for (const next of edges.get(path.at(-1)).keys()) {
        if (next === start) return [...path, start]
        if (!seen.has(next)) paths.push([...path, next])
        seen.add(next)
      }
    }
    return []
  })
  return circles.toSorted((a, b) => a.length - b.length)[0]
}

if (isMain(import.meta.url)) report(checkRustModules())
