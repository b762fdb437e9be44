/**
 * Node.js for a host that asks for a newer version than the one that runs the tests.
 */
import { join } from 'node:path'
import { root } from './internals.ts'

/** The program of this major version, or the one that runs the tests if that is new enough. */
export async function nodeFor(major: number): Promise<string> {
  if (Number.parseInt(process.versions.node, 10) >= major) return process.execPath
  const { nodeFolder } = (await import(join(root, 'scripts/setup/runtimes.mjs'))) as {
    nodeFolder(version: number): Promise<string>
  }
  return join(await nodeFolder(major), 'node')
}
