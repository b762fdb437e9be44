/**
 * Segments of a group: processes of several Unix users share one, and no other user gets in.
 */
import { chmodSync, chownSync, linkSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { ExecutionContext } from 'ava'
import { open, openRegion, regions, segments } from '../../index.ts'
import type { SegmentInfo } from '../../index.ts'
import type { Answer } from '../children/member.ts'
import { json, run } from '../helpers/command-line.ts'
import { within } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { problems, root } from '../helpers/internals.ts'
import { ok } from '../helpers/member.ts'
import { openCache, segmentName, temporaryDirectory } from '../helpers/segment.ts'
import { testIf, works } from '../helpers/system.ts'

const GROUP = 70_100
const [ANN, BEN, EVE] = [70_001, 70_002, 70_003]
const SHARED = { group: GROUP } as const

/** The command that runs a program as a user: Ann and Ben are in the group, Eve is not. */
function as(user: number, before: readonly string[] = []): { wrapper: readonly string[] } {
  const groups = user === EVE ? ['--clear-groups'] : ['--groups', String(GROUP)]
  return { wrapper: [...before, 'setpriv', '--reuid', String(user), '--regid', String(user), ...groups] }
}

/** Whether this process can become another user, and that user can run these programs. */
const possible = testIf(
  works(...(as(EVE).wrapper as [string, ...string[]]), process.execPath, '-e', `require('fs').readdirSync('${root}')`),
)

async function member(t: ExecutionContext, user: number, before?: readonly string[]): Promise<Child> {
  const child = fork(t, 'member', {}, as(user, before))
  await child.next()
  return child
}

async function refused(t: ExecutionContext, child: Child, order: readonly unknown[], message: RegExp, hint: RegExp) {
  const answer = await child.ask<Answer>(order)
  t.is(answer.code, 'ERR_PERMISSION', JSON.stringify(answer))
  t.regex(answer.message ?? '', message)
  t.regex(answer.hint ?? '', hint)
}

/** A new name of the group. This process is root, so it may inspect and destroy all segments. */
function groupName(t: ExecutionContext, where: object = {}): string {
  return segmentName(t, { ...where, ...SHARED })
}

function infoOf(name: string, where: object = {}): SegmentInfo {
  const info = segments.inspect(name, { ...where, ...SHARED })
  if (info === undefined) throw new Error(`no segment ${name}`)
  return info
}

possible('two users of a group share values, waits, locks and counts', async (t) => {
  const name = groupName(t)
  const [ann, ben] = await Promise.all([member(t, ANN), member(t, BEN)])
  await ok(ann, 'open', { name, ...SHARED })
  await ok(ben, 'open', { name, ...SHARED })
  const { path } = infoOf(name)
  t.regex(basename(path), new RegExp(`^cache-machine\\.\\d+\\.g${GROUP}\\.${name}$`))
  const { uid, gid, mode } = statSync(path)
  t.deepEqual([uid, gid, mode & 0o7777], [ANN, GROUP, 0o660])

  const waiting = ok(ben, 'call', 'waitFor', 'key')
  await ok(ann, 'call', 'set', 'key', { by: 'Ann' })
  t.like(await waiting, { value: { by: 'Ann' } })
  await ok(ben, 'call', 'set', 'key', { by: 'Ben' })
  t.deepEqual(await ok(ann, 'call', 'get', 'key'), { by: 'Ben' })
  for (const child of [ann, ben, ann]) await ok(child, 'call', 'incr', 'counter')
  t.is(await ok(ben, 'call', 'get', 'counter'), 3)

  // A lock of a killed process of one user passes on to the other user.
  t.is(typeof (await ok(ann, 'lock', 'job')), 'number')
  const next = ok(ben, 'lock', 'job')
  ann.kill()
  await ann.exit
  t.is(typeof (await next), 'number')
  t.is(infoOf(name).processes.length, 1)
})

possible('a write of a killed process of one user is repaired by the other', async (t) => {
  t.timeout(60_000)
  const name = groupName(t)
  const options = { name, size: '8mb', ...SHARED } as const
  const ben = await member(t, BEN)
  await ok(ben, 'open', options)
  for (let i = 0; i < 50; i++) await ok(ben, 'call', 'set', `kept${i}`, i)
  const repairs = async (): Promise<number> => ((await ok(ben, 'call', 'stats')) as { repairs: number }).repairs
  for (let round = 0; round < 40 && (await repairs()) < 2; round++) {
    const writer = fork(t, 'large-writer', { options, bytes: 1_000_000, keys: ['large1', 'large2'] }, as(ANN))
    await writer.next()
    await delay(Math.random() * 20) // into the middle of a write
    writer.kill()
    await within('the end of the writer', writer.exit)
    t.is(await ok(ben, 'call', 'set', 'after', round), true)
  }
  t.true((await repairs()) >= 1, 'no kill hit a write')
  for (let i = 0; i < 50; i++) t.is(await ok(ben, 'call', 'get', `kept${i}`), i)
  const cache = openCache(t, options)
  t.deepEqual(problems(cache), [])
})

possible('a user outside the group gets in by no call', async (t) => {
  const name = groupName(t)
  const [ann, eve] = await Promise.all([member(t, ANN), member(t, EVE)])
  await ok(ann, 'open', { name, ...SHARED })
  await ok(ann, 'openRegion', { cache: name, name: 'bytes', size: 64, ...SHARED })
  t.teardown(() => regions.destroy(name, 'bytes', { ...SHARED, force: true }))
  const outside = /^this process is not in the group 70100/
  for (const order of [
    ['open', { name, ...SHARED }],
    ['openRegion', { cache: name, name: 'bytes', size: 64, ...SHARED }],
    ['list', SHARED],
    ['inspect', name, SHARED],
    ['destroy', name, { ...SHARED, force: true }],
    ['listRegions', SHARED],
    ['destroyRegion', name, 'bytes', { ...SHARED, force: true }],
  ]) {
    await refused(t, eve, order, outside, /^Add the user to the group 70100/)
  }
  // Nor by a segment of her own of the same name: it is another one.
  await ok(eve, 'open', { name })
  t.is(await ok(eve, 'call', 'get', 'key'), undefined)
  t.is(((await ok(eve, 'warnings')) as string[]).filter((text) => text.includes('of group 70100')).length, 1)
  await ok(eve, 'destroy', name, { force: true })
  t.is(infoOf(name).processes.length, 1)
})

possible('only the owner and root destroy a segment or a region', async (t) => {
  const name = groupName(t)
  const [ann, ben] = await Promise.all([member(t, ANN), member(t, BEN)])
  await ok(ann, 'open', { name, ...SHARED })
  await ok(ann, 'call', 'set', 'key', 1)
  await ok(ann, 'openRegion', { cache: name, name: 'bytes', size: 64, ...SHARED })
  await ok(ben, 'open', { name, ...SHARED })
  await ok(ben, 'openRegion', { cache: name, name: 'bytes', size: 64, ...SHARED })
  t.teardown(() => regions.destroy(name, 'bytes', { ...SHARED, force: true }))
  const message = new RegExp(`only its owner, user ${ANN}, can remove or resize it; this process is user ${BEN}`)
  const hint = new RegExp(`^The user ${ANN} owns .*${name}`)
  await refused(t, ben, ['destroy', name, { ...SHARED, force: true }], message, hint)
  await refused(t, ben, ['destroyRegion', name, 'bytes', { ...SHARED, force: true }], message, hint)
  // The refused calls changed nothing.
  t.is(await ok(ben, 'call', 'get', 'key'), 1)
  t.is(await ok(ann, 'addToRegion', 2), 2)
  t.is(await ok(ben, 'addToRegion', 3), 5)
  t.true(((await ok(ben, 'listRegions', SHARED)) as string[]).includes(`${name}@bytes`))
  t.is(await ok(ann, 'destroy', name, { ...SHARED, force: true }), true)
  t.true(regions.destroy(name, 'bytes', { ...SHARED, force: true }))
})

possible('the umask of the creator changes nothing', async (t) => {
  const directory = temporaryDirectory(t)
  chownSync(directory, 0, GROUP)
  chmodSync(directory, 0o770)
  for (const mask of ['0777', '0000', '0007']) {
    for (const where of [{}, { directory }]) {
      const name = groupName(t, where)
      const ann = await member(t, ANN, ['sh', '-c', `umask ${mask}; exec "$@"`, 'sh'])
      const ben = await member(t, BEN)
      await ok(ann, 'open', { name, ...where, ...SHARED })
      await ok(ben, 'open', { name, ...where, ...SHARED })
      t.is(statSync(infoOf(name, where).path).mode & 0o7777, 0o660)
      await ok(ann, 'call', 'set', 'key', mask)
      t.is(await ok(ben, 'call', 'get', 'key'), mask)
    }
  }
  t.deepEqual(
    readdirSync(directory).filter((file) => file.includes('~')),
    [],
  )
})

possible('a file with another group, mode or number of names is refused', async (t) => {
  const directory = temporaryDirectory(t)
  chownSync(directory, 0, GROUP)
  chmodSync(directory, 0o770)
  const name = groupName(t, { directory })
  const options = { name, directory, ...SHARED }
  const [ann, ben] = await Promise.all([member(t, ANN), member(t, BEN)])
  await ok(ann, 'open', options)
  await ok(ann, 'call', 'close')
  const { path } = infoOf(name, { directory })
  for (const mode of [0o600, 0o640, 0o664, 0o666, 0o670, 0o2660]) {
    chmodSync(path, mode)
    const message = new RegExp(`mode ${mode.toString(8)} instead of 660`)
    await refused(t, ann, ['open', options], message, /^Another program replaced .* or changed its mode/)
    // Of another user, the system may have refused it already.
    await refused(t, ben, ['open', options], /instead of 660|Permission denied/, /which is no segment of the group/)
  }
  chmodSync(path, 0o660)
  chownSync(path, ANN, ANN)
  await refused(t, ann, ['open', options], /it belongs to group 70001, not to group 70100/, /^Another program/)
  chownSync(path, ANN, GROUP)
  linkSync(path, join(directory, 'second'))
  await refused(t, ben, ['open', options], /it has 2 names/, /which is no segment of the group/)
  unlinkSync(join(directory, 'second'))
  await ok(ben, 'open', options)
})

possible('a name that another user has squatted is refused, and doctor shows it', async (t) => {
  const directory = temporaryDirectory(t)
  chmodSync(directory, 0o1777)
  const name = groupName(t, { directory })
  const options = { name, directory, ...SHARED }
  const other = await member(t, ANN)
  await ok(other, 'open', { ...options, name: `${name}.other` })
  const { path: known } = infoOf(`${name}.other`, { directory })
  t.teardown(() => segments.destroy(`${name}.other`, { directory, ...SHARED, force: true }))
  const path = known.replace('.other', '')
  writeFileSync(path, Buffer.alloc(1 << 20), { mode: 0o666 })
  t.teardown(() => unlinkSync(path))
  chownSync(path, EVE, EVE)
  chmodSync(path, 0o666)
  const ben = await member(t, BEN)
  await refused(t, ben, ['open', options], /it belongs to group 70003/, new RegExp(`^The user ${EVE} owns ${path}`))
  const line = ['doctor', '-d', directory, '-g', String(GROUP)]
  const { checks } = await json<{ checks: { id: string; verdict: string; finding: string }[] }>(t, line)
  const check = checks.find(({ id }) => id === 'squatted-names')
  t.is(check?.verdict, 'problem')
  t.true(
    check?.finding.includes(`1 file in the place of a segment: ${path} belongs to the group ${EVE}`),
    check?.finding,
  )
})

possible('a folder that gives its group to the files of all users is not trusted', async (t) => {
  const directory = temporaryDirectory(t)
  chownSync(directory, 0, GROUP)
  chmodSync(directory, 0o2777)
  const name = groupName(t, { directory })
  const options = { name, directory, ...SHARED }
  const [ann, ben] = await Promise.all([member(t, ANN), member(t, BEN)])
  await ok(ann, 'open', options)
  await refused(
    t,
    ben,
    ['open', options],
    /user 70001 owns it, which may be outside the group/,
    /outside the group may write/,
  )
  chmodSync(directory, 0o2770)
  await ok(ben, 'open', options)
})

possible('the command looks into the segments of a group', async (t) => {
  const name = groupName(t)
  const ann = await member(t, ANN)
  await ok(ann, 'open', { name, ...SHARED })
  await ok(ann, 'call', 'set', 'key', 'value')
  const ben = as(BEN)
  const listed = await json<{ name: string }[]>(t, ['list', '-g', String(GROUP)], ben)
  t.true(listed.some((info) => info.name === name))
  t.regex((await run(t, ['get', name, 'key', '--group', String(GROUP)], ben)).out, /value/)
  const healthy = await run(t, ['health', name, '-g', String(GROUP)], ben)
  t.is(healthy.code, 0, healthy.out + healthy.err)
  const { code, err } = await run(t, ['destroy', name, '-g', String(GROUP), '--force'], ben)
  t.is(code, 1)
  t.regex(err, /only its owner, user 70001, can remove or resize it.*ERR_PERMISSION/)
  t.is((await run(t, ['get', name, 'key'], ben)).code, 1, 'without the group it is another segment')
})

possible('groups are told apart from users and from each other, and are known by name', (t) => {
  const name = groupName(t)
  const own = openCache(t, { name })
  t.teardown(() => segments.destroy(name, { force: true }))
  const shared = openCache(t, { name, ...SHARED })
  const other = openCache(t, { name, group: 70_101 })
  t.teardown(() => segments.destroy(name, { group: 70_101, force: true }))
  const byName = open({ name: `${name}.root`, group: 'root', size: '2mb' })
  t.teardown(() => {
    byName.close()
    segments.destroy(`${name}.root`, { group: 0 })
  })
  for (const [cache, value] of [
    [own, 'own'],
    [shared, 'shared'],
    [other, 'other'],
  ] as const)
    cache.set('key', value)
  t.deepEqual(
    [own, shared, other].map((cache) => cache.get('key')),
    ['own', 'shared', 'other'],
  )
  t.is(segments.inspect(`${name}.root`, { group: 0 })?.processes.length, 1)
  t.true(segments.list({ group: 'root' }).some((info) => info.name === `${name}.root`))

  using region = shared.region('bytes', 64)
  t.teardown(() => regions.destroy(name, 'bytes', { ...SHARED, force: true }))
  t.true(region.path.includes(`.g${GROUP}.`))
  using same = openRegion({ cache: name, name: 'bytes', size: 64, ...SHARED })
  new Uint8Array(region.buffer)[0] = 7
  t.is(new Uint8Array(same.buffer)[0], 7)
})
