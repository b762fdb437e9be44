/**
 * Writes the table of README.md from the results, between `<!-- bench:begin -->` and `<!-- bench:end -->`.
 *
 *   node benches/readme.mjs                            benches/results/README.json into README.md
 *   node benches/readme.mjs --results file --readme file
 */
import { readFileSync, realpathSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { bestOf } from './figures.mjs'
import { cautionsOf, markdownTable, ratio, short, target, verdict } from './format.mjs'

const BEGIN = '<!-- bench:begin -->'
const END = '<!-- bench:end -->'
const NO_RESULTS = 'There are no results here yet: `npm run bench -- --readme` measures them and writes them down.'
const readmeFile = fileURLToPath(new URL('../README.md', import.meta.url))

/** The results that README.md shows. */
export const readmeResults = fileURLToPath(new URL('results/README.json', import.meta.url))

/** Of several clients and placements the best one: the full tables have them all. */
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
  ['get, 16 KiB Buffer', { scene: 'buffer-16k', operation: 'get' }],
]

/** What stands between the marks, marks included; where there are no results, how to get them. */
export function readmeSection(results) {
  const parts = results === undefined ? [NO_RESULTS] : [throughput(results), claims(results)]
  return [BEGIN, ...parts, END].join('\n\n')
}

/**
 * The text with the section in the place of what was between its marks.
 *
 * @throws if the marks are not there, each once and in order.
 */
export function withSection(text, section) {
  const begin = text.indexOf(BEGIN)
  const end = text.indexOf(END)
  const isSound = begin !== -1 && end > begin && text.lastIndexOf(BEGIN) === begin && text.lastIndexOf(END) === end
  if (!isSound) throw new Error(`The marks ${BEGIN} and ${END} must be there, each once and in this order`)
  return text.slice(0, begin) + section + text.slice(end + END.length)
}

function throughput(results) {
  const { machine, versions, plan, date } = results
  const cautions = cautionsOf(results).map((text) => `**${text}**`)
  const body = rows
    .map(([label, contender]) => [
      label,
      ...columns.map(([, wanted]) => bestOf(results, { workload: 'throughput', contender, ...wanted })),
    ])
    .filter(([, ...figures]) => figures.some((figure) => figure !== undefined))
    .map(([label, ...figures]) => [
      label,
      ...figures.map((figure) => (figure === undefined ? '–' : short(figure.median))),
    ])
  const virtual = machine.isVirtual ? 'a virtual machine with ' : ''
  return [
    ...cautions,
    `Calls per second of one process; 1,000 keys by Zipf's law, strings of 100 bytes, objects of 20 fields and 1 KiB. Medians of ${plan.rounds} runs on ${virtual}${machine.processors} processors (${machine.processor}), Node ${machine.node}, ${date.slice(0, 10)}, cache-machine ${versions['cache-machine']}.`,
    markdownTable([['', ...columns.map(([label]) => label)], ...body]),
    'Redis and memcached answer over a Unix socket. Of their clients and of two placements, free on an idle machine or with the server on one processor, this is the best; so it is of both serializations of `process.send` and of the encodings of lmdb, whose reads go through one transaction here and see no other process’s writes.',
  ].join('\n\n')
}

function claims({ claims: verdicts }) {
  const lost = verdicts.filter(({ reached }) => reached === false).length
  const measured = verdicts.filter(({ reached }) => reached !== undefined)
  const body = measured.map((claim) => [
    claim.name,
    target(claim.target, claim.unit),
    ratio(claim.measured, claim.unit),
    verdict(claim),
  ])
  return [
    `What we claim, as ratios of medians of the same run; ${lost === 0 ? 'all targets were reached' : `${lost} of ${measured.length} targets were not reached`}:`,
    markdownTable([['', 'target', 'measured', 'reached'], ...body]),
  ].join('\n\n')
}

/** README.md with the section of these results, or of none, formatted as it is kept. */
export async function renderReadme(text, results) {
  // Not at the top: `npm run bench` loads this file before it has installed anything.
  const { format, resolveConfig } = await import('prettier')
  const style = { ...(await resolveConfig(readmeFile)), filepath: readmeFile }
  return format(withSection(text, readmeSection(results)), style)
}

export async function updateReadme({ results: from = readmeResults, readme = readmeFile } = {}) {
  const results = JSON.parse(readFileSync(from, 'utf8'))
  if (results.quick) throw new Error(`${from} is of a quick run, which is too short to claim anything from`)
  writeFileSync(readme, await renderReadme(readFileSync(readme, 'utf8'), results))
}

if (process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { results: { type: 'string' }, readme: { type: 'string' } } })
  updateReadme(values).catch((error) => {
    console.error(error.message)
    process.exitCode = 1
  })
}
