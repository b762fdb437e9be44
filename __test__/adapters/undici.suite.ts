/**
 * Real requests of undici through a cache, for undici 7 and 8.
 */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import test from 'ava'
import type { ExecutionContext } from 'ava'
import { undiciStore } from '../../lib/adapters/undici.ts'
import { createTestCache } from '../../testing.ts'
import type { TestCache } from '../../testing.ts'

/** What the suite needs of undici. Its types differ between the versions. */
export interface Undici {
  // oxlint-disable-next-line typescript/no-explicit-any
  Agent: new () => any
  // oxlint-disable-next-line typescript/no-explicit-any
  interceptors: { cache(options: any): any }
  // oxlint-disable-next-line typescript/no-explicit-any
  request(url: string, options: any): Promise<any>
}

type Get = (path: string, headers?: object, method?: string) => Promise<unknown>

export function undiciSuite({ Agent, interceptors, request }: Undici): void {
  const clientOf = (t: ExecutionContext, cache: TestCache, url: string): Get => {
    const agent = new Agent()
    t.teardown(() => agent.destroy())
    const dispatcher = agent.compose(interceptors.cache({ store: undiciStore(cache) }))
    return async (path, headers = {}, method = 'GET') => {
      const { body } = await request(url + path, { dispatcher, headers, method })
      return body.text()
    }
  }
  const serve = async (t: ExecutionContext): Promise<string> => {
    let served = 0
    const server = createServer((request, response) => {
      response.setHeader('Cache-Control', 'public, max-age=60')
      response.setHeader('Vary', 'Accept-Language')
      response.end(`${request.url} ${request.headers['accept-language'] ?? ''} ${++served}`)
    })
    t.teardown(() => server.close())
    await once(server.listen(0, '127.0.0.1'), 'listening')
    return `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  test('one answer serves two clients, each variant apart, until an unsafe method', async (t) => {
    const first = createTestCache()
    t.teardown(() => first.close())
    const second = createTestCache({ name: first.name })
    t.teardown(() => second.close())
    const url = await serve(t)
    const [one, two] = [clientOf(t, first, url), clientOf(t, second, url)]
    t.is(await one('/a', { 'accept-language': 'en' }), '/a en 1')
    t.is(await two('/a', { 'accept-language': 'en' }), '/a en 1')
    t.is(await two('/a', { 'accept-language': 'de' }), '/a de 2')
    t.is(await one('/a', { 'accept-language': 'de' }), '/a de 2')
    t.is(await one('/a', { 'accept-language': 'en' }), '/a en 1')
    t.is(await one('/b'), '/b  3')
    await one('/a', {}, 'POST')
    t.is(await two('/a', { 'accept-language': 'en' }), '/a en 5')
    t.is(await two('/b'), '/b  3')
  })

  test('a closed cache fails no request', async (t) => {
    const cache = createTestCache()
    const url = await serve(t)
    const get = clientOf(t, cache, url)
    t.is(await get('/a'), '/a  1')
    cache.close()
    t.is(await get('/a'), '/a  2')
    t.is(await get('/a', {}, 'DELETE'), '/a  3')
  })
}
