/** Entries with a tag, and with `write` the invalidation of tags. */
import { change } from './api.js'
import { confirmed, h, panel, setText } from './dom.js'
import { entryPanel } from './entry.js'
import { count } from './format.js'
import { searchPanel } from './keys.js'

export function tags(app) {
  const entry = entryPanel(app)
  const open = ({ namespace, appVersion, text, hex }) => void entry.show({ namespace, appVersion, text, hex })
  const search = searchPanel(app, open, true)
  const facts = h('dl', { class: 'facts' })
  const says = h('p', { class: 'note', role: 'status' })
  const invalidate = h(
    'button',
    { type: 'button', class: 'danger', hidden: !app.canWrite, onclick: () => void invalidateTags() },
    'Invalidate these tags',
  )
  async function invalidateTags() {
    const list = search.tagsNow()
    if (list.length === 0) {
      setText(says, 'Name a tag first.')
      return
    }
    const text = `All entries with ${list.join(', ')} end at once, for every process.`
    if (!(await confirmed('Invalidate?', text, 'Invalidate'))) return
    try {
      await change('invalidate', { segment: app.segment, ...search.placeNow(), tags: list })
      setText(says, `Invalidated ${list.join(', ')}.`)
    } catch (error) {
      setText(says, error.message)
    }
  }
  search.element.append(h('div', { class: 'actions' }, invalidate, says))
  const about = panel(
    'Tags',
    {
      note: 'A segment keeps numbers in place of the texts of tags, so there is no list of them. Each namespace has its own tags.',
    },
    facts,
  )
  return {
    element: h('div', { class: 'stack' }, about, h('div', { class: 'browser' }, search.element, entry.element)),
    update(frame) {
      search.update(frame)
      facts.replaceChildren(
        h('div', {}, h('dt', {}, 'entries that ended without need'), h('dd', {}, count(frame.stats.tagsUnjudged))),
        h('div', {}, h('dt', {}, 'expected'), h('dd', {}, '0')),
      )
    },
    destroy() {},
  }
}
