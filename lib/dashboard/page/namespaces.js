/** The namespaces with their counts and quotas. */
import { change } from './api.js'
import { confirmed, dataTable, h, panel, setText, svg } from './dom.js'
import { count, plural, share, size } from './format.js'

export function namespaces(app) {
  const says = h('p', { class: 'note', role: 'status' })
  const columns = [
    {
      title: 'Namespace',
      of: ({ name }) => ({ text: name || 'root', class: 'mono', run: (row) => app.browse(row.name) }),
    },
    { title: 'Entries', number: true, of: ({ entries }) => count(entries) },
    { title: 'Used of its maximum', of: meterOf },
    {
      title: 'Reserved',
      number: true,
      of: ({ guaranteedBytes }) => (guaranteedBytes > 0 ? size(guaranteedBytes) : '–'),
    },
    { title: 'Hit ratio', number: true, of: ({ hits, misses }) => share(hits, hits + misses) },
    { title: 'Reads', number: true, of: ({ hits, misses }) => count(hits + misses) },
    { title: 'Sets', number: true, of: ({ sets }) => count(sets) },
    { title: 'Deletes', number: true, of: ({ deletes }) => count(deletes) },
    { title: 'Evictions', number: true, of: ({ evictions }) => count(evictions) },
    { title: 'for its size', number: true, of: ({ evictedForSize }) => count(evictedForSize) },
    { title: 'for others', number: true, of: ({ evictedForOthers }) => count(evictedForOthers) },
    { title: 'Expirations', number: true, of: ({ expirations }) => count(expirations) },
  ]
  if (app.canWrite) columns.push({ title: 'Change', of: () => ({ text: 'Clear', run: (row) => void clear(row.name) }) })
  const table = dataTable({ caption: 'Namespaces', empty: 'No namespaces.', columns })
  const more = h('p', { class: 'note' })
  const note =
    'Counts are those since the segment was made. A name leads to its keys. The root is everything outside of namespaces.'

  async function clear(name) {
    const text =
      name === ''
        ? 'All entries of the whole segment are deleted, those of all namespaces too.'
        : `All entries of ${name} are deleted.`
    if (!(await confirmed(`Clear ${name || 'the segment'}?`, text, 'Clear'))) return
    try {
      await change('clear', { segment: app.segment, namespace: name })
      setText(says, `Cleared ${name || 'the segment'}.`)
    } catch (error) {
      setText(says, error.message)
    }
  }

  return {
    element: panel('Namespaces', { note }, table.element, more, says),
    update({ namespaces: rows, namespaceCount }) {
      if (!table.element.contains(document.activeElement)) table.update(rows)
      const hidden = namespaceCount - rows.length + 1
      setText(more, hidden > 0 ? `${plural(hidden, 'more namespace is', 'more namespaces are')} not shown.` : '')
    },
    destroy() {},
  }
}

function meterOf({ bytes, maximumBytes }) {
  const part = maximumBytes > 0 ? Math.min(bytes / maximumBytes, 1) : 0
  return h(
    'div',
    {},
    h('span', {}, `${size(bytes)} of ${size(maximumBytes)}`),
    svg(
      'svg',
      { class: 'meter', viewBox: '0 0 100 6', preserveAspectRatio: 'none', 'aria-hidden': 'true' },
      svg('rect', { width: part * 100, height: 6 }),
    ),
  )
}
