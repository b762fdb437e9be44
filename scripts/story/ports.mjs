/**
 * Free ports.
 */
import { randomInt } from 'node:crypto'
import { createServer } from 'node:net'

/**
 * Resolves with `howMany` different ports of the loopback interface that were free a moment ago. They are below the
 * range of ephemeral ports, so that no outgoing connection takes one before the app does.
 */
export async function freePorts(howMany) {
  const ports = new Set()
  while (ports.size < howMany) {
    const port = randomInt(20_000, 32_000)
    if (await isFree(port)) ports.add(port)
  }
  return [...ports]
}

function isFree(port) {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', (error) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}
