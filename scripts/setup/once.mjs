/** Folders outside the repository that are filled once and then used by every clone. */
import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'

/** The folder of downloaded tools: `CACHE_MACHINE_TOOLS`, or one in the user's cache folder. */
export const toolFolder =
  process.env.CACHE_MACHINE_TOOLS ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'cache-machine')

/**
 * The folder of a tool. It is filled on the first call; a failed or interrupted attempt leaves nothing.
 *
 * @param {string} name
 * @param {(folder: string) => Promise<unknown>} fill
 * @returns {Promise<string>}
 */
export async function once(name, fill) {
  const folder = join(toolFolder, name)
  if (existsSync(folder)) return folder
  mkdirSync(toolFolder, { recursive: true })
  const next = mkdtempSync(join(toolFolder, 'next-'))
  try {
    await fill(next)
    // Another process may have been faster: then its folder is used.
    if (!existsSync(folder)) renameSync(next, folder)
  } finally {
    rmSync(next, { recursive: true, force: true })
  }
  return folder
}
