/**
 * The samples that processes send to viewers: their channel, their form, and the classes of their times.
 *
 * A process sends a batch about once a second, as JSON text, so that a viewer can read it whatever the codec of the
 * cache is.
 */
import type { Key } from '../arguments/keys.ts'
import type { Milliseconds } from '../arguments/units.ts'

/** The channel of the root namespace on which batches are sent. The NUL keeps it apart from those of users. */
export const CHANNEL = '\u0000cache-machine:samples'

/** One of so many calls is a sample, on the average. */
export const SAMPLED_EVERY = 1024

/**
 * The number of calls until the next sample, at random: calls that repeat in a pattern, such as two reads for each
 * request, would otherwise always be the same ones.
 */
export function callsToSample(): number {
  return SAMPLED_EVERY / 2 + Math.floor(Math.random() * SAMPLED_EVERY) + 1
}

/** A read from the near cache, a read that found an entry, one that found none, and a write. */
export const CALL_KINDS = ['near', 'hit', 'miss', 'set'] as const
export type CallKind = (typeof CALL_KINDS)[number]

/** Maximum number of keys of a batch. */
export const MAX_BATCH_KEYS = 64
/** Keys with more characters, or of more bytes, are sampled without their key. */
export const MAX_SAMPLED_KEY = 200

/** A key of a batch: text, or bytes as hexadecimal digits. */
export interface SampledKey {
  /** Empty for the root. */
  readonly namespace: string
  readonly text?: string
  readonly hex?: string
  readonly reads: number
  readonly writes: number
}

/** The samples of one cache object since its last batch. */
export interface SampleBatch {
  readonly pid: number
  /** Samples by kind, those of calls for many keys included, which have no time. */
  readonly calls: Readonly<Record<CallKind, number>>
  /** The keys with the highest counts. */
  readonly keys: readonly SampledKey[]
  /** Number of samples by class of time, without empty classes. */
  readonly times: Readonly<Record<CallKind, readonly (readonly [timeClass: number, count: number])[]>>
}

/** Four classes of time double it. The first one begins at 16 ns. */
export const TIME_CLASSES = 112
const FIRST_TIME = 16
const CLASSES_PER_DOUBLE = 4

/** The class of a time. */
export function timeClassOf(time: Milliseconds): number {
  const position = Math.floor(CLASSES_PER_DOUBLE * Math.log2((time * 1e6) / FIRST_TIME))
  return Math.min(Math.max(position, 0), TIME_CLASSES - 1)
}

/** The lower limit of a class. */
export function timeOfClass(timeClass: number): Milliseconds {
  return (FIRST_TIME * 2 ** (timeClass / CLASSES_PER_DOUBLE)) / 1e6
}

/** A key as a batch has it. */
export function sampledKey(key: Key): { text: string } | { hex: string } {
  return typeof key === 'string' ? { text: key } : { hex: Buffer.from(key).toString('hex') }
}

/** The key that a batch has. */
export function keyOfSample({ text, hex }: Pick<SampledKey, 'text' | 'hex'>): Key {
  return text ?? Buffer.from(hex ?? '', 'hex')
}

/** The batch of a message. Undefined: it is none, or that of another version. */
export function readBatch(message: unknown): SampleBatch | undefined {
  if (typeof message !== 'string') return undefined
  try {
    const batch: unknown = JSON.parse(message)
    return typeof batch === 'object' && batch !== null && isBatch(batch) ? batch : undefined
  } catch {
    return undefined
  }
}

/** Any process of the user can write to the channel. */
function isBatch(batch: object): batch is SampleBatch {
  const { pid, calls, keys, times } = batch as Partial<SampleBatch>
  const isCount = (count: unknown): boolean => Number.isSafeInteger(count) && (count as number) >= 0
  const isKey = (key: Partial<SampledKey> | null): boolean =>
    typeof key?.namespace === 'string' &&
    (typeof key.text === 'string' || typeof key.hex === 'string') &&
    isCount(key.reads) &&
    isCount(key.writes)
  return (
    isCount(pid) &&
    Array.isArray(keys) &&
    keys.length <= MAX_BATCH_KEYS &&
    keys.every(isKey) &&
    CALL_KINDS.every((kind) => isCount(calls?.[kind]) && areTimes(times?.[kind]))
  )
}

function areTimes(times: unknown): boolean {
  return (
    Array.isArray(times) &&
    times.length <= TIME_CLASSES &&
    times.every(
      (time: unknown) =>
        Array.isArray(time) &&
        Number.isInteger(time[0]) &&
        time[0] >= 0 &&
        time[0] < TIME_CLASSES &&
        Number.isSafeInteger(time[1]) &&
        time[1] > 0,
    )
  )
}
