/**
 * The results as tables: the rows, the columns, and the figure in each cell. The reports only format them.
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
import { adapterTables } from './workloads/adapters.mjs'
import { appTables } from './workloads/apps.mjs'
import { title as collectionsTitle } from './workloads/collections.mjs'
import { title as boundsTitle } from './workloads/bounds.mjs'
import { title as fillTitle } from './workloads/fill.mjs'
import { title as hitRatioTitle } from './workloads/hit-ratio.mjs'
import { catalogueTitle, readsTitle } from './workloads/tags.mjs'

/**
 * @typedef {object} Table
 * @property {string} id
 * @property {string} title
 * @property {string} unit
 * @property {'bar' | 'line' | 'columns'} chart `bar`: bars for each row; `line`: a line over the columns for each row;
 *   `columns`: points over the columns for each row
 * @property {boolean} logarithmic whether the best figure is many times the worst
 * @property {string[]} columns
 * @property {{ label: string, contender: string, cells: (import('./suite.mjs').Figure | undefined)[] }[]} rows
 */

/** @returns {Table[]} the tables that have figures */
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
    table(
      results,
      { workload: 'tagged-reads' },
      { id: 'tagged-reads', title: readsTitle, chart: 'bar', logarithmic: true },
    ),
    table(results, { workload: 'catalogue' }, { id: 'catalogue', title: catalogueTitle, chart: 'columns' }),
    ...boundsTables(results),
    ...collectionTables(results),
    ...adapterTables.map(({ id, scene, title }) =>
      table(results, { workload: 'adapters', scene }, { id, title, chart: 'columns', logarithmic: true }),
    ),
    ...appTables.map(({ id, operation, title }) =>
      table(results, { workload: 'apps', operation }, { id, title, chart: 'columns', column: ({ scene }) => scene }),
    ),
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

function boundsTables(results) {
  const scenesOf = new Set(figuresOf(results, { workload: 'bounds' }).map(({ scene }) => scene))
  return [...scenesOf].map((scene) => {
    const description = { id: `bounds-${scene.replace(' ', '-')}`, title: boundsTitle(scene), chart: 'columns' }
    return table(results, { workload: 'bounds', scene }, { ...description, logarithmic: true })
  })
}

function collectionTables(results) {
  const sizes = new Set(figuresOf(results, { workload: 'collections' }).map(({ scene }) => scene))
  return [...sizes].map((scene) =>
    table(
      results,
      { workload: 'collections', scene },
      { id: `collections-${scene}`, title: collectionsTitle(scene), chart: 'columns', logarithmic: true },
    ),
  )
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

/** In the order of the list of contenders; other rows, such as references, come last. */
function inOrder(rows) {
  const indexOf = ({ contender }) => {
    const found = contenders.findIndex(({ id }) => id === contender)
    return found === -1 ? contenders.length : found
  }
  return rows.toSorted((a, b) => indexOf(a) - indexOf(b))
}
