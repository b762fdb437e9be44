/** Held locks, semaphores and leaderships with their waiters, and the locks of the shards. */
import { dataTable, h, panel } from './dom.js'
import { count, keyText, rate, shortTime, span } from './format.js'

export function locks() {
  const table = dataTable({
    caption: 'Locks, semaphores and leaderships',
    empty: 'Nothing is held.',
    columns: [
      { title: 'Kind', of: ({ kind }) => kind },
      { title: 'Key', of: (held) => h('span', { class: 'mono' }, keyText(held)) },
      { title: 'Namespace', of: ({ namespace }) => namespace || '–' },
      { title: 'Held by', of: ({ holders }) => holders.map(({ pid }) => pid).join(', ') || '–' },
      { title: 'Ends', of: endOf },
      { title: 'Waiting', of: ({ waiters }) => waiters.join(', ') || '–' },
    ],
  })
  const facts = h('dl', { class: 'facts' })
  return {
    element: h(
      'div',
      { class: 'stack' },
      panel(
        'Locks, semaphores and leaderships',
        {
          note: 'Numbers are process ids. Waiters are in the order of the queue. A lock without an end ends with its process.',
        },
        table.element,
      ),
      panel('Locks of the shards', { note: 'Writers of one shard wait for each other. Readers take no lock.' }, facts),
    ),
    update({ held, stats, rates }) {
      table.update(held)
      const pairs = [
        ['writers that slept', `${rate(rates.lockWaits)}, ${count(stats.lockWaits)} ever`],
        ['time in all waits', shortTime(stats.lockWaitTotal)],
        ['writes that ended in ERR_BUSY', `${rate(rates.busy)}, ${count(stats.busy)} ever`],
        ['reads that began again', `${rate(rates.retries)}, ${count(stats.retries)} ever`],
        ['repairs after a death', count(stats.repairs)],
        ['damaged entries', count(stats.damaged)],
      ]
      facts.replaceChildren(...pairs.map(([name, value]) => h('div', {}, h('dt', {}, name), h('dd', {}, value))))
    },
    destroy() {},
  }
}

function endOf({ holders }) {
  const ends = holders.map(({ remaining }) => remaining).filter((remaining) => remaining !== null)
  return ends.length === 0 ? '–' : `in ${span(Math.min(...ends))}`
}
