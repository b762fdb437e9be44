/** One entry: its value, its facts, and with `write` what can be changed. */
import { change, get } from './api.js'
import { confirmed, h } from './dom.js'
import { keyText, moment, size, span } from './format.js'
import { typeText, valueView } from './value.js'

export function entryPanel(app) {
  const title = h('h2', {}, 'Entry')
  const body = h('div', {}, h('p', { class: 'empty' }, 'Choose a key to see its value.'))
  const status = h('p', { class: 'note', role: 'status' })
  const element = h(
    'section',
    { class: 'panel', id: 'entry', 'aria-label': 'Entry' },
    h('header', {}, title),
    body,
    status,
  )
  let shown

  async function show(key, says = '') {
    shown = key
    title.replaceChildren(h('span', { class: 'mono' }, keyText(key)))
    status.textContent = 'Reading'
    try {
      const entry = await get('entry', { segment: app.segment, ...key })
      if (shown !== key) return
      status.textContent = says
      if (entry === null) {
        body.replaceChildren(h('p', { class: 'empty' }, 'There is no entry of this key.'))
        return
      }
      body.replaceChildren(facts(key, entry), valueView(entry.value), ...(app.canWrite ? [actions(key)] : []))
    } catch (error) {
      if (shown !== key) return
      status.textContent = ''
      body.replaceChildren(h('p', { class: 'empty' }, error.message))
    }
  }

  function facts({ namespace, appVersion }, entry) {
    const expires =
      entry.expiresAt === null ? 'never' : `${moment(entry.expiresAt)} (in ${span(entry.expiresAt - Date.now())})`
    const pairs = [
      ['type', typeText(entry.value)],
      ['namespace', namespace || 'root'],
      ...(appVersion ? [['of version', appVersion]] : []),
      ['size', size(entry.size)],
      ['version', String(entry.version)],
      ['written', `${moment(entry.createdAt)} (${span(Date.now() - entry.createdAt)} ago)`],
      [entry.stale ? 'stale since' : 'expires', expires],
    ]
    return h(
      'dl',
      { class: 'facts' },
      pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))),
    )
  }

  function actions(key) {
    const ttl = h('input', {
      type: 'text',
      value: '5m',
      size: 8,
      'aria-label': 'New lifetime, such as 30s, 5m, 2h or never',
    })
    const apply = async (name, body, says) => {
      try {
        const { done } = await change(name, { segment: app.segment, ...key, ...body })
        await show(key, done ? says : 'There is no such entry any more.')
      } catch (error) {
        status.textContent = error.message
      }
    }
    const setTtl = (event) => {
      event.preventDefault()
      const time = durationOf(ttl.value)
      if (time === undefined) status.textContent = 'Write a lifetime as 30s, 5m, 2h, 1d or never.'
      else void apply('ttl', { ttl: time }, 'The lifetime was changed.')
    }
    const remove = async () => {
      if (await confirmed('Delete this entry?', keyText(key), 'Delete')) await apply('delete', {}, 'Deleted.')
    }
    return h(
      'form',
      { class: 'actions', onsubmit: setTtl },
      ttl,
      h('button', { type: 'submit' }, 'Set lifetime'),
      h('button', { type: 'button', class: 'danger', onclick: remove }, 'Delete'),
    )
  }

  return { element, show }
}

const UNITS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** Milliseconds; null: never; undefined: no lifetime. */
function durationOf(text) {
  if (text.trim() === 'never') return null
  const [, number, unit] = /^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)\s*$/.exec(text) ?? []
  return number === undefined ? undefined : Number(number) * UNITS[unit]
}
