/**
 * The results as tables: which rows and columns, and the figure in each cell. The reports only say how they look.
 */
import { figuresOf } from './figures.mjs'
import { contenders } from './contenders/index.mjs'
import { rowLabel } from './format.mjs'
import { scenes, titleOf } from './workloads/throughput.mjs'
import { title as processesTitle } from './workloads/processes.mjs'
import { title as wakeUpTitle } from './workloads/wake-up.mjs'
import { title as limiterTitle } from './workloads/limiter.mjs'
import { title as lockTitle } from './workloads/lock.mjs'
import { title as memoryTitle } from './workloads/memory.mjs'
import { title as fillTitle } from './workloads/fill.mjs'
import { title as hitRatioTitle } from './workloads/hit-ratio.mjs'

/**
 * @typedef {object} Table
 * @property {string} id
 * @property {string} title
 * @property {string} unit
 * @property {'bar' | 'line' | 'columns'} chart `bar`: one bar for each row; `line`: a row is a line over the columns
 * @property {boolean} logarithmic the best is many times the worst
 * @property {string[]} columns
 * @property {{ label: string, contender: string, cells: (import('./suite.mjs').Figure | undefined)[] }[]} rows
 */

/** @returns {Table[]} those that have figures */
export function tablesOf(results) {
  const tables = [
    ...scenes.map((scene) => throughputTable(results, scene)),
    ...['get', '95/5'].map((operation) => processesTable(results, operation)),
    table(results, { workload: 'wake-up' }, { id: 'wake-up', title: wakeUpTitle, chart: 'bar', logarithmic: true }),
    table(results, { workload: 'limiter' }, { id: 'limiter', title: limiterTitle, chart: 'bar', logarithmic: true }),
    table(results, { workload: 'lock' }, { id: 'lock', title: lockTitle, chart: 'bar', logarithmic: true }),
    table(results, { workload: 'memory' }, { id: 'memory', title: memoryTitle, chart: 'bar' }),
    table(results, { workload: 'fill' }, { id: 'fill', title: fillTitle, chart: 'bar', logarithmic: true }),
    hitRatioTable(results),
  ]
  return tables.filter(({ rows }) => rows.length > 0)
}

function throughputTable(results, scene) {
  const wanted = { workload: 'throughput', scene: scene.id }
  return table(results, wanted, { id: scene.id, title: titleOf(scene), chart: 'bar', logarithmic: true })
}

function processesTable(results, operation) {
  const title = `${processesTitle}: ${operation}`
  const column = ({ processes }) => `${processes}`
  const description = {
    id: `processes-${operation.replace('/', '-')}`,
    title,
    chart: 'line',
    logarithmic: true,
    column,
  }
  return table(results, { workload: 'processes', operation }, description)
}

function hitRatioTable(results) {
  const column = ({ scene, operation }) => `${scene} ${operation.replace(' objects', '')}`
  return table(results, { workload: 'hit-ratio' }, { id: 'hit-ratio', title: hitRatioTitle, chart: 'columns', column })
}

function table(results, wanted, { column = ({ operation }) => operation, logarithmic = false, ...description }) {
  const figures = figuresOf(results, wanted)
  const columns = [...new Set(figures.map(column))]
  const rows = [...new Set(figures.map(entrantOf))].map((entrant) => {
    const [contender, placement] = entrant.split(' @ ')
    const own = figures.filter((figure) => entrantOf(figure) === entrant)
    const hasBoth = figures.some((figure) => figure.contender === contender && figure.placement !== placement)
    return {
      label: rowLabel({ contender, placement }, hasBoth),
      contender,
      cells: columns.map((name) => own.find((figure) => column(figure) === name)),
    }
  })
  return { ...description, logarithmic, unit: figures[0]?.unit ?? '', columns, rows: inOrder(rows) }
}

function entrantOf({ contender, placement }) {
  return `${contender} @ ${placement}`
}

/** As the contenders are listed; what is none of them, as references, comes last. */
function inOrder(rows) {
  const place = ({ contender }) => {
    const found = contenders.findIndex(({ id }) => id === contender)
    return found === -1 ? contenders.length : found
  }
  return rows.toSorted((a, b) => place(a) - place(b))
}
