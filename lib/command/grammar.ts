/**
 * What may stand on the command line of a command, and the parts that several commands have.
 */

/** A positional argument. */
export interface Parameter {
  readonly name: string
  readonly what: string
  readonly optional?: true
  /** One or more; the last parameter only. */
  readonly many?: true
}

/** An option. */
export interface Option {
  readonly type: 'flag' | 'text' | 'list' | 'count' | 'duration'
  readonly short?: string
  /** The placeholder of its value in the help. */
  readonly value?: string
  readonly what: string
}

/** The command line of a command. */
export interface Grammar {
  readonly name: string
  readonly parameters: readonly Parameter[]
  readonly options: Readonly<Record<string, Option>>
}

export const SEGMENT: Parameter = { name: 'segment', what: 'the name that was passed to open' }
export const KEY: Parameter = { name: 'key', what: 'a key; with --hex its bytes as hexadecimal digits' }

export const FILE: Parameter = { name: 'file', what: 'the path of the file of a snapshot' }

export const NAMESPACE: Option = {
  type: 'text',
  short: 'n',
  value: 'NAME',
  what: 'a namespace of the segment; that of a namespace has both names, joined by ":"',
}
export const HEX: Option = { type: 'flag', what: 'keys are bytes, given as hexadecimal digits' }

/** The options that each command has. */
export const COMMON: Readonly<Record<string, Option>> = {
  directory: {
    type: 'text',
    short: 'd',
    value: 'FOLDER',
    what: 'the folder that was passed to open; default: POSIX shared memory (/dev/shm)',
  },
  group: {
    type: 'text',
    short: 'g',
    value: 'GROUP',
    what: 'the group that was passed to open, by its name or id; default: the segments of this user',
  },
  'app-version': {
    type: 'text',
    value: 'NAME',
    what: 'the version that was passed to open, for commands on keys; default: the key space without one',
  },
  json: { type: 'flag', what: 'print JSON, for programs' },
  help: { type: 'flag', short: 'h', what: 'print the help of the command' },
}
