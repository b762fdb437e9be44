/**
 * The results as text.
 */
import { cautionsOf, ratio, sides, target, textTable, verdict, withSpread } from './format.mjs'
import { tablesOf } from './tables.mjs'

/** @returns {string} */
export function terminalReport(results) {
  const parts = [
    ...tablesOf(results).map(tableText),
    settingsText(results),
    listText('Missing here and not measured', results.absent, ({ what, why }) => `${what}: ${why}`),
    listText('Failed', results.problems, ({ contender, where, error }) => `${contender} in ${where}: ${error}`),
    claimsText(results),
    cautionsOf(results).join('\n'),
  ]
  return `\n${parts.filter(Boolean).join('\n\n')}\n`
}

function tableText({ title, unit, columns, rows }) {
  const head = [`${title}, ${unit}`, ...columns]
  const body = rows.map(({ label, cells }) => [label, ...cells.map((figure) => (figure ? cellText(figure) : '–'))])
  return textTable([head, ...body])
}

/** A hit ratio has no spread: runs repeat almost exactly, and a reference is one number. */
function cellText(figure) {
  return figure.unit === '%' ? figure.median.toFixed(2) : withSpread(figure)
}

function settingsText({ settings }) {
  return `Settings\n${settings.map(({ label, settings: text }) => `  ${label}: ${text}`).join('\n')}`
}

function listText(title, items, lineOf) {
  return items.length === 0 ? '' : `${title}\n${items.map((item) => `  ${lineOf(item)}`).join('\n')}`
}

function claimsText({ claims }) {
  const measured = claims.filter((claim) => claim.measured !== undefined)
  if (measured.length === 0) return ''
  const rows = measured.map((claim) => [
    claim.name,
    target(claim.target, claim.unit),
    ratio(claim.measured, claim.unit),
    verdict(claim),
  ])
  const details = claims.filter(({ ours }) => ours !== undefined).map((claim) => `  ${claim.name}\n    ${sides(claim)}`)
  const missing = claims.length - measured.length
  const rest =
    missing === 0 ? '' : `\n\n${missing} claims were not judged, because this run did not measure their figures.`
  return [
    textTable([['Claim (ratio of medians)', 'target', 'measured', 'reached'], ...rows]),
    `\nThe figures of each claim\n${details.join('\n')}${rest}`,
  ].join('\n')
}
