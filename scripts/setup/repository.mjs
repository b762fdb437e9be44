/**
 * The folder of the repository, the tools installed in it, and whether a module is the program that was started.
 */
import { readFileSync, realpathSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The folder of the repository. */
export const root = realpathSync(fileURLToPath(new URL('../..', import.meta.url)))

/** Whether `CI` is set to anything but `0` or `false`. Then a skipped test is a failure. */
export const inCi = ![undefined, '', '0', 'false'].includes(process.env.CI)

/** The path of a program in node_modules/.bin. */
export function toolPath(name) {
  return join(root, 'node_modules/.bin', name)
}

/** The text of a file of the repository; undefined if there is none. */
export function readText(path) {
  try {
    return readFileSync(join(root, path), 'utf8')
  } catch {
    return undefined
  }
}

/** The data of a JSON file of the repository; undefined if there is none that can be read. */
export function readJson(path) {
  try {
    return JSON.parse(readFileSync(join(root, path), 'utf8'))
  } catch {
    return undefined
  }
}

/** Whether Node.js was started with this module. `url`: its `import.meta.url`. */
export function isMain(url) {
  return process.argv[1] !== undefined && realpathSync(process.argv[1]) === fileURLToPath(url)
}
