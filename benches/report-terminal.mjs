/**
 * The results as text.
 */
import { ratio, sides, target, textTable, verdict, withSpread } from './format.mjs'
import { tablesOf } from './tables.mjs'

/** @returns {string} */
export function terminalReport(results) {
  const parts = [
    ...tablesOf(results).map(tableText),
    settingsText(results),
    listText('Not here, and so not measured', results.absent, ({ what, why }) => `${what}: ${why}`),
    listText('Failed', results.problems, ({ contender, where, error }) => `${contender} in ${where}: ${error}`),
    claimsText(results),
  ]
  return `\n${parts.filter(Boolean).join('\n\n')}\n`
}

function tableText({ title, unit, columns, rows }) {
  const head = [`${title}, ${unit}`, ...columns]
  const body = rows.map(({ label, cells }) => [label, ...cells.map((figure) => (figure ? cellText(figure) : '–'))])
  return textTable([head, ...body])
}

/** A hit ratio that repeats has no spread to show, nor has a reference. */
function cellText(figure) {
  return figure.unit === '%' ? figure.median.toFixed(2) : withSpread(figure)
}

function settingsText({ settings }) {
  return `Settings\n${settings.map(({ label, settings: text }) => `  ${label}: ${text}`).join('\n')}`
}

function listText(title, items, lineOf) {
  return items.length === 0 ? '' : `${title}\n${items.map((item) => `  ${lineOf(item)}`).join('\n')}`
}

function claimsText({ claims, quick }) {
  const rows = claims.map((claim) => [
    claim.name,
    target(claim.target, claim.unit),
    ratio(claim.measured, claim.unit),
    verdict(claim),
  ])
  const details = claims.filter(({ ours }) => ours !== undefined).map((claim) => `  ${claim.name}\n    ${sides(claim)}`)
  const caution = quick ? '\n\nA quick run: too short to claim anything from.' : ''
  return [
    textTable([['Claim (ratio of medians)', 'target', 'measured', 'reached'], ...rows]),
    `\nWhat was compared\n${details.join('\n')}${caution}`,
  ].join('\n')
}
