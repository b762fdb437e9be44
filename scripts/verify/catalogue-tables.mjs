/**
 * The tables that CONTRIBUTING.md shows of the catalogue.
 */
import { campaigns, children, programs, suites } from '../catalogue.mjs'

/** The table of the suites. */
export function suitesTable() {
  return table(
    ['suite', 'question'],
    suites.map(({ id, question }) => [code(id), question]),
  )
}

/** The tables of programs, campaigns and child programs. */
export function catalogueTables() {
  return [
    table(
      ['command', 'duration', 'what it does'],
      programs.map(({ command, duration, purpose }) => [code(command), duration, purpose]),
    ),
    'Campaigns: `npm run campaign -- --only NAME` runs one, `-- --list` prints its command.',
    table(
      ['campaign', 'minutes', 'what it shows'],
      campaigns.map(({ name, minutes, purpose }) => [code(name), minutes, purpose]),
    ),
    'Programs that other programs start:',
    table(
      ['file', 'what it does'],
      children.map(({ file, purpose }) => [code(file), purpose]),
    ),
  ].join('\n\n')
}

/** A campaign on one line. */
export function describeCampaign({ name, minutes, purpose, command, env = {} }) {
  const settings = Object.entries(env).map(([key, value]) => `${key}=${value} `)
  return `${name} (about ${minutes} min): ${purpose}\n  ${settings.join('')}${command}`
}

function code(text) {
  return `\`${text}\``
}

function table(heads, rows) {
  const line = (cells) => `| ${cells.join(' | ')} |`
  return [line(heads), line(heads.map(() => '---')), ...rows.map(line)].join('\n')
}
