/**
 * The one door of the specs to the internals of the package: every import from `lib/`, and every path of a source file
 * that a spec reads, stands here.
 */
import { mkdirSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export { bySimilarity, similarTo } from '../../lib/arguments/similar.ts'
export { CHECKS, judge } from '../../lib/command/doctor/checks.ts'
export type { Facts } from '../../lib/command/doctor/facts.ts'
export { logindFacts, memoryOf } from '../../lib/command/doctor/gather.ts'
export { Output, cut, duration, shownKey, size } from '../../lib/command/output.ts'
export { Progress, barOf } from '../../lib/command/progress.ts'
export { KeyCounts, Reservoir } from '../../lib/viewing/rates.ts'
export { COMMANDS } from '../../lib/command/table.ts'
export { flatText, fromFlat } from '../../lib/codec/flat.ts'
export { plainText } from '../../lib/codec/plain.ts'
export { decodeStructured, encodeStructured } from '../../lib/codec/structured.ts'
export { inTurns, walkOver } from '../../lib/cache/walking.ts'
export type { Pace } from '../../lib/cache/walking.ts'
export { channels } from '../../lib/segment/diagnostics.ts'
export type { CacheMessage } from '../../lib/segment/diagnostics.ts'
export { invalid } from '../../lib/errors.ts'
export { checkLoad, lifetimeOf, resolveLoad } from '../../lib/arguments/load-options.ts'
export type { ResolvedLoad } from '../../lib/arguments/load-options.ts'
export { native } from '../../lib/engine/engine.ts'
export { Kind, MetaInt, STATUS_CODES, SetFlag } from '../../lib/native/layout.ts'
export type { RawCalls } from '../../lib/native/raw-calls.ts'
export { RecordAt } from '../../lib/native/records.ts'
export { FORMAT_VERSION, FrameKind, PREAMBLE_BYTES, frameOf, preamble } from '../../lib/snapshots/format.ts'
export { resolveSet, resolveTtl } from '../../lib/arguments/options.ts'
export { heldIn } from '../../lib/segment/holders.ts'
export { cgroupFiles } from '../../lib/segment/limits.ts'
export { present } from '../../lib/segment/region.ts'
export { advance, manualClock, nativeHandles, problems, rawCalls } from '../../lib/segment/testing.ts'
export * as units from '../../lib/arguments/units.ts'

/** The folder of the repository. */
export const root: string = fileURLToPath(new URL('../..', import.meta.url))

/**
 * The path of a program that a spec writes into the folder of the package, where `cache-machine` means the package
 * itself. It is not in dist/, since other specs pack that folder at the same time.
 */
export function programPath(name: string): string {
  mkdirSync(join(root, 'target'), { recursive: true })
  return join(root, 'target', name)
}

/** Source files that `next-layout.ts` changes, relative to `root`. */
export const LAYOUT_VERSION_SOURCE = 'crates/core/src/layout/geometry.rs'
export const KEY_SOURCE = 'crates/core/src/layout/key.rs'

/** The sources of the addon. */
export function nativeSources(): string[] {
  const folder = join(root, 'crates/node/src')
  const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  return files.filter((file) => file.endsWith('.rs')).map((file) => join(folder, file))
}
