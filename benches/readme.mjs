/**
 * Writes the results into two documents, between `<!-- bench:begin -->` and `<!-- bench:end -->`: one small table of
 * speeds into README.md; all claims and all tables into docs/performance.md. It does not measure.
 *
 *   node benches/readme.mjs                     from benches/results/README.json
 *   node benches/readme.mjs --results file      from another file of results
 *   node benches/readme.mjs --only performance  into one document only: `readme` or `performance`
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { judge } from './claims.mjs'
import { contenderOf } from './contenders/index.mjs'
import { bestOf } from './figures.mjs'
import { cautionsOf, markdownTable, ratio, short, target, verdict, wrap } from './format.mjs'
import { tablesOf } from './tables.mjs'

const BEGIN = '<!-- bench:begin -->'
const END = '<!-- bench:end -->'
const NO_RESULTS = 'There are no results yet. `npm run bench -- --readme` measures them and writes them here.'

const pathOf = (name) => fileURLToPath(new URL(name, import.meta.url))

/** The results that the documents show. */
export const readmeResults = pathOf('results/README.json')

/** The documents: the file, and the parts that stand between its markers. */
export const documents = {
  readme: { file: pathOf('../README.md'), partsOf: speedTable },
  performance: {
    file: pathOf('../docs/performance.md'),
    partsOf: (results) => [...claimsTable(results), ...allTables(results)],
  },
}

/**
 * The rows of README.md. A row shows the best figure of several clients and placements; docs/performance.md has all of
 * them.
 */
const rows = [
  ['cache-machine, near frozen', ['cache-machine-frozen']],
  ['cache-machine, near copy', ['cache-machine-copy']],
  ['cache-machine, near off', ['cache-machine-off']],
  ['lru-cache, in one process only', ['lru-cache']],
  ['lmdb', ['lmdb', 'lmdb-tuned']],
  ['better-sqlite3', ['better-sqlite3']],
  ['node-shared-cache-x', ['node-shared-cache-x']],
  ['Redis', ['ioredis', 'node-redis']],
  ['Redis, 100 calls in flight', ['ioredis-pipelined', 'node-redis-pipelined']],
  ['memcached', ['memcached']],
  ['`process.send`', ['process-send-json', 'process-send-advanced']],
]

const columns = [
  ['get, string', { scene: 'string-1k', operation: 'get' }],
  ['set, string', { scene: 'string-1k', operation: 'set' }],
  ['get, object', { scene: 'object-1k', operation: 'get' }],
  ['set, object', { scene: 'object-1k', operation: 'set' }],
]

/**
 * The section of a document with its markers; without results it says how to get them.
 *
 * @param {{ partsOf: (results: object) => string[] }} document
 */
export function sectionOf({ partsOf }, results) {
  const parts = results === undefined ? [NO_RESULTS] : partsOf(results)
  return [BEGIN, ...parts, END].join('\n\n')
}

/**
 * The text, with the section in place of the old one.
 *
 * @throws unless each marker is there once, in this order.
 */
export function withSection(text, section) {
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  const isSound = begin !== -1 && end > begin && text.lastIndexOf(BEGIN) === begin && text.lastIndexOf(END) === end
  if (!isSound) throw new Error(`The markers ${BEGIN} and ${END} must be there, each once and in this order`)
  return text.slice(0, begin) + section + text.slice(end + END.length)
}

/** The text of a document with the section of these results, or of no results, formatted by prettier. */
export async function renderDocument(document, text, results) {
  // Not at the top: `npm run bench` loads this file before it has installed anything.
  const { format, resolveConfig } = await import('prettier')
  const style = { ...(await resolveConfig(document.file)), filepath: document.file }
  return format(withSection(text, sectionOf(document, results)), style)
}

/** Updates the documents, or the one named `only`, from a file of results. */
export async function updateDocuments({ results: from = readmeResults, only } = {}) {
  const results = JSON.parse(readFileSync(from, 'utf8'))
  if (results.quick) throw new Error(`${from} has the results of a quick run, which is too short to judge a claim`)
  if (only !== undefined && !(only in documents)) {
    throw new Error(`There is no document ${only}, only: ${Object.keys(documents).join(', ')}`)
  }
  for (const [name, document] of Object.entries(documents)) {
    if (only !== undefined && only !== name) continue
    writeFileSync(document.file, await renderDocument(document, readFileSync(document.file, 'utf8'), results))
  }
}

function speedTable(results) {
  const { machine, versions, plan, date } = results
  const body = rows
    .map(([label, contender]) => [
      label,
      ...columns.map(([, wanted]) => bestOf(results, { workload: 'throughput', contender, ...wanted })),
    ])
    .filter(([, ...figures]) => figures.some((figure) => figure !== undefined))
    .map(([label, ...figures]) => [label, ...figures.map(cellOf)])
  const virtual = machine.isVirtual ? 'a virtual machine with ' : ''
  return [
    ...cautionParts(results),
    wrap(
      `Calls per second of one process: 1,000 keys by Zipf's law, strings of 100 bytes, objects of 20 fields and 1 KiB. Medians of ${plan.rounds} runs on ${virtual}${machine.processors} processors (${machine.processor}), Node ${machine.node}, cache-machine ${versions['cache-machine']}, ${date.slice(0, 10)}.`,
    ),
    markdownTable([['', ...columns.map(([label]) => label)], ...body]),
    wrap(
      'Redis and memcached answer over a Unix socket. A row shows the best of its clients, serializations, encodings and placements of the server. The reads of lmdb use one transaction for each turn of the event loop, which does not see later writes of other processes.',
    ),
  ]
}

function claimsTable(results) {
  const verdicts = judge(results)
  const measured = verdicts.filter(({ reached }) => reached !== undefined).length
  const reached = verdicts.filter(({ reached }) => reached === true).length
  const body = verdicts.map((claim) => [
    claim.what,
    claim.against,
    target(claim.target, claim.unit),
    ratio(claim.measured, claim.unit),
    verdict(claim),
  ])
  return [
    ...cautionParts(results),
    wrap(
      `The run of ${results.date.slice(0, 10)} reached ${reached} of ${measured} targets. A claim is a ratio of two medians of the same run: \`×\` is our speed as a multiple of the rival's, "of it" our memory as a part of the rival's, and points are per cent points of hit ratios. For Redis and \`process.send\` the best client, serialization and placement counts; for "lmdb, best encoding" the better encoding.`,
    ),
    markdownTable([['claim', 'against', 'target', 'measured', 'reached'], ...body], 2),
  ]
}

function allTables(results) {
  return [
    '### All figures',
    wrap(
      `Medians; \`benches/results/README.json\` also has the minimum, the maximum and each sample. \`[idle]\` is a round trip with client and server anywhere on an idle machine, \`[one CPU]\` one with both on the same processor. The [guide of the suite](../benches/README.md) describes the workloads and the settings.`,
    ),
    ...tablesOf(results).flatMap((table) => [
      `#### ${table.title}`,
      wrap(`In ${table.unit}.`),
      table.id === 'hit-ratio' ? policyTable(table) : figureTable(table),
    ]),
  ]
}

function figureTable({ columns: heads, rows: body }) {
  return markdownTable([['', ...heads], ...body.map(({ label, cells }) => [label, ...cells.map(cellOf)])])
}

/** The table of hit ratios with a row for each trace and size: it has too many of them for columns. */
function policyTable({ columns: heads, rows: policies }) {
  const nameOf = ({ contender }) =>
    contender.startsWith('reference ') ? contender.slice('reference '.length) : contenderOf(contender).package
  const body = heads.map((head, i) => [head, ...policies.map(({ cells }) => cells[i]?.median.toFixed(2) ?? '–')])
  return markdownTable([['trace, objects', ...policies.map(nameOf)], ...body])
}

function cellOf(figure) {
  return figure === undefined ? '–' : short(figure.median)
}

function cautionParts(results) {
  return cautionsOf(results).map((text) => wrap(`**${text}**`))
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { results: { type: 'string' }, only: { type: 'string' } } })
  updateDocuments(values).catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
