/** `ui`: the dashboard, on loopback. */
import { placeOf } from '../command.ts'
import type { Command, ExitCode } from '../command.ts'
import { NotFound } from '../failure.ts'

const MAX_PORT = 65_535

export const ui: Command = {
  name: 'ui',
  summary: 'show the dashboard in a browser: rates, latencies, memory, keys, values, locks',
  about: [
    'Prints a URL with a random token. It listens on 127.0.0.1 only, until Ctrl+C. From another machine, forward the port: ' +
      'ssh -L 8080:127.0.0.1:8080 host, with --port 8080.',
    'Without a name the page begins with a list of the segments. It creates no segment and leaves no trace: reads count as ' +
      'no hit. While a page is open, the processes of its segment sample one of 1,024 calls.',
    'It is read-only. With --write the page can delete entries, change lifetimes, invalidate tags and clear.',
  ],
  parameters: [
    { name: 'segment', what: 'the name that was passed to open; default: all of this user', optional: true },
  ],
  options: {
    port: { type: 'count', short: 'p', value: 'PORT', what: 'default: any free port' },
    write: { type: 'flag', short: 'w', what: 'allow changes' },
  },
  examples: [
    ['cache-machine ui app', 'one segment'],
    ['cache-machine ui --port 8080 --write', 'all segments, with changes'],
  ],
  json: 'an object with "url", as soon as the server listens',
  async run(call, world): Promise<ExitCode> {
    const port = call.count('port') ?? 0
    if (port > MAX_PORT) throw call.wrong(`--port is ${port}; the highest port is ${MAX_PORT}`)
    const place = placeOf(call)
    const [name] = call.parameters
    if (name !== undefined && world.segments.inspect(name, place) === undefined) {
      throw new NotFound(name, place, world.segments)
    }
    const server = await world.serveDashboard({ name, place, port, write: call.flag('write') })
    if (call.flag('json')) world.out.json({ url: server.url })
    else {
      world.out.line(server.url)
      world.err.line(
        `The URL has a token: keep it secret. ${call.flag('write') ? 'Changes are allowed. ' : ''}Ctrl+C ends it.`,
      )
    }
    await aborted(world.signal)
    await server.close()
    return 0
  },
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
