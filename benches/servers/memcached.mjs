/**
 * memcached on a Unix socket only. It never writes to disk.
 */
import { userInfo } from 'node:os'

const MEBIBYTE = 2 ** 20

export const memcached = {
  command: 'memcached',
  package: 'memcached',
  settings: 'Unix socket, one thread, values up to 8 MiB, 2 GiB of memory or the given limit',
  /** @param {{ socket: string, limit?: number }} options */
  args: ({ socket, limit }) => {
    const memory = `${(limit ?? 2048 * MEBIBYTE) / MEBIBYTE}`
    const options = ['-s', socket, '-a', '0700', '-t', '1', '-I', '8m', '-m', memory]
    // memcached refuses to run as root without a user name; another user could not reach the socket's folder.
    return process.getuid() === 0 ? [...options, '-u', userInfo().username] : options
  },
}
