/**
 * Serves an application of `adapters/apps/` by several workers of a cluster, all on one port. Sends the port and the
 * pids of the workers. The primary has no other code.
 */
import cluster from 'node:cluster'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { open } from '../../index.ts'
import type { App } from '../adapters/apps/app.ts'
import { input, send } from '../helpers/port.ts'

const { app, name, workers } = input<{ app: string; name: string; workers: number }>()

if (cluster.isPrimary) {
  const started = Array.from({ length: workers }, () => cluster.fork())
  const addresses = await Promise.all(started.map(async (worker) => (await once(worker, 'listening')) as [AddressInfo]))
  send({ port: addresses[0]?.[0].port, pids: started.map((worker) => worker.process.pid) })
} else {
  const { serve } = (await import(`../adapters/apps/${app}.ts`)) as App
  await serve(open({ name, size: '8mb', writeTimeout: '10s' }))
}
