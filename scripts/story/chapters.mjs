/**
 * The chapters of the story. Each does something to the running app, prints what happened, and checks each claim.
 *
 * Each takes the `scene`: `url`, `pm2`, `report`, `signal`, `ecosystemFile`, `segment` (its name), `segments`.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { count, duration, mebibytes, percentile } from './format.mjs'
import { request } from './http.mjs'
import { runJob, wakeUpsOf } from './jobs.mjs'
import { clientCount, runLoad } from './load.mjs'
import { memoryOf } from './memory.mjs'
import { until } from './wait.mjs'

const workerCount = 4
const itemCount = 1000
const itemBytes = 8192

export async function startWorkers({ url, pm2, report, signal, ecosystemFile }) {
  signal.throwIfAborted()
  const start = performance.now()
  await pm2.start(ecosystemFile)
  const healthy = () => request('GET', `${url}/healthz`).catch(() => false)
  await until(healthy, { what: 'the first answer', within: 10_000, signal })

  const pids = pidsOf(await pm2.workers())
  report.chapter(
    `PM2 ${pm2.version} runs ${pids.length} cluster workers behind ${url}: ${pids.join(', ')}. ` +
      `Started in ${duration(performance.now() - start)}; all have opened one cache.`,
  )
  report.claim(pids.length === workerCount, `${workerCount} workers run`, pids)
}

export async function callBackAnotherWorker(scene) {
  const { report } = scene
  report.chapter('A worker starts a job at the algorithm service and waits; the service calls back later.')

  // PM2 gives connections to the workers in turn. So the callback of the first job already reaches another worker,
  // unless another request came in between.
  let answer
  for (let attempt = 0; attempt < 5; attempt++) {
    answer = await runJob(scene, 300)
    if (answer.waitedBy !== answer.calledBack) break
    report.line(`The callback came to worker ${answer.waitedBy}, which also waited. Once more.`)
  }
  report.line(
    `Worker ${answer.waitedBy} waited ${duration(answer.waitedMs)}. The callback came to ${answer.calledBack}, ` +
      `which set the result; ${answer.waitedBy} woke ${duration(answer.wakeUpMs)} later, and answered.`,
  )
  report.claim(answer.waitedBy !== answer.calledBack, 'another worker takes the callback', answer)

  const answers = []
  for (let job = 0; job < 50; job++) answers.push(await runJob(scene, 20))
  const wakeUps = wakeUpsOf(answers)
  const median = percentile(wakeUps, 0.5)
  report.line(
    `${answers.length} more, one after the other, ${wakeUps.length} of them called back elsewhere: ` +
      `woken after ${duration(median)} at the median, ${duration(percentile(wakeUps, 0.9))} at the 90th percentile, ` +
      `${duration(Math.max(...wakeUps))} at most.`,
  )
  report.claim(wakeUps.length >= answers.length / 2, 'most callbacks come to another worker', wakeUps.length)
  // A waiter that misses its wake-up checks again after 50 ms.
  report.claim(median < 25, 'a waiter is woken and does not poll', median)
}

export async function shareLoad(scene) {
  const { url, report, signal } = scene
  const before = await readStats(scene)
  const requested = new Set()
  const pick = () => {
    // Cubed, so that some items are requested far more often than others.
    const item = Math.floor(itemCount * Math.random() ** 3)
    requested.add(item)
    return item
  }

  const end = performance.now() + 4000
  const done = () => performance.now() > end
  const answers = []
  const runJobs = async () => {
    while (!done()) answers.push(await runJob(scene, 20))
  }
  const [tally] = await Promise.all([runLoad(url, { pick, done, within: 30_000, signal }), runJobs()])
  const counts = ({ cache }) => ({ hits: cache.hits - before.cache.hits, misses: cache.misses - before.cache.misses })
  const covers = ({ hits, misses }) => hits >= tally.hits && misses >= tally.misses
  const after = await readSettledStats(scene, (stats) => covers(counts(stats)))

  report.chapter(
    `Mixed load over all workers: ${count(tally.answered)} item requests in ${duration(tally.milliseconds)} ` +
      `(${count(Math.round((tally.answered / tally.milliseconds) * 1000))} a second). ` +
      `Meanwhile ${answers.length} jobs, woken after ${duration(percentile(wakeUpsOf(answers), 0.5))} at the median.`,
  )
  report.line(
    `${count(tally.hits)} hits, ${count(tally.misses)} misses: ${count(requested.size)} items were loaded for all ` +
      `${tally.workers.size} workers.`,
  )
  claimAnswers(report, tally, 0)
  report.claim(tally.workers.size === workerCount, 'all workers answer', [...tally.workers])
  report.claim(tally.misses >= requested.size, 'each item is missed at first', tally.misses)
  // Two workers that miss the same item at the same time both load it. Otherwise the second worker has a hit.
  report.claim(tally.misses < 2 * requested.size, 'an item that one worker loaded is a hit in the others', tally.misses)
  const counted = counts(after)
  report.claim(covers(counted), "the cache's own stats include these hits and misses", counted)

  const shared = after.requests - before.requests
  report.line(`One count over all workers says ${count(shared)}: exact.`)
  report.claim(shared === tally.answered, 'the shared count is the number of answered requests', shared)

  return { items: [...requested] }
}

export async function showMemory(scene, { items }) {
  const { pm2, report, segments, segment } = scene
  const pids = pidsOf(await pm2.workers())
  const { cache } = await readStats(scene)
  const memory = pids.map((pid) => ({ pid, ...memoryOf(pid) })).filter(({ rss }) => rss !== undefined)

  if (memory.length > 0) {
    const each = memory.map(({ pid, rss, pss }) => `${pid} ${mebibytes(rss)} / ${mebibytes(pss)}`)
    const total = memory.reduce((sum, { pss }) => sum + pss, 0)
    report.line(`Memory, RSS / PSS: ${each.join(', ')}. Together, shared pages divided: ${mebibytes(total)}.`)
  }
  report.line(
    `In it one cache for all: ${count(cache.entries)} entries in ${mebibytes(cache.usedBytes)}, ` +
      `of a segment of ${mebibytes(segments.inspect(segment).size)}.`,
  )
  const bytes = items.length * itemBytes
  report.claim(cache.usedBytes >= bytes && cache.usedBytes < 1.5 * bytes, 'each item is stored once', cache.usedBytes)
}

export async function killWorker(scene, { items }) {
  const { url, pm2, report, signal } = scene
  const before = await readStats(scene)
  const workersBefore = await pm2.workers()
  const oldPids = pidsOf(workersBefore)
  const victim = oldPids[0]

  let killedAt
  let replacedAt
  const done = (tally) => {
    if (killedAt === undefined && tally.answered >= 500) {
      process.kill(victim, 'SIGKILL')
      killedAt = performance.now()
    }
    const successor = [...tally.workers.keys()].find((pid) => !oldPids.includes(pid))
    if (successor === undefined) return false
    replacedAt ??= performance.now()
    return tally.workers.get(successor) >= 200
  }
  const tally = await runLoad(url, { pick: pickFrom(items), done, within: 20_000, timeout: 2000, signal })
  const after = await readStats(scene)
  const workersAfter = await pm2.workers()
  const [successor] = pidsOf(workersAfter).filter((pid) => !oldPids.includes(pid))

  report.chapter(
    `Worker ${victim} is killed with SIGKILL under load. PM2 starts ${successor}, which answers after ` +
      `${duration(replacedAt - killedAt)}.`,
  )
  report.line(
    `${count(tally.answered)} requests answered, ${tally.lost} lost with the worker; ` +
      `${count(tally.hits)} hits, ${count(tally.misses)} misses. ` +
      `Worker ${successor} found the cache warm: ${count(tally.workers.get(successor))} requests, all hits.`,
  )
  // Each client may have lost the one request that the killed worker was answering.
  claimAnswers(report, tally, clientCount)
  report.claim(tally.misses === 0, 'every item cached before the kill is a hit after it', tally.misses)
  report.claim(sum(workersAfter) === sum(workersBefore) + 1, 'PM2 has restarted one worker', workersAfter)

  const shared = after.requests - before.requests
  report.line(
    `The shared count went up by ${count(shared)}: all ${count(tally.answered)} answered requests, and ` +
      `${shared - tally.answered} of the ${tally.lost} lost.`,
  )
  const bounded = shared >= tally.answered && shared <= tally.sent
  report.claim(bounded, 'no answered request is missing in the shared count, and none is counted twice', shared)
}

export async function reloadWorkers(scene, { items }) {
  const { url, pm2, report, signal } = scene
  const before = await readStats(scene)
  const oldPids = pidsOf(await pm2.workers())

  // PM2 tells the worker that waits for this job to end before the callback comes.
  const job = runJob(scene, 1500)
  const start = performance.now()
  let took
  const reload = pm2.reload('web').then(() => (took = performance.now() - start))

  const done = ({ workers }) => {
    const fresh = [...workers].filter(([pid, answers]) => !oldPids.includes(pid) && answers >= 50)
    return took !== undefined && fresh.length === workerCount
  }
  const load = runLoad(url, { pick: pickFrom(items), done, within: 30_000, signal })
  const [tally, answer] = await Promise.all([load, job, reload])
  const after = await readStats(scene)
  const newPids = pidsOf(await pm2.workers())

  report.chapter(`pm2 reload under load: in ${duration(took)} all workers are new: ${newPids.join(', ')}.`)
  report.line(
    `${count(tally.answered)} requests answered, ${tally.lost} lost; ${count(tally.hits)} hits, ` +
      `${count(tally.misses)} misses: warm throughout.`,
  )
  report.line(
    `A job that worker ${answer.waitedBy} waited for meanwhile was called back on ${answer.calledBack}, and answered ` +
      `before ${answer.waitedBy} left.`,
  )
  report.claim(oldPids.includes(answer.waitedBy), 'a worker that is replaced answers its waiting requests', answer)
  report.claim(newPids.length === workerCount && newPids.every((pid) => !oldPids.includes(pid)), 'all are new', newPids)
  claimAnswers(report, tally, 0)
  report.claim(tally.misses === 0, 'every item cached before the reload is a hit throughout', tally.misses)

  const shared = after.requests - before.requests
  report.claim(shared === tally.answered, 'the shared count is the number of answered requests', shared)
}

function claimAnswers(report, { refused, lost, wrong, reasons }, lostAtMost) {
  report.claim(refused === 0, 'no request is answered with an error', Object.fromEntries(reasons))
  report.claim(lost <= lostAtMost, `at most ${lostAtMost} requests are lost`, Object.fromEntries(reasons))
  report.claim(wrong === 0, 'every answer is the requested item', wrong)
}

/**
 * The stats once they are settled, or after five seconds. A worker reports the hits of its near cache once a second.
 */
async function readSettledStats(scene, isSettled) {
  const end = performance.now() + 5_000
  for (;;) {
    const stats = await readStats(scene)
    if (isSettled(stats) || performance.now() > end) return stats
    await pause(100)
  }
}

function readStats({ url }) {
  return request('GET', `${url}/stats`)
}

function pickFrom(items) {
  return () => items[Math.floor(items.length * Math.random())]
}

function pidsOf(workers) {
  return workers.map(({ pid }) => pid)
}

function sum(workers) {
  return workers.reduce((total, { restarts }) => total + restarts, 0)
}
