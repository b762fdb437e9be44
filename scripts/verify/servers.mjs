/**
 * Starts servers on loopback and asks them.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { capture } from '../setup.mjs'
import { freePorts } from '../story/ports.mjs'

/**
 * Starts a server at a free port, which it has in the variable `PORT`, asks it for each path in turn, and ends it.
 *
 * @param {string[]} command
 * @param {Record<string, RegExp>} asks What the answer for each path must match, whatever its status is.
 * @param {Parameters<typeof capture>[2]} options `timeout`: of the whole.
 * @returns {Promise<string | undefined>} What was wrong.
 */
export async function askServer([program, ...args], asks, { env, ...options }) {
  const [port] = await freePorts(1)
  const ending = new AbortController()
  let result
  const served = capture(program, args, {
    ...options,
    env: { ...env, PORT: String(port), HOSTNAME: '127.0.0.1' },
    signal: ending.signal,
  })
  void served.then((ended) => (result = ended))
  let problem
  for (const [path, wanted] of Object.entries(asks)) {
    const answer = await ask(`http://127.0.0.1:${port}${path}`, () => result !== undefined)
    if (!wanted.test(answer)) problem ??= `${path} was answered ${answer}, and not ${wanted}`
  }
  ending.abort()
  const { output } = await served
  return problem && `${[program, ...args].join(' ')}: ${problem}\n${output}`
}

/** Repeats a request until something listens at the port, unless the server has ended. */
async function ask(url, hasEnded) {
  for (;;) {
    try {
      const response = await fetch(url)
      return await response.text()
    } catch (error) {
      if (error.cause?.code !== 'ECONNREFUSED' || hasEnded()) return String(error.cause ?? error)
      await sleep(50)
    }
  }
}
