/**
 * How ids and paths of this engine differ from those of the native one. It imports nothing, so that a program that never
 * uses this engine need not load it.
 */

/** Ids of this engine are above this one. The native engine counts from 1 on in 32 bits. */
export const FIRST_ID: number = 2 ** 32

/** The scheme of the paths of this engine, where no file is. */
export const SCHEME = 'portable:'

/** Whether a handle or a region with this id is of this engine. */
export function isPortable(id: number): boolean {
  return id > FIRST_ID
}

/** Whether a path is one of this engine. */
export function isPortablePath(path: string): boolean {
  return path.startsWith(SCHEME)
}
