/**
 * The settings of the module, as `pm2 set cache-machine:NAME VALUE` keeps them: text, with the defaults of `config` in
 * package.json.
 */
import { invalid } from '../errors.ts'
import type { SegmentOptions } from '../arguments/options.ts'
import { parseBytes, parseDuration } from '../arguments/units.ts'

/** The checked settings. */
export interface ModuleSettings {
  /** The names of segments, or undefined for all segments of the user. */
  readonly segments: readonly string[] | undefined
  /** The folder and the group that the applications pass to `open`. */
  readonly place: SegmentOptions
  /** Milliseconds between two reports. */
  readonly interval: number
  /** Maximum private memory of a worker in bytes, or undefined for no limit. */
  readonly maxPrivateMemory: number | undefined
  /** How long a worker may take to end after SIGINT, in milliseconds. */
  readonly killTimeout: number
}

const NAMES = ['segments', 'directory', 'group', 'interval', 'max_private_memory', 'kill_timeout']

/**
 * Reads the settings from the variable in which PM2 passes them.
 *
 * @throws {CacheError} `ERR_INVALID_ARGUMENT` for a wrong value, or a name that is no setting.
 */
export function readSettings(text: string | undefined): ModuleSettings {
  const given = parsed(text)
  for (const name of Object.keys(given)) {
    if (!NAMES.includes(name) && name !== 'module_conf') {
      throw invalid(`a setting of cache-machine must be one of ${NAMES.join(', ')}`, name)
    }
  }
  const value = (name: string): string | undefined => {
    const own = given[name]
    return own === undefined || own === null || own === '' ? undefined : String(own).trim()
  }
  const names = value('segments')
  const memory = value('max_private_memory')
  return {
    segments: names === undefined || names === 'all' ? undefined : names.split(/[\s,]+/).filter((name) => name !== ''),
    place: placeOf(value('directory'), value('group')),
    interval: durationOf('interval', value('interval') ?? '2s'),
    maxPrivateMemory: memory === undefined ? undefined : sizeOf('max_private_memory', memory),
    killTimeout: durationOf('kill_timeout', value('kill_timeout') ?? '30s'),
  }
}

function placeOf(directory: string | undefined, group: string | undefined): SegmentOptions {
  return { directory, group: group !== undefined && /^\d+$/.test(group) ? Number(group) : group }
}

function parsed(text: string | undefined): Record<string, unknown> {
  if (text === undefined || text === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // Reported below.
  }
  throw invalid('the settings of the module are no JSON object', text)
}

/** A span of at least half a second: PM2 shows a metric once a second. */
function durationOf(name: string, text: string): number {
  const milliseconds = parseDuration(text)
  if (milliseconds >= 500 && milliseconds <= 86_400_000) return milliseconds
  throw invalid(`cache-machine:${name} must be a duration from 500ms to 1d, such as 2s`, text)
}

/** An amount of memory, also in the form of PM2: 300M. */
function sizeOf(name: string, text: string): number {
  const [, number, unit] = /^([\d.]+)\s*([kmg])b?$/i.exec(text) ?? []
  const bytes = number === undefined ? Number.NaN : parseBytes(`${number}${(unit as string).toLowerCase()}b`)
  if (bytes > 0) return bytes
  throw invalid(`cache-machine:${name} must be a size such as 300M or 1G`, text)
}
