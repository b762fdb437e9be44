/**
 * The check of an options object: a plain object that has only known names.
 *
 * An ignored option is worse than an error: a value stored with `{ EX: 60 }` would never expire. So an unknown name
 * throws, and the words of other caches and clients are answered with the option of this package.
 */
import { types } from 'node:util'
import { CacheError, invalid, show } from '../errors.ts'

/** The options that one method accepts. */
export interface AcceptedOptions {
  /** The method, as messages name it. */
  readonly method: string
  readonly names: ReadonlySet<string>
}

/** The options of a method. The compiler demands exactly the names of `T`. */
export function accepted<T>(method: string, names: Record<keyof T, true>): AcceptedOptions {
  return { method, names: new Set(Object.keys(names)) }
}

/**
 * Throws `ERR_INVALID_ARGUMENT` unless options are undefined, or a plain object without unknown names. A lifetime, a
 * date or a list in their place must not be ignored either.
 */
export function checkOptions(options: unknown, expected: AcceptedOptions): void {
  if (options !== undefined) checkObject(options, expected)
}

/** The same for options that are required. */
export function checkObject(options: unknown, { method, names }: AcceptedOptions): void {
  if (typeof options !== 'object' || options === null || !isPlain(options)) throw notPlain(options, method, names)
  for (const name in options) {
    // An inherited name comes from a changed Object.prototype, and is no option of this call.
    if (!names.has(name) && Object.hasOwn(options, name)) throw unknownOption(name, method, names)
  }
}

/** A class instance, an array and a date are not plain. An object of another realm has its own Object.prototype. */
export function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null
}

function notPlain(options: unknown, method: string, names: ReadonlySet<string>): CacheError {
  const isMoment = types.isDate(options) && names.has('expiresAt')
  const hint = isMoment
    ? 'Pass { expiresAt: date.getTime() }.'
    : `Pass a plain object with any of these options: ${listOf(names)}.`
  return invalid(`the options of ${method} must be a plain object`, options, 'ERR_INVALID_ARGUMENT', hint)
}

function unknownOption(name: string, method: string, names: ReadonlySet<string>): CacheError {
  const ours = oursFor(name, names)
  const message = `${method} has no option ${show(name)}`
  if (ours === undefined) {
    const hint = `Remove it, or pass one of these options: ${listOf(names)}.`
    return new CacheError('ERR_INVALID_ARGUMENT', message, { hint })
  }
  return new CacheError('ERR_INVALID_ARGUMENT', `${message}; use ${ours}`, { hint: `Pass ${ADVICE[ours] ?? ours}.` })
}

function listOf(names: ReadonlySet<string>): string {
  return [...names].join(', ')
}

/** The option of this method that an unknown name probably means. */
function oursFor(name: string, names: ReadonlySet<string>): string | undefined {
  const word = simple(name)
  for (const own of names) if (simple(own) === word) return own
  return (Object.hasOwn(WORDS, word) ? WORDS[word] : undefined)?.find((own) => names.has(own))
}

function simple(name: string): string {
  return name.toLowerCase().replace(/[-_ ]/g, '')
}

const LIFETIME = ['ttl']
const MOMENT = ['expiresAt', 'ttl']
const CONDITION = ['if']
const AMOUNT = ['size', 'maxSize']
const COUNT = ['maxEntries', 'limit', 'size']
const RESERVE = ['reserve']
const STALE = ['stale', 'staleIfError']

/** Words of other caches, clients and libraries in simple form, with the options that mean the same, best first. */
const WORDS: Readonly<Record<string, readonly string[]>> = {
  ex: LIFETIME,
  px: LIFETIME,
  age: LIFETIME,
  maxage: LIFETIME,
  smaxage: LIFETIME,
  expire: LIFETIME,
  expires: LIFETIME,
  expiry: LIFETIME,
  expiration: LIFETIME,
  expirein: LIFETIME,
  expiresin: LIFETIME,
  expireafter: LIFETIME,
  expirationttl: LIFETIME,
  lifetime: LIFETIME,
  stdttl: LIFETIME,
  defaultttl: LIFETIME,
  ttlms: LIFETIME,
  ttls: LIFETIME,
  ttlsec: LIFETIME,
  ttlseconds: LIFETIME,
  ttlinseconds: LIFETIME,
  revalidate: LIFETIME,
  exat: MOMENT,
  pxat: MOMENT,
  expireat: MOMENT,
  deadline: MOMENT,
  nx: CONDITION,
  xx: CONDITION,
  onlyifabsent: CONDITION,
  onlyifpresent: CONDITION,
  nottlupdate: ['keepTtl'],
  noupdatettl: ['keepTtl'],
  max: COUNT,
  maxitems: COUNT,
  maxkeys: COUNT,
  maxcount: COUNT,
  maxentries: COUNT,
  maxlength: COUNT,
  capacity: COUNT,
  maxsize: AMOUNT,
  maxbytes: AMOUNT,
  maxmemory: AMOUNT,
  memory: AMOUNT,
  memorylimit: AMOUNT,
  sizelimit: AMOUNT,
  bytes: AMOUNT,
  size: AMOUNT,
  minsize: RESERVE,
  minmemory: RESERVE,
  reserved: RESERVE,
  guarantee: RESERVE,
  guaranteed: RESERVE,
  quota: AMOUNT,
  maxentrysize: ['maxEntrySize'],
  maxvaluesize: ['maxEntrySize'],
  maxpolicy: ['eviction'],
  maxmemorypolicy: ['eviction'],
  policy: ['eviction'],
  evictionpolicy: ['eviction'],
  path: ['directory'],
  dir: ['directory'],
  folder: ['directory'],
  serializer: ['codec'],
  serialization: ['codec'],
  encoding: ['codec'],
  timeoutms: ['timeout', 'hardTimeout'],
  waittimeout: ['timeout'],
  acquiretimeout: ['timeout'],
  acquisitiontimeout: ['timeout'],
  maxwait: ['timeout'],
  wait: ['timeout'],
  softtimeout: ['timeout'],
  abortsignal: ['signal'],
  abort: ['signal'],
  unref: ['ref'],
  swr: STALE,
  stalewhilerevalidate: STALE,
  stalettl: STALE,
  allowstale: STALE,
  grace: STALE,
  graceperiod: STALE,
  tag: ['tags'],
  refreshthreshold: ['refreshAhead'],
  forcefresh: ['force'],
  forcerefresh: ['force'],
  fresh: ['force'],
  locktimeout: ['lease', 'ttl'],
  leasetime: ['ttl', 'lease'],
  leasems: ['ttl', 'lease'],
  initial: ['init'],
  initialvalue: ['init'],
  start: ['init'],
  match: ['prefix'],
  pattern: ['prefix'],
  points: ['limit'],
  tokens: ['limit'],
  requests: ['limit'],
  duration: ['window', 'ttl'],
  interval: ['window'],
  period: ['window'],
  windowms: ['window'],
  buffersize: ['buffer'],
  highwatermark: ['buffer'],
}

/** What to pass for an option that may have another unit or form than in the other library. */
const ADVICE: Readonly<Record<string, string>> = {
  ttl: "ttl, in milliseconds or as a duration such as '60s'",
  expiresAt: 'expiresAt, a moment in epoch milliseconds',
  if: "if: 'absent' or if: 'present'",
  size: "size, in bytes or as a size such as '64mb'; entries are not counted",
  reserve: "reserve, in bytes or as a size such as '4mb'",
  maxSize: "maxSize, in bytes or as a size such as '32mb'",
  stale: "stale, in milliseconds or as a duration such as '60s'",
  staleIfError: "staleIfError, in milliseconds or as a duration such as '60s'",
  timeout: "timeout, in milliseconds or as a duration such as '5s'",
  window: "window, in milliseconds or as a duration such as '1m'",
  prefix: 'prefix, the text that the keys begin with',
}
