/**
 * memcached on a Unix socket only; it keeps nothing on disk anyway.
 */
import { userInfo } from 'node:os'

const MEBIBYTE = 2 ** 20

export const memcached = {
  command: 'memcached',
  package: 'memcached',
  settings: 'Unix socket, one thread, values up to 8 MiB, 2 GiB of memory or the limit',
  /** @param {{ socket: string, limit?: number }} options */
  args: ({ socket, limit }) => {
    const memory = `${(limit ?? 2048 * MEBIBYTE) / MEBIBYTE}`
    const all = ['-s', socket, '-a', '0700', '-t', '1', '-I', '8m', '-m', memory]
    // As root it wants to be told who it shall be; another user could not reach the socket's folder.
    return process.getuid() === 0 ? [...all, '-u', userInfo().username] : all
  },
}
