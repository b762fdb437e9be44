/**
 * The help, from the table of commands.
 */
import { usageOf } from './arguments.ts'
import type { Command } from './command.ts'
import type { Group } from './table.ts'
import { COMMON } from './grammar.ts'
import type { Option } from './grammar.ts'

const WIDTH = 80

/** What the exit codes mean, for help and reference. */
export const EXIT_CODES = [
  ['0', 'done'],
  ['1', 'not found, unhealthy, refused or failed'],
  ['2', 'the command line is wrong'],
] as const

/** The help of the program. */
export function overview(groups: readonly Group[], version: string): string {
  const width = Math.max(...groups.flatMap(({ commands }) => commands.map(({ name }) => name.length)))
  const lines = [
    `cache-machine ${version}: look into the shared-memory caches of this user.`,
    '',
    'Usage: cache-machine <command> [segment] [arguments] [options]',
  ]
  for (const { title, commands } of groups) {
    lines.push('', `${title}:`)
    for (const { name, summary } of commands) lines.push(...wrap(summary, `  ${name.padEnd(width)}  `, width + 4))
  }
  lines.push(
    '',
    'Start with "cache-machine list", then "cache-machine inspect <segment>". If anything is odd: "cache-machine doctor".',
    '"cache-machine <command> --help" explains a command, with examples. Each command has --json.',
    'Commands that read create no segment, count as no hit and mark nothing as used.',
    '',
    `Exit codes: ${EXIT_CODES.map(([code, what]) => `${code} ${what}`).join('; ')}.`,
  )
  return `${lines.flatMap((line) => (line.length > WIDTH ? wrap(line, '', 0) : line)).join('\n')}\n`
}

/** The help of one command. */
export function helpOf(command: Command): string {
  const { summary, about, parameters, options, examples, json } = command
  const lines = [usageOf(command), '', ...wrap(`${capital(summary)}.`, '', 0)]
  for (const paragraph of about) lines.push('', ...wrap(paragraph, '', 0))
  if (parameters.length > 0) {
    lines.push('', 'Arguments:')
    const width = Math.max(...parameters.map(({ name }) => name.length))
    for (const { name, what } of parameters) lines.push(...wrap(what, `  ${name.padEnd(width)}  `, width + 4))
  }
  const all = Object.entries({ ...options, ...COMMON }).map(([name, option]) => [formOf(name, option), option] as const)
  const width = Math.max(...all.map(([form]) => form.length))
  lines.push('', 'Options:')
  for (const [form, { what }] of all) lines.push(...wrap(what, `  ${form.padEnd(width)}  `, width + 4))
  lines.push('', 'Examples:')
  for (const [line, what] of examples) lines.push(`  ${line}`, `      ${what}`)
  lines.push('', ...wrap(`With --json it prints ${json}.`, '', 0))
  return `${lines.join('\n')}\n`
}

/** `-n, --namespace NAME`. */
export function formOf(name: string, { short, value, type }: Option): string {
  const letter = short === undefined ? '    ' : `-${short}, `
  return `${letter}--${name}${type === 'flag' ? '' : ` ${value ?? 'VALUE'}`}`
}

export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1)
}

/** Lines of at most `WIDTH` characters; the first begins with `start`, the others are indented. */
function wrap(text: string, start: string, indent: number): string[] {
  const lines: string[] = []
  let line = start
  for (const word of text.split(' ')) {
    const isFirst = line.trim() === '' || line === start
    if (!isFirst && line.length + 1 + word.length > WIDTH) {
      lines.push(line)
      line = ' '.repeat(indent) + word
    } else line = isFirst ? line + word : `${line} ${word}`
  }
  return [...lines, line]
}
