/**
 * A Redis server of its own for `bench`, on a Unix socket in a folder of its own, and the least client that can be: one
 * call in flight, or many.
 */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { createConnection } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Milliseconds } from '../../arguments/units.ts'

const PATIENCE: Milliseconds = 5000

export class RedisServer implements Disposable {
  readonly #process: ChildProcess
  readonly #folder: string
  readonly #socket: Socket
  #pending: ((reply: Buffer | null) => void)[] = []
  #rest: Buffer = Buffer.alloc(0)

  private constructor(process: ChildProcess, folder: string, socket: Socket) {
    this.#process = process
    this.#folder = folder
    this.#socket = socket
    socket.on('data', (data) => this.#read(data))
  }

  /** Starts `redis-server`; undefined where it is not installed, or does not start. */
  static async start(): Promise<RedisServer | undefined> {
    const folder = mkdtempSync(join(tmpdir(), 'cache-machine-bench-'))
    const path = join(folder, 'socket')
    const settings = ['--port', '0', '--unixsocket', path, '--save', '', '--appendonly', 'no', '--dir', folder]
    const child = spawn('redis-server', settings, { stdio: 'ignore' })
    let hasEnded = false
    child.on('error', () => (hasEnded = true)).on('exit', () => (hasEnded = true))
    const end = performance.now() + PATIENCE
    while (!hasEnded && performance.now() < end) {
      const socket = await connect(path)
      if (socket !== undefined) return new RedisServer(child, folder, socket)
      await delay(20)
    }
    child.kill()
    rmSync(folder, { recursive: true, force: true })
    return undefined
  }

  /** One command; resolves with its reply, null for none. Calls may overlap. */
  call(...words: readonly (string | Buffer)[]): Promise<Buffer | null> {
    const parts = [Buffer.from(`*${words.length}\r\n`)]
    for (const word of words) parts.push(Buffer.from(`$${Buffer.byteLength(word)}\r\n`), Buffer.from(word), CRLF)
    this.#socket.write(Buffer.concat(parts))
    return new Promise((resolve) => this.#pending.push(resolve))
  }

  #read(data: Buffer): void {
    this.#rest = this.#rest.length === 0 ? data : Buffer.concat([this.#rest, data])
    let at = 0
    for (;;) {
      const reply = replyAt(this.#rest, at)
      if (reply === undefined) break
      at = reply.end
      this.#pending.shift()?.(reply.value)
    }
    this.#rest = this.#rest.subarray(at)
  }

  [Symbol.dispose](): void {
    this.#socket.destroy()
    this.#process.kill()
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

const CRLF = Buffer.from('\r\n')

function connect(path: string): Promise<Socket | undefined> {
  return new Promise((resolve) => {
    const socket = createConnection(path)
    socket.once('connect', () => resolve(socket)).once('error', () => resolve(undefined))
  })
}

/** The reply that begins here; undefined: it is not complete. Only simple and bulk strings and integers come. */
function replyAt(bytes: Buffer, at: number): { value: Buffer | null; end: number } | undefined {
  const line = bytes.indexOf(CRLF, at)
  if (line === -1) return undefined
  const text = bytes.toString('latin1', at + 1, line)
  if (bytes[at] !== 0x24) return { value: Buffer.from(text), end: line + 2 }
  const length = Number(text)
  if (length < 0) return { value: null, end: line + 2 }
  const end = line + 2 + length + 2
  return end > bytes.length ? undefined : { value: bytes.subarray(line + 2, end - 2), end }
}
