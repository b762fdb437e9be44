/**
 * The results as one HTML file with charts. The file contains the library, the style and the data, and needs no
 * network.
 *
 * Each chart is also a table, for readers that need the numbers or cannot see the chart.
 */
import { existsSync, readFileSync } from 'node:fs'
import { cautionsOf, digits, labelOf, ratio, short, sides, target, verdict, withSpread } from './format.mjs'
import { tablesOf } from './tables.mjs'

const fileOf = (name) => readFileSync(new URL(name, import.meta.url), 'utf8')

/** The policies in the chart of hit ratios; the table has all policies. */
const charted = /^(cache-machine|lru-cache|reference (S3-FIFO|Belady))/

/**
 * @param {object} results
 * @param {string} [library] the source of Chart.js; without it the page has only the tables
 * @returns {string}
 */
export function htmlReport(results, library = chartLibrary()) {
  const tables = tablesOf(results)
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>cache-machine: benchmarks</title>
<style>
${fileOf('report-html.css')}</style>
</head>
<body>
<main>
<h1>cache-machine: benchmarks</h1>
${introduction(results)}
${claimsSection(results)}
${tables.map(tableSection).join('\n')}
${appendix(results)}
</main>
<script>${asScript(library.replace(/^\/\/# sourceMappingURL=.*$/m, ''))}</script>
<script>const charts = ${asScript(JSON.stringify(tables.map(chartOf)))}</script>
<script>
${asScript(fileOf('report-html.client.js'))}</script>
</body>
</html>
`
}

function chartLibrary() {
  const file = new URL('node_modules/chart.js/dist/chart.umd.min.js', import.meta.url)
  return existsSync(file) ? readFileSync(file, 'utf8') : ''
}

function introduction({ date, machine, versions, plan, quick, seconds }) {
  const virtual = machine.isVirtual ? ', a virtual machine' : ''
  const caution = cautionsOf({ machine, quick })
    .map((text) => `<p class="caution">${escape(text)}</p>`)
    .join('\n')
  return `<p>${escape(`${date.slice(0, 10)}, ${machine.processors} processors (${machine.processor}${virtual}), ${machine.memoryGiB} GiB, ${machine.system}, Linux ${machine.kernel}, Node ${machine.node}. cache-machine ${versions['cache-machine']}.`)}</p>
<p>${escape(`Each figure is the median of ${plan.rounds} runs of ${plan.window} ms, with the minimum and the maximum. The contenders alternated between runs. The whole run took ${Math.round(seconds / 60)} minutes. Round trips ran in two placements: client and server anywhere on an idle machine, and both on one processor, which does not have to wake. Claims use the better placement.`)}</p>
${caution}`
}

function claimsSection({ claims }) {
  const rows = claims.map((claim) => {
    const word = verdict(claim)
    const cells = [escape(target(claim.target, claim.unit)), escape(ratio(claim.measured, claim.unit))]
    return `<tr class="${word === 'no' ? 'lost' : ''}"><th scope="row">${escape(claim.name)}<small>${escape(sides(claim))}</small></th>${cells.map((cell) => `<td>${cell}</td>`).join('')}<td>${word}</td></tr>`
  })
  return `<section><h2>Claims</h2>
<div class="scroll"><table><thead><tr><th scope="col">Ratio of medians</th><th scope="col">Target</th><th scope="col">Measured</th><th scope="col">Reached</th></tr></thead>
<tbody>${rows.join('\n')}</tbody></table></div></section>`
}

function tableSection(table) {
  const { id, title, unit, logarithmic } = table
  const scale = logarithmic ? ', on a logarithmic scale' : ''
  const better = isLowerBetter(table) ? 'lower is better' : 'higher is better'
  return `<section id="${id}"><h2>${escape(title)}</h2>
<p>${escape(`${unit}${scale}; ${better}.`)}</p>
<div class="chart"><canvas role="img" aria-label="${escape(`Chart: ${title}. The table below has the numbers.`)}"></canvas></div>
<details><summary>The numbers: median (minimum – maximum)</summary>${numbersOf(table)}</details></section>`
}

function numbersOf({ columns, rows }) {
  const text = (figure) => (figure.unit === '%' ? figure.median.toFixed(2) : withSpread(figure))
  const head = columns.map((column) => `<th scope="col">${escape(column)}</th>`).join('')
  const body = rows.map(({ label, cells }) => {
    const values = cells.map((figure) => `<td>${figure === undefined ? '–' : escape(text(figure))}</td>`)
    return `<tr><th scope="row">${escape(label)}</th>${values.join('')}</tr>`
  })
  return `<div class="scroll"><table><thead><tr><th></th>${head}</tr></thead><tbody>${body.join('\n')}</tbody></table></div>`
}

function appendix({ settings, versions, absent, problems }) {
  const items = (list, textOf) => `<ul>${list.map((item) => `<li>${escape(textOf(item))}</li>`).join('')}</ul>`
  const section = (title, list, textOf) =>
    list.length === 0 ? '' : `<section><h2>${title}</h2>${items(list, textOf)}</section>`
  return [
    section('Settings', settings, ({ label, settings: text }) => `${label}: ${text}`),
    section('Versions', Object.entries(versions), ([name, version]) => `${name} ${version}`),
    section('Missing here and not measured', absent, ({ what, why }) => `${what}: ${why}`),
    section('Failed', problems, ({ contender, where, error }) => `${contender} in ${where}: ${error}`),
  ].join('\n')
}

/** The data from which the script of the page draws a chart. */
function chartOf(table) {
  const { id, title, unit, chart, logarithmic, columns, rows } = table
  const shown = id === 'hit-ratio' ? rows.filter(({ contender }) => charted.test(contender)) : rows
  return {
    id,
    title,
    unit,
    chart,
    logarithmic,
    columns,
    rows: shown.map(({ label, contender, cells }) => ({
      label: contender.startsWith('reference') ? labelOf(contender) : label,
      isOurs: contender.startsWith('cache-machine'),
      values: cells.map((figure) => figure?.median ?? null),
      texts: cells.map((figure) => (figure === undefined ? '' : `${textOf(figure)} ${unit}`)),
    })),
  }
}

function textOf(figure) {
  return figure.unit === '%'
    ? digits(figure.median)
    : `${short(figure.median)} (${short(figure.min)} – ${short(figure.max)})`
}

function isLowerBetter({ rows }) {
  return rows.some(({ cells }) => cells.some((figure) => figure?.better === 'lower'))
}

function escape(text) {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;')
}

/** Text inside a script element: its end tag would end the element, even inside a string. */
function asScript(text) {
  return text.replaceAll('</', '<\\/')
}
