/**
 * Where the mutants of `mutant-list.mjs` stand in the sources. `npm test` checks all places; `npm run mutants` changes them.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { mutants } from './mutant-list.mjs'

/** How many lines below its marker a mutant may change. */
const MAX_DISTANCE = 12
const MARKER = /\/\/ mutant: (\S+)\n/g

/**
 * The file and position of a mutant: below its marker, which must stand exactly once in all sources.
 *
 * @param {string} folder The folder of the repository or of a copy.
 * @param {{ id: string, from: string }} mutant
 * @returns {{ problem: string } | { path: string, sound: string, at: number, problem?: undefined }}
 */
export function findPlace(folder, { id, from }) {
  const marker = `// mutant: ${id}\n`
  const marked = sources(folder).filter(({ text }) => text.includes(marker))
  if (marked.length !== 1) return { problem: `its marker stands in ${marked.length} files` }
  const [{ path, text }] = marked
  if (text.split(marker).length !== 2) return { problem: `its marker stands twice in ${relative(folder, path)}` }
  const start = text.indexOf(marker) + marker.length
  const region = text.slice(start).split('\n').slice(0, MAX_DISTANCE).join('\n')
  const count = region.split(from).length - 1
  if (count !== 1) return { problem: `its text stands ${count} times below the marker in ${relative(folder, path)}` }
  return { path, sound: text, at: start + region.indexOf(from) }
}

/** What is wrong with the places of all mutants: one line for each, and for each marker without a mutant. */
export function placeProblems(folder) {
  const broken = mutants.flatMap((mutant) => {
    const { problem } = findPlace(folder, mutant)
    return problem === undefined ? [] : [`mutant ${mutant.id}: ${problem}`]
  })
  const known = new Set(mutants.map(({ id }) => id))
  const unknown = sources(folder).flatMap(({ path, text }) => {
    const ids = [...text.matchAll(MARKER)].map(([, id]) => id).filter((id) => !known.has(id))
    return ids.map((id) => `${relative(folder, path)}: marker ${id} has no mutant`)
  })
  return [...broken, ...unknown]
}

function sources(folder) {
  return ['crates', 'lib'].flatMap((name) => {
    const files = readdirSync(join(folder, name), { recursive: true })
    return files
      .filter((file) => /\.(?:rs|ts)$/.test(file))
      .map((file) => join(folder, name, file))
      .map((path) => ({ path, text: readFileSync(path, 'utf8') }))
  })
}
