/**
 * The servers of a run. A server starts when a contender first needs it, one for each placement; all stop at the end.
 */
import { join } from 'node:path'
import { memcached } from './memcached.mjs'
import { redis } from './redis.mjs'
import { startServer } from './server.mjs'

export const programs = { redis, memcached }

export class Servers {
  #folder
  #running = new Map()

  /** @param {string} folder for the sockets; its path must be short */
  constructor(folder) {
    this.#folder = folder
  }

  /** Each `limit` in bytes and each `instance` has a server of its own. */
  async socketOf(name, placement, options) {
    return (await this.#serverOf(name, placement, options)).socket
  }

  async pidOf(name, placement, options) {
    return (await this.#serverOf(name, placement, options)).pid
  }

  async stop(name, placement, options) {
    const id = idOf(name, placement, options)
    const server = this.#running.get(id)
    this.#running.delete(id)
    await (await server)?.stop()
  }

  async stopAll() {
    const servers = await Promise.allSettled(this.#running.values())
    this.#running.clear()
    await Promise.all(servers.map(({ value }) => value?.stop()))
  }

  #serverOf(name, placement, options = {}) {
    const id = idOf(name, placement, options)
    if (!this.#running.has(id)) {
      const socket = join(this.#folder, `${id}.sock`)
      const { command, args } = programs[name]
      const server = startServer({
        command,
        args: args({ socket, folder: this.#folder, limit: options.limit }),
        socket,
        placement,
      })
      this.#running.set(id, server)
    }
    return this.#running.get(id)
  }
}

function idOf(name, placement, { limit, instance } = {}) {
  return [name, placement, limit, instance].filter((part) => part !== undefined).join('-')
}
