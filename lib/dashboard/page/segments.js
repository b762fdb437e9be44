/** The list of segments, where the dashboard has more than one. */
import { dataTable, h, panel } from './dom.js'
import { count, share, size } from './format.js'

export function segmentList(segments) {
  const table = dataTable({
    caption: 'Segments',
    empty: 'This user has no segment. Start the program that opens one, and load this page again.',
    columns: [
      {
        title: 'Name',
        of: ({ name, readable }) =>
          readable ? h('a', { href: `?${new URLSearchParams({ segment: name })}`, class: 'mono' }, name) : name,
      },
      { title: 'Size', number: true, of: ({ size: bytes }) => size(bytes) },
      { title: 'Entries', number: true, of: ({ readable, entries }) => (readable ? count(entries) : 'unreadable') },
      { title: 'Used', number: true, of: ({ usedBytes, capacityBytes }) => share(usedBytes, capacityBytes) },
      { title: 'Processes', number: true, of: ({ processes }) => count(processes) },
    ],
  })
  table.update(segments)
  return panel(
    'Segments',
    { note: 'A segment that another version of the package has made cannot be read.' },
    table.element,
  )
}
