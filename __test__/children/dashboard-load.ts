/**
 * A program under load, for the dashboard: reads through a near cache with one hot key, writes, misses, namespaces with a
 * quota, values of many kinds, and a held lock.
 */
import { setTimeout as pause } from 'node:timers/promises'
import { open } from '../../index.ts'
import { input, receive, send } from '../helpers/port.ts'

/** `rest`: milliseconds between two rounds. */
const { name, hot = 'product:42', rest = 0 } = input<{ name: string; hot?: string; rest?: number }>()
const cache = open({ name, size: '32mb', writeTimeout: '10s' })
const sessions = cache.namespace('sessions', { size: '2mb', reserve: '1mb', near: false })
const pages = cache.namespace('pages')

for (let i = 0; i < 2000; i++) {
  cache.set(`product:${i}`, { id: i, name: `Product ${i}`, price: i * 1.25, stock: i % 17 })
  sessions.set(`s${i}`, { user: i, roles: ['reader'] }, '20m')
  if (i % 10 === 0) pages.set(`/news/${i}`, '<p>news</p>'.repeat(20), { ttl: '10m', tags: ['news'] })
}
for (let i = 0; i < 30_000; i++) cache.set(`article:${i}`, 'y'.repeat(200 + (i % 400)), { ttl: `${1 + (i % 90)}m` })
cache.set('report:large', 'x'.repeat(300_000))
cache.set('kinds', {
  when: new Date('2026-11-30T09:12:04.193Z'),
  count: 12n,
  map: new Map<unknown, unknown>([
    ['one', 1],
    ['two', new Set([2, 3])],
  ]),
  markup: '<img src=x onerror=alert(1)>',
  bytes: Buffer.from('shared memory'),
  list: [1, null, true, undefined],
})
cache.set('logo.png', Buffer.from('89504e470d0a1a0a0000000d49484452', 'hex'))
cache.set('orders', { open: 42, lines: [{ sku: 'A-7', pieces: 3 }] }, { ttl: '2h', tags: ['news', 'front'] })
cache.set(Buffer.from([1, 255, 0]), 'a key of bytes')

const lock = await cache.lock('invoice:17', { ttl: '1h' })
void cache.lock('invoice:17', { timeout: '1h' }).catch(() => undefined)

let isBusy = true
receive<string>((message) => {
  if (message === 'stop') isBusy = false
})
send('ready')
let n = 0
while (isBusy) {
  for (let i = 0; i < 4000; i++, n++) {
    // Half of the reads are of one key.
    cache.get(i % 2 === 0 ? hot : `product:${(n * 7919) % 2000}`)
    if (i % 40 === 0) cache.get(`absent:${n % 500}`)
    if (i % 50 === 0) cache.set(`product:${(n * 31) % 2000}`, { id: n, name: 'changed' })
    if (i % 80 === 0) sessions.get(`s${n % 4000}`)
    if (i % 160 === 0) sessions.set(`s${n}`, { user: n, roles: ['reader', 'writer'] }, '20m')
  }
  // The load of a real program goes up and down.
  await pause(rest * (1 + Math.sin(Date.now() / 4000) / 2))
}
lock.release()
cache.close()
