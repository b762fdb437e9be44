/**
 * The module of PM2: `pm2 install cache-machine` starts this program beside the applications.
 *
 * It keeps the segments of the user open, so that expired entries are reclaimed while the workers are idle. It shows hit
 * ratio, memory and evictions in `pm2 show` and `pm2 monit`, and has the actions `clear NAME` and `destroy NAME`. By
 * setting it restarts workers by private memory. See docs/guides/pm2.md.
 */
import { open, segments } from '../../index.ts'
import { invalid } from '../errors.ts'
import { Keeper } from './keeper.ts'
import { Pm2Messages } from './messages.ts'
import type { Metric, Pm2Channel } from './messages.ts'
import { metricsOf, metricsOfGone } from './metrics.ts'
import type { Sample } from './metrics.ts'
import { Watchdog, readWorker } from './private-memory.ts'
import { readSettings } from './settings.ts'

if (process.send === undefined) {
  throw invalid('this program must be started by PM2: pm2 install cache-machine', undefined)
}

const settings = readSettings(process.env['cache-machine'])
const { place, maxPrivateMemory, killTimeout } = settings
const log = (text: string): void => console.log(`cache-machine: ${text}`)
const keeper = new Keeper(settings, log)
const watchdog = maxPrivateMemory === undefined ? undefined : new Watchdog(maxPrivateMemory, killTimeout)
const shown = new Set<string>()
let samples: ReadonlyMap<string, Sample> = new Map()

const messages = new Pm2Messages(process as Pm2Channel, {
  clear(name) {
    const cache = open({ ...place, name: chosen('clear', name), create: false, near: false })
    try {
      cache.clear()
    } finally {
      cache.close()
    }
    return `${name} is empty`
  },
  destroy(name) {
    keeper.release(chosen('destroy', name))
    const wasThere = segments.destroy(name, place)
    return wasThere ? `${name} is destroyed` : `there is no segment ${name}`
  },
})

const timer = setInterval(tick, settings.interval)
tick()

process.once('SIGINT', () => {
  clearInterval(timer)
  keeper.close()
  process.disconnect()
})

function chosen(action: string, name: string): string {
  if (name !== '') return name
  throw invalid(`${action} takes the name of a segment: pm2 trigger cache-machine ${action} NAME`, undefined)
}

function tick(): void {
  const at = performance.now()
  const readings = keeper.read()
  const metrics: Record<string, Metric> = { segments: { value: readings.length } }
  const current = new Map(readings.map((reading) => [reading.info.name, { at, reading }]))
  for (const [name, sample] of current) Object.assign(metrics, metricsOf(sample, samples.get(name)))
  for (const name of samples.keys()) if (!current.has(name)) Object.assign(metrics, metricsOfGone(name, [...shown]))
  for (const metric of Object.keys(metrics)) shown.add(metric)
  samples = current
  messages.show(metrics)
  watch(
    readings.flatMap(({ info }) => info.processes.map(({ pid }) => pid)),
    at,
  )
}

/** Sends the signal that the watchdog asks for. Only children of PM2 are its workers; the module is one, and left out. */
function watch(pids: readonly number[], now: number): void {
  if (watchdog === undefined) return
  const workers = [...new Set(pids)]
    .filter((pid) => pid !== process.pid)
    .flatMap((pid) => readWorker(pid, process.ppid) ?? [])
  const restart = watchdog.next(workers, now)
  if (restart === undefined) return
  const { pid, signal, privateMemory } = restart
  log(`process ${pid} has ${Math.round(privateMemory / 2 ** 20)} MiB of private memory: ${signal}`)
  try {
    process.kill(pid, signal)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
}
