/**
 * HTTP requests, each on a connection of its own: PM2 hands out connections, so only a fresh one may meet any worker.
 */
import { request as httpRequest } from 'node:http'

/**
 * Resolves with the decoded body of a 200, and rejects for everything else: with a `status` if there was an answer.
 *
 * @param {number} options.timeout Milliseconds for the whole exchange. A connection on its way to a worker when that
 *   was killed is never answered and never closed, so this bound is the only end of it.
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
