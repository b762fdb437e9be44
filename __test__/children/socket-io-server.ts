/**
 * A server of Socket.IO in a process of its own: its clients are sockets in the same process.
 *
 * The parent sends `{ call, args }`, and gets `{ result }` or `{ error }`.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import * as base from 'socket.io-adapter'
import { Server } from 'socket.io'
import { io as connect } from 'socket.io-client'
import type { Socket as Client } from 'socket.io-client'
import { open } from '../../index.ts'
import { socketIoAdapter } from '../../lib/adapters/socket-io.ts'
import { input, receive, send } from '../helpers/port.ts'

const { name, className } = input<{ name: string; className: 'ClusterAdapter' | 'ClusterAdapterWithHeartbeat' }>()
const cache = open({ name, size: '16mb' })
const http = createServer()
const io = new Server(http, { adapter: socketIoAdapter(cache, { ClusterAdapter: base[className] }) })
io.on('connection', (socket) => {
  const { room } = socket.handshake.auth as { room?: string }
  if (room !== undefined) void socket.join(room)
  socket.data = { pid: process.pid }
})
io.on('question', (text: string, answer: (result: string) => void) => answer(`${text} of ${process.pid}`))
io.on('silent', () => undefined)
io.of('/chat')

http.listen(0, '127.0.0.1')
await once(http, 'listening')
const url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`
const clients: Client[] = []
const heard: unknown[][] = []

const calls: Record<string, (...args: never[]) => unknown> = {
  async connect(room?: string, namespace = '') {
    const client = connect(url + namespace, { auth: { room }, transports: ['websocket'] })
    client.on('news', (...args: unknown[]) => {
      const answer = args.at(-1)
      heard.push(args.filter((arg) => typeof arg !== 'function'))
      if (typeof answer === 'function') (answer as (pid: number) => void)(process.pid)
    })
    clients.push(client)
    await new Promise((resolve) => client.on('connect', () => resolve(undefined)))
    return client.id
  },
  emit: (room: string, ...args: unknown[]) => io.to(room).emit('news', ...args),
  emitExcept: (room: string, ...args: unknown[]) => io.except(room).emit('news', ...args),
  emitLocal: (...args: unknown[]) => io.local.emit('news', ...args),
  emitAll: (...args: unknown[]) => io.emit('news', ...args),
  emitChat: (...args: unknown[]) => io.of('/chat').emit('news', ...args),
  emitLarge: (bytes: number) => io.emit('news', Buffer.alloc(bytes, 7)),
  emitWithAck: (timeout: number) => io.timeout(timeout).emitWithAck('news', 'answer'),
  ask: (event: string, text: string) => io.serverSideEmitWithAck(event, text),
  join: (from: string, to: string) => io.in(from).socketsJoin(to),
  leave: (room: string) => io.in(room).socketsLeave(room),
  disconnect: (room: string) => io.in(room).disconnectSockets(true),
  connected: () => clients.filter(({ connected }) => connected).length,
  async sockets(room?: string) {
    const found = await (room === undefined ? io : io.in(room)).fetchSockets()
    return found.map(({ id, rooms, data }) => ({ id, rooms: [...rooms], data: data as unknown }))
  },
  servers: () => io.of('/').adapter.serverCount(),
  heard: () =>
    heard.map((args) => args.map((arg) => (Buffer.isBuffer(arg) ? { bytes: arg.length, first: arg[0] } : arg))),
  async stop() {
    for (const client of clients) client.disconnect()
    await io.close()
    cache.close()
    setImmediate(() => process.disconnect())
  },
}

receive(async ({ call, args }: { call: string; args: never[] }) => {
  try {
    const result = await calls[call]?.(...args)
    send({ result: typeof result === 'boolean' ? undefined : result })
  } catch (error) {
    send({ error: (error as Error).message })
  }
})
send({ result: 'ready' })
