/**
 * The reference of all commands as Markdown, for docs/guides/command.md. `npm run docs` writes it.
 */
import { usageOf } from './arguments.ts'
import type { Command } from './command.ts'
import { EXIT_CODES, capital, formOf } from './help.ts'
import { GROUPS } from './table.ts'

const WIDTH = 118

/** The sections of all commands. */
export function reference(): string {
  const sections = GROUPS.flatMap(({ commands }) => commands.map(sectionOf))
  return sections.join('\n\n')
}

/** The table of exit codes. */
export function exitCodes(): string {
  return [
    '| code | meaning |',
    '| ---- | ------- |',
    ...EXIT_CODES.map(([code, what]) => `| ${code} | ${what} |`),
  ].join('\n')
}

function sectionOf(command: Command): string {
  const { name, summary, about, parameters, options, examples, json } = command
  const parts = [`### ${name}`, fill(`${capital(summary)}.`), ...about.map((text) => fill(text))]
  parts.push(['```sh', ...examples.map(([line, what]) => `${line}   # ${what}`), '```'].join('\n'))
  const words = parameters.map(({ name: word, what }) => item(`\`${word}\`: ${what}`))
  const flags = Object.entries(options).map(([flag, option]) =>
    item(`\`${formOf(flag, option).trim()}\`: ${option.what}`),
  )
  const rows = [...words, ...flags]
  parts.push(`\`${usageOf(command).replace('Usage: ', '')}\``)
  if (rows.length > 0) parts.push(rows.join('\n'))
  parts.push(fill(`\`--json\` prints ${json}.`))
  return parts.join('\n\n')
}

function item(text: string): string {
  return fill(`- ${text}`, '  ')
}

/** Lines of at most `WIDTH` characters. */
function fill(text: string, indent = ''): string {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = indent + word
    } else line = line === '' ? word : `${line} ${word}`
  }
  return [...lines, line].join('\n')
}
