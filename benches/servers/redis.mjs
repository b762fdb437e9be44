/**
 * redis-server in memory only: no port, no snapshots, no append-only file.
 */

export const redis = {
  command: 'redis-server',
  package: 'redis-server',
  settings: 'Unix socket, no persistence, one thread (its default); with a limit: allkeys-lru',
  /** @param {{ socket: string, folder: string, limit?: number }} options */
  args: ({ socket, folder, limit }) => {
    const location = ['--port', '0', '--unixsocket', socket, '--unixsocketperm', '700', '--dir', folder]
    const memoryOnly = ['--save', '', '--appendonly', 'no', '--daemonize', 'no', '--loglevel', 'warning']
    const evicting = ['--maxmemory', `${limit}`, '--maxmemory-policy', 'allkeys-lru']
    return [...location, ...memoryOnly, ...(limit === undefined ? [] : evicting)]
  },
}
