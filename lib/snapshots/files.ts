/**
 * Files of snapshots: written aside, synchronized, and renamed over the old one, so a path always has a whole file or
 * none. What a killed process has left beside it is removed by the next snapshot to the same path.
 */
import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { open, readdir, realpath, rename, stat, unlink } from 'node:fs/promises'
import type { FileHandle } from 'node:fs/promises'
import { hostname } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { threadId } from 'node:worker_threads'
import { CacheError, invalid } from '../errors.ts'
import type { CacheErrorCode } from '../errors.ts'

/** A file aside that is older is one that its process has left, whatever its name says. */
const MAX_AGE_MS = 3_600_000
const SUFFIX = '.tmp'
/** The files aside of this thread. */
const ours = new Set<string>()
/** Which thread a file aside belongs to. A process of an earlier container may have had the same number. */
const self = `${process.pid}-${threadId}`

const CODES: Readonly<Record<string, CacheErrorCode>> = {
  ENOSPC: 'ERR_NO_SPACE',
  EDQUOT: 'ERR_NO_SPACE',
  EFBIG: 'ERR_NO_SPACE',
  EACCES: 'ERR_PERMISSION',
  EPERM: 'ERR_PERMISSION',
  EROFS: 'ERR_PERMISSION',
}

const HINTS: Readonly<Record<string, string>> = {
  ERR_NO_SPACE: 'Free space in the file system of the snapshot, or pass a path in another one. An older file was kept.',
  ERR_PERMISSION: 'Let this user write to the folder of the snapshot, or pass another path. An older file was kept.',
}

/** A path as users pass it. */
export type SnapshotPath = string | URL

/** The absolute path. */
export function pathOf(path: unknown): string {
  if (path instanceof URL) {
    if (path.protocol !== 'file:') throw invalid('the path of a snapshot must be a path or a file URL', path.href)
    return fileURLToPath(path)
  }
  if (typeof path !== 'string' || path === '' || path.includes('\0')) {
    throw invalid('the path of a snapshot must be a path or a file URL', path)
  }
  return resolve(path)
}

/** An error of the file system as a `CacheError`; any other error is returned unchanged. */
export function fileError(error: unknown, path: string): unknown {
  const { code, message } = error as NodeJS.ErrnoException
  if (error instanceof CacheError || typeof code !== 'string' || !/^E[A-Z0-9]+$/.test(code)) return error
  const ours = CODES[code] ?? 'ERR_SNAPSHOT_FILE'
  return new CacheError(ours, `the snapshot ${path}: ${message}`, { cause: error, hint: HINTS[ours] })
}

/** Whether an error says that there is no such file. */
export function isMissing(error: unknown): boolean {
  return error instanceof CacheError && (error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT'
}

/** A file that is written aside. */
export interface FileAside {
  readonly handle: FileHandle
  /** Renames the file over the old one, durably. */
  finish(): Promise<void>
  /** Removes it. Never rejects. */
  abandon(): Promise<void>
}

/** Creates a file beside the path, of which only this user can read it. */
export async function writeAside(path: string): Promise<FileAside> {
  // A link stays, and the file that it names is replaced.
  const target = await realpath(path).catch(() => path)
  await checkIsFile(target)
  const folder = dirname(target)
  await removeLeftovers(folder, basename(target))
  const aside = join(folder, `${prefixFor(basename(target))}${self}.${randomBytes(6).toString('hex')}${SUFFIX}`)
  const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL
  ours.add(aside)
  const handle = await open(aside, flags, 0o600).catch((error: unknown) => {
    ours.delete(aside)
    throw error
  })
  const abandon = async (): Promise<void> => {
    ours.delete(aside)
    await handle.close().catch(() => undefined)
    await unlink(aside).catch(() => undefined)
  }
  return {
    handle,
    abandon,
    async finish() {
      await handle.sync()
      await handle.close()
      await rename(aside, target)
      ours.delete(aside)
      await syncFolder(folder)
    },
  }
}

/** Throws for a folder, a pipe or a device. A file that does not exist is none of these. */
export async function checkIsFile(path: string): Promise<void> {
  const found = await stat(path).catch(() => undefined)
  if (found?.isFile() === false) throw new CacheError('ERR_SNAPSHOT_FILE', `the snapshot ${path}: it is no file`)
}

/** What the names of files aside begin with, those of this host: the process ids of another host mean nothing here. */
function prefixFor(name: string): string {
  return `.${name.slice(0, 120)}.${hostname()
    .replace(/[^A-Za-z0-9-]/g, '_')
    .slice(0, 64)}.`
}

/** Removes the files that processes have left which ended during a snapshot to this path. */
async function removeLeftovers(folder: string, name: string): Promise<void> {
  const own = prefixFor(name)
  const anyHost = `.${name.slice(0, 120)}.`
  const found = (await readdir(folder)).filter((file) => file.startsWith(anyHost) && file.endsWith(SUFFIX))
  for (const file of found) {
    const path = join(folder, file)
    const owner = file.startsWith(own) ? file.slice(own.length).split('.')[0] : undefined
    if ((owner !== undefined && isLeft(owner, path)) || (await isOld(path))) await unlink(path).catch(() => undefined)
  }
}

/** Whether the thread that wrote a file aside on this host has ended. */
function isLeft(owner: string, path: string): boolean {
  if (owner === self) return !ours.has(path)
  const pid = Number(owner.split('-')[0])
  return Number.isInteger(pid) && pid > 0 && !isAlive(pid)
}

async function isOld(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined)
  return found !== undefined && Date.now() - found.mtimeMs > MAX_AGE_MS
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH'
  }
}

/** Some file systems cannot do this; then the rename is durable when they say so. */
async function syncFolder(folder: string): Promise<void> {
  try {
    const handle = await open(folder, constants.O_RDONLY)
    await handle.sync().finally(() => handle.close())
  } catch {
    // The rename itself has succeeded.
  }
}
