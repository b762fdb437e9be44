/** Requests to the server. All paths are relative to the page, wherever it is mounted. */

export class ApiError extends Error {
  constructor({ code, message, hint }) {
    super(hint ? `${message}. ${hint}` : message)
    this.code = code
  }
}

export async function get(path, query = {}) {
  const parameters = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== undefined) parameters.append(name, one)
  }
  return answerOf(await fetch(`api/${path}?${parameters}`))
}

export async function change(name, body) {
  const options = { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }
  return answerOf(await fetch(`api/change/${name}`, options))
}

async function answerOf(response) {
  const document = await response.json().catch(() => undefined)
  if (response.ok) return document
  throw new ApiError(document?.error ?? { code: 'ERR_HTTP', message: `the server answered ${response.status}` })
}

/**
 * The live frames of a segment. The browser connects again by itself; after a refusal this does it.
 *
 * @param {{ history(points), frame(frame), trouble(trouble), connection(state) }} listener
 */
export function live(segment, listener) {
  const source = new EventSource(`api/feed?${new URLSearchParams({ segment })}`)
  const take = (name) => source.addEventListener(name, ({ data }) => listener[name](JSON.parse(data)))
  for (const name of ['history', 'frame', 'trouble']) take(name)
  source.addEventListener('open', () => listener.connection('live'))
  source.addEventListener('error', () => {
    listener.connection('lost')
    if (source.readyState === EventSource.CLOSED) setTimeout(live, 3000, segment, listener)
  })
}
