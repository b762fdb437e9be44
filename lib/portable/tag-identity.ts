/**
 * The identity of a tag: XXH64 of its name, as in segments of the native engine, so that a snapshot means the same in
 * both. This engine knows tags by their identities alone.
 */

const P1 = 0x9e3779b185ebca87n
const P2 = 0xc2b2ae3d27d4eb4fn
const P3 = 0x165667b19e3779f9n
const P4 = 0x85ebca77c2b2ae63n
const P5 = 0x27d4eb2f165667c5n
/** Combines an identity with the number of a namespace, as `salt_of` in `crates/core/src/layout/tags.rs`. */
const SALT = 0x9e3779b97f4a7c15n

const STRIPE = 32
const MAX_KNOWN = 4096

const known = new Map<string, string>()

/** The tag as this engine keeps it: 16 hexadecimal digits. */
export function tagOf(name: string): string {
  let tag = known.get(name)
  if (tag !== undefined) return tag
  tag = hash64(Buffer.from(name)).toString(16).padStart(16, '0')
  if (known.size >= MAX_KNOWN) known.clear()
  known.set(name, tag)
  return tag
}

/** The same for several. */
export function tagsOf(names: readonly string[]): readonly string[] {
  return names.map(tagOf)
}

/** A tag of a namespace, as a snapshot has it. */
export function salted(tag: string, namespace: number): bigint {
  return BigInt(`0x${tag}`) ^ saltOf(namespace)
}

/** The tag that a snapshot has for a namespace of this number. */
export function unsalted(word: bigint, namespace: number): string {
  return (word ^ saltOf(namespace)).toString(16).padStart(16, '0')
}

function saltOf(namespace: number): bigint {
  return BigInt.asUintN(64, BigInt(namespace) * SALT)
}

function rotated(word: bigint, by: bigint): bigint {
  return BigInt.asUintN(64, (word << by) | (word >> (64n - by)))
}

function times(a: bigint, b: bigint): bigint {
  return BigInt.asUintN(64, a * b)
}

function round(sum: bigint, lane: bigint): bigint {
  return times(rotated(BigInt.asUintN(64, sum + times(lane, P2)), 31n), P1)
}

/** XXH64 with the seed 0. */
function hash64(bytes: Buffer): bigint {
  let at = 0
  let hash = P5
  if (bytes.length >= STRIPE) {
    const sums: [bigint, bigint, bigint, bigint] = [BigInt.asUintN(64, P1 + P2), P2, 0n, BigInt.asUintN(64, -P1)]
    for (; at + STRIPE <= bytes.length; at += STRIPE) {
      for (const [lane, sum] of sums.entries()) sums[lane] = round(sum, bytes.readBigUInt64LE(at + lane * 8))
    }
    const [a, b, c, d] = sums
    hash = BigInt.asUintN(64, rotated(a, 1n) + rotated(b, 7n) + rotated(c, 12n) + rotated(d, 18n))
    for (const sum of sums) hash = BigInt.asUintN(64, times(hash ^ round(0n, sum), P1) + P4)
  }
  hash = BigInt.asUintN(64, hash + BigInt(bytes.length))
  for (; at + 8 <= bytes.length; at += 8) {
    hash ^= round(0n, bytes.readBigUInt64LE(at))
    hash = BigInt.asUintN(64, times(rotated(hash, 27n), P1) + P4)
  }
  if (at + 4 <= bytes.length) {
    hash ^= times(BigInt(bytes.readUInt32LE(at)), P1)
    hash = BigInt.asUintN(64, times(rotated(hash, 23n), P2) + P3)
    at += 4
  }
  for (; at < bytes.length; at++) {
    hash ^= times(BigInt(bytes[at] as number), P5)
    hash = times(rotated(hash, 11n), P1)
  }
  hash = times(hash ^ (hash >> 33n), P2)
  hash = times(hash ^ (hash >> 29n), P3)
  return hash ^ (hash >> 32n)
}
