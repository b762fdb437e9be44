/**
 * Segments of the same name that a process does not share: of another user, and of another layout.
 */
import { readdirSync, renameSync, writeFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import type { ExecutionContext } from 'ava'
import { open, segments } from '../../index.ts'
import { onNative } from '../helpers/engine.ts'
import { segmentName, temporaryDirectory } from '../helpers/segment.ts'

const test = onNative('a segment in a file')

/** The warnings of this package from now on, in the order of their emission. */
function collectWarnings(t: ExecutionContext): (Error & { code: string; detail: string })[] {
  const warnings: (Error & { code: string; detail: string })[] = []
  const collect = (warning: Error): void => {
    if (warning.name === 'CacheMachineWarning') warnings.push(warning as never)
  }
  process.on('warning', collect)
  t.teardown(() => process.off('warning', collect))
  return warnings
}

/** Warnings are emitted in a later turn of the event loop. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test.serial('a segment of another user with the same name is a warning, once', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  const warnings = collectWarnings(t)
  for (const [user, other] of [
    [70_001, name],
    [70_001, `${name}.b`],
    [70_002, 'b'],
  ] as const) {
    writeFileSync(join(directory, `cache-machine.1.${user}.${other}`), '')
  }
  for (let i = 0; i < 2; i++) open({ name, directory, size: '2mb' }).close()
  await turn()
  t.is(warnings.length, 1)
  t.like(warnings[0], { code: 'CACHE_MACHINE_OTHER_USER' })
  t.regex(warnings[0]?.message ?? '', /is not shared with that of the same name of user 70001/)
})

test.serial('processes with another layout of the same name are a warning, once', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  const warnings = collectWarnings(t)
  const older = open({ name: `${name}.old`, directory, size: '2mb' })
  const { path } = segments.inspect(`${name}.old`, { directory }) as { path: string }
  // A new name for a file in use stands for a segment of another layout: its processes are found by its leases.
  const [, , user] = basename(path).split('.')
  renameSync(path, join(dirname(path), `cache-machine.999.${user}.${name}`))
  t.teardown(() => older.close())
  for (let i = 0; i < 2; i++) open({ name, directory, size: '2mb' }).close()
  await turn()
  t.is(warnings.length, 1)
  t.like(warnings[0], { code: 'CACHE_MACHINE_OTHER_LAYOUT' })
  t.regex(warnings[0]?.message ?? '', new RegExp(`exists twice.* ${process.pid} have layout 999`))
})

test.serial('a segment of an earlier layout with items of queues stays, and is a warning, once', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  const warnings = collectWarnings(t)
  const older = open({ name: `${name}.old`, directory, size: '2mb' })
  older.queue('jobs').push('never done')
  older.close()
  const { path } = segments.inspect(`${name}.old`, { directory }) as { path: string }
  const [, , user] = basename(path).split('.')
  renameSync(path, join(dirname(path), `cache-machine.0.${user}.${name}`))
  for (let i = 0; i < 2; i++) open({ name, directory, size: '2mb' }).close()
  await turn()
  t.is(warnings.length, 1)
  t.like(warnings[0], { code: 'CACHE_MACHINE_ITEMS_LEFT' })
  t.is(readdirSync(directory).filter((file) => file.startsWith('cache-machine.0.')).length, 1)
})

test.serial('a segment of an earlier layout without items is removed without a warning', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  const warnings = collectWarnings(t)
  const older = open({ name: `${name}.old`, directory, size: '2mb' })
  older.queue('jobs').push('done')
  older.queue('jobs').tryTake()?.ack()
  older.set('key', 'value')
  older.close()
  const { path } = segments.inspect(`${name}.old`, { directory }) as { path: string }
  const [, , user] = basename(path).split('.')
  renameSync(path, join(dirname(path), `cache-machine.0.${user}.${name}`))
  open({ name, directory, size: '2mb' }).close()
  await turn()
  t.deepEqual(warnings, [])
  t.deepEqual(
    readdirSync(directory).filter((file) => file.startsWith('cache-machine.0.')),
    [],
  )
})

test.serial('without neighbours, and beside files of other programs, there is no warning', async (t) => {
  const directory = temporaryDirectory(t)
  const name = segmentName(t)
  const warnings = collectWarnings(t)
  for (const file of ['cache-machine', `cache-machine.1.${name}`, `cache-machine.x.1.${name}`, name]) {
    writeFileSync(join(directory, file), '')
  }
  // A region, and a file that its creator has not finished.
  writeFileSync(join(directory, `cache-machine.1.70001.${name}@region`), '')
  writeFileSync(join(directory, `cache-machine.1.70001.${name}~0123456789abcdef`), '')
  open({ name, directory, size: '2mb' }).close()
  await turn()
  t.deepEqual(warnings, [])
})
