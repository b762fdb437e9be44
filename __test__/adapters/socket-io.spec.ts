/**
 * cache-machine/socket-io with real servers of Socket.IO in three processes, and real clients.
 */
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { ClusterAdapter } from 'socket.io-adapter'
import { socketIoAdapter } from '../../lib/adapters/socket-io.ts'
import { createTestCache } from '../../testing.ts'
import { eventually } from '../helpers/eventually.ts'
import { fork } from '../helpers/fork.ts'
import type { Child } from '../helpers/fork.ts'
import { segmentName } from '../helpers/segment.ts'

type Message = [first: unknown, second: unknown, third: { deep: [null, number] }]
type Socket = { id: string; rooms: string[]; data: { pid: number } }

class Node {
  readonly child: Child

  constructor(child: Child) {
    this.child = child
  }

  async call<T = unknown>(call: string, ...args: unknown[]): Promise<T> {
    const { result, error } = await this.child.ask<{ result: T; error?: string }>({ call, args })
    if (error !== undefined) throw new Error(error)
    return result
  }
}

const classes = ['ClusterAdapter', 'ClusterAdapterWithHeartbeat'] as const

/** Three servers, which all know of each other. */
async function cluster(t: ExecutionContext, className: (typeof classes)[number]): Promise<[Node, Node, Node]> {
  const name = segmentName(t)
  const nodes = await Promise.all(
    [0, 1, 2].map(async () => {
      const child = fork(t, 'socket-io-server', { name, className })
      t.like(await child.next(), { result: 'ready' })
      return new Node(child)
    }),
  )
  for (const node of nodes) {
    await eventually('each server counts three', async () => (await node.call('servers')) === 3)
  }
  return nodes as [Node, Node, Node]
}

/** Waits until each server has heard as many messages. */
async function hearing(nodes: Node[], counts: number[]): Promise<Message[][]> {
  await eventually(`${counts.join(', ')} messages`, async () => {
    const heard = await Promise.all(nodes.map((node) => node.call<unknown[][]>('heard')))
    return heard.every((messages, i) => messages.length >= (counts[i] ?? 0))
  })
  return Promise.all(nodes.map((node) => node.call<Message[]>('heard')))
}

for (const className of classes) {
  test.serial(`${className}: broadcasts reach the clients of all servers, in order and whole`, async (t) => {
    const nodes = await cluster(t, className)
    for (const node of nodes) await node.call('connect')
    for (let i = 0; i < 20; i++) await nodes[i % 3]?.call('emitAll', 1, 'ü', { deep: [null, i] })
    const heard = await hearing(nodes, [20, 20, 20])
    for (const messages of heard) {
      t.is(messages.length, 20)
      for (const own of [0, 1, 2]) {
        const ofServer = messages.map(([, , { deep }]) => deep[1]).filter((i) => i % 3 === own)
        t.deepEqual(
          ofServer,
          ofServer.toSorted((a, b) => a - b),
          'the order of one server',
        )
      }
    }
  })

  test.serial(`${className}: rooms, except, local and namespaces`, async (t) => {
    const nodes = await cluster(t, className)
    const [first, second, third] = nodes
    await first.call('connect', 'a')
    await second.call('connect', 'b')
    await third.call('connect', 'a')
    await third.call('connect', undefined, '/chat')
    await second.call('emit', 'a', 'to a')
    await hearing(nodes, [1, 0, 1])
    await first.call('emitExcept', 'a', 'not to a')
    await hearing(nodes, [1, 1, 1])
    await first.call('emitLocal', 'local')
    await first.call('emitChat', 'chat')
    // The last message of a channel comes after all others.
    await first.call('emitAll', 'end')
    const heard = await hearing(nodes, [3, 2, 3])
    t.deepEqual(heard[0], [['to a'], ['local'], ['end']])
    t.deepEqual(heard[1], [['not to a'], ['end']])
    t.deepEqual(heard[2]?.map(([text]) => text).toSorted(), ['chat', 'end', 'to a'])
  })

  test.serial(`${className}: acknowledged broadcasts, fetchSockets and serverSideEmit`, async (t) => {
    const nodes = await cluster(t, className)
    const [first, second] = nodes
    const pids = nodes.map(({ child }) => child.process.pid)
    for (const node of nodes) await node.call('connect')
    t.deepEqual((await first.call<number[]>('emitWithAck', 20_000)).toSorted(), pids.toSorted())

    const sockets = await second.call<Socket[]>('sockets')
    t.deepEqual(sockets.map(({ data }) => data.pid).toSorted(), pids.toSorted())

    const answers = await first.call<string[]>('ask', 'question', 'name')
    const others = nodes.slice(1).map(({ child }) => `name of ${child.process.pid}`)
    t.deepEqual(answers.toSorted(), others.toSorted())
  })

  test.serial(`${className}: sockets of other servers join, leave and are disconnected`, async (t) => {
    const nodes = await cluster(t, className)
    const [first, second, third] = nodes
    for (const node of nodes) await node.call('connect', 'a')
    const inRoom = async (room: string): Promise<number> => (await second.call<Socket[]>('sockets', room)).length
    await first.call('join', 'a', 'b')
    await eventually('all joined', async () => (await inRoom('b')) === 3)
    await third.call('leave', 'b')
    await eventually('all left', async () => (await inRoom('b')) === 0)
    await first.call('disconnect', 'a')
    for (const node of nodes) await eventually('disconnected', async () => (await node.call('connected')) === 0)
    t.is(await inRoom('a'), 0)
  })

  test.serial(`${className}: a message that no channel takes goes through the cache`, async (t) => {
    const nodes = await cluster(t, className)
    for (const node of nodes) await node.call('connect')
    await nodes[1].call('emitLarge', 500_000)
    for (const [message] of await hearing(nodes, [1, 1, 1])) t.deepEqual(message, [{ bytes: 500_000, first: 7 }])
  })
}

test.serial('a server that was killed is not counted and not waited for', async (t) => {
  const [first, second, third] = await cluster(t, 'ClusterAdapter')
  await first.call('connect')
  third.child.kill()
  await third.child.exit
  t.is(await first.call('servers'), 2)
  t.is((await first.call<Socket[]>('sockets')).length, 1)
  t.deepEqual(await second.call('ask', 'question', 'name'), [`name of ${first.child.process.pid}`])
})

test.serial('a server that stops leaves, and ends without help', async (t) => {
  const [first, , third] = await cluster(t, 'ClusterAdapter')
  await third.call('stop')
  t.deepEqual(await third.child.exit, { code: 0, signal: null })
  t.is(await first.call('servers'), 2)
})

test('wrong arguments are errors', (t) => {
  t.throws(() => socketIoAdapter({} as never, { ClusterAdapter }), { code: 'ERR_INVALID_ARGUMENT' })
  t.throws(() => socketIoAdapter(createTestCache(), {} as never), {
    code: 'ERR_INVALID_ARGUMENT',
    message: /ClusterAdapter/,
  })
})
