/**
 * HTTP requests, each on a new connection: PM2 distributes connections, so only a new one can reach any worker.
 */
import { request as httpRequest } from 'node:http'

/**
 * Resolves with the decoded body of a 200. Rejects for everything else; the error has a `status` if there was an
 * answer.
 *
 * @param {number} options.timeout Milliseconds for the whole exchange. A connection that was being passed to a worker
 *   when the worker was killed is never answered and never closed, so only this limit ends the wait.
 */
export function request(method, url, { body, timeout = 15_000 } = {}) {
  return new Promise((resolve, reject) => {
    const outgoing = httpRequest(url, { method, agent: false }, (response) => {
      const chunks = []
      response.on('data', (chunk) => chunks.push(chunk))
      response.on('error', reject)
      response.on('end', () => {
        const text = Buffer.concat(chunks).toString()
        if (response.statusCode === 200) resolve(JSON.parse(text))
        else reject(refusal(`${method} ${url} answered ${response.statusCode}: ${text}`, response.statusCode))
      })
    })
    const timer = setTimeout(() => outgoing.destroy(new Error(`no answer within ${timeout} ms`)), timeout)
    outgoing.on('error', reject)
    outgoing.on('close', () => clearTimeout(timer))
    outgoing.end(body && JSON.stringify(body))
  })
}

function refusal(message, status) {
  return Object.assign(new Error(message), { status })
}
