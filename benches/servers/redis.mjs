/**
 * redis-server with nothing but memory: no port, no snapshots, no log of writes.
 */

export const redis = {
  command: 'redis-server',
  package: 'redis-server',
  settings: 'Unix socket, no persistence, one thread (its default); with a limit: allkeys-lru',
  /** @param {{ socket: string, folder: string, limit?: number }} options */
  args: ({ socket, folder, limit }) => {
    const where = ['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700', '--dir', folder]
    const memoryOnly = ['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning']
    const evicting = ['--maxmemory', `${limit}`, '--maxmemory-policy', 'allkeys-lru']
    return [...where, ...memoryOnly, ...(limit === undefined ? [] : evicting)]
  },
}
