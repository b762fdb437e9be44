/**
 * The command line: which command it names, its parameters and options, checked against the table.
 *
 * `parseArgs` of Node splits the line; this file adds counts, durations and messages that name the right option.
 */
import { parseArgs } from 'node:util'
import { parseDuration } from '../arguments/units.ts'
import type { Milliseconds } from '../arguments/units.ts'
import { similarTo } from '../arguments/similar.ts'
import { COMMON } from './grammar.ts'
import type { Grammar, Option } from './grammar.ts'

/** A mistake in the command line. */
export class UsageError extends Error {
  readonly hint: string
  /** The command, if it is known. */
  readonly command: string | undefined

  constructor(message: string, hint: string, command?: string) {
    super(message)
    this.hint = hint
    this.command = command
  }
}

type Values = Readonly<Record<string, string | boolean | (string | boolean)[] | undefined>>

/** A checked command line. */
export class Call {
  readonly command: Grammar
  readonly parameters: readonly string[]
  readonly #values: Values

  constructor(command: Grammar, parameters: readonly string[], values: Values) {
    this.command = command
    this.parameters = parameters
    this.#values = values
  }

  /** A required parameter. */
  parameter(index: number): string {
    return this.parameters[index] as string
  }

  flag(name: string): boolean {
    return this.#values[name] === true
  }

  text(name: string): string | undefined {
    return this.#values[name] as string | undefined
  }

  /** The values of an option that may be repeated; each may be a list with commas. */
  list(name: string): string[] {
    return ((this.#values[name] ?? []) as string[]).flatMap((text) => text.split(',')).filter((text) => text !== '')
  }

  /** A whole number of at least 1. */
  count(name: string): number | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    if (/^\d+$/.test(text) && Number(text) >= 1 && Number.isSafeInteger(Number(text))) return Number(text)
    throw this.wrong(`--${name} is ${JSON.stringify(text)}, not a whole number of at least 1`)
  }

  /** A span of time; with `never` also that word, for Infinity. A number without a unit is milliseconds. */
  duration(name: string, never?: 'never'): Milliseconds | undefined {
    const text = this.text(name)
    if (text === undefined) return undefined
    if (text === never) return Infinity
    const milliseconds = parseDuration(/^\d+(?:\.\d+)?$/.test(text) ? Number(text) : text)
    if (milliseconds > 0) return milliseconds
    throw this.wrong(
      `--${name} is ${JSON.stringify(text)}, not a duration`,
      `Pass a number with its unit: 250ms, 30s, 5m, 2h or 1d${never === undefined ? '' : `, or ${never}`}.`,
    )
  }

  wrong(message: string, hint?: string): UsageError {
    return wrong(this.command, message, hint)
  }
}

function wrong({ name }: Grammar, message: string, hint?: string): UsageError {
  return new UsageError(message, hint ?? `See "cache-machine ${name} --help".`, name)
}

/** The command of this name. Throws a `UsageError` that names a similar one. */
export function findCommand<C extends Grammar>(name: string, table: readonly C[]): C {
  const found = table.find((command) => command.name === name)
  if (found !== undefined) return found
  const similar = similarTo(
    name,
    table.map((command) => command.name),
  )
  const hint = similar === undefined ? 'See "cache-machine --help".' : `Did you mean "cache-machine ${similar}"?`
  throw new UsageError(`there is no command ${JSON.stringify(name)}`, hint)
}

/** Checks the arguments behind the name of a command. With `--help`, parameters may be missing. */
export function parseCall(command: Grammar, args: readonly string[]): Call {
  const options = { ...COMMON, ...command.options }
  const { values, positionals, tokens } = parseArgs({
    args: [...args],
    options: Object.fromEntries(Object.entries(options).map(([name, option]) => [name, rawOption(option)])),
    allowPositionals: true,
    strict: false,
    tokens: true,
  })
  for (const token of tokens) {
    if (token.kind !== 'option') continue
    const option = Object.hasOwn(options, token.name) ? options[token.name] : undefined
    if (option === undefined) throw unknownOption(command, token.rawName, Object.keys(options))
    if (option.type === 'flag' && token.value !== undefined) {
      throw wrong(command, `${token.rawName} takes no value`)
    }
    if (option.type !== 'flag' && token.value === undefined) {
      throw wrong(command, `${token.rawName} needs a value: ${token.rawName} ${option.value ?? 'VALUE'}`)
    }
  }
  const call = new Call(command, positionals, values)
  if (!call.flag('help')) checkParameters(command, positionals)
  return call
}

function rawOption({ type, short }: Option): { type: 'boolean' | 'string'; short?: string; multiple?: boolean } {
  return {
    type: type === 'flag' ? 'boolean' : 'string',
    ...(short !== undefined && { short }),
    ...(type === 'list' && { multiple: true }),
  }
}

function unknownOption(command: Grammar, given: string, names: readonly string[]): UsageError {
  const similar = similarTo(given.replace(/^-+/, ''), names)
  const isNumber = /^-\d/.test(given)
  const hint = isNumber ? 'Write "--" before arguments that begin with "-".' : similar && `Did you mean --${similar}?`
  return wrong(command, `"cache-machine ${command.name}" has no option ${given}`, hint)
}

function checkParameters(command: Grammar, given: readonly string[]): void {
  const { parameters } = command
  const missing = parameters.find((parameter, i) => !parameter.optional && given[i] === undefined)
  if (missing !== undefined) {
    throw wrong(command, `"cache-machine ${command.name}" needs <${missing.name}>: ${missing.what}`)
  }
  if (given.length > parameters.length && !parameters.at(-1)?.many) {
    const extra = JSON.stringify(given[parameters.length])
    throw wrong(command, `${extra} is one argument too many`, `Quote text with spaces. ${usageOf(command)}`)
  }
}

/** The line that shows how a command is called. */
export function usageOf({ name, parameters }: Grammar): string {
  const words = parameters.map(({ name: word, optional, many }) => {
    const dots = many ? '...' : ''
    return optional ? `[${word}]${dots}` : `<${word}>${dots}`
  })
  return `Usage: cache-machine ${[name, ...words].join(' ')} [options]`
}
