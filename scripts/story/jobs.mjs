/**
 * Jobs for the algorithm service, and how fast the waiting workers wake up.
 */
import { request } from './http.mjs'

/** A job with a known result: the prime factors of 600,851,475,143. */
export async function runJob({ url, report, signal }, delay) {
  signal.throwIfAborted()
  const answer = await request('POST', `${url}/jobs`, { body: { number: 600_851_475_143, delay } })
  report.claim(String(answer.result) === '71,839,1471,6857', 'the result of the service reaches the client', answer)
  return answer
}

/**
 * Milliseconds from the `set` of one worker to the end of the wait in another. Answers within one worker do not
 * count.
 */
export function wakeUpsOf(answers) {
  return answers.filter(({ waitedBy, calledBack }) => waitedBy !== calledBack).map(({ wakeUpMs }) => wakeUpMs)
}
