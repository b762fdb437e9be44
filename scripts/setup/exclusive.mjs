/**
 * One installation or build of this folder at a time, across processes.
 */
import { createHash } from 'node:crypto'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { root } from './repository.mjs'

/**
 * Runs `work` while no other process runs its own in this folder. The lock is an abstract socket: unlike a file or a
 * folder, it disappears with its owner, even after a `kill -9`. Only Linux has abstract sockets; on other systems this
 * function does not wait.
 */
export async function exclusively(log, work) {
  const lock = process.platform === 'linux' ? await takeLock(log) : undefined
  try {
    return await work()
  } finally {
    lock?.close()
  }
}

async function takeLock(log) {
  const name = `\0cache-machine-setup-${createHash('sha256').update(root).digest('hex').slice(0, 16)}`
  for (let tries = 0; ; tries++) {
    const lock = await tryListen(name)
    if (lock !== undefined) return lock
    if (tries === 0) log('Waiting for another installation or build of this folder')
    await sleep(100)
  }
}

function tryListen(path) {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.on('error', (error) => (error.code === 'EADDRINUSE' ? resolve(undefined) : reject(error)))
    server.listen({ path }, () => resolve(server))
  })
}
